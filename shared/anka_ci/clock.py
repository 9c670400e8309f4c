"""Time: the clock that everything is handed, deadlines and cancellation.

Nothing else in the project asks the system for the time or sleeps.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Protocol

from anka_ci.errors import FellShortError, InterruptError


class Cancelled:
    """A flag that a signal handler sets and every wait looks at.

    A handler runs in the middle of whatever the main thread does, a wait for this flag included, so that it must not
    want a lock that the wait holds: ``threading.Event`` has one. Here the wait is on a lock that only ``set`` opens.
    """

    def __init__(self) -> None:
        self._set = False
        self._gate = threading.Lock()
        self._gate.acquire()
        self.reason = ""
        self.hurried = False
        """Whether what ran was broken off because it did not end by itself: only moments are left."""

    def set(self, reason: str = "cancelled") -> None:
        self.reason = self.reason or reason
        self._set = True
        with contextlib.suppress(RuntimeError):  # it is open already
            self._gate.release()

    def __bool__(self) -> bool:
        return self._set

    def wait(self, seconds: float) -> bool:
        """Wait at most ``seconds``; True when cancelled."""
        if not self._set and self._gate.acquire(timeout=max(0.0, seconds)):
            self.set()  # open for the next who waits
        return self._set

    def check(self, what: str) -> None:
        """Raise when cancelled. ``what`` names the work that stops."""
        if self:
            raise InterruptError(f"{what}: interrupted ({self.reason})")


class Clock(Protocol):
    """What a clock offers; tests hand in one that moves when it is told to."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        """Let ``seconds`` pass; return early when cancelled."""


class SystemClock:
    """The real time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        if cancelled is None:
            time.sleep(max(0.0, seconds))
        else:
            cancelled.wait(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until someone sleeps on it or moves it: for simulations and tests."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        self._now += max(0.0, seconds)

    def advance(self, seconds: float) -> None:
        self._now += seconds


class Deadline:
    """A point in time by which everything, retries included, has to be over."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self.seconds = seconds
        self._end = None if seconds is None else clock.monotonic() + seconds

    def left(self, at_most: float | None = None) -> float | None:
        """Seconds left (never negative), or ``at_most`` if that is less; None when there is no limit at all."""
        if self._end is None:
            return at_most
        left = max(0.0, self._end - self._clock.monotonic())
        return left if at_most is None else min(left, at_most)

    def check(self, what: str) -> None:
        """Raise ``FellShortError`` when the time is over."""
        if self._end is not None and self._clock.monotonic() >= self._end:
            raise FellShortError(
                f"{what}: not done within {self.seconds:g} s",
                hint="give it longer with `timeout`, or look at what holds it up",
            )
