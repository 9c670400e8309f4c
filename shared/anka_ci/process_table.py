"""The processes of this machine: who runs what, and how much of the processor it has used.

Reads only. Linux tells in ``/proc`` (proc(5)), macOS through ``ps``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anka_ci import process
from anka_ci.process_group import PROCESSES


@dataclass(frozen=True, kw_only=True)
class Running:
    """A process: its parent, its user's number, the processor's seconds that it has used, and its command line."""

    pid: int
    parent: int
    user: int
    seconds: float
    words: tuple[str, ...]


def table() -> list[Running]:
    """Every process that can be seen and that was not ended meanwhile."""
    return _linux() if PROCESSES.joinpath("self", "stat").exists() else _other()


def spent(pid: int) -> float:
    """The seconds of the processor that a process has used, with everything alive that it has started."""
    known = table()
    family, found = {pid}, 0.0
    grown = True
    while grown:
        size = len(family)
        family |= {each.pid for each in known if each.parent in family}
        grown = len(family) > size
    for each in known:
        found += each.seconds if each.pid in family else 0.0
    return found


def _linux() -> list[Running]:
    found, tick = [], os.sysconf("SC_CLK_TCK")
    for entry in os.scandir(PROCESSES):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):  # it has just ended
            # The second field is the program's name in brackets, which may hold anything, brackets too.
            fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            words = Path(entry.path, "cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
            found.append(
                Running(
                    pid=int(entry.name),
                    parent=int(fields[1]),
                    user=entry.stat().st_uid,
                    seconds=(int(fields[11]) + int(fields[12])) / tick,
                    words=tuple(words),
                )
            )
    return found


def _other() -> list[Running]:
    """As ``ps`` tells it, which separates words by spaces alone."""
    done = process.run(["/bin/ps", "-axo", "pid=,ppid=,uid=,time=,command="], timeout=10)
    return read(done.stdout.splitlines())


def read(lines: Iterable[str]) -> list[Running]:
    """Lines of ``ps -axo pid=,ppid=,uid=,time=,command=``; one that is none is left out."""
    found = []
    for line in lines:
        match = re.match(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+(?:(\d+)-)?((?:\d+:)+\d+(?:\.\d+)?)\s+(.*)", line)
        if match is None:
            continue
        pid, parent, user, days, time, words = match.groups()
        seconds = 0.0
        for part in time.split(":"):
            seconds = seconds * 60 + float(part)
        found.append(
            Running(
                pid=int(pid),
                parent=int(parent),
                user=int(user),
                seconds=int(days or 0) * 86_400 + seconds,
                words=tuple(words.split()),
            )
        )
    return found
