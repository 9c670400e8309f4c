"""Who runs in a guest: the processes of this machine that its commands are, and their end when the guest stops.

They are recognised by a variable that every command of a guest gets, never by a number alone, nor by the VM's id, which
is the template's in every library of this machine. macOS has no ``/proc`` and does not tell the variables of its own
programs: there each command's number is written down with when it began, and it and what descends from it are the
guest's. What has left its parents behind, as a daemon does, is not recognised there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci import process_group
from anka_ci.process_group import PAUSE
from anka_ci.standin.files import put

if TYPE_CHECKING:
    from anka_ci.process_table import Origin

VARIABLE = "ANKA_STANDIN_GUEST"
"""In the environment of every command of a guest: the guest's folder, as ``place`` tells it."""
GRACE = 2.0
"""Seconds between asking a guest's processes to end and ending them: a Mac that shuts down gives its own some time."""

NOTES = "tenants"
"""The folder beside a guest's where its commands are written down on macOS, each in a file named by its number."""


def place(guest: Path) -> str:
    """A guest's folder under the one name that it has on this machine."""
    return str(guest.resolve())


def begun(guest: Path, number: int) -> None:
    """Write down that a command of a guest begins as a process, where nothing else will tell.

    ``OSError`` when that cannot be written, ``AnkaCiError`` when ``ps`` cannot be asked.
    """
    if _told():
        return
    found = _origins().get(number)
    if found is not None:  # else it has ended already
        folder = guest.parent / NOTES
        folder.mkdir(exist_ok=True)
        put(folder / str(number), found.since.encode())


def of(guest: Path) -> set[int]:
    """The processes that run in a guest, but for this one and those it was started by."""
    if not _told():
        return _noted(guest.parent / NOTES)
    wanted = os.fsencode(f"{VARIABLE}={place(guest)}")
    numbers = [int(each) for each in os.listdir(process_group.PROCESSES) if each.isdigit()]  # noqa: PTH208 - names
    return {number for number in numbers if wanted in _environment(number)} - _line()


def _told() -> bool:
    """Whether this system tells the variables of a process."""
    return process_group.PROCESSES.joinpath("self", "environ").exists()


def _origins() -> dict[int, Origin]:
    from anka_ci import process_table  # which starts a program, as few commands of the stand-in do

    return process_table.origins()


def _noted(notes: Path) -> set[int]:
    """The commands that were written down and still run, with all that descends from them."""
    if not notes.is_dir():
        return set()
    from anka_ci import process_table

    known = _origins()
    first = set()
    for note in notes.iterdir():
        number = int(note.name) if note.name.isdigit() else 0
        if number in known and note.read_text(encoding="utf-8") == known[number].since:
            first.add(number)
    parents = {number: each.parent for number, each in known.items()}
    line, number = set(), os.getpid()
    while number in parents and number not in line:
        line.add(number)
        number = parents[number]
    return process_table.family(first, parents) - line


def _environment(number: int) -> list[bytes]:
    """What a process was started with; nothing when it is somebody else's, or has ended."""
    try:
        return (process_group.PROCESSES / str(number) / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _line() -> set[int]:
    """This process and its ancestors: a guest's command may stop its own VM."""
    found, number = set(), os.getpid()
    while number > 1 and number not in found:
        found.add(number)
        try:
            stat = (process_group.PROCESSES / str(number) / "stat").read_bytes()
            number = int(stat.rpartition(b")")[2].split()[1])
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
                shutil.rmtree(guest.parent / NOTES, ignore_errors=True)
                return
            for process in running - asked:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, number)
            asked |= running
            threading.Event().wait(PAUSE)
            waited += PAUSE
