"""The table of processes: as Linux tells it, and as ``ps`` does on macOS."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import pytest

from anka_ci import process, process_table
from anka_ci.clock import SystemClock
from anka_ci.errors import FellShortError
from anka_ci.process_table import Running

PS = """
    1     0     0   0:04.23 /sbin/launchd
  501     1   501 1-02:03:04.50 /usr/local/bin/anka --machine-readable registry pull x
  502   501   501 123:00.00 (zombie)
 noise
"""


def test_lines_of_ps():
    anka = ("/usr/local/bin/anka", "--machine-readable", "registry", "pull", "x")
    expected = [
        Running(pid=1, parent=0, user=0, seconds=4.23, words=("/sbin/launchd",)),
        Running(pid=501, parent=1, user=501, seconds=86_400 + 7384.5, words=anka),
        Running(pid=502, parent=501, user=501, seconds=7380, words=("(zombie)",)),
    ]
    assert expected == process_table.read(PS.splitlines())


def test_this_process_is_in_the_table():
    ours = next(each for each in process_table.table() if each.pid == os.getpid())
    assert (os.getppid(), os.geteuid()) == (ours.parent, ours.user)
    assert 0 < ours.seconds <= process_table.spent(os.getpid())
    # Words as ps parts them; the interpreter itself may be named by a link.
    assert " ".join(sys.orig_argv[1:]).split() == " ".join(ours.words[1:]).split()


def used(pid: int) -> int:
    return int(process_table.spent(pid) * 20)


def test_what_a_grandchild_uses_counts_as_well():
    code = f'"{sys.executable}" -Ic "while True: pass"; :'
    child = subprocess.Popen(["sh", "-c", code], start_new_session=True)
    try:
        clock = SystemClock()
        end = clock.monotonic() + 60
        while process_table.spent(child.pid) < 0.2:
            assert clock.monotonic() < end, "the grandchild's time was not counted"
            clock.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_a_silent_child_whose_pulse_changes_is_not_stalled():
    beats = itertools.count()
    done = process.run(["sleep", "0.6"], stall=0.2, pulse=lambda pid: next(beats), timeout=60)
    assert (0, True) == (done.status, next(beats) > 2)


def test_a_child_that_does_nothing_is():
    with pytest.raises(FellShortError, match=r"sleep 60 printed nothing and did nothing for 0.3 s and was ended"):
        process.run(["sleep", "60"], stall=0.3, pulse=used)
