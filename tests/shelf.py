"""A keeper of jobs in memory: a real one, for tests of what is decided over it.

``meddle`` is called right before each write, so that somebody else can be at work at the worst moment.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from anka_ci.adapter.jobs import Change, ChangedMeanwhileError, Found, Job, Mark, Outcome
from anka_ci.errors import AnkaCiError


class Shelf:
    """Jobs by name: their text, mark and revision."""

    where = "the shelf"

    def __init__(self, loses: str = "") -> None:
        self.loses = loses
        self.jobs: dict[str, tuple[str, Mark | None, int]] = {}
        self.meddle: Callable[[], None] = lambda: None
        self.broken: dict[str, AnkaCiError] = {}
        self.reads = self.writes = 0

    def put(self, name: str, text: str, mark: Mark | None) -> None:
        """Put a job there, whoever does it."""
        self.jobs[name] = (text, mark, self.jobs[name][2] + 1 if name in self.jobs else 1)

    def put_ours(self, job: Job) -> None:
        """Put a job there as we write it."""
        self.put(job.name, job.text, job.mark)

    def edit(self, name: str, text: str) -> None:
        """Change a job by hand: its mark stays."""
        self.put(name, text, self.jobs[name][1])

    def read(self, names: Collection[str]) -> Sequence[Found]:
        self.reads += 1
        return [
            Found(name=name, text=text, mark=mark, revision=str(revision))
            for name, (text, mark, revision) in self.jobs.items()
            if mark is not None or name in names
        ]

    def write(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        self.writes += 1
        self.meddle()
        return [Outcome(name=change.name, error=self._write(change)) for change in changes]

    def _write(self, change: Change) -> AnkaCiError | None:
        there = self.jobs.get(change.name)
        if (str(there[2]) if there else None) != change.revision:
            return ChangedMeanwhileError(f"{change.name} was changed meanwhile")
        if change.name in self.broken:
            return self.broken[change.name]
        if change.job is None:
            del self.jobs[change.name]
        else:
            self.put_ours(change.job)
        return None
