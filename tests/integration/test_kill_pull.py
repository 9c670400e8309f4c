"""A pull is killed at one system call after another, at the client and at the server, and then repeated.

After every kill each VM and each tag that is shown is whole, byte by byte; the same command again finishes, receives
nothing that had arrived, and leaves nothing behind.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import requests

from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.wire.manifest import Layer, Manifest
from integration.conftest import serve, tool, wait_until
from integration.killing import Point, attached, chosen, counting, failing, killing, start, try_all
from integration.libraries import said, whole

TAG = "v1"
AT_CLIENT = {
    "/^rename": 8,
    "/^fsync|^fdatasync": 8,
    "/^sendto|^sendmsg": 3,
    "/^recvfrom|^recvmsg": 5,
    "/^write": 7,
    "/^unlink": 6,
    "/^rmdir": 3,
    "/^mkdir": 8,
}
AT_SERVER = {
    "/^fsync|^fdatasync": 3,
    "/^sendto|^sendmsg": 6,
    "/^recvfrom|^recvmsg": 6,
    "/^sendfile": 6,
    "/^pwrite": 4,
}
"""System calls by regular expression, and how many of each one's invocations are tried at most."""
PULL = ["pull", "--tag", TAG, "--shrink", "sonoma"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The registry's data: the sample, and a version ``own`` on top of its base, with a layer that ``v1`` lacks."""
    return tmp_path_factory.mktemp("registry") / "data"


@pytest.fixture(scope="module")
def library(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host library with the tag ``own``, whose guest has changed since, to be copied."""
    home = tmp_path_factory.mktemp("library") / "home"
    with Server(data, sample=True, sample_bytes=3 << 20) as server:
        for words in (
            ["registry", "--remote", server.registry_url, "pull", "--tag", "base", "sonoma"],
            ["run", "sonoma", "sh", "-c", "seq 100000 >own"],
            ["stop", "sonoma"],
            ["registry", "--remote", server.registry_url, "push", "--tag", "own", "sonoma"],
            ["run", "sonoma", "sh", "-c", "seq 200000 >dirty; rm own"],
            ["stop", "sonoma"],
            ["describe", "sonoma"],  # makes the change a layer
        ):
            said(home, *words)
    return home


def pull(home: Path, url: str, *before: str) -> subprocess.Popen[bytes]:
    return start(home, ["registry", "--remote", url, *PULL], *before)


def wanted(url: str) -> dict[str, Layer]:
    """The layers of the pulled tag, by file."""
    manifest = Manifest.read(requests.get(f"{url}/v2/{ID}/manifests/{TAG}", timeout=30).content)
    assert manifest is not None
    assert 3 == len(manifest.layers)
    return {layer.file: layer for layer in manifest.layers}


def arrived(home: Path, layers: Mapping[str, Layer]) -> int:
    """Bytes of the pulled tag's layers that are here, whole or in part."""
    images, total = home / "img_lib", 0
    for layer in layers.values():
        part = images / f".{layer.file}.{layer.digest[7:19]}.part"
        file = images / layer.file
        if file.exists():
            assert layer.size == file.stat().st_size, "half a layer is visible"
            total += layer.size
        elif part.exists():
            total += part.stat().st_size
    return total


def ended(home: Path, layers: Mapping[str, Layer]) -> None:
    """All is there: the tag alone, its layers alone, and nothing half done."""
    whole(home)
    assert [(ID, "sonoma", TAG)] == [(row["uuid"], row["name"], row["version"]) for row in said(home, "list")]
    assert [TAG] == [row["tag"] for row in said(home, "show", "sonoma", "tag")]
    assert sorted(layers) == sorted(path.name for path in (home / "img_lib").iterdir())
    folder = home / "vm_lib" / ID
    assert [ID] == [path.name for path in folder.parent.iterdir() if path.name != ".locks"]
    assert {"config.yaml", "meta.json", "current", "tags"} >= {path.name for path in folder.iterdir()} - {"guest.json"}
    assert [TAG] == [path.name for path in (folder / "tags").iterdir()]


def again(home: Path, url: str, layers: Mapping[str, Layer]) -> None:
    """The same command again: it finishes, and receives no more than is missing."""
    missing = sum(layer.size for layer in layers.values()) - arrived(home, layers)
    out, err = pull(home, url).communicate(timeout=60)
    reply = json.loads(out)
    assert "OK" == reply["status"], (reply, err)
    assert TAG == reply["body"]["tag"]
    assert missing == reply["body"]["bytes_received"]
    ended(home, layers)


COURSES = {"fresh": ("SIGKILL", False), "shrink": ("SIGKILL", True), "interrupted": ("SIGTERM", True)}
"""By name: what is sent, and whether the library holds another tag before."""


@pytest.mark.parametrize("course", COURSES)
def test_the_client_killed_at_every_chosen_call_and_repeated(
    data: Path, library: Path, tmp_path: Path, course: str
) -> None:
    tool("strace")
    sent, held = COURSES[course]
    log = tmp_path / "log"

    def fresh(name: str) -> Path:
        if held:
            shutil.copytree(library, tmp_path / name / "home", symlinks=True)
        else:
            (tmp_path / name / "home").mkdir(parents=True)
        return tmp_path / name

    with Server(data) as server:
        layers = wanted(server.registry_url)
        home = fresh("dry") / "home"
        assert 0 == pull(home, server.registry_url, *counting(AT_CLIENT, log)).wait(60)
        ended(home, layers)
        points = chosen("client", AT_CLIENT, log)[:: 2 if sent == "SIGTERM" else 1]
        assert len(points) > 15

        def trial(place: int, folder: Path) -> bool:
            child = pull(folder / "home", server.registry_url, *killing(points[place], sent))
            out, err = child.communicate(timeout=60)
            whole(folder / "home")
            if sent == "SIGTERM" and child.returncode != -signal.SIGTERM:  # it had not begun to listen yet
                assert child.returncode in (0, 130), (out, err)
            again(folder / "home", server.registry_url, layers)
            return child.returncode != 0

        try_all(points, fresh, trial)


ERRORS = {
    "/^rename": "EROFS",
    "/^fsync|^fdatasync": "EIO",
    "/^sendto|^sendmsg": "EPIPE",
    "/^recvfrom|^recvmsg": "ECONNRESET",
    "/^write": "ENOSPC",
    "/^unlink": "EIO",
    "/^rmdir": "EIO",
    "/^mkdir": "ENOSPC",
}
"""What goes wrong with each kind of call: the disk is full, cannot be written or breaks, the connection is cut off."""


def test_every_chosen_call_fails_once_and_the_pull_is_repeated(data: Path, library: Path, tmp_path: Path) -> None:
    tool("strace")
    log = tmp_path / "log"

    def fresh(name: str) -> Path:
        shutil.copytree(library, tmp_path / name / "home", symlinks=True)
        return tmp_path / name

    with Server(data) as server:
        layers = wanted(server.registry_url)
        home = fresh("dry") / "home"
        assert 0 == pull(home, server.registry_url, *counting(AT_CLIENT, log)).wait(60)
        points = chosen("client", AT_CLIENT, log)

        def trial(place: int, folder: Path) -> bool:
            point, home = points[place], folder / "home"
            out, err = pull(home, server.registry_url, *failing(point, ERRORS[point.call])).communicate(timeout=60)
            assert b"Traceback" not in err
            whole(home)
            if point.call == "/^write" and not out:  # what failed was the answer
                assert b"cannot be written: No space left" in err
            elif "OK" == json.loads(out)["status"]:  # it went on all the same: what it says has to be true
                assert [TAG] == [row["tag"] for row in said(home, "show", "sonoma", "tag")]
            again(home, server.registry_url, layers)
            return True

        try_all(points, fresh, trial)


def test_the_server_killed_at_every_chosen_call_and_repeated(data: Path, library: Path, tmp_path: Path) -> None:
    tool("strace")
    log = tmp_path / "log"
    with Server(data) as server:
        layers = wanted(server.registry_url)

    def fresh(name: str) -> Path:
        (tmp_path / name / "home").mkdir(parents=True)
        shutil.copytree(data, tmp_path / name / "data", symlinks=True)
        return tmp_path / name

    folder = fresh("dry")
    with serve(folder) as served, attached(served, counting(AT_SERVER, log)):
        assert 0 == pull(folder / "home", served.url).wait(60)
    points = chosen("server", AT_SERVER, log)
    assert len(points) > 10

    def trial(place: int, folder: Path) -> bool:
        return server_killed(folder, points[place], layers, with_client=place % 2 == 0)

    try_all(points, fresh, trial)


def server_killed(folder: Path, point: Point, layers: Mapping[str, Layer], *, with_client: bool) -> bool:
    """One trial; whether the call came at all. The client is killed as well, or has to go on by itself."""
    home = folder / "home"
    with serve(folder) as served:
        with attached(served, killing(point)):
            child = pull(home, served.url)
            wait_until(lambda: served.child.poll() is not None or child.poll() is not None)
            hit = served.child.poll() is not None
            if with_client:
                child.kill()
                child.communicate()
    whole(home)
    with Server(folder / "data", port=served.port) as server:
        if not with_client:
            out, err = child.communicate(timeout=60)
            assert 0 == child.returncode, (point, out, err)
            ended(home, layers)
        again(home, server.registry_url, layers)
    return hit
