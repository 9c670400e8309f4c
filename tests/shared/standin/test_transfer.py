"""Push and pull over real HTTP: what moves, what is shared, and what a kill or a damaged byte leaves behind."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
import requests

from anka_ci.wire.manifest import Layer, Manifest
from gate import Gate

SAMPLE = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"


@pytest.fixture
def url(server):
    return server.registry_url


@pytest.fixture
def env(env, url):
    return env | {"ANKA_REGISTRY": url}


def tags(url, template=SAMPLE):
    body = requests.get(f"{url}/registry/v2/vm", params={"id": template}, timeout=10).json()["body"]
    return [version["tag"] for version in (body or {"versions": []})["versions"]]


def wait_for(found, seconds=20.0):
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
    return value


def finish(child):
    out, err = child.communicate(timeout=60)
    assert out, err
    return json.loads(out)


def test_a_pull_moves_only_what_is_not_there(ask, library):
    base = ask("registry", "pull", "--tag", "base", "sonoma")
    assert (SAMPLE, "sonoma", "base", 0) == tuple(base[key] for key in ("uuid", "name", "tag", "bytes_shared"))
    size = ask("registry", "check-download-size", "--tag", "v1", "sonoma")
    newest = ask("registry", "pull", "sonoma")
    assert base["bytes_received"] == newest["bytes_shared"] == size["cached"]
    assert size["bytes"] == newest["bytes_received"] == size["size"] - size["cached"]
    assert {} == ask("pull", "--check-download-size", "sonoma")
    assert 0 == ask("registry", "pull", "--tag", "v1", "sonoma")["bytes_received"]
    assert ["v1", "base"] == [row["tag"] for row in ask("show", "sonoma", "tag")]
    assert not (library / "vm_lib" / SAMPLE / "guest").exists()
    assert [] == [*(library / "img_lib").glob(".*")]


def test_a_layer_of_the_sample_unpacks(ask, guest):
    ask("registry", "pull", "sonoma")
    assert "disk-0.img disk-1.img disk-2.img" == " ".join(guest(ask, "sonoma", "ls").split())


def test_shrink_leaves_one_tag_and_what_clones_need(ask, guest, library):
    ask("registry", "pull", "--tag", "base", "sonoma")
    guest(ask, "sonoma", "echo mine > file")
    ask("registry", "push", "--tag", "side", "--local", "sonoma")
    ask("clone", "--tag", "side", "sonoma", "copy")
    three = len([*(library / "img_lib").glob("*.ank")])
    assert 0 < ask("registry", "pull", "--tag", "v1", "--shrink", "sonoma")["bytes_received"]
    assert ["v1"] == [row["tag"] for row in ask("show", "sonoma", "tag")]
    assert "mine\n" == guest(ask, "copy", "cat file")
    ask("delete", "--yes", "copy")
    assert 3 == three == len([*(library / "img_lib").glob("*.ank")])


def test_a_push_sends_only_the_new_layer(ask, guest, url, tmp_path):
    ask("registry", "pull", "sonoma")
    guest(ask, "sonoma", "head -c 100000 /dev/urandom > file; rm disk-1.img")
    pushed = ask("registry", "push", "sonoma", "v2", "-d", "with a file")
    assert (2, "v2") == (pushed["version"], pushed["tag"])
    assert 100_000 < pushed["bytes_sent"] < 130_000
    assert ["base", "v1", "v2"] == tags(url)
    assert "v2" == ask("list", "sonoma")[0]["version"]
    shown = ask("registry", "show", "--tag", "v2", "sonoma")
    assert ("with a file", 2) == (shown["description"], shown["number"])
    top = ask("describe", "sonoma")["hard_drives"][0]["file"]
    assert top == ask("registry", "describe", "--tag", "v2", "sonoma")["versions"][0]["images"][0]
    ask("start", "sonoma")
    ask("stop", "sonoma")
    assert top == ask("describe", "sonoma")["hard_drives"][0]["file"]
    there = {"ANKA_HOME": str(tmp_path / "there")}
    ask("registry", "pull", "sonoma", **there)
    assert "disk-0.img disk-2.img file" == " ".join(guest(ask, "sonoma", "ls", **there).split())


def test_a_tag_that_exists_is_kept_unless_it_is_the_newest_and_forced(ask, guest, url):
    ask("registry", "pull", "sonoma")
    assert (1, "v1: tag already exists") == ask("registry", "push", "--tag", "v1", "sonoma")
    guest(ask, "sonoma", "echo 1 > file")
    assert (1, "v1: tag already exists") == ask("registry", "push", "--tag", "v1", "sonoma")
    code, said = ask("registry", "push", "--force", "--tag", "base", "sonoma")
    assert (1, True) == (code, "only the newest version can be replaced; newer: v1" in said)
    top = ask("describe", "sonoma")["hard_drives"][0]["file"]
    assert 1 == ask("registry", "push", "--force", "--tag", "v1", "sonoma")["version"]
    assert ["base", "v1"] == tags(url)
    assert top == ask("registry", "describe", "-t", "v1", "sonoma")["versions"][0]["images"][0]


def test_a_replaced_tag_is_pulled_anew(ask, guest, tmp_path):
    there = {"ANKA_HOME": str(tmp_path / "there")}
    ask("registry", "pull", "sonoma", **there)
    ask("registry", "pull", "sonoma")
    guest(ask, "sonoma", "echo new > file")
    ask("registry", "push", "--force", "--tag", "v1", "sonoma")
    assert 0 < ask("registry", "pull", "--tag", "v1", "sonoma", **there)["bytes_received"]
    assert "new\n" == guest(ask, "sonoma", "cat file", **there)


def test_a_push_that_was_killed_before_its_local_tag_is_completed(ask, guest, library, url):
    ask("registry", "pull", "sonoma")
    guest(ask, "sonoma", "echo 1 > file")
    ask("registry", "push", "--tag", "v2", "sonoma")
    ask("delete", "--yes", "--tag", "v2", "sonoma")
    assert 0 == ask("registry", "push", "--tag", "v2", "sonoma")["bytes_sent"]
    assert "v2" == ask("list", "sonoma")[0]["version"]
    assert ["base", "v1", "v2"] == tags(url)


def test_onto_another_template(ask, guest, url):
    made = ask("create", "other")
    guest(ask, "other", "echo 1 > file")
    pushed = ask("registry", "push", "--remote-vm", "sonoma", "--tag", "v2", "other")
    assert (SAMPLE, "sonoma", 2) == (pushed["uuid"], pushed["name"], pushed["version"])
    assert [] == tags(url, made)
    assert (3, "nothing: not found") == ask("registry", "push", "--remote-vm", "nothing", "--tag", "v3", "other")


def test_a_name_with_another_id_is_refused_both_ways(ask, url):
    ask("create", "sonoma")
    said = f"sonoma: registry uuid ({SAMPLE}) doesn't match"
    assert (1, said) == ask("registry", "push", "--tag", "v2", "sonoma")
    assert (1, said) == ask("registry", "pull", SAMPLE)
    assert ["base", "v1"] == tags(url)


def test_a_foreign_architecture_and_a_running_vm_are_refused(ask):
    said = "sonoma: a template for arm64 does not run on this host (amd64)"
    assert (1, said) == ask("registry", "pull", "sonoma", ANKA_STANDIN_ARCH="amd64")
    ask("registry", "pull", "sonoma")
    ask("start", "sonoma")
    assert (1, "sonoma: the VM is running") == ask("registry", "pull", "sonoma")
    assert (1, "sonoma: the VM is running") == ask("registry", "push", "--tag", "v2", "sonoma")


def test_what_is_not_there(ask):
    assert (3, "nothing: not found") == ask("registry", "pull", "nothing")
    assert (3, "sonoma:nothing: not found") == ask("registry", "pull", "-t", "nothing", "sonoma")
    assert (3, "sonoma:9: not found") == ask("registry", "pull", "--version", "9", "sonoma")
    assert (3, "nothing: not found") == ask("registry", "push", "-t", "t", "nothing")
    assert (3, "sonoma: not found") == ask("registry", "pull", "--local", "sonoma")
    assert (3, "nothing: not found") == ask("registry", "revert", "--yes", "nothing")
    assert [] == ask("list")


@pytest.mark.parametrize("tag", ["a/b:c+d", "vanilla+port-forward-22+brew-git", "_x.1", "ünï☃", ".hidden", "latest"])
def test_every_legal_tag_works_everywhere(ask, url, tag):
    ask("create", "vm")
    assert 0 == ask("registry", "push", "vm", "--tag", tag)["version"]
    ask("delete", "--yes", "vm")
    assert tag == ask("registry", "pull", "--tag", tag, "--shrink", "vm")["tag"]
    assert [tag] == [row["tag"] for row in ask("show", "vm", "tag")]
    assert tag == ask("registry", "show", "--tag", tag, "vm")["version"]
    assert {} == ask("registry", "revert", "--tag", tag, "--yes", "vm")
    assert ["sonoma"] == [row["name"] for row in ask("registry", "list")]


@pytest.mark.parametrize("tag", ["a b", "..", "a/../b", "-x", "a\0b", "a\n", "x" * 129])
def test_a_tag_that_would_break_things_is_refused(ask, tag):
    ask("create", "vm")
    code, said = ask("registry", "push", "vm", f"--tag={tag}")
    assert (1, "the tag ") == (code, said[:8])
    assert [] == ask("show", "vm", "tag")
    assert ["sonoma"] == [row["name"] for row in ask("registry", "list")]


def test_reverting_asks_first(ask, url):
    assert (1, "are you sure you want to revert sonoma, which loses base, v1?") == ask(
        "registry", "revert", "--tag", "base", "sonoma"
    )
    assert ["base", "v1"] == tags(url)
    ask("registry", "revert", "--yes", "sonoma")
    assert ["base"] == tags(url)


def test_a_push_killed_half_way_goes_on_where_it_was(ask, guest, launch, server, url):
    ask("create", "vm")
    guest(ask, "vm", "head -c 16000000 /dev/urandom > file")
    layer = ask("describe", "vm")["hard_drives"][0]["file"]
    with Gate(url) as gate:
        words = ("-j", "registry", "--remote", gate.url, "push", "--tag", "t", "vm")
        gate.hold("up", 12_000_000)
        child = launch(*words)
        wait_for(gate.held.is_set)
        child.kill()
        child.communicate(timeout=20)
        assert ["sonoma"] == [row["name"] for row in ask("registry", "list")]
        assert [] == ask("show", "vm", "tag")
        gate.open()
        wait_for(lambda: [*(server.data / "uploads").iterdir()])
        body = finish(launch(*words))["body"]
    size = (Path(ask("config", "img_lib_dir")) / layer).stat().st_size
    assert size - 12_000_000 <= body["bytes_sent"] < size - 4_000_000
    assert gate.up < body["bytes_sent"] + 20_000
    assert "t" == ask("list", "vm")[0]["version"]
    digest = json.loads((Path(ask("config", "vm_lib_dir")) / body["uuid"] / "meta.json").read_text())["images"][0]
    assert size == int(requests.head(f"{url}/v2/x/blobs/{digest['digest']}", timeout=10).headers["Content-Length"])


def test_a_pull_killed_half_way_goes_on_where_it_was(ask, launch, library, url):
    with Gate(url) as gate:
        words = ("-j", "registry", "--remote", gate.url, "pull", "sonoma")
        gate.hold("down", 1_500_000)
        child = launch(*words)
        wait_for(gate.held.is_set)
        (part,) = wait_for(lambda: [each for each in (library / "img_lib").glob(".*.part") if each.stat().st_size])
        child.kill()
        child.communicate(timeout=20)
        there = part.stat().st_size
        assert [] == ask("list")
        assert [] == [*(library / "img_lib").glob("*.ank")]
        gate.open()
        body = finish(launch(*words))["body"]
    assert ask("registry", "show", "sonoma")["size"] == there + body["bytes_received"]
    assert there > 0
    assert gate.down < body["bytes_received"] + 20_000
    assert "v1" == ask("list", "sonoma")[0]["version"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_pull_at_once(ask, launch, library, url, number):
    with Gate(url) as gate:
        gate.hold("down", 500_000)
        child = launch("-j", "registry", "--remote", gate.url, "pull", "sonoma")
        wait_for(gate.held.is_set)
        started = time.monotonic()
        child.send_signal(number)
        found = finish(child)
    assert (130, 130) == (child.returncode, found["code"])
    assert time.monotonic() - started < 5
    assert [] == ask("list")


def test_bytes_that_do_not_match_their_digest_leave_nothing(ask, library, server):
    manifest = requests.get(f"{server.registry_url}/v2/{SAMPLE}/manifests/v1", timeout=10).json()
    digest = manifest["layers"][0]["digest"].removeprefix("sha256:")
    blob = server.data / "blobs" / "sha256" / digest[:2] / digest
    content = bytearray(blob.read_bytes())
    content[1000] ^= 1
    blob.write_bytes(content)
    code, said = ask("registry", "pull", "sonoma")
    assert (1, True) == (code, f"the blob sha256:{digest} came with the digest sha256:" in said)
    assert [] == ask("list")
    assert [] == [*(library / "img_lib").iterdir()]
    assert (1, said) == ask("registry", "pull", "sonoma")


def test_a_damaged_beginning_is_fetched_again(ask, library):
    ask("registry", "pull", "sonoma")
    layer = json.loads((library / "vm_lib" / SAMPLE / "meta.json").read_text())["images"][-1]
    ask("delete", "--yes", "sonoma")
    part = library / "img_lib" / f".{layer['file']}.{layer['digest'][7:19]}.part"
    part.write_bytes(b"x" * 1000)
    body = ask("registry", "pull", "sonoma")
    assert ask("registry", "show", "sonoma")["size"] == body["bytes_received"] - layer["size"] + 1000
    assert "v1" == ask("list", "sonoma")[0]["version"]


def commit(url, name, layer_file, content, size=None, tag="t"):
    """Commit a template of one layer by hand; the layer's bytes are ``content``."""
    template = "0f1e2d3c-0000-43dc-54dc-000000000001"

    def put(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        requests.post(f"{url}/v2/{template}/blobs/uploads/", params={"digest": digest}, data=data, timeout=10)
        return digest

    layer = Layer(file=layer_file, digest=put(content), size=len(content) if size is None else size)
    config = json.dumps({"name": name, "uuid": template}).encode()
    manifest = Manifest(
        id=template, name=name, tag=tag, config_digest=put(config), config_size=len(config), layers=(layer,)
    )
    reply = requests.put(f"{url}/v2/{template}/manifests/{tag}", data=manifest.emit(), timeout=10)
    assert 201 == reply.status_code, reply.text
    return layer


def test_a_disk_that_cannot_hold_it_is_told_first(ask, server, url, library):
    huge = 1 << 42
    digest = "sha256:" + "ab" * 32
    blob = server.data / "blobs" / "sha256" / "ab" / ("ab" * 32)
    blob.parent.mkdir(exist_ok=True)
    with blob.open("wb") as file:
        file.truncate(huge)  # takes no disk itself
    template = "0f1e2d3c-0000-43dc-54dc-000000000001"
    config = "sha256:" + hashlib.sha256(b"{}").hexdigest()
    requests.post(f"{url}/v2/{template}/blobs/uploads/", params={"digest": config}, data=b"{}", timeout=10)
    layer = Layer(file="a.ank", digest=digest, size=huge)
    manifest = Manifest(id=template, name="huge", tag="t", config_digest=config, config_size=2, layers=(layer,)).emit()
    assert 201 == requests.put(f"{url}/v2/{template}/manifests/t", data=manifest, timeout=10).status_code
    code, said = ask("registry", "pull", "huge")
    assert (1, True) == (code, f"huge:t: not enough disk: {huge} bytes are to be fetched, " in said)
    assert [] == [*(library / "img_lib").iterdir()]


def outside(tmp_path, name):
    info = tarfile.TarInfo("x")
    if name == "absolute":
        info.name = str(tmp_path / "escaped")
    elif name == "parent":
        info.name = "../../../../../escaped"
    elif name == "link":
        info.type, info.linkname = tarfile.SYMTYPE, "../../../escaped"
    elif name == "hard link":
        info.type, info.linkname = tarfile.LNKTYPE, "../../config.yaml"
    elif name == "device":
        info.type = tarfile.CHRTYPE
    return info


@pytest.mark.parametrize("name", ["absolute", "parent", "link", "hard link", "device", "no tar"])
def test_a_layer_that_leads_out_of_the_guest_is_refused(ask, url, tmp_path, library, name):
    file = tmp_path / "layer"
    with tarfile.open(file, "w") as tar:
        tar.addfile(outside(tmp_path, name))
    commit(url, "evil", "e.ank", b"no tar at all" * 99 if name == "no tar" else file.read_bytes())
    ask("registry", "pull", "evil")
    code, said = ask("start", "evil")
    assert (1, True) == (code, "failed to checkout" in said)
    assert [] == [*tmp_path.rglob("escaped")]
    assert "stopped" == ask("show", "evil", "status")
    assert [] == [*(library / "vm_lib").glob("*/guest")]


def test_nothing_is_written_through_a_link(ask, url, tmp_path):
    file = tmp_path / "layer"
    with tarfile.open(file, "w") as tar:
        link = tarfile.TarInfo("d")
        link.type, link.linkname = tarfile.SYMTYPE, "."
        tar.addfile(link)
        tar.addfile(tarfile.TarInfo("d/x"))
    commit(url, "evil", "e.ank", file.read_bytes())
    ask("registry", "pull", "evil")
    assert "'d/x' leads through 'd', which is no folder" in ask("start", "evil")[1]


def test_two_pushes_at_once(launch, ask, guest, tmp_path, url):
    homes = [{"ANKA_HOME": str(tmp_path / name)} for name in ("one", "two")]
    for number, home in enumerate(homes):
        ask("registry", "pull", "sonoma", **home)
        guest(ask, "sonoma", f"echo {number} > file", **home)
    words = ("-j", "registry", "push", "sonoma")
    both = [launch(*words, f"tag-{number}", **home) for number, home in enumerate(homes)]
    assert ["OK", "OK"] == [finish(child)["status"] for child in both]
    assert {"base", "v1", "tag-0", "tag-1"} == set(tags(url))
    both = [launch(*words, "same", **home) for home in homes]
    found = [finish(child) for child in both]
    assert [(0, True), (1, False)] == sorted((each["code"], each["status"] == "OK") for each in found)
    assert ["same: tag already exists"] == [each["message"] for each in found if each["code"]]
    assert 5 == len(tags(url))


MEASURE = """
import resource, subprocess, sys
print(subprocess.run([sys.executable, "-Im", "anka_ci.standin", *sys.argv[1:]], capture_output=True, text=True).stdout)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Run from a small process: a child's peak counts from before its exec, when it still was a copy of its parent."""


def test_a_large_layer_is_never_in_memory(ask, guest, env, tmp_path):
    ask("create", "vm")
    guest(ask, "vm", "truncate -s 80M file")

    def peak(*words, **more):
        done = subprocess.run(
            [sys.executable, "-Ic", MEASURE, "-j", *words], env=env | more, capture_output=True, text=True, check=True
        )
        reply, used = done.stdout.split("\n")[:2]
        assert "OK" == json.loads(reply)["status"]
        return int(used) >> (20 if sys.platform == "darwin" else 10)

    assert 10 < peak("registry", "push", "--tag", "t", "vm") < 90
    there = {"ANKA_HOME": str(tmp_path / "there")}
    assert 10 < peak("registry", "pull", "vm", **there) < 90
    assert 10 < peak("start", "vm", **there) < 90
