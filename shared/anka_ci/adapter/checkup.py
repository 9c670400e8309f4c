"""A check-up of a CI system: whether it has what the jobs of pipeline files need, as one result.

What is looked at is an adapter's; nothing here asks a server or prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from anka_ci.errors import AnkaCiError, FellShortError
from anka_ci.result import Result, StepResult

STEP = "check"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at: the ``error`` that stands in the way, or what there is to say.

    ``known`` is false when it could not be found out, which is no failure.
    """

    name: str
    said: str = ""
    error: AnkaCiError | None = None
    known: bool = True


def result(checks: Sequence[Check]) -> Result:
    """The result: its code is that of the one thing that is wrong, or 7 for several of different kinds."""
    steps = [_step(check) for check in checks]
    found = Result(name="job doctor", status="done", steps=steps)
    errors = [check.error for check in checks if check.error is not None]
    if not errors:
        return found
    error = errors[0]
    if len({each.code for each in errors}) > 1:
        error = FellShortError("; ".join(each.message for each in errors), hint=error.hint)
    found.status, found.code, found.error = "failed", error.code, error.emit()
    return found


def _step(check: Check) -> StepResult:
    state = "wrong" if check.error else "ok" if check.known else "not known"
    said = f"{check.error.message}; {check.error.hint}" if check.error else check.said
    return StepResult(
        id=check.name,
        step=STEP,
        status="failed" if check.error else "done",
        outputs={"state": state, "said": said},
        error=check.error.emit() if check.error else None,
    )
