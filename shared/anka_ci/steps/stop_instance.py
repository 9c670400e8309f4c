"""End an instance and remove its VM.

Means one `instance` by its id, one by its `name`, or all of an `owner` (with `name`: that one of them). Without an id
only instances are ended that anka-ci started, as their external id says. One that another system started is ended only
when its id is given and the plan confirmed, because what it holds is lost. What is gone already is nothing to do, so
the step may run twice. Waits until the instances are gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, NotFoundError, NotOursError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Loss, Plan
from anka_ci.rules import instances, lease
from anka_ci.steps import Runs
from anka_ci.wire.instance import TERMINATED

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.instance import Instance

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"name": "example"}
EXAMPLE_AFTER = (("start-instance", {"template": "sonoma", "name": "example"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    instance: str | None = arg("Id of the instance, an output of `start-instance`.", default=None)
    name: str | None = arg("Name of the instance.", default=None)
    owner: str | None = arg("Owner whose instances are meant.", default=None)

    def __post_init__(self) -> None:
        if (self.instance is None) == (self.name is None and self.owner is None):
            raise ValueError("give instance, or else name or owner or both of these")
        if self.owner is not None:
            lease.check_owner(self.owner)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    ended: tuple[str, ...] = arg("Ids of the instances that were ended.")
    pending: tuple[str, ...] = arg("Ids of those that were there still when the wait was cut short, or refused.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    found = [each for each in _meant(inputs, anka) if each.state != TERMINATED]
    actions, loses = [], []
    for each in found:
        if not lease.ours(each.external_id):
            if inputs.instance is None:
                raise NotOursError(
                    f"the instance {instances.title(each)} was not started by anka-ci",
                    hint=f"if it is to end all the same, name it by its id: --instance {each.id}",
                )
            loses.append(Loss(text=f"what {instances.title(each)} holds, which anka-ci did not start", little=True))
        text = f"end {instances.title(each)}"
        with_ = {"instance": each.id, "title": instances.title(each)}
        actions.append(Action(verb="end", text=text, with_=with_))
    expects = {"ended": [each.id for each in found], "pending": []}
    notes = () if found else ("there is no such instance any more: nothing to do",)
    return Plan(step="stop-instance", actions=tuple(actions), loses=tuple(loses), expects=expects, notes=notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    targets = {str(action.with_["instance"]): str(action.with_["title"]) for action in plan.actions}
    try:
        instances.end(anka, targets)
    except AnkaCiError as error:
        left = error.facts["instances"]
        assert isinstance(left, dict)
        error.outputs = {"ended": [each for each in targets if each not in left], "pending": list(left)}
        raise
    return build(Outputs, plan.expects)


def _meant(inputs: Inputs, anka: Anka) -> list[Instance]:
    """The instances that the inputs mean; none when they are gone."""
    if inputs.instance is not None:
        try:
            return [anka.controller.instances.get(inputs.instance)]
        except NotFoundError:
            return []
    found = anka.controller.instances.all()
    if inputs.owner is not None:
        found = [each for each in found if _owner(each) == inputs.owner]
    if inputs.name is None:
        return found
    try:
        return [instances.pick([each for each in found if each.name == inputs.name], inputs.name)]
    except NotFoundError:
        return []


def _owner(instance: Instance) -> str | None:
    try:
        held = lease.read(instance.external_id)
    except ValueError:
        return None
    return held.owner if held else None
