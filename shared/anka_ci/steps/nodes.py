"""List the build nodes: state, architecture, free disk, groups, and the tags on each.

With `template` only the nodes that hold it, with `tag` only those that hold that tag of it, as the controller reports
it. With `at-least` the step fails when fewer nodes are left than that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import FellShortError, NotFoundError
from anka_ci.inputs import arg
from anka_ci.plan import Plan
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.node import Node

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


@dataclass(frozen=True, kw_only=True)
class Outputs:
    count: int = arg("How many nodes are left.")
    nodes: tuple[dict[str, Any], ...] = arg(
        "The nodes: name, state, arch, free bytes, groups, templates with tags, id."
    )


def plan(inputs: Inputs, anka: Anka) -> Plan:
    found = anka.controller.nodes()
    if inputs.group is not None:
        group = anka.controller.group(inputs.group)
        found = [node for node in found if group.id in (each.id for each in node.groups)]
    if inputs.nodes is not None:
        known = {each for node in found for each in (node.id, node.name)}
        for name in inputs.nodes:
            if name not in known:
                raise NotFoundError("node", name, known=[node.name for node in found])
        found = [node for node in found if node.id in inputs.nodes or node.name in inputs.nodes]
    if inputs.template is not None:
        found = [node for node in found if _holds(node, inputs.template, inputs.tag)]
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
    if inputs.at_least is not None and len(rows) < inputs.at_least:
        names = ", ".join(node.name for node in found) or "none"
        raise FellShortError(f"{inputs.at_least} nodes were asked for, {len(rows)} are left: {names}")
    return Plan(step="nodes", expects={"count": len(rows), "nodes": rows})


def run(plan: Plan, anka: Anka) -> Outputs:
    return Outputs(**plan.expects)  # type: ignore[arg-type]


def _holds(node: Node, template: str, tag: str | None) -> bool:
    held = [each for each in node.templates or () if template in (each.id, each.name)]
    return any(tag is None or each.tag == tag for each in held)
