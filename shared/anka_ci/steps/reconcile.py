"""Bring the channels of a fleet file to the nodes that are to have them.

Compares as `audit` does, and distributes each channel's tag to those of its nodes that report another one or none;
nodes that have it are left alone, and so is what no channel names. With `evict-gone: true` it also removes from nodes
the templates that the registry no longer has.

A node has one tag of a template, so the tag that it had goes. Where the registry no longer has that tag, or the whole
template, it would be lost and needs the plan's digest. A channel that cannot be kept (no such template, tag or group,
or two that want different tags on a node) is refused before anything is done.

Fails (code 7) when a node does not report its tag in the end, naming it and why, after all channels had their turn.
Nodes that do not report what they hold (before 1.20) are sent nothing and listed as unverified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.rules import reconciling, survey
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"fleet": "shared/examples/fleet.yml"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    fleet: str = arg("Path of the fleet file with the channels.")
    channels: tuple[str, ...] | None = arg("Only these channels of it, one per line.", default=None)
    nodes: tuple[str, ...] | None = arg("Only these nodes, by name or id, one per line.", default=None)
    group: str | None = arg("Only the nodes of this node group, by name or id.", default=None)
    evict_gone: bool = arg("Also remove from nodes the templates that the registry no longer has.", default=False)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    channels: tuple[dict[str, Any], ...] = arg(
        "The channels that were sent: channel, wanted, nodes that succeeded, failed, or were still at it."
    )
    evicted: tuple[str, ...] = arg("What was removed from nodes, as `TEMPLATE on NODE`.")
    reasons: tuple[dict[str, Any], ...] = arg("Why nodes failed: channel, node, state, reason.")
    unverified: tuple[str, ...] = arg("Names of the nodes that do not report what they hold, and were sent nothing.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    channels = survey.chosen(inputs.fleet, inputs.channels, anka.context.name)
    found = survey.take(anka, channels, group=inputs.group, names=inputs.nodes, what="reconcile")
    reconciling.check(found)
    sent, notes = reconciling.sending(anka, found)
    evicted = reconciling.evictions(found) if inputs.evict_gone else []
    unable = reconciling.unable(found)
    expects: dict[str, Any] = {
        "channels": [reconciling.expected(action) for action in sent],
        "evicted": [each for action in evicted for each in reconciling.titles(action.with_)],
        "reasons": unable,
        "unverified": found.unverified,
    }
    actions = (*sent, *evicted, *reconciling.nothing(unable, sent))
    lost = tuple(reconciling.losses(found, (*sent, *evicted)))
    moved = None if sent else 0
    notes += reconciling.untold(unable)
    return Plan(step="reconcile", actions=actions, loses=lost, bytes=moved, expects=expects, notes=tuple(notes))


def run(plan: Plan, anka: Anka) -> Outputs:
    known = reconciling.run(anka, [action for action in plan.actions if action.with_], dict(plan.expects))
    reconciling.judge(known)
    return build(Outputs, known)
