"""Process groups: whether anything in one runs, who is in it, and its end.

A number alone says little: it is another's some time after its group has ended, and what is dead keeps it until its
parent, often the machine's first process, has buried it. Nothing is started here, and on macOS, which has no `/proc`,
nothing is told of members.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from anka_ci.clock import SystemClock

PAUSE = 0.02
"""Seconds between two looks at whether a process group has ended."""
PROCESSES = Path("/proc")
"""Where Linux tells of every process."""
_DEAD = ("Z", "X")


def lives(group: int) -> bool:
    """Whether a process group has a member that runs. One that only waits to be buried does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's, or dead, of which macOS says so
        return bool(members(group))
    found = members(group)
    return found is None or bool(found)  # macOS buries at once


def end(group: int, *, grace: float = 1.0) -> None:
    """End what runs in a process group: ask (SIGTERM), after ``grace`` seconds insist (SIGKILL)."""
    clock = SystemClock()
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        last = clock.monotonic() + grace
        while clock.monotonic() < last:
            if not lives(group):
                return
            clock.sleep(PAUSE)


def members(group: int) -> Mapping[int, str] | None:
    """The members of a group that run, each with when it started, in words that no other process of this machine has
    ever had for the same number; None where there is no `/proc`."""
    try:
        boot = PROCESSES.joinpath("sys", "kernel", "random", "boot_id").read_text().strip()
    except OSError:
        return None
    found = {}
    for entry in os.scandir(PROCESSES):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has just ended
            # proc(5), `/proc/PID/stat`: the second field is the program's name in brackets, which may hold anything,
            # brackets too; then come the state, the parent, the group, and as the 22nd the start in ticks since boot.
            fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group and fields[0].decode() not in _DEAD:
                found[int(entry.name)] = f"{boot} {int(fields[19])}"
    return found
