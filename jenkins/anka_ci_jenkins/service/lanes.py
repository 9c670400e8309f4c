"""Several calls to a server side by side, which an interruption ends although one of them hangs.

Knows no call. What is left behind after an interruption ends with the process.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from anka_ci.clock import Cancelled

T = TypeVar("T")
U = TypeVar("U")
LANES = 4
"""Calls that are under way at a time."""
LOOK = 0.1
"""Seconds between two looks at whether the work was cancelled."""
GRACE = 1.0
"""Seconds that calls get to end by themselves after an interruption."""


def side_by_side(
    work: Callable[[T], U], items: Sequence[T], cancelled: Cancelled, left: Callable[[T], U] | None = None
) -> list[U]:
    """What ``work`` gives for every item, in their order; the first failure is raised, and nothing more is begun.

    After an interruption ``left`` says what stands for an item that was not done in time; without it ``InterruptError``
    is raised.
    """
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for place in range(len(items)):
        todo.put(place)
    done: queue.SimpleQueue[tuple[int, U | BaseException]] = queue.SimpleQueue()
    stop = threading.Event()

    def lane() -> None:
        while not stop.is_set():
            try:
                place = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((place, work(items[place])))
            except BaseException as error:  # raised where the work was asked for
                done.put((place, error))
                stop.set()

    for _ in range(min(LANES, len(items))):
        threading.Thread(target=lane, daemon=True).start()
    found: dict[int, U] = {}
    try:
        _gather(done, found, len(items), cancelled)
    finally:
        stop.set()
    if left is None and len(found) < len(items):
        cancelled.check("ask Jenkins")
    return [found[place] if place in found or left is None else left(item) for place, item in enumerate(items)]


def _gather(
    done: queue.SimpleQueue[tuple[int, U | BaseException]], found: dict[int, U], count: int, cancelled: Cancelled
) -> None:
    """Take what is done until all is, or until some time after an interruption."""
    end: float | None = None
    while len(found) < count:
        if cancelled and end is None:
            end = time.monotonic() + GRACE
        if end is not None and time.monotonic() >= end:
            return
        try:
            place, what = done.get(timeout=LOOK)
        except queue.Empty:
            continue
        if isinstance(what, BaseException):
            raise what
        found[place] = what
