"""Process groups: what lives, and what only waits to be buried."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from anka_ci import process_group


def test_what_is_dead_does_not_live_though_nobody_has_buried_it() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "print('up', flush=True); input()"],
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    with child:
        child.stdout.readline()
        assert process_group.lives(child.pid)
        os.killpg(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has died, and is not buried
        assert not process_group.lives(child.pid)
    assert not process_group.lives(child.pid)


def test_a_group_ends_though_it_ignores_the_first_signal() -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        process_group.end(child.pid, grace=0.1)
        assert -signal.SIGKILL == child.wait(timeout=10)
