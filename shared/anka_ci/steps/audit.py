"""Compare what build nodes have with the channels of a fleet file, and with the registry.

Tells what each node holds, where a node does not have what a channel is to bring there, and what is on nodes and no
longer in the registry. Either is drift, and the step fails with code 9 unless `on-drift: report`; a plan only tells
that it will be checked. Without a `fleet` file only the registry is compared.

Channels of another context are left out. A channel means the nodes of its groups, or all, of its architecture and of
its template's. Nodes that do not report what they hold (before 1.20) are listed as unverified, and are no drift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import DriftError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import selection, survey
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = True
EXAMPLE: Mapping[str, str] = {"group": "ios", "on-drift": "report"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    fleet: str | None = arg("Path of the fleet file with the channels.", default=None)
    channels: tuple[str, ...] | None = arg("Only these channels of it, one per line.", default=None)
    nodes: tuple[str, ...] | None = arg("Only these nodes, by name or id, one per line.", default=None)
    group: str | None = arg("Only the nodes of this node group, by name or id.", default=None)
    on_drift: str = arg(
        "What to do when there is drift: fail, or only report it.", default="fail", choices=("fail", "report")
    )

    def __post_init__(self) -> None:
        if self.channels is not None and self.fleet is None:
            raise ValueError("channels needs the fleet file that has them")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    drifted: bool = arg("Whether there is drift of either kind.")
    drift: tuple[dict[str, Any], ...] = arg(
        "Where a node differs: channel, node, its state, wanted, has, why; without a node where the channel is wrong."
    )
    gone: tuple[dict[str, Any], ...] = arg("What nodes hold and the registry no longer has, as in held.")
    held: tuple[dict[str, Any], ...] = arg(
        "What nodes hold: node, template, tag, whether the registry has it, the channels that want it there, id."
    )
    unverified: tuple[str, ...] = arg("Names of the nodes that do not report what they hold.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    channels = [] if inputs.fleet is None else survey.chosen(inputs.fleet, inputs.channels, anka.context.name)
    found = survey.take(anka, channels, group=inputs.group, names=inputs.nodes, what="audit")
    differs = [each.row() for each in found.drift]
    gone = [each.row() for each in found.held if each.gone]
    expects = {
        "drifted": bool(differs or gone),
        "drift": differs,
        "gone": gone,
        "held": [each.row() for each in found.held],
        "unverified": found.unverified,
    }
    actions = []
    if inputs.on_drift == "fail":
        actions = [Action(verb="check", text="check that there is no drift", writes=False)]
    return Plan(step="audit", actions=tuple(actions), expects=expects)


def run(plan: Plan, anka: Anka) -> Outputs:
    outputs = build(Outputs, plan.expects)
    if plan.actions and outputs.drifted:
        told = [f"{row['channel']}: {row['node'] or row['wanted']}: {row['why']}" for row in outputs.drift]
        told += [f"{row['node']} holds {row['template']}:{row['tag']}: {row['registry']}" for row in outputs.gone]
        counts = (
            f"{len(outputs.drift)} differences from channels, {len(outputs.gone)} tags that the registry has no more"
        )
        error = DriftError(
            f"{counts}: {selection.listed(told)}",
            hint="distribute the channels' tags, evict what is gone, or say on-drift: report",
        )
        error.outputs = dict(plan.expects)
        raise error
    return outputs
