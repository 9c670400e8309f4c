"""Starting other programs: what comes back, and how they are ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError
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
    assert process.TAIL <= len(found.stdout) <= process.LONGEST_LINE + process.TAIL
    assert max(heard) <= 2 * process.TAIL + (1 << 16)


def test_lines_of_a_torrent_stay_whole() -> None:
    found = process.run(["sh", "-c", "yes 0123456789 | head -c 8800000"])
    assert process.TAIL <= len(found.stdout) <= 3 * process.TAIL
    assert {"0123456789"} == set(found.stdout.splitlines())
