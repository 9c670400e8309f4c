"""A push is killed at one system call after another, at the client and at the server, and then repeated.

After every kill no listed tag lacks a byte; the same command again finishes, and sends nothing that had arrived whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import requests

from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.wire.manifest import Manifest
from integration.conftest import serve, standin_env, tool, wait_until
from integration.killing import STANDIN, Point, attached, chosen, counting, killing, start, try_all

TAG = "killed"
CALLS = {
    "/^rename": 20,
    "/^fsync|^fdatasync": 20,
    "/^sendto|^sendmsg": 12,
    "/^sendfile": 6,
    "/^write": 8,
    "/^pwrite": 8,
    "/^unlink": 4,
    "/^ftruncate": 2,
    "/^mkdir": 3,
}
"""System calls by regular expression, and how many of each one's invocations are tried at most."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host library that holds the sample's three layers, to be copied."""
    folder = tmp_path_factory.mktemp("library")
    with Server(folder / "data", sample=True, sample_bytes=3 << 20) as server:
        words = ["registry", "--remote", server.registry_url, "pull", "--tag", "v1", "sonoma"]
        done = subprocess.run([*STANDIN, *words], env=standin_env(folder / "home"), capture_output=True, check=True)
        assert 3_000_000 < json.loads(done.stdout)["body"]["bytes_received"]
    return folder / "home"


def push(home: Path, url: str, *before: str) -> subprocess.Popen[bytes]:
    return start(home, ["registry", "--remote", url, "push", "--tag", TAG, "sonoma"], *before)


def listed(url: str) -> list[str]:
    """The tags that are shown, after each one's bytes were fetched and compared with their digests."""
    rows = requests.get(f"{url}/registry/v2/vm", timeout=30).json()["body"]
    found = []
    for row in rows:
        for version in requests.get(f"{url}/registry/v2/vm?id={row['id']}", timeout=30).json()["body"]["versions"]:
            content = requests.get(f"{url}/v2/{ID}/manifests/{version['tag']}", timeout=30).content
            manifest = Manifest.read(content)
            assert manifest is not None
            assert 3 == len(manifest.of_role("disk"))
            for digest in (manifest.config_digest, *(layer.digest for layer in manifest.layers)):
                blob = requests.get(f"{url}/v2/{ID}/blobs/{digest}", timeout=30).content
                assert digest == "sha256:" + hashlib.sha256(blob).hexdigest()
            found.append(version["tag"])
    return found


def layers(home: Path) -> dict[str, int]:
    """Size by digest of the layers that a push has to bring over."""
    files = [file for file in (home / "img_lib").iterdir() if file.suffix == ".ank"]
    assert 3 == len(files)
    return {"sha256:" + hashlib.sha256(file.read_bytes()).hexdigest(): file.stat().st_size for file in files}


def arrived(data: Path, home: Path) -> int:
    """Bytes that need not be sent again: whole blobs, and what unfinished uploads hold that the client knows of."""
    sizes, total = layers(home), 0
    for file in (data / "blobs" / "sha256").glob("*/*"):
        assert file.name == hashlib.sha256(file.read_bytes()).hexdigest(), "half a blob is visible"
        total += sizes.pop(f"sha256:{file.name}", 0)
    for ticket in (home / "img_lib").glob(".*.upload"):
        found = json.loads(ticket.read_text() or "{}")
        upload = data / "uploads" / str(found.get("location", "/none")).rsplit("/", 1)[1]
        if found.get("digest") in sizes and upload.exists():
            total += upload.stat().st_size
    return total


def again(data: Path, home: Path, url: str, expected: int | None) -> None:
    """The same command again: it finishes, and sends no more than is missing."""
    child = push(home, url)
    out, err = child.communicate(timeout=60)
    reply = json.loads(out)
    if child.returncode != 0:  # the first run had got all the way and only could not say so
        assert "tag already exists" in reply["message"], (reply, err)
        names = json.loads(subprocess.check_output([*STANDIN, "show", "sonoma", "tag"], env=standin_env(home)))["body"]
        assert TAG in [row["tag"] for row in names]
    elif expected is not None:
        assert reply["body"]["bytes_sent"] <= expected
    assert [TAG] == listed(url)
    found = requests.get(f"{url}/registry/v2/vm?id={ID}", timeout=30).json()["body"]
    assert [0] == [version["number"] for version in found["versions"]]


def server_killed(folder: Path, point: Point, *, with_client: bool) -> bool:
    """One trial; whether the call came at all. The client is killed as well, or has to go on by itself."""
    home, data, total = folder / "home", folder / "data", sum(layers(folder / "home").values())
    with serve(folder) as served:
        with attached(served, killing(point)):
            child = push(home, served.url)
            wait_until(lambda: served.child.poll() is not None or child.poll() is not None)
            # It dies a moment after the reply when the call is of the clean-up.
            hit = served.child.poll() is not None
            if with_client:
                child.kill()
                child.communicate()
    had = arrived(data, home)
    with Server(data, port=served.port) as server:
        assert listed(server.registry_url) in ([], [TAG])
        if not with_client:
            out, err = child.communicate(timeout=60)
            assert 0 == child.returncode, (point, out, err)
            assert [TAG] == listed(server.registry_url)
        again(data, home, server.registry_url, total - had if with_client else 0)
    return hit


def client_killed(folder: Path, point: Point) -> bool:
    """One trial; whether the call came at all."""
    home, data, total = folder / "home", folder / "data", sum(layers(folder / "home").values())
    with Server(data) as server:
        child = push(home, server.registry_url, *killing(point))
        child.communicate(timeout=60)
        assert listed(server.registry_url) in ([], [TAG])
        again(data, home, server.registry_url, total - arrived(data, home))
    return child.returncode != 0


@pytest.mark.parametrize("side", ["server", "client"])
def test_killed_at_every_chosen_call_and_repeated(library: Path, tmp_path: Path, side: str) -> None:
    tool("strace")
    log = tmp_path / "log"

    def fresh(name: str) -> Path:
        shutil.copytree(library, tmp_path / name / "home")
        return tmp_path / name

    with serve(fresh("dry")) as served:
        if side == "server":
            with attached(served, counting(CALLS, log)):
                assert 0 == push(tmp_path / "dry" / "home", served.url).wait(60)
        else:
            assert 0 == push(tmp_path / "dry" / "home", served.url, *counting(CALLS, log)).wait(60)
    points = chosen(side, CALLS, log)
    assert len(points) > 25

    def trial(place: int, folder: Path) -> bool:
        if side == "client":
            return client_killed(folder, points[place])
        return server_killed(folder, points[place], with_client=place % 2 == 0)

    try_all(points, fresh, trial)
