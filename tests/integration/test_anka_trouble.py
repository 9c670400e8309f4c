"""An ``anka`` that hangs, dies half-way, prints without end or talks nonsense, under ``anka-ci pull`` as a process.

Each ends in time, says what happened, leaves no child behind, and the same command with a sound ``anka`` finishes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from anka_ci.clock import SystemClock
from anka_ci.process_group import PROCESSES
from anka_ci.server.app import Server
from conftest import plain_env
from integration.conftest import wait_until
from integration.libraries import whole
from integration.memory import measured

MIB = 1 << 20


@dataclass(frozen=True)
class Ended:
    """How a run ended: exit code, stdout and stderr."""

    code: int
    out: str
    err: str


@pytest.fixture
def sick(tmp_path: Path, server: Server) -> Path:
    """A folder for an ``anka`` that answers as the stand-in does, but for what a test writes into ``pull``."""
    folder = tmp_path / "sick"
    folder.mkdir()
    (folder / "anka").write_text(
        f'#!/bin/sh\necho $$ >>{folder}/pids\ncase " $* " in *" pull "*) . {folder}/pull;; esac\n'
        f'exec {server.anka} "$@"\n'
    )
    (folder / "anka").chmod(0o755)
    return folder


def begin(sick: Path, server: Server, *more: str, before: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    """Start a pull; ``before`` are the words of a program that starts it."""
    env = plain_env(sick.parent) | {
        "ANKA_CI_CONTROLLER_URL": server.controller_url,
        "ANKA_CI_REGISTRY_URL": server.registry_url,
        "ANKA_CI_ANKA": str(sick / "anka"),
    }
    with (sick / "out").open("wb") as out, (sick / "err").open("wb") as err:
        words = [sys.executable, "-Im", "anka_ci.cli", "pull", "--template", "sonoma", "--tag", "v1", "--json", *more]
        return subprocess.Popen([*before, *words], env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)


def end(child: subprocess.Popen[bytes], sick: Path) -> Ended:
    return Ended(child.wait(), (sick / "out").read_text(), (sick / "err").read_text())


def pull(sick: Path, server: Server, script: str, *more: str, before: Sequence[str] = ()) -> Ended:
    (sick / "pull").write_text(script)
    return end(begin(sick, server, *more, before=before), sick)


def nobody_is_left(sick: Path) -> None:
    """None of the commands that were started still runs."""
    numbers = [int(line) for line in (sick / "pids").read_text().split()]
    assert numbers
    for number in numbers:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            continue
        state = (PROCESSES / str(number) / "stat").read_text().rpartition(")")[2].split()[0]
        assert "Z" == state, f"{number} still runs"


def then_it_works(sick: Path, server: Server, tmp_path: Path) -> None:
    nobody_is_left(sick)
    whole(tmp_path / "data" / "host")
    done = pull(sick, server, ":")
    assert 0 == done.code, done.err
    outputs = json.loads(done.out)["steps"][0]["outputs"]
    assert "v1" == outputs["tag"]
    whole(tmp_path / "data" / "host")


HALF = """
anka=$(sed -n 's/^exec \\([^ ]*\\) .*/\\1/p' "$0")
"$anka" "$@" & child=$!
sleep 0.4; kill -KILL $child; kill -KILL $$
"""


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("kill -KILL $$", "SIGKILL"),
        (HALF, "SIGKILL"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("exit 0", ""),
        ('echo \'{"status": "OK"\'; exit 0', ""),
        ("printf '\\377\\376 what?\\n'; exit 0", "what?"),
        ("echo 'dyld: Library not loaded' >&2; exit 134", "dyld: Library not loaded"),
    ],
)
def test_one_that_dies_or_talks_nonsense(sick: Path, server: Server, tmp_path: Path, script: str, said: str) -> None:
    done = pull(sick, server, script)
    assert done.code not in (0, 1), (done.out, done.err)
    assert "Traceback" not in done.err
    assert said in done.out + done.err
    then_it_works(sick, server, tmp_path)


def test_one_that_hangs_and_ignores_signals(sick: Path, server: Server, tmp_path: Path) -> None:
    done = pull(sick, server, "trap '' TERM INT HUP; while :; do sleep 1; done", "--timeout", "4s")
    assert 7 == done.code, (done.out, done.err)
    assert "did not finish within" in done.err
    then_it_works(sick, server, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_while_it_hangs(sick: Path, server: Server, tmp_path: Path, number: signal.Signals) -> None:
    (sick / "pull").write_text(f"trap '' TERM INT HUP; touch {sick}/there; while :; do sleep 1; done")
    child = begin(sick, server)
    wait_until((sick / "there").exists)
    clock = SystemClock()
    sent = clock.monotonic()
    child.send_signal(number)
    done = end(child, sick)
    assert 5 > clock.monotonic() - sent
    assert 130 == done.code, (done.out, done.err)
    then_it_works(sick, server, tmp_path)


def test_the_run_itself_is_killed_and_what_it_started_goes_on(sick: Path, server: Server, tmp_path: Path) -> None:
    """The next run waits for the ``anka`` that is left, or takes its turn beside it; both leave a whole tag."""
    (sick / "pull").write_text(f"touch {sick}/there; sleep 2")
    child = begin(sick, server)
    wait_until((sick / "there").exists)
    left = int((sick / "pids").read_text().split()[-1])
    child.kill()
    assert -signal.SIGKILL == end(child, sick).code
    done = pull(sick, server, ":")
    assert 0 == done.code, done.err

    def gone() -> bool:
        try:
            os.kill(left, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(gone)
    then_it_works(sick, server, tmp_path)


@pytest.mark.parametrize("stream", [1, 2])
@pytest.mark.parametrize("text", ["yes 'some words'", "cat /dev/zero"])
def test_one_that_prints_a_gigabyte(sick: Path, server: Server, tmp_path: Path, stream: int, text: str) -> None:
    peak = tmp_path / "peak"
    done = pull(sick, server, f"{text} | head -c 1000000000 >&{stream}; exit 3", before=measured(peak))
    assert done.code not in (0, 1), done.err[:2000]
    assert int(peak.read_text()) < 200 * MIB
    assert len(done.out) + len(done.err) < 4 * MIB
    then_it_works(sick, server, tmp_path)
