"""``anka-ci job dispatch`` as a process of its own, interrupted: the run is cancelled, and it ends in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from actions.github_double.server import Double
from anka_ci.clock import SystemClock
from integration.conftest import wait_until


@pytest.fixture
def github():
    with Double() as double:
        double.add("octo/there", {"README.md": "hello\n"}).workflows = {"refresh.yml": True}
        yield double


@pytest.fixture
def dispatch(github, tmp_path):
    """Start the command, signal it when ``ready``; its code, what it told, and the seconds that it took to end."""

    def run(number, ready, *words):
        clock, log = SystemClock(), tmp_path / "log"
        with log.open("w") as stream:
            child = subprocess.Popen(
                [Path(sys.executable).parent / "anka-ci", "job", "dispatch", "--ci", "github", "refresh.yml", *words],
                env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **github.env},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
            )
        try:
            wait_until(lambda: child.poll() is not None or ready())
            began = clock.monotonic()
            child.send_signal(number)
            code = child.wait(20)
            return code, log.read_text(), clock.monotonic() - began
        finally:
            child.kill()
            child.wait()

    return run


def followed(github):
    """Whether the run was looked at."""
    return any(call.startswith("GET /actions/runs/") for call in github.calls())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("keep", [False, True])
def test_a_signal_cancels_the_run_and_ends_it_in_time(github, dispatch, number, keep):
    code, log, seconds = dispatch(number, lambda: followed(github), *(["--keep"] if keep else []))
    (run,) = github.repos["octo/there"].runs
    assert (130, None if keep else "cancelled") == (code, run["conclusion"])
    assert ("it goes on: " if keep else "it was cancelled: ") in log
    assert seconds < 5


def test_a_github_that_falls_silent_cannot_hold_it_up(github, dispatch):
    silent, over = threading.Event(), threading.Event()

    def fault(request):
        if request.path.startswith("/repos/octo/there/actions/runs/"):
            github.lock.release()
            silent.set()
            over.wait(60)
            github.lock.acquire()
        return

    github.faults.append(fault)
    try:
        code, log, seconds = dispatch(signal.SIGTERM, silent.is_set)
    finally:
        over.set()
    assert 130 == code
    assert "it may go on: https://" in log
    assert seconds < 5
