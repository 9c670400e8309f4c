"""The processes of this machine: who runs what, and how much of the processor it has used.

Reads only. Linux tells in ``/proc`` (proc(5)), macOS through ``ps``.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
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


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a process comes from: its parent, its process group, and when it began, to the second as ``ps`` tells."""

    parent: int
    group: int
    since: str


def origins() -> dict[int, Origin]:
    """Every process that lives, by number, as ``ps`` tells on every system; what waits to be buried is none."""
    words = ["/bin/ps", "-axo", "pid=,ppid=,pgid=,stat=,lstart="]
    done = process.run(words, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, timeout=10)
    found = {}
    for line in done.stdout.splitlines():
        match = re.match(r"\s*(\d+)\s+(\d+)\s+(\d+)\s+([^Z\s]\S*)\s+(.+)", line)
        if match is not None:
            pid, parent, group, _, since = match.groups()
            found[int(pid)] = Origin(parent=int(parent), group=int(group), since=since.strip())
    return found


def family(pids: Iterable[int], parents: Mapping[int, int]) -> set[int]:
    """Processes and all that descend from them; ``parents`` by the number of the child."""
    found, size = set(pids), -1
    while size < len(found):
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def spent(pid: int) -> float:
    """The seconds of the processor that a process has used, with everything alive that it has started."""
    known = table()
    members = family({pid}, {each.pid: each.parent for each in known})
    return sum(each.seconds for each in known if each.pid in members)


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
