"""Calls side by side: their order, the first failure, and an interruption while one of them hangs."""

from __future__ import annotations

import threading

import pytest

from anka_ci.clock import Cancelled
from anka_ci.errors import InterruptError
from anka_ci_jenkins.service.lanes import LANES, side_by_side


def test_what_they_give_is_in_the_order_of_the_items() -> None:
    assert [each * 2 for each in range(50)] == side_by_side(lambda each: each * 2, range(50), Cancelled())
    assert [] == side_by_side(lambda each: each, [], Cancelled())


def test_the_first_failure_is_raised_and_nothing_more_is_begun() -> None:
    begun = []

    def work(each: int) -> int:
        begun.append(each)
        raise ValueError(each)

    with pytest.raises(ValueError):
        side_by_side(work, range(1000), Cancelled())
    assert 1 <= len(begun) <= LANES


def test_an_interruption_leaves_what_hangs_and_keeps_what_is_done() -> None:
    gate, cancelled = threading.Event(), Cancelled()

    def work(each: int) -> str:
        if each == 2:
            cancelled.set("SIGTERM")
            gate.wait(60)
        return f"done {each}"

    try:
        assert ["done 0", "done 1", "left 2", "done 3"] == side_by_side(
            work, range(4), cancelled, lambda each: f"left {each}"
        )
        with pytest.raises(InterruptError, match="SIGTERM"):
            side_by_side(work, range(4), cancelled)
    finally:
        gate.set()


def test_no_more_are_under_way_at_a_time_than_there_are_lanes_and_all_lanes_are_used() -> None:
    full, lock = threading.Barrier(LANES), threading.Lock()
    now, most = 0, 0

    def work(each: int) -> int:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        full.wait(60)  # broken, and raised, when so many never come together
        with lock:
            now -= 1
        return each

    assert [*range(5 * LANES)] == side_by_side(work, range(5 * LANES), Cancelled())
    assert LANES == most
