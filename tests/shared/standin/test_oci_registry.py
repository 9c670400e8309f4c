"""The stand-in against OCI registries that are none of Anka's, as Anka's command works with them since 3.9."""

from __future__ import annotations

import hashlib
import json

import pytest

from anka_ci.anka import Anka
from anka_ci.oci import Oci
from anka_ci.server.app import Server
from anka_ci.settings import Context
from registries import front

THERE = ("registry", "-o2", "-p", "team/vms")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server.registry_url


@pytest.fixture
def made(ask, guest, embedded, request, env):
    """A VM of its own name, which nothing was pushed of; every command means the registry."""
    env["ANKA_REGISTRY"] = embedded
    name = "VM-" + hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    ask("create", "--app", "x", name)
    guest(ask, name, "head -c 100000 /dev/urandom > big; echo one > file")
    return name


def data(url):
    return Oci(url, Anka(Context()), foreign=True)


def test_there_and_back_with_latest_as_an_alias(ask, guest, made, embedded, tmp_path):
    there = {"ANKA_HOME": str(tmp_path / "there")}
    pushed = ask(*THERE, "push", "-t", "v1", "-d", "the first", made)
    assert ("v1", True, False) == (pushed["tag"], pushed["bytes_sent"] > 100_000, "version" in pushed)
    guest(ask, made, "echo two > file")
    again = ask(*THERE, "push", made, "feature+x")
    assert (True, pushed["bytes_sent"]) == (again["bytes_sent"] < 20_000, again["bytes_shared"])
    repository = f"team/vms/{made.lower()}"
    encoded = "_x." + hashlib.sha256(b"feature+x").hexdigest()[:32]
    assert {"v1", "latest", encoded} == {*data(embedded).tags(repository)}
    assert data(embedded).manifest(repository, encoded) == data(embedded).manifest(repository, "latest")
    assert "feature+x" == ask(*THERE, "pull", made, **there)["tag"]
    assert "two\n" == guest(ask, made, "cat file", **there)
    assert 0 == ask(*THERE, "pull", "--tag", "v1", made, **there)["bytes_received"]
    assert "one\n" == guest(ask, made, "cat file", **there)
    id_ = ask("show", made)["uuid"]
    assert id_ == ask("show", made, **there)["uuid"] == ask(*THERE, "pull", id_, **there)["uuid"]
    assert {} == ask(*THERE, "check-download-size", "-t", "v1", made, **there)


def test_what_is_shown(ask, say, made):
    ask(*THERE, "push", "-t", "v1", "-d", "the first", made)
    shown = ask(*THERE, "show", made)
    assert ("v1", "the first", False) == (shown["version"], shown["description"], "number" in shown)
    assert [{"tag": "v1"}] == ask(*THERE, "show", made, "tag")
    assert ["v1"] == [row["tag"] for row in ask(*THERE, "describe", made)["versions"]]
    assert [(made, "v1")] == [(row["name"], row["latest"]) for row in ask(*THERE, "list", made)]
    code, said = ask(*THERE, "list")
    assert (1, True) == (code, "does not list its repositories" in said)
    _, out, _ = say(*THERE, "show", made, "tag")
    assert " v1 " in out
    assert "-1" not in out


def test_there_is_no_stack(ask, guest, made):
    for tag in ("v1", "v2"):
        guest(ask, made, f"echo {tag} > file")
        ask(*THERE, "push", "-t", tag, made)
    code, said = ask(*THERE, "revert", "--yes", made)
    assert (1, True) == (code, "is an OCI registry: it keeps tags, no stack of versions" in said)
    code, said = ask(*THERE, "pull", "--version", "0", made)
    assert (1, True) == (code, "versions have no numbers" in said)
    guest(ask, made, "echo other > file")
    assert (1, "v1: tag already exists") == ask(*THERE, "push", "-t", "v1", made)
    assert "v1" == ask(*THERE, "push", "--force", "-t", "v1", made)["tag"]  # any tag; the others stay
    assert ["v1", "v2"] == [row["tag"] for row in ask(*THERE, "show", made, "tag")]


def test_another_vm_of_that_name_is_refused_unless_it_is_meant(ask, guest, made, tmp_path):
    ask(*THERE, "push", "-t", "v1", made)
    id_, there = ask("show", made)["uuid"], {"ANKA_HOME": str(tmp_path / "there")}
    ask("create", "--app", "x", made, **there)
    said = f"{made}: registry uuid ({id_}) doesn't match"
    assert (1, said) == ask(*THERE, "push", "-t", "v2", made, **there)
    assert (1, said) == ask(*THERE, "pull", made, **there)
    ask("create", "--app", "x", "other", **there)
    assert id_ == ask(*THERE, "push", "-t", "v2", "--remote-vm", made, "other", **there)["uuid"]
    assert (3, "nothing: not found") == ask(*THERE, "pull", "nothing", **there)
    assert (3, f"{made}:v9: not found") == ask(*THERE, "pull", "-t", "v9", made)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("registry", "-o3", "list"), "no such version of the OCI distribution API: 3"),
        (("registry", "-o2", "-p", "Team", "list"), "'Team' is no prefix"),
        (("registry", "-o2", "-r", "http://127.0.0.1:1/team", "list"), "no address of an OCI registry"),
        (("registry", "-o2", "-u", "me", "list"), "--user is not USER:PASSWORD"),
        (("registry", "-o2", "-r", "http://me:hush@127.0.0.1:1", "list"), "a password has no place in it"),
        (("registry", "-o2", "push", "-t", "v1", "with space"), "no name of an OCI repository"),
    ],
)
def test_words_that_mean_nothing_there(ask, embedded, env, words, said):
    env["ANKA_REGISTRY"] = embedded
    ask("create", "--app", "x", "with space")
    code, told = ask(*words)
    assert (1, True) == (code, said in told), told


def test_options_wherever_anka_takes_them_and_a_registry_that_is_remembered(ask, made, embedded, library):
    with front(embedded, sign_in="bearer") as there:
        user = ("-u", "me:secret")
        assert {} == ask("registry", "add", "mine", there.url, "-o", "v2", "-p", "kept", *user)
        assert "v1" == ask("registry", "--remote", "mine", "push", "-t", "v1", made)["tag"]
        assert 0o600 == (library / "registries.json").stat().st_mode & 0o777
        assert "v1" == ask("pull", "-o2", "--prefix", "kept", made, there.url, ANKA_REGISTRY_USER="me:secret")["tag"]
        address = there.url.replace("http", "oci+http") + "/kept"
        assert "v1" == ask("registry", "-r", address, "pull", made, ANKA_REGISTRY_AUTH_TOKEN="token-1")["tag"]
        code, said = ask("registry", "add", "wrong", there.url, "-o2", "-u", "me:wrong")
        assert (1, True, False) == (code, "no token for" in said, "wrong" in said)
    repository = f"kept/{made.lower()}"
    assert ["latest", "v1"] == sorted(data(embedded).tags(repository))


def test_what_anka_or_others_pushed_is_shown_and_not_pulled(ask, made, embedded):
    oci = data(embedded)
    layer, config = oci.put_content("team/vms/foreign", b"layer"), oci.put_content("team/vms/foreign", b"{}")
    kinds = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "mediaType": kinds + "manifest.v1+json",
        "config": {"mediaType": kinds + "config.v1+json", "digest": config, "size": 2},
        "layers": [{"mediaType": kinds + "layer.v1.tar", "digest": layer, "size": 5}],
    }
    for tag in ("v1", "latest", "sha256-" + "0" * 64):
        oci.put_manifest("team/vms/foreign", tag, json.dumps(manifest).encode())
    (version,) = ask(*THERE, "describe", "foreign")["versions"]
    assert ("v1", 5, []) == (version["tag"], version["size"], version["images"])
    code, said = ask(*THERE, "pull", "foreign")
    assert (1, "foreign:v1: is no template that this command can read") == (code, said)
    id_ = ask("show", made)["uuid"]
    pushed = ask(*THERE, "push", "-t", "v2", "--remote-vm", "foreign", made)
    assert (id_, "foreign") == (pushed["uuid"], pushed["name"])
    ask(*THERE, "push", "-t", "v1", made)
    content, _ = oci.manifest(f"team/vms/{made.lower()}", "v1")
    oci.put_manifest(f"team/vms/{made.lower()}", "stable", content)  # as a person would with other tools
    assert "stable" == ask(*THERE, "pull", "-t", "stable", made)["tag"]


def test_layers_move_side_by_side_and_the_first_failure_ends_the_others(ask, guest, made, embedded, tmp_path):
    there = {"ANKA_HOME": str(tmp_path / "there")}
    for number in range(5):
        guest(ask, made, f"head -c 300000 /dev/urandom > file-{number}")
        ask("registry", "push", "--local", "-t", f"local-{number}", made)
    with front(embedded) as registry:
        pushed = ask("registry", "-r", registry.url, "-p", "side", "push", "-t", "v1", made)
        assert 1_500_000 < pushed["bytes_sent"]
        pulled = ask("registry", "-r", registry.url, "-p", "side", "pull", made, **there)
        assert pushed["bytes_sent"] + pushed["bytes_shared"] == pulled["bytes_received"]
        assert 0 == ask("registry", "-r", registry.url, "-p", "side", "push", "-t", "v2", made)["bytes_sent"]
    code, said = ask(*THERE, "pull", made, ANKA_PULLER_THREADS="none")
    assert (1, True) == (code, "puller_threads is 'none'" in said)
    names = guest(ask, made, "cat file-* | sha256sum")
    assert names == guest(ask, made, "cat file-* | sha256sum", **there)
    with front(embedded, broken="/blobs/sha256:") as registry:
        code, said = ask("registry", "-r", registry.url, "-p", "side", "pull", made, ANKA_HOME=str(tmp_path / "none"))
        assert (1, True) == (code, "broken here" in said)
        assert [] == [*(tmp_path / "none" / "vm_lib").glob("[0-9a-f]*")]


UNREADABLE, NO_CONFIG = "the registry's manifest cannot be read", "its VM configuration cannot be read"
MADE_UP = [
    ({"size": -1}, UNREADABLE),
    ({"size": True}, UNREADABLE),
    ({"id": "../../escape"}, UNREADABLE),
    ({"title": "../../escape.ank"}, UNREADABLE),
    ({"config": b"[]"}, NO_CONFIG),
    ({"config": b"no JSON"}, NO_CONFIG),
    ({"config": b"[" * 100_000}, NO_CONFIG),
    ({"config": b'{"hard_drives": [1]}'}, NO_CONFIG),
    ({"manifest": b"[" * 100_000}, "nested too deep"),
]


def test_what_somebody_else_made_up_is_no_template(ask, made, embedded, library):
    """A pull of it fails in words, writes nothing outside of the library, and shows no VM."""
    ask(*THERE, "push", "-t", "v1", made)
    oci, repository, title = data(embedded), f"team/vms/{made.lower()}", "org.opencontainers.image.title"
    home = {"ANKA_HOME": str(library.parent / "wrong")}
    with front(embedded) as there:
        for change, said in MADE_UP:
            found = json.loads(oci.manifest(repository, "v1")[0])
            layer, notes = found["layers"][0], found["annotations"]
            notes["anka-ci.id"] = change.get("id", notes["anka-ci.id"])
            layer["size"] = change.get("size", layer["size"])
            layer["annotations"][title] = change.get("title", layer["annotations"][title])
            if "config" in change:
                config = change["config"]
                found["config"] = {"digest": oci.put_content(repository, config), "size": len(config)}
            content = change.get("manifest") or json.dumps(found).encode()
            there.instead = {f"/v2/{repository}/manifests/": content}
            code, told = ask("registry", "-r", there.url, "-p", "team/vms", "pull", "-t", "v1", made, **home)
            assert (1, True) == (code, said in told), (change, told)
    assert [] == [*(library.parent / "wrong" / "vm_lib").glob("[!.]*")]
    assert [] == [*library.parent.glob("**/escape*")]


def test_what_a_controller_is_told_does_not_go_to_an_oci_registry(ask, made, embedded):
    with front(embedded) as there:
        words = ("registry", "-r", there.url, "-p", "team/vms")
        secrets = {"ANKA_CI_TOKEN": "root", "ANKA_CI_HEADERS": "X-Gate: hush", "ANKA_REGISTRY_API_KEY_ID": "x"}
        assert "v1" == ask(*words, "push", "-t", "v1", made, **secrets)["tag"]
        assert {""} == {said for _, _, said in there.asked}
        assert [] == [name for name in there.headers if name.lower() == "x-gate"]
    code, said = ask(*THERE, "list", made, ANKA_REGISTRY_AUTH_TOKEN='{"authorizationData": 1}')
    assert (1, "ANKA_REGISTRY_AUTH_TOKEN is no token") == (code, said)


def test_a_repository_that_nothing_is_left_of(ask, made, embedded):
    ask(*THERE, "push", "-t", "v1", made)
    rows = json.dumps({"repositories": [f"team/vms/{made.lower()}", "team/vms/empty"]}).encode()
    with front(embedded, instead={"/v2/_catalog": rows}) as there:
        listed = ask("registry", "-r", there.url, "-p", "team/vms", "list")
    assert [(made, "v1")] == [(row["name"], row["latest"]) for row in listed]
