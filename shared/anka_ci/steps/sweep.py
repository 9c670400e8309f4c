"""End the instances whose lease is over.

Looks at all instances that anka-ci started (their external id is `anka-ci/OWNER/EXPIRY`), or at those of one `owner`,
and ends what is overdue by this machine's clock; run it on a schedule. Instances that another system started are never
touched, and a lease that cannot be read is told and left. Nothing has to be confirmed, because the lease said it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError
from anka_ci.inputs import Duration, arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import instances, lease
from anka_ci.steps import Runs
from anka_ci.wire.instance import TERMINATED

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"owner": "build-42", "ahead": "1d"}
EXAMPLE_AFTER = (("start-instance", {"template": "sonoma", "owner": "build-42"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    owner: str | None = arg("Owner whose instances are looked at; everybody's when left out.", default=None)
    ahead: Duration = arg("Also end what will be overdue within this time.", default=Duration(0))

    def __post_init__(self) -> None:
        if self.owner is not None:
            lease.check_owner(self.owner)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    ended: tuple[str, ...] = arg("Ids of the instances that were ended.")
    left: tuple[str, ...] = arg("Ids of the instances whose lease is not over.")
    unreadable: tuple[str, ...] = arg("Ids of the instances whose lease cannot be read, which are left.")
    failed: tuple[str, ...] = arg("Ids of the instances that are overdue and were not ended.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    by = anka.clock.now() + inputs.ahead
    actions, left, unreadable, notes = [], [], [], []
    for each in anka.controller.instances.all():
        try:
            held = lease.read(each.external_id)
        except ValueError as error:
            unreadable.append(each.id)
            notes.append(f"{instances.title(each)} is left: {error}")
            continue
        if held is None or inputs.owner not in (None, held.owner) or each.state == TERMINATED:
            continue
        if not held.overdue(by):
            left.append(each.id)
            continue
        title = instances.title(each)
        text = f"end {title} of {held.owner}, whose lease is over at {held.until}"
        actions.append(Action(verb="end", text=text, with_={"instance": each.id, "title": title}))
    expects = {
        "ended": [action.with_["instance"] for action in actions],
        "left": left,
        "unreadable": unreadable,
        "failed": [],
    }
    return Plan(step="sweep", actions=tuple(actions), expects=expects, notes=tuple(notes))


def run(plan: Plan, anka: Anka) -> Outputs:
    targets = {str(action.with_["instance"]): str(action.with_["title"]) for action in plan.actions}
    try:
        instances.end(anka, targets)
    except AnkaCiError as error:
        failed = error.facts["instances"]
        assert isinstance(failed, dict)
        ended = [each for each in targets if each not in failed]
        error.outputs = {**plan.expects, "ended": ended, "failed": list(failed)}
        raise
    return build(Outputs, plan.expects)
