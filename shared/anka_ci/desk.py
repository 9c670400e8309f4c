"""The desk: one step from its inputs to its result.

Binds, plans, asks for the confirmation, plans again right before it runs, and runs. Prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from anka_ci import inputs
from anka_ci.errors import ConfirmationError
from anka_ci.result import StepResult
from anka_ci.steps import catalog

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.plan import Plan


def perform(
    name: str, values: Mapping[str, object], anka: Anka, *, confirm: str | None = None, plan_only: bool = False
) -> StepResult:
    """Run one step of the catalog, or with ``plan_only`` tell what it would do.

    Raises whatever the step raises (``outputs`` of the error are what is known all the same), ``UsageError`` for its
    inputs, and ``ConfirmationError`` (with exactly what would be lost) when something would be lost, or something
    would be written to a protected context, and ``confirm`` does not cover it. The status is ``unchanged`` when a step
    that may change something had nothing to do.
    """
    started = anka.clock.monotonic()
    step = catalog.load(name)
    bound = inputs.bind(step.Inputs, values, what=name)
    plan = step.plan(bound, anka)
    if plan_only:
        status, outputs = "planned", dict(plan.expects)
    else:
        if needs_confirmation(plan, protected=anka.context.protected):
            check(plan, confirm, protected=anka.context.protected)
            confirmed, plan = plan.digest, step.plan(bound, anka)  # the world may have changed since it was shown
            check(plan, confirmed, protected=anka.context.protected)
        outputs = inputs.emit(step.run(plan, anka))
        status = "done" if plan.actions or step.READS else "unchanged"
    return StepResult(
        id=name,
        step=name,
        status=status,  # type: ignore[arg-type]
        outputs=outputs,
        plan=plan.emit(),
        seconds=anka.clock.monotonic() - started,
        notes=plan.notes,
    )


def needs_confirmation(plan: Plan, *, protected: bool) -> bool:
    """Whether something would be lost, or written to a protected context."""
    return bool(plan.loses) or (protected and plan.writes)


def check(plan: Plan, confirm: str | None, *, protected: bool) -> None:
    """Raise ``ConfirmationError`` unless ``confirm`` (a digest, or ``yes`` for a little) covers what the plan loses."""
    if not needs_confirmation(plan, protected=protected):
        return
    if confirm == plan.digest or (confirm == "yes" and plan.loses_little):
        return
    lost = "".join(f"\n  - {loss.text}" for loss in plan.loses)
    done = "; ".join(action.text for action in plan.actions)
    said = f"{plan.step} would lose:{lost}" if lost else f"{plan.step} would write to a protected context: {done}"
    hint = f"to go on, confirm this plan: --confirm {plan.digest}" + (" (or yes)" if plan.loses_little else "")
    if confirm:
        said = f"the confirmation {confirm!r} does not fit this plan; {said}"
    raise ConfirmationError(said, hint=hint, digest=plan.digest)
