"""An ``anka`` of root's behind a real ``sudo``: what a signal to anka-ci does to it, whose user may not signal it.

Linux, as root: the client is run as ``nobody``, in a mount namespace in which sudo's rules are the test's own, so that
nothing of the machine's is changed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from anka_ci.clock import SystemClock
from instances import runs
from integration.conftest import tool, wait_until

LIMIT = 5.0
"""Seconds in which everything has to be over after a signal."""
INSIDE = """
mount --bind "$1" /etc/sudoers.d && shift
exec setpriv --reuid nobody --regid "$(id -g nobody)" --clear-groups \\
  --inh-caps +dac_read_search --ambient-caps +dac_read_search -- "$@"
"""
"""The capability is to read the interpreter, which may be below a home folder; it gives no right to signal."""
POLITE = "trap 'echo >cleaned; exit 130' INT; echo $$ >up; while :; do sleep 0.05; done"
HEARING = "trap 'echo >heard' INT TERM; echo $$ >up; while :; do sleep 0.05; done"
STUBBORN = "trap '' INT TERM; echo $$ >up; while :; do sleep 0.05; done"


class Sudoer:
    """``nobody``, who may run one ``anka`` as root, and ``kill``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.program, self.rules = folder, folder / "anka", folder / "rules"
        self.rules.mkdir()
        rule = self.rules / "anka-ci"
        rule.write_text(f"nobody ALL=(root) NOPASSWD:SETENV: {self.program}, /bin/kill\n")
        rule.chmod(0o440)

    def words(self, *command: str) -> list[str]:
        """A command as ``nobody``, under these rules."""
        return ["unshare", "--mount", "sh", "-c", INSIDE, "sh", str(self.rules), *command]

    def client(self, text: str) -> subprocess.Popen[str]:
        """``anka-ci clone``, whose ``anka clone`` is ``text``; all else is the stand-in's."""
        program = self.program
        home = shlex.quote(str(self.folder / "library"))
        program.write_text(
            f"#!/bin/sh\nexport ANKA_HOME={home}\ncd {shlex.quote(str(self.folder))}\n"
            f'case "$*" in *" clone "*) {text};; esac\n'
            f'exec {shlex.quote(sys.executable)} -Im anka_ci.standin "$@"\n'
        )
        program.chmod(0o755)
        subprocess.run([str(program), "create", "vm"], check=True, capture_output=True)
        command = [sys.executable, "-Im", "anka_ci.cli", "clone", "--vm", "vm", "--name", "new"]
        mine = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "LANG": "C.UTF-8"}
        return subprocess.Popen(
            self.words(*command),
            env=mine | {"ANKA_CI_ANKA": f"sudo -n {program}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pid(self) -> int:
        return int((self.folder / "up").read_text())

    def up(self) -> bool:
        place = self.folder / "up"
        return place.exists() and place.read_text().endswith("\n")


@pytest.fixture
def sudoer() -> Iterator[Sudoer]:
    for name in ("sudo", "unshare", "setpriv"):
        tool(name)
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("to be another user, and to have rules of sudo's of its own, needs root on Linux")
    folder = Path(tempfile.mkdtemp(prefix="anka-ci-sudo-"))  # pytest's own folders are for their owner only
    folder.chmod(0o755)
    (folder / "home").mkdir()
    shutil.chown(folder / "home", "nobody")
    made = Sudoer(folder)
    try:
        done = subprocess.run(made.words("sudo", "-n", "/bin/kill", "-l"), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine does not let another user use sudo in a namespace: {done.stderr.strip()}")
        yield made
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(("text", "cleaned"), [(POLITE, True), (STUBBORN, False)])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_what_runs_as_root(sudoer: Sudoer, text: str, cleaned: bool, number: int) -> None:
    code, took, left, err = signalled(sudoer, text, number)
    assert (130, cleaned, False) == (code, (sudoer.folder / "cleaned").exists(), left), err
    assert took < LIMIT
    assert "interrupted" in err


def test_a_second_signal_ends_it_at_once(sudoer: Sudoer) -> None:
    code, took, left, err = signalled(sudoer, HEARING, signal.SIGINT, signal.SIGTERM)
    assert (130, False) == (code, left), err
    assert took < LIMIT / 2


def signalled(sudoer: Sudoer, text: str, *numbers: int) -> tuple[int, float, bool, str]:
    """Exit code of a client that gets signals, the seconds it took, whether root's command runs on, and its stderr."""
    child = sudoer.client(text)
    clock = SystemClock()
    try:
        wait_until(lambda: sudoer.up() or child.poll() is not None)
        assert child.poll() is None, child.communicate()
        began = clock.monotonic()
        for number in numbers:
            child.send_signal(number)
            if number != numbers[-1]:
                wait_until((sudoer.folder / "heard").exists)
        _, err = child.communicate(timeout=30)
        took = clock.monotonic() - began
    finally:
        child.kill()
        child.wait()
    left = runs(sudoer.pid())
    if left:
        os.kill(sudoer.pid(), signal.SIGKILL)
    return child.returncode, took, left, err
