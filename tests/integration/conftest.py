"""What the integration tests share. They run other programs on the real server, and not in the default suite.

`make integration` installs the tools where it can (`.ci/tools`); a test whose tool is missing says so when it skips.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from anka_ci.clock import SystemClock
from integration.grooves import groovy, jars  # noqa: F401 # fixtures of several files

if TYPE_CHECKING:
    from integration.acting import Machine

Serve = Callable[..., "contextlib.AbstractContextManager[Served]"]


class Served:
    """``anka-ci serve`` as a process of its own, ready."""

    def __init__(self, child: subprocess.Popen[bytes], ready: dict[str, str]) -> None:
        self.child = child
        self.url = ready["registry_url"]
        self.controller_url = ready["controller_url"]
        self.anka = ready["anka"]
        self.data = Path(ready["data"])

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def kill(self) -> None:
        self.child.kill()
        self.child.wait()


def tool(name: str) -> str:
    """The path of a program; the test is skipped, with the reason, where it is missing."""
    found = shutil.which(name) or shutil.which(name, path=str(Path.home() / ".local" / "bin"))
    if found is None:
        pytest.skip(f"{name} is not installed: run .ci/tools as root, or install it by hand")
    return found


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that other processes bring about."""
    clock = SystemClock()
    end = clock.monotonic() + seconds
    while not true():
        assert clock.monotonic() < end, "it did not come about"
        clock.sleep(0.01)


@contextlib.contextmanager
def serve(folder: Path, *options: str) -> Iterator[Served]:
    """Serve ``folder/data`` until the block ends, whatever became of the process by then."""
    ready = folder / "ready.json"
    ready.unlink(missing_ok=True)
    words = ["serve", "--data", str(folder / "data"), "--ready-file", str(ready), *options]
    with (folder / "serve.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-Im", "anka_ci.cli", *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: ready.exists() or child.poll() is not None)
        assert child.poll() is None, (folder / "serve.log").read_text()
        yield Served(child, json.loads(ready.read_text()))
    finally:
        if child.poll() is None:
            child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def standin_env(home: Path, registry: str = "") -> dict[str, str]:
    """The environment of a stand-in with a library of its own."""
    keep = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**keep, "HOME": str(home), "ANKA_HOME": str(home), "ANKA_REGISTRY": registry}


@contextlib.contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A folder on a memory disk of its own, so Linux as root."""
    folder.mkdir()
    if sys.platform != "linux":
        pytest.skip("a memory disk of a given size needs Linux")
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "anka-ci", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this user may not mount a memory disk: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 8 MiB."""
    with disk(tmp_path / "small", "8m") as folder:
        yield folder


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A runner's machine with ``act``, on which two jobs that began at once have installed anka-ci; ``first`` is what
    they told. From then on nothing can be installed there."""
    from integration import acting

    return acting.installed(tmp_path_factory.mktemp("machine"))
