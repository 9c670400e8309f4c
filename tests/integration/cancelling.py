"""A step that is cancelled as GitHub's runner does it, and what of it is left running.

Knows nothing of what the step does. The runner sends SIGINT to the process that it started, SIGTERM 7.5 seconds later,
and kills it after 2.5 more: https://github.com/actions/runner/blob/main/src/Runner.Sdk/ProcessInvoker.cs.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from anka_ci.process_table import Running, table
from integration.acting import PATH, ROOT
from integration.conftest import wait_until

GRACE = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 10.0))
"""What a runner sends, and how long it waits then."""
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Ended:
    """How a cancelled step ended: its exit code, after how many seconds, and after which signal; what it told, and the
    command lines of what it left running."""

    code: int
    seconds: float
    last: int
    log: str
    output: str
    summary: str
    left: list[str]

    @property
    def errors(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith("::error ")]


class Step:
    """The script of an action, started in a folder of its own as a runner starts it."""

    def __init__(self, path: str, inputs: Mapping[str, str], env: Mapping[str, str], folder: Path) -> None:
        action = yaml.safe_load((ROOT / path / "action.yml").read_text())
        folder.mkdir(parents=True)
        self._folder = folder
        self._known = {each.pid for each in _children()}
        script = folder / "script.sh"
        script.write_text(action["runs"]["steps"][0]["run"])
        own = {
            "PATH": PATH,
            "HOME": str(folder),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(folder),
            "GITHUB_ACTION_PATH": str(ROOT / path),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "ANKA_CI_VENV": sys.prefix,
            "ANKA_CI_COMMAND": "run",
            "ANKA_CI_INPUTS": json.dumps(dict(inputs)),
        }
        words = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                words, env={**own, **env}, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def told(self, name: str) -> str:
        """A file of the runner: the ``log``, the ``output`` or the ``summary``."""
        file = self._folder / name
        return file.read_text(errors="replace") if file.exists() else ""

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for something that it brings about; it may not end before."""
        wait_until(lambda: true() or self.process.poll() is not None)
        assert self.process.poll() is None, self.told("log")

    def runs(self, *words: str) -> bool:
        """Whether something that it started has these words on its command line."""
        return any(set(words) <= set(each.words) for each in self._family())

    def cancel(self, first: signal.Signals) -> Ended:
        """Cancel it; ``first`` comes in place of the runner's first signal."""
        family, began = self._family(), time.monotonic()
        for number, seconds in ((first, GRACE[0][1]), *GRACE[1:]):
            self.process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
                break
        took = time.monotonic() - began
        told = [self.told(name) for name in ("log", "output", "summary")]
        return Ended(
            self.process.returncode, took, number, *told, [" ".join(each.words) for each in self._left(family)]
        )

    def end(self) -> None:
        """Kill it, and whatever it has left running, should there be anything."""
        left = self._family() if self.process.poll() is None else self._left([])
        for each in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each.pid, signal.SIGKILL)
        self.process.wait()

    def _family(self) -> list[Running]:
        """It and all that it has started, as far as their parents are told."""
        known, found = table(), {self.process.pid}
        for _ in known:
            size = len(found)
            found |= {each.pid for each in known if each.parent in found}
            if size == len(found):
                break
        return [each for each in known if each.pid in found]

    def _left(self, family: list[Running]) -> list[Running]:
        """Those of ``family`` that live on, and on Linux whatever came to this process as an orphan."""
        alive = {(each.pid, each.words): each for each in table() if each.words}
        found = {each.pid: each for each in family if (each.pid, each.words) in alive}
        orphans = {each.pid: each for each in _children() if each.pid not in self._known and each.words}
        return list({**found, **orphans}.values())


@pytest.fixture
def adopting() -> Iterator[None]:
    """Orphans become children of this process rather than of the first one, so that none of them hides; on Linux."""
    if sys.platform != "linux":
        yield
        return
    library = ctypes.CDLL(None, use_errno=True)
    assert 0 == library.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), os.strerror(ctypes.get_errno())
    yield
    library.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def _children() -> list[Running]:
    return [each for each in table() if each.parent == os.getpid()]
