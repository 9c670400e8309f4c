"""Remove a tag, and with it every newer one, from the registry.

Anka keeps versions as a stack: reverting one removes the newer ones too, and reverting version 0 removes the whole
template. Nodes keep what they have pulled. Needs `tag`, `version` or `latest: true`, and a confirmation.

The plan tells who uses what goes (nodes, instances, distributions under way, and the channels and files that are given
to look into) and which bytes come free. Who uses it is part of the plan's digest.
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
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "tag": "v1", "confirm": "yes"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id.")
    tag: str | None = arg("The oldest tag to remove.", default=None)
    version: int | None = arg("The oldest version to remove, by its number.", default=None)
    latest: bool = arg("Remove the newest version, whatever its tag.", default=False)
    fleet: str | None = blast.fleet_input()
    pipelines: tuple[str, ...] | None = blast.pipelines_input()
    bytes: str = blast.bytes_input()

    def __post_init__(self) -> None:
        if self.latest == (self.tag is not None or self.version is not None):
            raise ValueError("give either tag or version, or latest: true")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    removed: tuple[str, ...] = arg("The tags that were removed, oldest first.")
    remaining: tuple[str, ...] = arg("The tags that are left, oldest first; none when the template is gone.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.stack("revert").template(inputs.template)
    version = template.pick(inputs.tag, inputs.version)
    gone = (version, *template.newer_than(version))
    name = f"{template.name}:{version.tag}"
    whole = version.number == 0
    loses = [
        Loss(
            text=f"{template.name}:{each.tag} (version {each.number}, {show_size(each.size or 0)} in all)",
            little=each == template.newest and not whole,
        )
        for each in gone
    ]
    if whole:
        loses.append(Loss(text=f"the template {template.name} ({template.id}) itself, because version 0 goes"))
    radius = blast.of_versions(
        anka, template, gone, channels=inputs.fleet, pipelines=inputs.pipelines, bytes=inputs.bytes
    )
    removed = [each.tag for each in gone]
    remaining = [each.tag for each in template.versions or () if each not in gone]
    with_ = {"id": template.id, "number": version.number, "tags": removed, "used": list(radius.uses)}
    action = Action(verb="revert", text=f"revert {name}", with_=with_)
    expects = {"id": template.id, "removed": removed, "remaining": remaining}
    return Plan(step="revert", actions=(action,), loses=tuple(loses), expects=expects, notes=radius.notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    (action,) = plan.actions
    template = anka.registry.by_id(str(action.with_["id"]))
    version = template.pick(number=int(str(action.with_["number"])))
    tags = [each.tag for each in (version, *template.newer_than(version))]
    if tags != action.with_["tags"]:  # a push came in between: what it brought was never confirmed
        raise ConfirmationError(
            f"{template.name} has changed since the plan: {', '.join(tags)} would go", hint="plan and confirm again"
        )
    anka.registry.revert(template, version)
    return build(Outputs, plan.expects)
