"""The flag that a signal handler sets: whatever the thread that waits for it is doing at that moment."""

from __future__ import annotations

import sys
import threading
import time
from types import FrameType
from typing import Any

from anka_ci.clock import Cancelled

STEPS = 60
"""More steps than one wait takes, wherever it is written."""


def interrupted(step: int) -> tuple[bool, bool]:
    """Set a flag at the given step of a wait for it, as a handler does; whether it ended, and what it said."""
    flag, said, left = Cancelled(), [False], [step]

    def at_each_step(frame: FrameType, event: str, value: object) -> Any:
        left[0] -= 1
        if left[0] == 0:
            flag.set("SIGTERM")
        return at_each_step

    def wait() -> None:
        sys.settrace(at_each_step)
        try:
            said[0] = flag.wait(0.01)
        finally:
            sys.settrace(None)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(timeout=5)
    return not waiting.is_alive(), said[0] or left[0] > 0


def test_a_wait_can_be_interrupted_at_any_of_its_steps() -> None:
    for step in range(1, STEPS):
        ended, told = interrupted(step)
        assert ended, f"step {step} of the wait holds what `set` wants"
        assert told or step > 1


def test_all_who_wait_are_told_and_those_who_come_later() -> None:
    flag, told = Cancelled(), []
    waiting = [threading.Thread(target=lambda: told.append(flag.wait(30))) for _ in range(3)]
    for each in waiting:
        each.start()
    began = time.monotonic()
    flag.set("first")
    flag.set("second")
    for each in waiting:
        each.join(timeout=10)
    assert [True] * 3 == told
    assert (True, "first") == (flag.wait(30), flag.reason)
    assert time.monotonic() - began < 10
    assert not Cancelled().wait(0)
