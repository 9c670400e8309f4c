"""Take build nodes out of drain mode, so that they start VMs again.

Goes to exactly one of all nodes (`all: true`), the nodes of a `group`, or the `nodes` that are named. A node that
is not in drain mode is left alone. An offline node is told all the same, and listed as unverified, because its state
hides its mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.rules import draining, selection
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"nodes": "node-1"}
EXAMPLE_AFTER = (("drain", {"nodes": "node-1"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    all_: bool = arg("Take every node back.", default=False)
    group: str | None = arg("Take the nodes of this node group back, by name or id.", default=None)
    nodes: tuple[str, ...] | None = arg("Take these nodes back, by name or id, one per line.", default=None)

    def __post_init__(self) -> None:
        selection.only_one(all_=self.all_, group=self.group, nodes=self.nodes)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    changed: tuple[str, ...] = arg("Names of the nodes that were taken out of drain mode.")
    already: tuple[str, ...] = arg("Names of the nodes that were not in it.")
    unverified: tuple[str, ...] = arg("Names of the nodes that were told, and whose state hides their mode.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    nodes = selection.choose(anka, group=inputs.group, names=inputs.nodes)
    return draining.plan("undrain", nodes, draining=False)


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, draining.run(plan, anka, draining=False))
