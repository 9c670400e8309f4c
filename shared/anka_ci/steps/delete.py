"""Delete a template with all its tags from the registry.

Nodes keep what they have pulled. Needs the digest of the plan as confirmation.

The plan tells who uses the template (nodes, instances, distributions under way, and the channels and files that are
given to look into) and which bytes come free. Who uses it is part of the plan's digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import ConfirmationError
from anka_ci.inputs import arg, build, show_size
from anka_ci.plan import Action, Loss, Plan
from anka_ci.rules import blast
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id.")
    fleet: str | None = blast.fleet_input()
    pipelines: tuple[str, ...] | None = blast.pipelines_input()
    bytes: str = blast.bytes_input()


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The deleted template's id.")
    removed: tuple[str, ...] = arg("The tags that were removed, oldest first.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.stack("delete").template(inputs.template)
    versions = template.versions or ()
    loses = [Loss(text=f"the template {template.name} ({template.id}), {show_size(template.size or 0)}")]
    loses += [Loss(text=f"{template.name}:{each.tag} (version {each.number})") for each in versions]
    radius = blast.of_versions(
        anka, template, versions, channels=inputs.fleet, pipelines=inputs.pipelines, bytes=inputs.bytes
    )
    removed = [each.tag for each in versions]
    with_ = {"id": template.id, "tags": removed, "used": list(radius.uses)}
    action = Action(verb="delete", text=f"delete {template.name}", with_=with_)
    expects = {"id": template.id, "removed": removed}
    return Plan(step="delete", actions=(action,), loses=tuple(loses), expects=expects, notes=radius.notes)


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
