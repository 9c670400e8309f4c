"""The verdict on a job: every way in which what is wanted and what is there can differ."""

from __future__ import annotations

import pytest

from anka_ci.adapter.jobs import Change, Found, Job, Judged, Mark, Verdict, canonical, digest, judge, judge_gone
from anka_ci.errors import UsageError

OLD, NEW, HAND = "a\nold\n", "a\nnew\n", "a\nhand\n"


def job(text: str = NEW, name: str = "refresh", source: str = "ci/refresh.yml") -> Job:
    return Job(name=name, text=text, source=source)


def found(text: str, written: str | None, name: str = "refresh", source: str = "ci/refresh.yml") -> Found:
    """What is there: ``written`` is the text that its mark was made for, None for no mark."""
    mark = None if written is None else Mark(source=source, hash=digest(written))
    return Found(name=name, text=text, mark=mark, revision="r7")


def one(wanted: Job, there: Found | None) -> Judged:
    (judged,) = judge([wanted], [there] if there else [])
    return judged


@pytest.mark.parametrize(
    ("verdict", "there", "edit"),
    [
        ("create", None, "+a\n+new\n"),
        ("in-step", found(NEW, NEW), ""),
        ("update", found(OLD, OLD), " a\n-old\n+new\n"),
        ("update", found(NEW, OLD), ""),  # changed by hand to what is wanted now: only the mark
        ("changed-by-hand", found(HAND, NEW), " a\n-hand\n+new\n"),
        ("both-changed", found(HAND, OLD), " a\n-hand\n+new\n"),
        ("not-ours", found(HAND, None), " a\n-hand\n+new\n"),
        ("not-ours", found(NEW, None), ""),
        ("not-ours", found(NEW, NEW, source="other/refresh.yml"), ""),
    ],
)
def test_the_verdict_on_a_wanted_job(verdict: str, there: Found | None, edit: str) -> None:
    judged = one(job(), there)
    assert (verdict, edit) == (judged.verdict.value, judged.diff.partition("@@\n")[2])


@pytest.mark.parametrize(
    ("there", "writes", "takes"),
    [
        (None, True, True),
        (found(NEW, NEW), False, False),
        (found(OLD, OLD), True, True),
        (found(HAND, NEW), False, True),
        (found(HAND, OLD), False, True),
        (found(HAND, None), False, True),
    ],
)
def test_what_is_not_ours_or_was_changed_by_hand_is_written_only_when_asked(
    there: Found | None, writes: bool, takes: bool
) -> None:
    change = Change(name="refresh", job=job(), revision="r7" if there else None)
    judged = one(job(), there)
    assert (change if writes else None, change if takes else None) == (judged.change(), judged.change(take_ours=True))


def test_the_diff_names_both_sides_and_where_there_is_none() -> None:
    assert one(job(), None).diff.startswith("--- /dev/null\n+++ wanted/refresh\n")
    assert one(job(), found(OLD, OLD)).diff.startswith("--- there/refresh\n+++ wanted/refresh\n")
    (gone,) = judge([], [found(OLD, OLD)])
    assert gone.diff.startswith("--- there/refresh\n+++ /dev/null\n")


def test_the_notes_say_whose_it_is() -> None:
    assert "it carries no mark of anka-ci" == one(job(), found(HAND, None)).note
    assert "its text is the one that is wanted" in one(job(), found(NEW, None)).note
    assert "it is made from ci/b.yml" == one(job(), found(HAND, HAND, source="ci/b.yml")).note


def test_what_is_no_longer_wanted_is_of_the_named_pipeline_files_only() -> None:
    there = [found(OLD, OLD, name="z"), found(OLD, OLD, name="y", source="b"), found(HAND, None, name="x")]
    named = judge([job()], there, sources={"ci/refresh.yml"})
    assert [("refresh", Verdict.CREATE), ("z", Verdict.OBSOLETE)] == [(each.name, each.verdict) for each in named]
    every = judge([job()], there, sources=None)
    assert ["refresh", "y", "z"] == [each.name for each in every]
    assert [Change(name="z", job=None, revision="r7")] == [named[1].change()]


def test_what_is_no_longer_wanted_and_was_changed_by_hand_is_not_removed_unasked() -> None:
    (judged,) = judge([], [found(HAND, OLD)])
    assert (Verdict.BOTH, None) == (judged.verdict, judged.change())
    assert Change(name="refresh", job=None, revision="r7") == judged.change(take_ours=True)


def test_only_what_carries_our_mark_ever_goes() -> None:
    there = [
        found(OLD, OLD, name="a"),
        found(HAND, OLD, name="b"),
        found(HAND, None, name="c"),
        found(HAND, None, name="d"),
        found(OLD, OLD, name="e", source="other.yml"),
    ]
    judged = judge_gone(there, names={"a", "b", "c"}, sources={"ci/refresh.yml"})
    assert [("a", "obsolete"), ("b", "both-changed"), ("c", "not-ours")] == [
        (each.name, each.verdict.value) for each in judged
    ]
    assert [True, False, False] == [each.change() is not None for each in judged]
    assert [True, True, False] == [each.change(take_ours=True) is not None for each in judged]


def test_two_pipeline_files_cannot_have_one_job() -> None:
    with pytest.raises(UsageError, match=r"ci/refresh.yml and ci/b.yml would both be the job refresh"):
        judge([job(), job(source="ci/b.yml")], [])


@pytest.mark.parametrize("text", ["a\nb\n", "a\r\nb\r\n", "a\rb", "a\nb\n\n\n", "a\nb"])
def test_line_ends_are_no_change(text: str) -> None:
    assert "a\nb\n" == canonical(text)


def test_the_hash_is_the_texts_and_of_nothing_else() -> None:
    assert job(source="x").mark.hash == job(source="y", name="z").mark.hash == digest(NEW)
    assert 64 == len(digest("🙂\n"))
