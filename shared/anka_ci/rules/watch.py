"""Waiting: the one ``poll()``, with its deadline, stall limit, failure, clock and cancellation.

Nothing else in the project waits in a loop of its own for something that a server does. Nothing here knows what is
waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from anka_ci.errors import FellShortError, UnreachableError
from anka_ci.inputs import show_duration
from anka_ci.result import Said

if TYPE_CHECKING:
    from anka_ci.anka import Anka

T = TypeVar("T")

FIRST, SLOWEST = 0.2, 5.0
"""Seconds between the first two looks, and at most; each pause is half as long again as the one before."""
UNREACHABLE = 120.0
"""Seconds for which a server may be gone (it is restarted, say) before a wait gives up."""


@dataclass(frozen=True, kw_only=True)
class Seen(Generic[T]):
    """What one look found. ``mark`` changes whenever something moved: the stall limit counts from its last change.

    ``failed`` says why it can never end well; empty while it can.
    """

    value: T
    ended: bool
    mark: object = None
    failed: str = ""


def poll(
    look: Callable[[], Seen[T]],
    anka: Anka,
    *,
    what: str,
    stall: float | None = None,
    first: float = FIRST,
    slowest: float = SLOWEST,
    unreachable: float = UNREACHABLE,
) -> T:
    """Look until ``ended``; the last value. ``what`` names the wait in errors; all limits are in seconds.

    Raises ``FellShortError`` when ``failed``, when the deadline is over, and when nothing moved for ``stall``;
    ``InterruptError`` when cancelled; ``UnreachableError`` when there was no answer for ``unreachable``.
    """
    clock = anka.clock
    moved = answered = clock.monotonic()
    mark: object = None
    pause = first
    while True:
        anka.cancelled.check(what)
        try:
            seen = look()
        except UnreachableError as error:
            anka.cancelled.check(what)
            anka.deadline.check(f"{what} (the last look: {error.message})")
            if clock.monotonic() - answered >= unreachable:
                raise
            anka.tell(Said(text=f"{what}: {error.message}; still waiting", level="warning"))
            pause = slowest
        else:
            answered = clock.monotonic()
            if seen.failed:
                raise FellShortError(f"{what}: {seen.failed}")
            if seen.ended:
                return seen.value
            if seen.mark != mark:
                mark, moved = seen.mark, answered
            if stall is not None and answered - moved >= stall:
                raise FellShortError(
                    f"{what}: nothing moved for {show_duration(stall)}",
                    hint="look at the nodes and the registry, and at what holds them up",
                )
        anka.deadline.check(what)
        clock.sleep(anka.deadline.left(pause) or 0.0, anka.cancelled)
        pause = min(slowest, pause * 1.5)
