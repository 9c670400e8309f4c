"""Several things side by side on connections of their own: layers on their way, manifests of many tags.

The first failure stops the others where they stand; so does an interruption. What they had is kept and taken up again.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled

if TYPE_CHECKING:
    from anka_ci.oci import Oci

J = TypeVar("J")
T = TypeVar("T")

LANES = 4
"""As many as Anka's ``puller_threads``."""
LOOK = 0.1
"""Seconds between two looks at whether the work was cancelled."""
GRACE = 2.0
"""Seconds that lanes get to notice that they are to stop; they are left behind after that, and end with the process."""


def side_by_side(oci: Oci, anka: Anka, jobs: Sequence[J], work: Callable[[Oci, J], T], lanes: int = LANES) -> list[T]:
    """Do ``work`` for every job and return what it returned, in the jobs' order; raises what the first failure was.

    With one lane or one job it is done here, by ``oci`` itself.
    """
    if min(lanes, len(jobs)) <= 1:
        return [work(oci, job) for job in jobs]
    stop = Cancelled()
    mine = Anka(
        anka.context, clock=anka.clock, deadline=anka.deadline, cancelled=stop, tell=anka.tell, signers=anka.signers
    )
    todo: queue.SimpleQueue[tuple[int, J]] = queue.SimpleQueue()
    for item in enumerate(jobs):
        todo.put(item)
    done: queue.SimpleQueue[tuple[int, T | BaseException]] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_lane, args=(oci, mine, todo, done, work, stop), daemon=True)
        for _ in range(min(lanes, len(jobs)))
    ]
    for thread in threads:
        thread.start()
    found: dict[int, T] = {}
    try:
        while len(found) < len(jobs):
            anka.cancelled.check("transferring")
            try:
                place, what = done.get(timeout=LOOK)
            except queue.Empty:
                continue
            if isinstance(what, BaseException):
                raise what
            found[place] = what
    finally:
        stop.set(anka.cancelled.reason or "another transfer failed")
        end = time.monotonic() + GRACE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
    return [found[place] for place in range(len(jobs))]


def _lane(
    oci: Oci,
    anka: Anka,
    todo: queue.SimpleQueue[tuple[int, J]],
    done: queue.SimpleQueue[tuple[int, T | BaseException]],
    work: Callable[[Oci, J], T],
    stop: Cancelled,
) -> None:
    place = -1
    try:
        own = oci.again(anka)
        while not stop:
            place, job = todo.get_nowait()
            done.put((place, work(own, job)))
    except queue.Empty:
        return
    except BaseException as error:  # it is raised where the lanes are waited for
        done.put((place, error))
