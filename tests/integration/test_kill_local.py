"""A command that changes VMs of a library is killed at one system call after another, and then repeated.

After every kill each VM and each tag that is shown is whole, byte by byte; the same command again finishes, or says
that it has been done, and leaves nothing behind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from integration.conftest import tool
from integration.killing import chosen, counting, killing, start, try_all
from integration.libraries import said, tidy, whole

CALLS = {
    "/^rename": 4,
    "/^fsync|^fdatasync": 2,
    "/^write": 3,
    "/^unlink": 3,
    "/^rmdir": 1,
    "/^mkdir": 2,
}
"""System calls by regular expression, and how many of each one's invocations are tried at most."""
COMMANDS: dict[str, tuple[Sequence[str], str]] = {
    "clone": (["clone", "vm", "copy"], "copy: vm already exists"),
    "flat clone": (["clone", "--copy", "vm", "copy"], "copy: vm already exists"),
    "create": (["create", "fresh"], "fresh: vm already exists"),
    "tag": (["push", "--local", "--tag", "three", "vm"], "three: tag already exists"),
    "reset": (["registry", "pull", "--local", "--tag", "one", "vm"], ""),
    "drop a tag": (["delete", "--yes", "--tag", "one", "vm"], "vm:one: not found"),
    "delete": (["delete", "--yes", "vm"], "vm: not found"),
    "first start": (["start", "bare"], "already running"),
    "stop": (["stop", "running"], ""),
    "look": (["describe", "vm"], ""),
    "modify": (["modify", "vm", "set", "cpu", "-c", "6"], ""),
    "import": (["import", "archive"], "sent: vm already exists"),
    "copy in": (["cp", "archive", "running:"], ""),
}
"""By name: the words, and what the command may say the second time instead of success."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A host library, to be copied: a VM with two tags and a change since, and others that share layers with it."""
    home = tmp_path_factory.mktemp("library") / "home"
    for words in (
        ["create", "vm"],
        ["run", "vm", "sh", "-c", "seq 1000 >one; mkdir -p a/b; ln -s ../one a/link"],
        ["stop", "vm"],
        ["push", "--local", "--tag", "one", "vm"],
        ["clone", "vm", "running"],
        ["clone", "vm", "bare"],
        ["clone", "vm", "sent"],
        ["push", "--local", "--tag", "four", "sent"],
        ["export", "--copy", "sent", str(home / "archive")],
        ["delete", "--yes", "sent"],
        ["run", "vm", "sh", "-c", "seq 2000 >two; rm one"],
        ["stop", "vm"],
        ["push", "--local", "--tag", "two", "vm"],
        ["run", "vm", "sh", "-c", "seq 3000 >three"],
        ["stop", "vm"],
        ["start", "running"],
    ):
        said(home, *words)
    return home


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_every_chosen_call_and_repeated(library: Path, tmp_path: Path, name: str) -> None:
    tool("strace")
    words, done = COMMANDS[name]
    log = tmp_path / "log"

    def fresh(name: str) -> Path:
        shutil.copytree(library, tmp_path / name / "home", symlinks=True)
        return tmp_path / name

    def begun(folder: Path, *before: str) -> tuple[int, bytes, bytes]:
        own = [str(folder / "home" / word) if word == "archive" else word for word in words]
        child = start(folder / "home", own, *before, guests=True)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err

    code, out, err = begun(fresh("dry"), *counting(CALLS, log))
    assert 0 == code, (out, err)
    tidy(tmp_path / "dry" / "home")
    points = chosen("client", CALLS, log)
    assert len(points) > 5

    def trial(place: int, folder: Path) -> bool:
        hit, _, _ = begun(folder, *killing(points[place]))
        whole(folder / "home")
        code, out, err = begun(folder)
        reply = json.loads(out)
        assert code == 0 or (done and done in reply["message"]), (reply, err)
        whole(folder / "home")
        tidy(folder / "home")
        assert [] == list((folder / "home" / "vm_lib").rglob(".cp-*"))  # not even in a guest, whose next layer has all
        return hit != 0

    try_all(points, fresh, trial)
