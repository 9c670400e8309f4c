"""Plan, apply and destroy over a keeper: exit codes, refusals, and somebody else at work at the same time."""

from __future__ import annotations

import pytest

from anka_ci.adapter import keeping
from anka_ci.adapter.jobs import Job
from anka_ci.adapter.keeping import Aim
from anka_ci.errors import ConfirmationError, InterruptError, NotAuthorisedError, UnreachableError
from anka_ci.result import Result
from shelf import Shelf

A, B, C = (Job(name=name, text=f"{name}\n", source=f"ci/{name}.yml") for name in "abc")
NEW_A = Job(name="a", text="a\nnew\n", source="ci/a.yml")
ALL = Aim(jobs=[A, B, C], sources=None)


def told(result: Result) -> list[tuple[str, str, str]]:
    return [(step.id, str(step.outputs.get("verdict", "-")), step.status) for step in result.steps]


@pytest.fixture
def shelf() -> Shelf:
    found = Shelf()
    for job in (A, B, C):
        found.put_ours(job)
    return found


def test_a_plan_after_an_apply_says_in_step() -> None:
    empty = Shelf()
    planned = keeping.plan(empty, ALL)
    assert (9, "drift", "planned") == (planned.code, planned.error and planned.error["class"], planned.status)
    assert {("create", "planned")} == {each[1:] for each in told(planned)}
    assert 0 == empty.writes
    applied = keeping.apply(empty, ALL)
    assert (0, "done") == (applied.code, applied.status)
    again = keeping.plan(empty, ALL)
    assert (0, "unchanged", None) == (again.code, again.status, again.error)
    assert [(name, "in-step", "unchanged") for name in "abc"] == told(again)
    assert (0, "unchanged") == (keeping.apply(empty, ALL).code, keeping.apply(empty, ALL).status)
    assert 1 == empty.writes


def test_a_hand_edit_is_shown_and_not_overwritten(shelf: Shelf) -> None:
    shelf.edit("b", "b\nby hand\n")
    planned = keeping.plan(shelf, ALL)
    assert (8, ("b", "changed-by-hand", "failed")) == (planned.code, told(planned)[1])
    assert "-by hand\n" in str(planned.steps[1].outputs["diff"])
    applied = keeping.apply(shelf, ALL)
    assert (8, "b was changed by hand") == (applied.code, applied.error and applied.error["message"])
    assert "b\nby hand\n" == shelf.jobs["b"][0]
    taken = keeping.apply(shelf, Aim(jobs=[A, B, C], sources=None, take_ours=True))
    assert (0, "b\n") == (taken.code, shelf.jobs["b"][0])
    assert 0 == keeping.plan(shelf, ALL).code


def test_a_refusal_keeps_nothing_else_from_being_written(shelf: Shelf) -> None:
    shelf.put("b", "theirs\n", None)
    result = keeping.apply(shelf, Aim(jobs=[NEW_A, B, C], sources=None))
    assert [("a", "update", "done"), ("b", "not-ours", "failed"), ("c", "in-step", "unchanged")] == told(result)
    assert (8, "theirs\n", "a\nnew\n") == (result.code, shelf.jobs["b"][0], shelf.jobs["a"][0])


def test_several_refusals_are_told_together(shelf: Shelf) -> None:
    shelf.edit("b", "x\n")
    shelf.put("c", "theirs\n", None)
    for result in (keeping.plan(shelf, ALL), keeping.apply(shelf, ALL)):
        assert (8, "not-ours") == (result.code, result.error and result.error["class"])
        assert result.error is not None
        assert "b" in str(result.error["message"])
        assert "c" in str(result.error["message"])


def test_what_is_no_longer_wanted_goes(shelf: Shelf) -> None:
    result = keeping.apply(shelf, Aim(jobs=[A], sources={"ci/a.yml", "ci/b.yml"}))
    assert [("a", "in-step", "unchanged"), ("b", "obsolete", "done")] == told(result)
    assert {"a", "c"} == {*shelf.jobs}


def test_one_failure_loses_none_of_the_others(shelf: Shelf) -> None:
    shelf.broken["a"] = NotAuthorisedError("may not write a")
    result = keeping.apply(shelf, Aim(jobs=[NEW_A, Job(name="d", text="d\n", source="d.yml")], sources=()))
    assert [("a", "update", "failed"), ("d", "create", "done")] == told(result)
    assert (5, "may not write a") == (result.code, result.error and result.error["message"])
    shelf.broken["c"] = UnreachableError("c is away")
    result = keeping.apply(shelf, Aim(jobs=[NEW_A, Job(name="c", text="x\n", source="ci/c.yml")], sources=()))
    assert (7, "2 of 2 jobs in the shelf are not in step: may not write a; c is away") == (
        result.code,
        result.error and result.error["message"],
    )


def test_what_somebody_else_changes_meanwhile_is_read_and_judged_again(shelf: Shelf) -> None:
    shelf.meddle = lambda: shelf.edit("a", "a\nby hand\n") if shelf.writes == 1 else None
    result = keeping.apply(shelf, Aim(jobs=[NEW_A, B], sources=()))
    assert [("a", "both-changed", "failed"), ("b", "in-step", "unchanged")] == told(result)
    assert (8, "a\nby hand\n") == (result.code, shelf.jobs["a"][0])


def test_two_applies_at_once_end_alike(shelf: Shelf) -> None:
    aim = Aim(jobs=[NEW_A, Job(name="d", text="d\n", source="d.yml")], sources=())
    other: list[Result] = []

    def meddle() -> None:
        shelf.meddle = lambda: None
        other.append(keeping.apply(shelf, aim))

    shelf.meddle = meddle
    first = keeping.apply(shelf, aim)
    assert [("a", "update", "done"), ("d", "create", "done")] == told(other[0])
    assert [("a", "in-step", "unchanged"), ("d", "in-step", "unchanged")] == told(first)
    assert (0, 0) == (first.code, other[0].code)


def test_somebody_who_never_stops_is_told_of(shelf: Shelf) -> None:
    shelf.meddle = lambda: shelf.put("a", "a\n", A.mark)
    result = keeping.apply(shelf, Aim(jobs=[NEW_A], sources=()))
    assert (3, "a was changed meanwhile", keeping.TRIES) == (
        result.code,
        result.error and result.error["message"],
        shelf.writes,
    )


def test_a_failure_in_a_later_round_loses_nothing_of_an_earlier_one(shelf: Shelf) -> None:
    def meddle() -> None:
        shelf.edit("a", "x\n")
        shelf.read = broken  # type: ignore[method-assign]

    def broken(names: object) -> list[object]:
        raise UnreachableError("the shelf is away")

    shelf.meddle = meddle
    result = keeping.apply(shelf, Aim(jobs=[NEW_A, Job(name="d", text="d\n", source="d.yml")], sources=()))
    assert [("a", "update", "failed"), ("d", "create", "done")] == told(result)
    assert (6, "the shelf is away") == (result.code, result.error and result.error["message"])


def test_a_write_that_fails_as_a_whole_is_the_failure_of_each(shelf: Shelf) -> None:
    def broken(changes: object) -> list[object]:
        raise InterruptError("interrupted")

    shelf.write = broken  # type: ignore[assignment]
    result = keeping.apply(shelf, Aim(jobs=[NEW_A], sources=()))
    assert (130, "interrupted", "interrupted") == (result.code, result.status, result.steps[0].status)


def test_a_job_that_somebody_else_removed_meanwhile_is_gone(shelf: Shelf) -> None:
    shelf.meddle = lambda: shelf.jobs.pop("b") and None
    result = keeping.destroy(shelf, Aim(jobs=[B], sources={"ci/b.yml"}))
    assert ([("b", "-", "unchanged")], 0) == (told(result), result.code)
    assert ("somebody else removed it meanwhile",) == result.steps[0].notes


def test_destroy_removes_only_what_carries_our_mark(shelf: Shelf) -> None:
    shelf.put("c", "theirs\n", None)
    shelf.edit("b", "by hand\n")
    aim = Aim(jobs=[A, B, C], sources={job.source for job in (A, B, C)})
    result = keeping.destroy(shelf, aim)
    assert [("a", "obsolete", "done"), ("b", "both-changed", "failed"), ("c", "not-ours", "failed")] == told(result)
    assert (8, {"b", "c"}) == (result.code, {*shelf.jobs})
    result = keeping.destroy(shelf, Aim(jobs=[B, C], sources=aim.sources, take_ours=True))
    assert (8, {"c"}) == (result.code, {*shelf.jobs})
    assert result.error is not None
    assert "remove it by hand" in str(result.error["hint"])


def test_destroying_nothing_is_no_failure(shelf: Shelf) -> None:
    assert (0, []) == (
        keeping.destroy(shelf, Aim(jobs=[], sources={"x.yml"})).code,
        told(keeping.destroy(shelf, ALL))[3:],
    )
    assert 0 == keeping.destroy(Shelf(), ALL).code


def test_what_comes_back_by_nothing_has_to_be_confirmed() -> None:
    shelf = Shelf(loses="its builds")
    for job in (A, B):
        shelf.put_ours(job)
    with pytest.raises(ConfirmationError, match="a: its builds") as caught:
        keeping.destroy(shelf, ALL)
    assert {"a", "b"} == {*shelf.jobs}
    assert ("its builds would be lost",) == keeping.plan(shelf, Aim(jobs=[], sources=None, gone=True)).steps[0].notes
    with pytest.raises(ConfirmationError, match="does not fit"):
        keeping.destroy(shelf, ALL, confirm="yes")
    digest = str(caught.value.facts["digest"])
    shelf.meddle = lambda: (
        shelf.put_ours(B) if shelf.writes == 1 else None
    )  # the second round needs no new confirmation
    assert 0 == keeping.destroy(shelf, ALL, confirm=digest).code
    assert {} == shelf.jobs


def test_the_result_document_holds_what_a_program_needs(shelf: Shelf) -> None:
    document = keeping.plan(shelf, Aim(jobs=[NEW_A], sources=())).emit()
    assert "anka-ci/result/1" == document["schema"]
    (entry,) = document["steps"]  # type: ignore[misc]
    assert ("a", "job", "update", "ci/a.yml") == (
        entry["id"],
        entry["step"],
        entry["outputs"]["verdict"],
        entry["outputs"]["source"],
    )
