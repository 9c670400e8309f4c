"""Killing a program at one system call after another, by strace, and trying many such points at once.

Knows nothing of pushes and pulls: what runs, and what has to hold afterwards, is the test's.
"""

from __future__ import annotations

import collections
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from integration.conftest import Served, standin_env, tool

AT_ONCE = 2
STANDIN = [sys.executable, "-BIm", "anka_ci.standin", "-j"]
"""Writes no compiled modules, which would count as calls of the first run, and of no other."""


@dataclass(frozen=True)
class Point:
    """Kill when a thread makes its ``number``-th call of this kind."""

    side: str
    call: str
    number: int


def start(home: Path, words: list[str], *before: str, guests: bool = False) -> subprocess.Popen[bytes]:
    """The stand-in as a process of its own, on a library of its own, perhaps under a tracer."""
    return subprocess.Popen(
        [*before, *STANDIN, *words],
        env=standin_env(home) | ({"ANKA_STANDIN_GUESTS": "1"} if guests else {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def traced(*words: str, log: str = "/dev/null") -> list[str]:
    """The tracer's command line, up to the program that it starts."""
    return [tool("strace"), "-f", "-qq", "-o", log, *words]


def counting(calls: Mapping[str, int], log: Path) -> list[str]:
    """Trace these calls into a log."""
    return traced("-e", "trace=" + "/" + "|".join(call[1:] for call in calls), log=str(log))


def killing(point: Point, signal: str = "SIGKILL") -> list[str]:
    """Send a signal at a point."""
    return traced("-e", f"trace={point.call}", "-e", f"inject={point.call}:signal={signal}:when={point.number}")


def failing(point: Point, error: str) -> list[str]:
    """Let the call at a point fail, once."""
    return traced("-e", f"trace={point.call}", "-e", f"inject={point.call}:error={error}:when={point.number}")


@contextmanager
def attached(served: Served, words: list[str]) -> Iterator[None]:
    """The server under a tracer, from now on."""
    words = [word for word in words if word != "-qq"]
    tracer = subprocess.Popen([*words, "-p", str(served.child.pid)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    if "attached" not in first:
        tracer.wait()
        pytest.skip(f"this user may not trace a process: {first.strip()}")
    try:
        yield
    finally:
        served.kill()  # whoever traces it ends with it
        tracer.communicate()


def counted(calls: Mapping[str, int], log: Path) -> dict[str, int]:
    """How often the busiest thread made each kind of call."""
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for line in log.read_text(errors="replace").splitlines():
        if match := re.match(r"(\d+) +(\w+)\(", line):
            for call in calls:
                if re.search(call[1:], match.group(2)):
                    found[call, match.group(1)] += 1
    return {call: max((count for (kind, _), count in found.items() if kind == call), default=0) for call in calls}


def chosen(side: str, calls: Mapping[str, int], log: Path) -> list[Point]:
    """Every invocation, or evenly spread ones where there are many, the first and the last among them."""
    points, counts = [], counted(calls, log)
    for call, most in calls.items():
        every = range(1, counts[call] + 1)
        if len(every) > most:
            every_few = {round(1 + place * (counts[call] - 1) / (most - 1)) for place in range(most)}
            points += [Point(side, call, number) for number in sorted(every_few)]
        else:
            points += [Point(side, call, number) for number in every]
    return points


def try_all(points: list[Point], fresh: Callable[[str], Path], trial: Callable[[int, Path], bool]) -> None:
    """Run ``trial(place, folder)`` for every point, which tells whether its call came at all, and judge the whole.

    Up to three goes for each: which thread makes a call, and so how many each makes, differs from run to run.
    """

    def several(place: int) -> str:
        for number in range(3):
            found = one(place, fresh(f"trial-{place}-{number}"))
            if found != "missed":
                break
        return found

    def one(place: int, folder: Path) -> str:
        try:
            return "hit" if trial(place, folder) else "missed"
        except Exception as error:
            return f"{points[place]}: {type(error).__name__}: {str(error)[:600]}"
        finally:
            shutil.rmtree(folder)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(several, range(len(points))))
    wrong = [result for result in results if result not in ("hit", "missed")]
    assert not wrong, "\n".join(wrong)
    hits = [point.call for point, result in zip(points, results, strict=True) if result == "hit"]
    assert {point.call for point in points} == set(hits)
    assert 0.7 * len(points) <= len(hits)
