"""Starting other programs: what comes back, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from anka_ci import process, streams
from anka_ci.clock import Cancelled
from anka_ci.console import Console
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError
from anka_ci.standin.__main__ import hear
from instances import runs

FOREVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_status_streams_and_lines() -> None:
    lines: list[tuple[str, str]] = []
    code = "import sys; print('a\\rb'); print('c', end=''); sys.stderr.write('oops\\n'); sys.exit(3)"
    found = process.run(python(code), on_line=lambda stream, line: lines.append((stream, line)))
    assert (3, "a\rb\nc", "oops\n") == (found.status, found.stdout, found.stderr)
    assert ["a", "b", "c"] == [line for stream, line in lines if stream == "stdout"]
    assert [("stderr", "oops")] == [each for each in lines if each[0] == "stderr"]


def test_input_environment_and_folder(tmp_path: Path) -> None:
    code = "import os, sys; print(sys.stdin.read(), os.environ['X'], os.getcwd())"
    found = process.run(python(code), input=b"in", env={"X": "$HOME;"}, cwd=tmp_path)
    assert f"in $HOME; {tmp_path.resolve()}\n" == found.stdout


def test_input_that_nobody_reads_is_no_error() -> None:
    assert 0 == process.run(python("pass"), input=b"x" * (1 << 20)).status


def test_programs_that_do_not_start(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no program"):
        process.run([str(tmp_path / "none")])
    (tmp_path / "plain").write_text("")
    with pytest.raises(RefusedError, match="could not be started"):
        process.run([str(tmp_path / "plain")])


def test_too_long_too_quiet_and_cancelled() -> None:
    with pytest.raises(FellShortError, match="did not finish within"):
        process.run(FOREVER, timeout=0.2)
    with pytest.raises(FellShortError, match="printed nothing"):
        process.run(FOREVER, stall=0.2)
    cancelled = Cancelled()
    with pytest.raises(InterruptError, match="SIGTERM"):
        process.run(FOREVER, cancelled=cancelled, on_line=lambda stream, line: cancelled.set("SIGTERM"))


STUBBORN = """
import os, signal, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
if child := os.fork():
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.write(1, b"%d\\n" % child)
    signal.pause()
else:
    time.sleep(600)
"""


def test_a_grandchild_that_ignores_signals_ends_with_its_group() -> None:
    lines: list[str] = []
    cancelled = Cancelled()

    def heard(stream: str, line: str) -> None:
        lines.append(line)
        cancelled.set("SIGTERM")

    with pytest.raises(InterruptError, match="SIGTERM"):
        process.run(python(STUBBORN), cancelled=cancelled, on_line=heard)
    assert not runs(int(lines[0]))


@pytest.mark.parametrize("end", ["", "; echo '{}'"])
def test_what_is_kept_of_a_torrent_is_its_end(end: str) -> None:
    heard: list[int] = []
    found = process.run(
        ["sh", "-c", "head -c 70000000 /dev/zero | tr '\\0' x" + end],
        on_line=lambda stream, line: heard.append(len(line)),
    )
    assert (0, "x{}\n" if end else "xxxx") == (found.status, found.stdout[-4:])
    assert streams.TAIL <= len(found.stdout) <= streams.LONGEST_LINE + streams.TAIL
    assert max(heard) <= 2 * streams.TAIL + (1 << 16)


def test_lines_of_a_torrent_stay_whole() -> None:
    found = process.run(["sh", "-c", "yes 0123456789 | head -c 8800000"])
    assert streams.TAIL <= len(found.stdout) <= 3 * streams.TAIL
    assert {"0123456789"} == set(found.stdout.splitlines())


class Loud(subprocess.Popen[bytes]):
    """The system's start of a program, in which a signal comes at the worst moment: it runs, and is not noted."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        STARTED.append(self.pid)
        signal.raise_signal(signal.SIGTERM)


STARTED: list[int] = []


@pytest.mark.parametrize("earlier", [True, False])
def test_a_signal_in_the_middle_of_a_start_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    monkeypatch.setattr(subprocess, "Popen", Loud)
    STARTED.clear()
    cancelled = Cancelled()
    if earlier:
        cancelled.set("SIGINT")
    with (
        Console({}).interrupts(cancelled),
        pytest.raises(KeyboardInterrupt if earlier else InterruptError),
    ):
        process.run(FOREVER, cancelled=cancelled)
    monkeypatch.undo()
    assert not runs(STARTED[0])


def test_the_first_signal_of_the_stand_in_in_the_middle_of_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", Loud)
    STARTED.clear()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        cancelled = hear()
        with pytest.raises(InterruptError, match="SIGTERM"):
            process.run(FOREVER, cancelled=cancelled)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    monkeypatch.undo()
    assert not runs(STARTED[0])


def test_a_start_in_another_thread_is_noted_before_all_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go, pids = threading.Event(), threading.Event(), []

    class Slow(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            pids.append(self.pid)
            begun.set()
            go.wait(10)

    monkeypatch.setattr(subprocess, "Popen", Slow)
    other = threading.Thread(target=lambda: process.run(FOREVER), daemon=True)
    other.start()
    assert begun.wait(10)
    threading.Timer(0.05, go.set).start()
    process.kill_all()
    other.join(10)
    monkeypatch.undo()
    assert (False, False) == (other.is_alive(), runs(pids[0]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits one variable")
def test_a_variable_that_is_too_long_is_refused_and_says_what_to_do():
    with pytest.raises(RefusedError, match="true could not be started: Argument list too long") as caught:
        process.run(["true"], env={"PATH": os.defpath, "LONG": "x" * (129 << 10)})
    assert "in a file" in caught.value.hint
