"""Put build nodes into drain mode, so that they start no more VMs.

Goes to exactly one of all nodes (`all: true`), the nodes of a `group`, or the `nodes` that are named. What runs there
goes on, and they still take distributions. `wait: true` waits until no VM runs on them any more, which is the moment to
upgrade or restart one; `undrain` takes them back. An offline node is told all the same, and listed as unverified,
because its state hides its mode. The mode stays until `undrain`, also when a step or job fails.
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


@dataclass(frozen=True, kw_only=True)
class Inputs:
    all_: bool = arg("Drain every node.", default=False)
    group: str | None = arg("Drain the nodes of this node group, by name or id.", default=None)
    nodes: tuple[str, ...] | None = arg("Drain these nodes, by name or id, one per line.", default=None)
    wait: bool = arg("Wait until no VM runs on them any more.", default=False)

    def __post_init__(self) -> None:
        selection.only_one(all_=self.all_, group=self.group, nodes=self.nodes)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    changed: tuple[str, ...] = arg("Names of the nodes that were put into drain mode.")
    already: tuple[str, ...] = arg("Names of the nodes that were in it before.")
    unverified: tuple[str, ...] = arg("Names of the nodes that were told, and whose state hides their mode.")
    busy: tuple[str, ...] = arg("Names of the nodes on which VMs still run.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    nodes = selection.choose(anka, group=inputs.group, names=inputs.nodes)
    return draining.plan("drain", nodes, draining=True, wait=inputs.wait)


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, draining.run(plan, anka, draining=True))
