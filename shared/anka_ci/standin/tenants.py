"""Who runs in a guest: the processes of this machine that its commands are, and their end when the guest stops.

They are recognised by a variable that every command of a guest gets, never by a number that was written down, nor by
the VM's id, which is the template's in every library of this machine. Where there is no ``/proc`` (macOS) nobody is
recognised, and what runs in the background runs on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

from anka_ci.process_group import PAUSE, PROCESSES

VARIABLE = "ANKA_STANDIN_GUEST"
"""In the environment of every command of a guest: the guest's folder, as ``place`` tells it."""
GRACE = 2.0
"""Seconds between asking a guest's processes to end and ending them: a Mac that shuts down gives its own some time."""


def place(guest: Path) -> str:
    """A guest's folder under the one name that it has on this machine."""
    return str(guest.resolve())


def of(guest: Path) -> set[int]:
    """The processes that run in a guest, but for this one and those it was started by."""
    wanted = os.fsencode(f"{VARIABLE}={place(guest)}")
    try:
        numbers = [int(each) for each in os.listdir(PROCESSES) if each.isdigit()]  # noqa: PTH208 - names are wanted
    except OSError:
        return set()
    return {number for number in numbers if wanted in _environment(number)} - _line()


def _environment(number: int) -> list[bytes]:
    """What a process was started with; nothing when it is somebody else's, or has ended."""
    try:
        return (PROCESSES / str(number) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _line() -> set[int]:
    """This process and its ancestors: a guest's command may stop its own VM."""
    found, number = set(), os.getpid()
    while number > 1 and number not in found:
        found.add(number)
        try:
            number = int((PROCESSES / str(number) / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            break
    return found


def end(guest: Path) -> None:
    """End what runs in a guest: ask (SIGTERM), after a while insist (SIGKILL)."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        waited = 0.0
        asked: set[int] = set()
        while waited < GRACE:
            running = of(guest)
            if not running:
                return
            for process in running - asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, number)
            asked |= running
            threading.Event().wait(PAUSE)
            waited += PAUSE
