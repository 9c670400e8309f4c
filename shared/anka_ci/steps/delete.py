"""Delete a template with all its tags from the registry.

Nodes keep what they have pulled. Needs the digest of the plan as confirmation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import ConfirmationError
from anka_ci.inputs import arg, build, show_size
from anka_ci.plan import Action, Loss, Plan
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id.")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The deleted template's id.")
    removed: tuple[str, ...] = arg("The tags that were removed, oldest first.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.stack("delete").template(inputs.template)
    versions = template.versions or ()
    loses = [Loss(text=f"the template {template.name} ({template.id}), {show_size(template.size or 0)}")]
    loses += [Loss(text=f"{template.name}:{each.tag} (version {each.number})") for each in versions]
    removed = [each.tag for each in versions]
    action = Action(verb="delete", text=f"delete {template.name}", with_={"id": template.id, "tags": removed})
    expects = {"id": template.id, "removed": removed}
    return Plan(step="delete", actions=(action,), loses=tuple(loses), bytes=0, expects=expects)


def run(plan: Plan, anka: Anka) -> Outputs:
    (action,) = plan.actions
    template = anka.registry.by_id(str(action.with_["id"]))
    tags = [each.tag for each in template.versions or ()]
    if tags != action.with_["tags"]:  # a push came in between: what it brought was never confirmed
        raise ConfirmationError(
            f"{template.name} has changed since the plan: {', '.join(tags)} would go", hint="plan and confirm again"
        )
    anka.registry.delete(template)
    return build(Outputs, plan.expects)
