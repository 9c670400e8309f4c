"""The exact words of every operation per generation of the ``anka`` command, as a foreign one hears them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from anka_ci.auth import Material
from anka_ci.errors import RefusedError
from anka_ci.host import Host
from anka_ci.secret import Secret
from foreign_anka import ForeignAnka, ok

URL = "http://registry.internal:8089"
AT = f"registry --remote {URL}"
OLD = f"registry --registry-path {URL}"
RELEASES = ("2.2.1", "2.5.7", "3.8.5", "3.9.1")

Call = Callable[[Host], object]
WORDS: list[tuple[str, Call, tuple[str, ...]]] = [
    # An operation, and its words for 2.2.1, 2.5.7, 3.8.5 and 3.9.1; one that stands alone is for all of them.
    ("vms", lambda host: host.vms(), ("list",)),
    ("vm", lambda host: host.vm("vm"), ("show vm",)),
    ("tags", lambda host: host.tags("vm"), ("show vm tags", "show vm tags", "show vm tag", "show vm tag")),
    ("top", lambda host: host.top("vm", "v1"), ("show vm --tag v1 disk",)),
    ("config", lambda host: host.config("vm"), ("describe vm",)),
    ("license", lambda host: host.license(), ("license show",)),
    (
        "size",
        lambda host: host.download_size("vm", "v1", URL),
        (
            f"{OLD} check-download-size --tag v1 vm",
            f"{OLD} check-download-size --tag v1 vm",
            f"pull --check-download-size --tag v1 vm {URL}",
            f"pull --check-download-size --tag v1 vm {URL}",
        ),
    ),
    (
        "pull",
        lambda host: host.pull("vm", "v1", registry_url=URL),
        tuple(f"{before} pull --tag v1 vm" for before in (OLD, OLD, AT, AT)),
    ),
    (
        "pull --shrink",
        lambda host: host.pull("vm", "a::b+c", registry_url=URL, shrink=True),
        tuple(f"{before} pull --tag a::b+c --shrink vm" for before in (OLD, OLD, AT, AT)),
    ),
    (
        "pull --local",
        lambda host: host.pull("vm", "v1", registry_url=URL, local=True, shrink=True),
        ("registry pull --tag v1 --local --shrink vm",),
    ),
    (
        "pull --fetch-only",
        lambda host: host.pull("vm", "v1", registry_url=URL, fetch_only=True),
        (
            "no pull --fetch-only",
            "no pull --fetch-only",
            f"pull --fetch-only --tag v1 vm {URL}",
            f"pull --fetch-only --tag v1 vm {URL}",
        ),
    ),
    ("reset", lambda host: host.reset("vm"), ("registry pull --local vm",)),
    (
        "push",
        lambda host: host.push("vm", "v1", registry_url=URL, description="-d x", onto="other"),
        tuple(f"{before} push --tag v1 --description -d x --remote-vm other vm" for before in (OLD, OLD, AT, AT)),
    ),
    (
        "push --force",
        lambda host: host.push("vm", "v1", registry_url=URL, force=True),
        ("no push --force", *(f"{before} push --tag v1 --force vm" for before in (OLD, AT, AT))),
    ),
    (
        "push --shallow",
        lambda host: host.push("vm", "v1", registry_url=URL, description="x", onto="other", force=True, shallow=True),
        (
            "no push --shallow",
            "no push --shallow",
            f"push --tag v1 --shallow --description x --force --remote-vm other vm {URL}",
            f"push --tag v1 --shallow --description x --force --remote-vm other vm {URL}",
        ),
    ),
    (
        "push --local",
        lambda host: host.tag("vm", "v1", description="x"),
        ("registry push --tag v1 --local --description x vm",),
    ),
    (
        "push --local --force",
        lambda host: host.tag("vm", "v1", force=True),
        ("no push --force", *["registry push --tag v1 --local --force vm"] * 3),
    ),
    ("clone", lambda host: host.clone("vm", "new"), ("clone vm new; show u",)),
    ("clone --copy", lambda host: host.clone("vm", "new", copy=True), ("clone --copy vm new; show u",)),
    (
        "clone --tag",
        lambda host: host.clone("vm", "new", tag="v1"),
        ("no clone of a tag", "no clone of a tag", "clone --tag v1 vm new; show u", "clone --tag v1 vm new; show u"),
    ),
    ("start", lambda host: host.start("vm"), ("start vm",)),
    ("stop", lambda host: host.stop("vm"), ("stop vm",)),
    ("stop --force", lambda host: host.stop("vm", force=True), ("stop --force vm",)),
    ("suspend", lambda host: host.suspend("vm"), ("suspend vm",)),
    (
        "run",
        lambda host: host.run("vm", ["sh", "-c", "exit"], folder="/w"),
        tuple(
            f"show vm; run {volume}--wait-network -w /w vm sh -c exit"
            for volume in ("--no-volume ", "--no-volume ", "", "")
        ),
    ),
    ("delete", lambda host: host.delete("vm"), ("delete --yes vm",)),
    (
        "delete a tag",
        lambda host: host.delete_tag("vm", "v1"),
        (
            "no way to delete a local tag",
            "delete --yes --tag v1 vm",
            "delete --yes --tag v1 vm",
            "delete --yes --tag v1 vm",
        ),
    ),
    (
        "remotes",
        lambda host: host.remotes(),
        ("registry list-repos", "registry list-repos", "registry list-repos", "registry --list; registry list-repos"),
    ),
    (
        "add a remote",
        lambda host: host.add_remote("name", URL, force=True),
        tuple(f"registry add {force}name {URL}" for force in ("", "", "--force ", "--force ")),
    ),
    (
        "choose a remote",
        lambda host: host.choose_remote("name"),
        tuple(f"registry set {force}name" for force in ("", "", "--force ", "--force ")),
    ),
    (
        "forget a remote",
        lambda host: host.forget_remote("name"),
        tuple(f"registry {word} name" for word in ("delete", "delete", "remove", "remove")),
    ),
]


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ForeignAnka]:
    """An ``anka`` of each release, that says yes to everything."""
    found = {}
    for release in RELEASES:
        found[release] = ForeignAnka(tmp_path_factory.mktemp("anka"), release)
        found[release].says("*registry --list*", '{"status": "ERROR", "message": "unknown option --list"}', status=1)
        for question in ("*list", "*repos", "*tag", "*tags"):
            found[release].says(question, ok([]))
        found[release].says("*", ok({"uuid": "u", "name": "vm"}))
    return found


@pytest.mark.parametrize(("name", "call", "expected"), WORDS, ids=[name for name, _, _ in WORDS])
def test_each_generation_hears_its_own_words(name, call, expected, foreign):
    told = []
    for release, command in foreign.items():
        before = len(command.calls)
        try:
            call(command.doors().host)
        except RefusedError as error:
            told.append(error.message.replace(f"the anka of this host ({release}) has no ", "no "))
        else:
            told.append("; ".join(" ".join(words) for words in command.calls[before:]))
    assert (expected if len(expected) > 1 else expected * len(RELEASES)) == tuple(told)


def test_2_4_deletes_a_tag_by_its_name_behind_the_vms(tmp_path):
    foreign = ForeignAnka(tmp_path, "2.4.1")
    foreign.says("*", ok())
    foreign.doors().host.delete_tag("vm", "v1")
    assert [["delete", "--yes", "vm:v1"]] == foreign.calls


def test_a_version_to_come_is_taken_for_the_newest_known_and_that_is_said_once(tmp_path):
    told: list[object] = []
    foreign = ForeignAnka(tmp_path, "4.0.0-beta1")
    foreign.says("*", ok([]))
    host = foreign.doors(told).host
    for _ in range(2):
        host.remotes()
        host.choose_remote("name")
    assert ["registry", "--list"] == foreign.calls[0]
    (said,) = told
    assert "this host has anka 4.0.0, which is newer than this anka-ci knows; it is taken for 3.9" == said.text


@pytest.mark.parametrize("version", ["", "devel", "v?"])
def test_a_version_that_cannot_be_read_is_taken_for_3_0(version, tmp_path):
    foreign = ForeignAnka(tmp_path, version)
    foreign.says("*", ok([]))
    foreign.doors().host.forget_remote("name")
    assert [["registry", "delete", "name"]] == foreign.calls


@pytest.mark.parametrize("release", RELEASES)
def test_how_to_sign_in_goes_with_every_call(release, tmp_path, monkeypatch):
    for name in ("ANKA_CA_BUNDLE", "ANKA_REGISTRY_API_KEY", "ANKA_REGISTRY_API_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANKA_MACHINE_READABLE", "1")
    monkeypatch.setenv("ANKA_PULL_CHECKOUT", "0")
    certificate = Material(secret=Secret("-----BEGIN CERTIFICATE-----"), file="/c.pem")
    key = Material(secret=Secret("-----BEGIN PRIVATE KEY-----"), file="/k.pem")
    foreign = ForeignAnka(tmp_path, release)
    foreign.says("*", ok({"uuid": "u"}))
    doors = foreign.doors(certificate=certificate, key=key, ca="/ca.pem", verify=False)
    before = ["registry", "--remote" if release >= "3" else "--registry-path", URL]
    before += ["--cacert", "/ca.pem", "--insecure", "--cert", "/c.pem", "--key", "/k.pem"]
    doors.host.pull("vm", "v1", registry_url=URL)
    expected = {"ANKA_CA_BUNDLE": "/ca.pem", "ANKA_PULL_CHECKOUT": "1", "ANKA_PULL_FAILBACK": "0", "ANKA_PROGRESS": "1"}
    told = foreign.variables
    assert expected == {name: told.get(name) for name in expected}
    assert "ANKA_MACHINE_READABLE" not in told
    doors.host.push("vm", "v1", registry_url=URL)
    doors.host.download_size("vm", "v1", URL)
    words = (["pull", "--tag", "v1", "vm"], ["push", "--tag", "v1", "vm"], ["check-download-size", "--tag", "v1", "vm"])
    assert [[*before, *each] for each in words] == foreign.calls


def test_an_api_key_goes_as_variables_since_3_1(tmp_path):
    key = Material(secret=Secret("-----BEGIN PRIVATE KEY-----"), file="/uak.pem")
    for release in ("2.5.7", "3.0.1", "3.1.0"):
        (tmp_path / release).mkdir()
        foreign = ForeignAnka(tmp_path / release, release)
        foreign.says("*", ok({}))
        doors = foreign.doors(api_key=key, api_key_id="ci")
        if release < "3.1":
            with pytest.raises(RefusedError, match="has no way to sign in with an API key"):
                doors.host.pull("vm", "v1", registry_url=URL)
            assert [] == foreign.calls
        else:
            doors.host.pull("vm", "v1", registry_url=URL)
            told = foreign.variables
            assert ("ci", "/uak.pem") == (told["ANKA_REGISTRY_API_KEY_ID"], told["ANKA_REGISTRY_API_KEY"])
            assert [["registry", "--remote", URL, "pull", "--tag", "v1", "vm"]] == foreign.calls
