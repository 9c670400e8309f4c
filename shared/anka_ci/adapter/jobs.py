"""Jobs of a CI system that are made from pipeline files: what is wanted, what was found, and a verdict on each.

A job that we wrote carries a mark: the pipeline file it was made from, and the hash of its text as we last wrote it. So
a change by hand is told from a change of ours without a record anywhere else, and what carries no mark is never taken
for ours. Pure decisions: nothing is read, written or rendered here, and no CI system is known.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from anka_ci.errors import AnkaCiError, RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that is wanted.

    ``name`` is the path of a workflow file, or a Jenkins job's full name; ``text`` is canonical (see ``canonical``) and
    without the mark; ``source`` is the pipeline file it is made from, as the mark will name it.
    """

    name: str
    text: str
    source: str

    @property
    def mark(self) -> Mark:
        """The mark that it gets when it is written."""
        return Mark(source=self.source, hash=digest(self.text))


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a job of ours carries: the pipeline file it was made from, and the hash of its text when we wrote it."""

    source: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """A job that is there: its text (canonical, the mark taken off), its mark, and an opaque ``revision``.

    A write names the revision that it was judged on, so that what was changed meanwhile is never overwritten.
    """

    name: str
    text: str
    mark: Mark | None
    revision: str

    @property
    def by_hand(self) -> bool:
        """Whether a job of ours is no longer as we wrote it."""
        return self.mark is not None and self.mark.hash != digest(self.text)


class Verdict(str, Enum):
    """What becomes of a job."""

    CREATE = "create"
    """It is wanted and not there."""
    IN_STEP = "in-step"
    """It is as it is wanted."""
    UPDATE = "update"
    """It is as we wrote it, and ours has changed since."""
    BY_HAND = "changed-by-hand"
    """Ours has not changed, and somebody changed what is there."""
    BOTH = "both-changed"
    """Ours has changed (or is no longer wanted), and somebody changed what is there."""
    NOT_OURS = "not-ours"
    """It carries no mark, or is another pipeline file's."""
    OBSOLETE = "obsolete"
    """It is as we wrote it, and no longer wanted."""


REFUSED = frozenset({Verdict.BY_HAND, Verdict.BOTH, Verdict.NOT_OURS})
"""What is written only when it is asked for by ``take_ours``."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One write: a job made (no ``revision``), replaced (both), or removed (no ``job``)."""

    name: str
    job: Job | None
    revision: str | None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A job and its verdict. ``diff`` is unified, from what is there to what is wanted; ``note`` is for people."""

    name: str
    verdict: Verdict
    source: str
    job: Job | None
    found: Found | None
    diff: str = ""
    note: str = ""

    def change(self, *, take_ours: bool = False) -> Change | None:
        """The write that brings the job in step; None when there is none, or it may not be done.

        ``take_ours`` also overwrites what was changed by hand or carries no mark, which is never removed.
        """
        if self.verdict is Verdict.IN_STEP or (self.verdict in REFUSED and not take_ours):
            return None
        if self.verdict is Verdict.NOT_OURS and self.job is None:
            return None
        return Change(name=self.name, job=self.job, revision=self.found.revision if self.found else None)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one change: the ``error`` it failed with, or what there is to tell (``outputs``, JSON values)."""

    name: str
    error: AnkaCiError | None = None
    outputs: Mapping[str, object] = field(default_factory=dict)


class ChangedMeanwhileError(RefusedError):
    """A job is no longer what it was judged on. Nothing of it was written; read and judge it again."""

    fault = "infrastructure"


class Keeper(Protocol):
    """What an adapter implements: it only reads and writes; what is written, and whether, is decided elsewhere.

    ``where`` names the place to people, such as ``OWNER/NAME``; ``loses`` says what goes with a job that is removed and
    comes back by nothing, such as "its builds", and is empty where nothing does.
    """

    @property
    def where(self) -> str: ...

    @property
    def loses(self) -> str: ...

    def read(self, names: Collection[str]) -> Sequence[Found]:
        """The named jobs that are there and everything that carries our mark, in one pass of reads.

        Raises when it cannot be told: a failure is never an empty answer.
        """

    def write(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write the changes; one outcome for each, in their order, so that a failure of one loses none of the others.

        A change whose job is no longer at its ``revision`` (one to be made: is there) is not written, and its outcome's
        error is ``ChangedMeanwhileError``.
        """


def canonical(text: str) -> str:
    """A text with ``\\n`` line ends and exactly one at its end: what a check-out or an editor changes is no change."""
    return text.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n") + "\n"


def digest(text: str) -> str:
    """The SHA-256 of a canonical text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def judge(
    wanted: Sequence[Job], found: Iterable[Found], *, sources: Collection[str] | None = None
) -> tuple[Judged, ...]:
    """A verdict on every wanted job, in their order, and then on what is no longer wanted, by name.

    No longer wanted is what carries a mark, was made from one of ``sources`` and is not among the wanted; ``sources``
    None: from any pipeline file. ``UsageError`` when two wanted jobs have one name.
    """
    first: dict[str, Job] = {}
    for job in wanted:
        if other := first.get(job.name):
            hint = "give one of the pipeline files another name for its job"
            raise UsageError(f"{other.source} and {job.source} would both be the job {job.name}", hint=hint)
        first[job.name] = job
    there = {each.name: each for each in found}
    left = [there[name] for name in sorted(there) if name not in first and _made_from(there[name], sources)]
    return tuple(_judge(job, there.get(job.name)) for job in wanted) + tuple(_obsolete(each) for each in left)


def judge_gone(
    found: Iterable[Found], *, names: Collection[str], sources: Collection[str] | None
) -> tuple[Judged, ...]:
    """A verdict on everything that has to go: what was made from one of ``sources`` (None: from any), by name.

    What has one of ``names`` and is not ours is told, and stays.
    """
    judged = []
    for each in sorted(found, key=lambda each: each.name):
        if _made_from(each, sources):
            judged.append(_obsolete(each))
        elif each.name in names:
            judged.append(_judged(Verdict.NOT_OURS, None, each, note=_whose(each)))
    return tuple(judged)


def _made_from(found: Found, sources: Collection[str] | None) -> bool:
    return found.mark is not None and (sources is None or found.mark.source in sources)


def _judge(job: Job, found: Found | None) -> Judged:
    if found is None:
        return _judged(Verdict.CREATE, job, None)
    if found.mark is None or found.mark.source != job.source:
        same = "; its text is the one that is wanted" if found.text == job.text else ""
        return _judged(Verdict.NOT_OURS, job, found, note=_whose(found) + same)
    if found.text == job.text:
        if not found.by_hand:
            return _judged(Verdict.IN_STEP, job, found)
        return _judged(Verdict.UPDATE, job, found, note="only the mark: it was changed by hand to what is wanted now")
    if not found.by_hand:
        return _judged(Verdict.UPDATE, job, found)
    if found.mark == job.mark:
        return _judged(Verdict.BY_HAND, job, found)
    return _judged(Verdict.BOTH, job, found)


def _obsolete(found: Found) -> Judged:
    if found.by_hand:
        return _judged(Verdict.BOTH, None, found, note="it is no longer wanted, and was changed by hand")
    return _judged(Verdict.OBSOLETE, None, found)


def _whose(found: Found) -> str:
    return f"it is made from {found.mark.source}" if found.mark else "it carries no mark of anka-ci"


def _judged(verdict: Verdict, job: Job | None, found: Found | None, note: str = "") -> Judged:
    name = job.name if job else found.name if found else ""
    source = job.source if job else found.mark.source if found and found.mark else ""
    return Judged(
        name=name, verdict=verdict, source=source, job=job, found=found, diff=_diff(name, job, found), note=note
    )


def _diff(name: str, job: Job | None, found: Found | None) -> str:
    before = found.text.splitlines(keepends=True) if found else []
    after = job.text.splitlines(keepends=True) if job else []
    names = (f"there/{name}" if found else "/dev/null", f"wanted/{name}" if job else "/dev/null")
    return "".join(difflib.unified_diff(before, after, *names))
