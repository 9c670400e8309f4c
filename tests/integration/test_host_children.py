"""The host door and commands that behave badly: that print without end, hang, crash, or have to clean up first."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from anka_ci import process_group
from anka_ci.anka import Anka
from anka_ci.errors import FellShortError, InterruptError, RefusedError
from anka_ci.host import asking
from anka_ci.settings import Context
from integration.conftest import wait_until
from integration.memory import measured

GIGABYTE = "head -c 1000000000 /dev/zero | tr '\\0' x"
LINES = "yes 0123456789abcdef | head -c 1000000000"
ASKED = """
import sys
from anka_ci.anka import Anka
from anka_ci.errors import AnkaCiError
from anka_ci.settings import Context
try:
    print(Anka(Context(anka=(sys.argv[1],))).host.vms())
except AnkaCiError as error:
    print(type(error).__name__, len(str(error)) < 1000)
"""


@pytest.fixture
def command(tmp_path: Path):
    """An ``anka`` that tells its release and else does what it is told to."""

    def write(text: str) -> str:
        program = tmp_path / "anka"
        told = 'case "$*" in *version) echo \'{"status": "OK", "body": {"version": "3.8.5"}}\'; exit;; esac'
        program.write_text(f"#!/bin/sh\n{told}\n{text}\n")
        program.chmod(0o755)
        return str(program)

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"""{LINES}; echo; printf '{{"status": "OK", "body": []}}'""", "[]"),
        (f"""{GIGABYTE}; echo; printf '{{"status": "OK", "body": []}}'""", "[]"),
        (f"""{LINES} >&2; printf '{{"status": "OK", "body": []}}'""", "[]"),
        (GIGABYTE, "RefusedError True"),
    ],
)
def test_a_gigabyte_of_noise_costs_no_memory(text, expected, command, tmp_path):
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    words = [*measured(tmp_path / "peak"), sys.executable, "-Ic", ASKED, command(text)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300)
    assert (expected + "\n", "") == (done.stdout, done.stderr)
    assert int((tmp_path / "peak").read_text()) < 300_000 << 10


def test_a_command_that_hangs_is_ended_with_all_that_it_started(command, tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "STALL", 1.0)
    place = shlex.quote(str(tmp_path / "pid"))
    with pytest.raises(FellShortError, match="printed nothing and did nothing for 1 s and was ended"):
        Anka(Context(anka=(command(f"sleep 600 & echo $$ >{place}; wait"),))).host.vms()
    assert not process_group.lives(int((tmp_path / "pid").read_text()))


def test_a_command_that_is_killed_says_so(command, tmp_path):
    place = tmp_path / "pid"
    host = Anka(Context(anka=(command(f"echo $$ >{shlex.quote(str(place))}; exec sleep 600"),))).host

    def kill() -> None:
        wait_until(lambda: place.exists() and place.read_text().endswith("\n"))
        os.kill(int(place.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(RefusedError, match="anka start vm: it was killed by SIGKILL"):
        host.start("vm")
    killer.join()


@pytest.fixture
def hears_sigint():
    """As the command line does: where this runs in the background SIGINT is ignored, and so it is in what it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_sigint")
def test_an_interrupted_command_may_clean_up_first(command, tmp_path):
    place, cleaned = tmp_path / "up", tmp_path / "cleaned"
    text = f"""trap 'sleep 0.2; echo >{shlex.quote(str(cleaned))}; exit 130' INT
echo >{shlex.quote(str(place))}
while :; do sleep 0.05; done"""
    doors = Anka(Context(anka=(command(text),)))

    def interrupt() -> None:
        wait_until(place.exists)
        doors.cancelled.set("SIGTERM")

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(InterruptError, match="SIGTERM"):
        doors.host.pull("vm", "v1", registry_url="http://127.0.0.1:1")
    other.join()
    assert cleaned.exists()
