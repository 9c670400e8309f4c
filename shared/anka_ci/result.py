"""The result document (``anka-ci/result/1``) and the events that lead up to it.

Every summary, table and outputs file is a view of the document. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

SCHEMA = "anka-ci/result/1"

Status = Literal["done", "unchanged", "skipped", "planned", "checked-when-run", "failed", "interrupted"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a transfer or a wait is. ``subject`` is a tag, ``node`` a node's name or empty; ``done`` of ``total``."""

    subject: str
    done: float
    total: float
    unit: Literal["bytes", "share", "nodes"] = "share"
    node: str = ""


@dataclass(frozen=True, kw_only=True)
class NodeChanged:
    """A node's part of a distribution has a new state: queued, pulling, done, failed, cancelled, skipped, already."""

    node: str
    state: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A sentence for people, such as what a wait is waiting for.

    ``level``: a warning or a notice is in the result too, and a CI system shows it beside the job; a ``fault`` is the
    traceback of a failure of our own.
    """

    text: str
    level: Literal["info", "notice", "warning", "fault"] = "info"


@dataclass(frozen=True, kw_only=True)
class Printed:
    """A line that a ``run`` step of a pipeline file, or what runs in a VM, printed; ``stream`` is stdout or stderr."""

    text: str
    stream: str


@dataclass(frozen=True, kw_only=True)
class StepBegan:
    """A step of a pipeline file begins: the ``number``-th of ``total``, from 1."""

    id: str
    step: str
    number: int
    total: int


@dataclass(frozen=True, kw_only=True)
class StepEnded:
    """A step of a pipeline file has ended, or was skipped."""

    result: StepResult
    number: int
    total: int


Event = Progress | NodeChanged | Said | Printed | StepBegan | StepEnded
Tell = Callable[[Event], None]


@dataclass(kw_only=True)
class StepResult:
    """What became of one step."""

    id: str
    step: str
    status: Status
    outputs: Mapping[str, object] = field(default_factory=dict)
    plan: Mapping[str, object] | None = None
    error: Mapping[str, object] | None = None
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def emit(self) -> dict[str, object]:
        found: dict[str, object] = {
            "id": self.id,
            "step": self.step,
            "status": self.status,
            "seconds": round(self.seconds, 3),
            "outputs": dict(self.outputs),
        }
        if self.plan is not None:
            found["plan"] = dict(self.plan)
        if self.error is not None:
            found["error"] = dict(self.error)
        if self.notes:
            found["notes"] = list(self.notes)
        return found


@dataclass(kw_only=True)
class Result:
    """What became of a command: one step, or a pipeline file with many."""

    name: str
    status: Status
    code: int = 0
    context: str = ""
    started: float = 0.0
    seconds: float = 0.0
    steps: list[StepResult] = field(default_factory=list)
    error: Mapping[str, object] | None = None
    said: Sequence[Mapping[str, object]] = ()  # warnings and notices: step (empty: the only one), level, text
    summary: bool = True  # whether a report writes a job summary; no part of the document

    def emit(self) -> dict[str, object]:
        found: dict[str, object] = {
            "schema": SCHEMA,
            "name": self.name,
            "status": self.status,
            "code": self.code,
            "context": self.context,
            "started": round(self.started, 3),
            "seconds": round(self.seconds, 3),
            "steps": [step.emit() for step in self.steps],
        }
        if self.error is not None:
            found["error"] = dict(self.error)
        if self.said:
            found["said"] = [dict(each) for each in self.said]
        return found
