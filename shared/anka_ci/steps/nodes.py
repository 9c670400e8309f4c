"""List the build nodes: state, architecture, free disk, groups, and the tags on each.

With `template` only the nodes that hold it, with `tag` only those that hold that tag of it, as the controller reports
it. With `at-least` the step fails (code 7) when fewer nodes are left than that; a plan only tells that it will be
checked, because an earlier step of a pipeline may still bring the nodes there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import FellShortError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import selection
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = True
EXAMPLE: Mapping[str, str] = {"group": "ios"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    nodes: tuple[str, ...] | None = arg("Names or ids of the nodes to list, one per line.", default=None)
    group: str | None = arg("Only the nodes of this node group, by name or id.", default=None)
    template: str | None = arg("Only the nodes that hold this template, by name or id.", default=None)
    tag: str | None = arg("Only the nodes that hold this tag of the template.", default=None)
    at_least: int | None = arg("Fail when fewer nodes than this are left.", default=None)

    def __post_init__(self) -> None:
        if self.tag is not None and self.template is None:
            raise ValueError("tag needs the template that it belongs to")
        if self.at_least is not None and self.at_least < 0:
            raise ValueError("at-least is a number from 0 on")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    count: int = arg("How many nodes are left.")
    nodes: tuple[dict[str, Any], ...] = arg(
        "The nodes: name, state, arch, free bytes, groups, templates with tags, id."
    )


def plan(inputs: Inputs, anka: Anka) -> Plan:
    if inputs.group is None and inputs.nodes is None:
        found = anka.controller.nodes()
    else:
        found = selection.choose(anka, group=inputs.group, names=inputs.nodes)
    if inputs.template is not None:
        template_id, _ = selection.held(anka, anka.controller.nodes(), inputs.template)
        found = [node for node in found if node.tag_of(template_id) is not None]
        if inputs.tag is not None:
            found = [node for node in found if node.tag_of(template_id) == inputs.tag]
    rows = [
        {
            "name": node.name,
            "state": node.state,
            "arch": node.arch,
            "free": node.free_disk,
            "groups": [group.name for group in node.groups],
            "templates": [f"{held.name}:{held.tag}" for held in node.templates or ()],
            "id": node.id,
        }
        for node in found
    ]
    actions = []
    if inputs.at_least is not None:
        text = f"check that at least {inputs.at_least} {'node is' if inputs.at_least == 1 else 'nodes are'} left"
        actions = [Action(verb="check", text=text, with_={"at-least": inputs.at_least}, writes=False)]
    return Plan(step="nodes", actions=tuple(actions), expects={"count": len(rows), "nodes": rows})


def run(plan: Plan, anka: Anka) -> Outputs:
    outputs = build(Outputs, plan.expects)
    for action in plan.actions:
        wanted = int(str(action.with_["at-least"]))
        if outputs.count < wanted:
            names = ", ".join(str(row["name"]) for row in outputs.nodes) or "none"
            error = FellShortError(
                f"{wanted} nodes were asked for, {outputs.count} are left: {names}",
                hint="`anka-ci nodes` tells what each node holds and its state",
            )
            error.outputs = dict(plan.expects)
            raise error
    return outputs
