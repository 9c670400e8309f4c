"""Process groups: whether anything in one runs, which one it is, and its end.

A number alone says little: it is another's some time after its group has ended, and what is dead keeps it until its
parent, often the machine's first process, has buried it. No program is started here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

PAUSE = 0.02
"""Seconds between two looks at whether a process group has ended."""
PROCESSES = Path("/proc")
"""Where Linux tells of every process; macOS has none."""
_DEAD = ("Z", "X")


def lives(group: int) -> bool:
    """Whether a process group has a member that runs. One that only waits to be buried does not."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):  # the second is what macOS says of the dead
        return False
    if not PROCESSES.joinpath("self", "stat").exists():
        return True  # macOS buries at once
    return any(state not in _DEAD for state in _states(group))


def end(group: int, *, grace: float = 1.0) -> None:
    """End what runs in a process group: ask (SIGTERM), after ``grace`` seconds insist (SIGKILL)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        waited = 0.0
        while waited < grace:
            if not lives(group):
                return
            threading.Event().wait(PAUSE)
            waited += PAUSE


def _states(group: int) -> list[str]:
    """The state letter of each member of a group, as Linux tells it (proc(5): `/proc/PID/stat`, fields 3 and 5)."""
    found = []
    for entry in os.scandir(PROCESSES):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has just ended
            # The second field is the program's name in brackets, which may hold anything, brackets too.
            fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group:
                found.append(fields[0].decode())
    return found
