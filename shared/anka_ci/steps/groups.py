"""List the node groups of the controller, and how many nodes each has.

Node groups are an Enterprise feature; a controller without it refuses, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = True
EXAMPLE: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    pass


@dataclass(frozen=True, kw_only=True)
class Outputs:
    count: int = arg("How many groups there are.")
    groups: tuple[dict[str, Any], ...] = arg("The groups: name, nodes, description, id.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    nodes = anka.controller.nodes()
    rows = [
        {
            "name": group.name,
            "nodes": [node.name for node in nodes if group.id in (each.id for each in node.groups)],
            "description": group.description,
            "id": group.id,
        }
        for group in anka.controller.groups()
    ]
    return Plan(step="groups", expects={"count": len(rows), "groups": rows})


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, plan.expects)
