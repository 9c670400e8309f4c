"""Remove a template from build nodes; the registry keeps it.

Goes to exactly one of all nodes (`all: true`), the nodes of a `group`, or the `nodes` that are named. What they hold of
it is lost there, so it needs the plan's digest as confirmation. Waits until the nodes no longer report the template. A
node whose controller does not report templates (before 1.20) is asked and listed as unverified.

The plan tells which instances of it run on those nodes, and which channels of a `fleet` file name it; both are part of
the digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Loss, Plan
from anka_ci.rules import blast, distribution, evicting, selection
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "nodes": "node-1"}
EXAMPLE_AFTER = (("distribute", {"template": "sonoma", "nodes": "node-1"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id.")
    all_: bool = arg("Remove it from every node.", default=False)
    group: str | None = arg("Remove it from the nodes of this node group, by name or id.", default=None)
    nodes: tuple[str, ...] | None = arg("Remove it from these nodes, by name or id, one per line.", default=None)

    fleet: str | None = blast.fleet_input()

    def __post_init__(self) -> None:
        selection.only_one(all_=self.all_, group=self.group, nodes=self.nodes)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    succeeded: tuple[str, ...] = arg("Names of the nodes that no longer report it.")
    failed: tuple[str, ...] = arg("Names of the nodes that still report it, or that are out of reach.")
    absent: tuple[str, ...] = arg("Names of the nodes that did not hold it.")
    unverified: tuple[str, ...] = arg("Names of the nodes that were asked and do not report what they hold.")
    pending: tuple[str, ...] = arg("Names of the nodes that still held it when the wait was cut short.")
    reasons: tuple[dict[str, Any], ...] = arg("Why nodes failed: node, state, reason.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    fleet = anka.controller.nodes()
    nodes = selection.choose(anka, group=inputs.group, names=inputs.nodes, among=fleet)
    template_id, name = selection.held(anka, fleet, inputs.template)
    tags = {node.id: tag for node in nodes if (tag := node.tag_of(template_id)) is not None}
    silent = {node.id for node in nodes if node.templates is None}
    holders = [node for node in nodes if node.id in tags] + [node for node in nodes if node.id in silent]
    unable = {node.name: why for node in holders if (why := selection.out_of_reach(node))}
    targets = [node for node in holders if node.name not in unable]
    expects = {
        "id": template_id,
        "succeeded": [node.name for node in targets if node.id in tags],
        "failed": list(unable),
        "absent": [node.name for node in nodes if node.id not in tags and node.id not in silent],
        "unverified": [node.name for node in targets if node.id in silent],
        "pending": [],
        "reasons": distribution.reasons("failed", unable),
    }
    loses = [Loss(text=f"{name}:{tags[node.id]} on {node.name}") for node in targets if node.id in tags]
    loses += [
        Loss(text=f"whatever {node.name} holds of {name}, which it does not report")
        for node in targets
        if node.id in silent
    ]
    where = selection.listed([node.name for node in targets])
    text = (
        f"remove {name} from {where}" if where else f"remove {name} from no node: those that hold it are out of reach"
    )
    ids = {node.id: node.name for node in targets}
    radius = blast.of_nodes(anka, template_id, name, ids, channels=inputs.fleet)
    with_ = {"name": name, "nodes": ids, "used": list(radius.uses)}
    actions = [Action(verb="evict", text=text, with_=with_, writes=bool(targets))] if targets or unable else []
    short = "keeps it, so the step will fall short"
    notes = tuple(selection.notes({node: f"{short}: {why}" for node, why in unable.items()}))
    notes += radius.notes if targets else ()
    return Plan(step="evict", actions=tuple(actions), loses=tuple(loses), expects=expects, notes=notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    known = dict(plan.expects)
    if not plan.actions:
        return build(Outputs, known)
    with_: Mapping[str, Any] = plan.actions[0].with_
    names: dict[str, str] = with_["nodes"]
    if names:
        anka.controller.evict(str(known["id"]), list(names))
        known = evicting.wait(known, anka, names)
    distribution.judge(known, f"removing {with_['name']}")
    return build(Outputs, known)
