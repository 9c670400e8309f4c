"""The one ``poll``: it ends, it gives up, and it says why, on a clock that moves when it is slept on."""

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.errors import FellShortError, InterruptError, UnreachableError
from anka_ci.result import Said
from anka_ci.rules.watch import Seen, poll
from anka_ci.settings import Context

WHAT = "counting"


def doors(*, timeout=None, **more):
    clock = ManualClock()
    return Anka(Context(), clock=clock, deadline=Deadline(clock, timeout), **more)


def looks(anka, *found):
    """A look that gives one thing after another, the last for ever; ``at`` notes when it was asked."""
    left = list(found)

    def look():
        look.at.append(anka.clock.monotonic())
        seen = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(seen, Exception):
            raise seen
        return seen

    look.at = []
    return look


def test_it_returns_what_ended_without_a_pause():
    anka = doors()
    look = looks(anka, Seen(value=7, ended=True))
    before = anka.clock.monotonic()
    assert 7 == poll(look, anka, what=WHAT)
    assert [before] == look.at


def test_the_pauses_grow_up_to_the_slowest():
    anka = doors()
    look = looks(anka, *[Seen(value=n, ended=n == 6) for n in range(7)])
    poll(look, anka, what=WHAT, first=1.0, slowest=3.0)
    pauses = [round(after - before, 3) for before, after in zip(look.at, look.at[1:], strict=False)]
    assert [1.0, 1.5, 2.25, 3.0, 3.0, 3.0] == pauses


def test_the_deadline_ends_it_on_time():
    anka = doors(timeout=60)
    before = anka.clock.monotonic()
    with pytest.raises(FellShortError, match="counting: not done within 60 s"):
        poll(looks(anka, Seen(value=0, ended=False)), anka, what=WHAT)
    assert 60 == anka.clock.monotonic() - before


def test_the_stall_limit_counts_from_the_last_change():
    anka = doors()
    moving = [Seen(value=0, ended=False, mark=n) for n in range(5)]
    look = looks(anka, *moving)
    with pytest.raises(FellShortError, match="nothing moved for 30s"):
        poll(look, anka, what=WHAT, stall=30, first=10, slowest=10)
    assert 40 + 30 == look.at[-1] - look.at[0]


def test_what_can_never_end_well_ends_it_at_once():
    anka = doors()
    look = looks(anka, Seen(value=0, ended=False, failed="it was deleted"))
    with pytest.raises(FellShortError, match="counting: it was deleted"):
        poll(look, anka, what=WHAT)
    assert 1 == len(look.at)


def test_a_cancellation_ends_it():
    anka = doors(cancelled=Cancelled())

    def look():
        anka.cancelled.set("SIGTERM")
        return Seen(value=0, ended=False)

    with pytest.raises(InterruptError, match=r"counting: interrupted \(SIGTERM\)"):
        poll(look, anka, what=WHAT)


def test_a_server_that_comes_back_is_waited_for():
    told = []
    anka = doors(tell=told.append)
    look = looks(anka, UnreachableError("no route"), UnreachableError("no route"), Seen(value=3, ended=True))
    assert 3 == poll(look, anka, what=WHAT)
    assert [Said(text="counting: no route; still waiting", level="warning")] * 2 == told


def test_a_server_that_stays_away_is_not():
    anka = doors()
    look = looks(anka, UnreachableError("no route"))
    with pytest.raises(UnreachableError, match="no route"):
        poll(look, anka, what=WHAT, unreachable=120)
    assert 120 == look.at[-1] - look.at[0]
