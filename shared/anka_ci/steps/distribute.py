"""Distribute a template tag to build nodes.

Goes to exactly one of all nodes (`all: true`), the nodes of a `group`, or the `nodes` that are named. Nodes that
already report the tag are left alone unless `again: true`; use that after a tag was replaced, because a node reports a
tag's name and not its content. Nodes of a known foreign architecture are skipped. A node that is offline or inactive is
sent nothing and counts as failed.

Waits until every node's part has ended, and fails (code 7) when any did not succeed, naming it and why; the outputs
are there all the same. When it is interrupted, or its `timeout` is over, the request is cancelled at the controller
unless `on-interrupt: leave`. With `wait: false` it only starts; `distribution` waits for it, in another job if need be.

A job that is run again follows the distribution that its first run has left: one of the same version to the same nodes
that is still going and began less than six hours ago. Where the controller does not tell enough to be sure, or there
are several, the step says so and starts another, which moves nothing twice. What is followed counts as the job's own:
an interruption cancels it, unless `on-interrupt: leave`. `again: true` never follows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import RefusedError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Plan
from anka_ci.result import NodeChanged, Progress, Said
from anka_ci.rules import distribution, following, selection
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "tag": "v1", "group": "ios"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id.")
    tag: str | None = arg("Tag to distribute; the latest when left out.", default=None)
    version: int | None = arg("Version number to distribute, from 0; must agree with tag.", default=None)
    all_: bool = arg("Distribute to every node.", default=False)
    group: str | None = arg("Distribute to the nodes of this node group, by name or id.", default=None)
    nodes: tuple[str, ...] | None = arg("Distribute to these nodes, by name or id, one per line.", default=None)
    wait: bool = arg("Wait until every node's part has ended.", default=True)
    on_interrupt: str = arg(
        "What becomes of the request when the wait is interrupted or times out.",
        default="cancel",
        choices=("cancel", "leave"),
    )
    again: bool = arg("Also send to nodes that already report the tag.", default=False)
    permission_group: str | None = arg(
        "Permission group of the request; needed where resource management is on.", default=None
    )

    def __post_init__(self) -> None:
        selection.only_one(all_=self.all_, group=self.group, nodes=self.nodes)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    tag: str = arg("The tag that was distributed.")
    version: int = arg("The number of its version.")
    succeeded: tuple[str, ...] = arg("Names of the nodes whose part was done.")
    failed: tuple[str, ...] = arg("Names of the nodes whose part failed, and of those that could take nothing.")
    skipped: tuple[str, ...] = arg("Names of the nodes of a foreign architecture.")
    already: tuple[str, ...] = arg("Names of the nodes that reported the tag before.")
    pending: tuple[str, ...] = arg("Names of the nodes that were still at it: with `wait: false`, or when cut short.")
    reasons: tuple[dict[str, Any], ...] = arg("Why nodes failed or were skipped: node, state, reason.")
    request_id: str | None = arg("The distribution's request id; absent when nothing had to be sent.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.stack("distribute").template(inputs.template)
    version = template.pick(inputs.tag, inputs.version)
    nodes = selection.choose(anka, group=inputs.group, names=inputs.nodes)
    fitness = selection.fit(nodes, template, version.tag, again=inputs.again)
    title = f"{template.name}:{version.tag}"
    if len(fitness.skipped) == len(nodes):
        listed = distribution.some(fitness.skipped, most=20)
        raise RefusedError(f"no node that was chosen can take {title}: {listed}", hint="choose other nodes")
    goes_on, notes = None, list[str]()
    if fitness.targets and not inputs.again:
        goes_on, notes = distribution.running(
            anka,
            template_id=template.id,
            tag=version.tag,
            version=version.number,
            wanted=[node.id for node in fitness.targets],
            chosen=[node.id for node in nodes],
        )
    # A node of the request that goes on is that request's to tell of, also when it is done or out of reach by now.
    theirs = {node.id: node.name for node in nodes if goes_on is not None and node.id in goes_on.nodes}
    targets = theirs or {node.id: node.name for node in fitness.targets}
    names = list(targets.values())
    unable = {name: reason for name, reason in fitness.unable.items() if name not in theirs.values()}
    already = [node.name for node in fitness.already if node.id not in theirs]
    expects: dict[str, object] = {
        "id": template.id,
        "name": template.name,
        "tag": version.tag,
        "version": version.number,
        "succeeded": names if inputs.wait else [],
        "failed": list(unable),
        "skipped": list(fitness.skipped),
        "already": already,
        "pending": [] if inputs.wait else names,
        "reasons": distribution.reasons("skipped", fitness.skipped) + distribution.reasons("failed", unable),
    }
    said = {name: f"is skipped: {reason}" for name, reason in fitness.skipped.items()}
    said |= {name: f"will get nothing, so the step will fall short: {reason}" for name, reason in unable.items()}
    notes += selection.notes(said) + selection.notes(dict.fromkeys(already, f"already reports {title}"))
    with_: dict[str, object] = {
        "nodes": targets,
        "permission-group": inputs.permission_group,
        "wait": inputs.wait,
        "on-interrupt": inputs.on_interrupt,
    }
    actions: list[Action] = []
    if goes_on is not None:
        with_["request-id"] = expects["request-id"] = goes_on.id
        text = f"follow the distribution {goes_on.id}, which brings {title} to {selection.listed(names)} already"
        actions.append(Action(verb="follow", text=text, with_=with_, writes=False))
    elif names:
        text = f"distribute {title} to {selection.listed(names)}"
        actions.append(Action(verb="distribute", text=text, with_=with_))
    elif unable:
        actions.append(Action(verb="distribute", text=f"send {title} to no node, as none can take it", writes=False))
    moved = None if names else 0  # what each node has of it already is its own secret
    return Plan(step="distribute", actions=tuple(actions), bytes=moved, expects=expects, notes=tuple(notes))


def run(plan: Plan, anka: Anka) -> Outputs:
    known: dict[str, Any] = dict(plan.expects)
    if known["already"] or known["skipped"]:
        chosen = {name for state in ("already", "skipped", "failed", "pending", "succeeded") for name in known[state]}
        anka.tell(Progress(subject=known["tag"], done=0, total=len(chosen), unit="nodes"))
    for state in ("already", "skipped"):
        for name in known[state]:
            anka.tell(NodeChanged(node=name, state=state))
    if not plan.actions:
        return build(Outputs, known)
    with_: Mapping[str, Any] = plan.actions[0].with_
    if names := with_.get("nodes"):
        known |= {"succeeded": [], "pending": list(names.values())}
        request_id = with_.get("request-id") or distribution.begin(
            anka,
            template_id=str(known["id"]),
            tag=str(known["tag"]),
            version=int(str(known["version"])),
            node_ids=list(names),
            permission_group=with_["permission-group"],
        )
        if "request-id" in with_:
            text = f"following the distribution {request_id}, which goes on since an earlier run"
            anka.tell(Said(text=text, level="notice"))
        known["request-id"] = request_id
        if with_["wait"]:
            ends = with_["on-interrupt"]
            known = following.follow(known, request_id, anka, names, expected=list(names), on_interrupt=ends)
    distribution.judge(known, f"{known['name']}:{known['tag']}")
    return build(Outputs, known)
