"""Distribute a template tag to build nodes.

Goes to exactly one of all nodes (`all: true`), the nodes of a `group`, or the `nodes` that are named. Nodes that
already report the tag are left alone unless `again: true`; use that after a tag was replaced, because a node reports a
tag's name and not its content.

Waits until every node's part has ended, and until the nodes that are done report the tag themselves, for a minute at
most: one that does not has failed. What a node that reports no templates holds cannot be told: it counts as done, and
is named in `unverified`.

When that is good enough is a policy. Left out, all nodes have to have the tag, and the step fails (code 7) when any has
not, naming it and why. `at-least` is content with fewer, as a number or a percentage of the nodes that count, and
`must-have` names those that have to have it in any case. What nodes mean that are `offline`, `inactive`, `draining` or
of the wrong architecture (`wrong-arch`) can be said for each: `exclude` sends them nothing and does not count them,
`tolerate` counts them and lets them go without, `fail` fails the step when one of them goes without. Left out, the
wrong architecture is excluded; the others fail the step, or are tolerated where `at-least` is content with fewer.
Draining nodes take distributions, offline and inactive ones are sent nothing.

The plan tells, by what nodes report and the registry's sizes, the bytes that nodes have to move (a range where sizes
leave it open), which of them have to evict other templates for that or have no room for it at all, and with `bandwidth`
how long it takes. Where a policy is given that surely cannot be met, nothing is sent; `preflight` says otherwise, or
asks for the same without a policy, and `off` reads nothing for it. A node may hold more than it reports, and a
distribution takes the place of the tag that the node has.

With `retries` the nodes that failed, and only they, are sent the tag again while the policy is not met; `timeout` is
for all of it. When the wait is interrupted, the `timeout` is over, or nothing moves anywhere for as long as `stall`,
the request is cancelled at the controller unless `on-interrupt: leave`; where enough nodes have the tag by then, that
is no failure. The outputs are there all the same. With `wait: false` it only starts; `distribution` waits for it, in
another job if need be.

A job that is run again follows the distribution that its first run has left: one of the same version to the same nodes
that is still going and began less than six hours ago. Where the controller does not tell enough to be sure, or there
are several, the step says so and starts another, which moves nothing twice. What is followed counts as the job's own:
an interruption cancels it, unless `on-interrupt: leave`. `again: true` never follows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.inputs import Duration, Size, arg, build, python_name
from anka_ci.plan import Action, Plan
from anka_ci.result import NodeChanged, Progress, Said
from anka_ci.rules import following, policy, preflight, prospect, selection
from anka_ci.rules.delivery import MOST, Delivery
from anka_ci.rules.policy import WAYS, Quota
from anka_ci.rules.prospect import Parcel, Prospect
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
    at_least: str | None = arg(
        "How many nodes have to have the tag: `all`, a number, or a percentage such as `80%`; all when left out.",
        default=None,
    )
    must_have: tuple[str, ...] | None = arg(
        "Nodes that have to have it whatever `at-least` says, by name or id, one per line.", default=None
    )
    offline: str | None = arg("What nodes that are offline mean.", default=None, choices=WAYS)
    inactive: str | None = arg("What nodes without a valid licence mean.", default=None, choices=WAYS)
    draining: str | None = arg("What nodes in drain mode mean.", default=None, choices=WAYS)
    wrong_arch: str | None = arg(
        "What nodes of another architecture mean; `exclude` when left out.", default=None, choices=WAYS
    )
    retries: int = arg("How often nodes that failed are sent it again, at most, within `timeout`.", default=0)
    preflight: str | None = arg(
        "What becomes of a plan that surely falls short; `refuse` when left out and a policy is given, else `warn`.",
        default=None,
        choices=("refuse", "warn", "off"),
    )
    bandwidth: Size | None = arg("Bytes per second of each node, to tell how long it takes.", default=None)
    made_with: str | None = arg("Release of Anka the template was made with; older nodes are told.", default=None)
    stall: Duration = arg("For how long nothing may move on any node.", default=Duration(following.STALL))
    permission_group: str | None = arg(
        "Permission group of the request; needed where resource management is on.", default=None
    )

    def __post_init__(self) -> None:
        selection.only_one(all_=self.all_, group=self.group, nodes=self.nodes)
        Quota.read(self.at_least or "all")
        if not 0 <= self.retries <= MOST:
            raise ValueError(f"retries: {self.retries} is not from 0 to {MOST}")
        if self.stall < following.LINGER:
            raise ValueError(f"stall: give {following.LINGER:g}s or more; nodes do not tell of every moment")
        if self.bandwidth is not None and self.bandwidth <= 0:
            raise ValueError("bandwidth: 0 moves nothing; give bytes per second, such as 100MiB")
        for given in ("at_least", "must_have", "retries"):
            if not self.wait and getattr(self, given):
                raise ValueError(f"{given.replace('_', '-')} is judged at the end, so it cannot go with wait: false")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    tag: str = arg("The tag that was distributed.")
    version: int = arg("The number of its version.")
    succeeded: tuple[str, ...] = arg("Names of the nodes whose part was done.")
    failed: tuple[str, ...] = arg("Names of the nodes whose part failed, and of those that could take nothing.")
    skipped: tuple[str, ...] = arg("Names of the nodes that were excluded; they do not count.")
    already: tuple[str, ...] = arg("Names of the nodes that reported the tag before.")
    pending: tuple[str, ...] = arg("Names of the nodes that were still at it: with `wait: false`, or when cut short.")
    reasons: tuple[dict[str, Any], ...] = arg("Why nodes failed or were skipped: node, state, reason.")
    request_id: str | None = arg(
        "The distribution's request id, with `retries` the last one's; absent when nothing had to be sent.",
        default=None,
    )
    moves_least: int | None = arg("Bytes that nodes have to move in all, by the plan: at least.", default=None)
    moves_most: int | None = arg("The same at most; absent where the registry tells no sizes.", default=None)
    needed: int | None = arg("How many nodes had to have the tag, where a policy was given.", default=None)
    unverified: tuple[str, ...] | None = arg(
        "Names of the nodes that are done and cannot be asked what they hold; absent when there are none.", default=None
    )


def plan(inputs: Inputs, anka: Anka) -> Plan:
    template = anka.registry.stack("distribute").template(inputs.template)
    version = template.pick(inputs.tag, inputs.version)
    everyone = anka.controller.nodes()
    nodes = selection.choose(anka, group=inputs.group, names=inputs.nodes, among=everyone)
    ways = {kind: getattr(inputs, python_name(kind)) for kind in policy.KINDS}
    rule = prospect.rule_of(inputs.at_least, inputs.must_have, ways, anka, chosen=nodes, among=everyone)
    parcel = Parcel(
        id=template.id,
        name=template.name,
        arch=template.arch,
        tag=version.tag,
        version=version.number,
        again=inputs.again,
        permission_group=inputs.permission_group,
        on_interrupt=inputs.on_interrupt,
        stall=float(inputs.stall),
    )
    of = (
        "" if inputs.all_ else next((each.id for each in nodes[0].groups if inputs.group in (each.id, each.name)), None)
    )
    found = prospect.foresee(parcel, rule, nodes, of=of)
    found, notes = found.attached(anka)
    goes_on = found.request_id
    sends = (
        [] if inputs.preflight == "off" or goes_on is not None else [each for each in nodes if each.id in found.sends]
    )
    named = {node.id for node in sends if inputs.again}
    ahead = preflight.look(
        anka, template, version, sends, named=named, bandwidth=inputs.bandwidth, made_with=inputs.made_with
    )
    refuse = inputs.preflight == "refuse" or (inputs.preflight is None and rule.demanding)
    found.check(later=inputs.retries > 0, refuse=refuse, unfit=ahead.unfit())
    title, names = parcel.title, selection.listed(found.names)
    with_: dict[str, object] = {"prospect": found.emit(), "wait": inputs.wait, "retries": inputs.retries}
    actions: list[Action] = []
    if goes_on is not None:
        text = f"follow the distribution {goes_on}, which brings {title} to {names} already"
        actions.append(Action(verb="follow", text=text, with_=with_, writes=False))
    elif found.sends:
        actions.append(Action(verb="distribute", text=f"distribute {title} to {names}", with_=with_))
    elif found.short:
        text = f"send {title} to no node, as none can take it"
        actions.append(Action(verb="distribute", text=text, with_=with_, writes=False))
    said, single = ahead.notes()
    return Plan(
        step="distribute",
        actions=tuple(actions),
        bytes=ahead.exact if sends or not found.sends else None,
        expects=found.expects(wait=inputs.wait) | ahead.expects(),
        notes=(*notes, *said, *found.notes(single)),
    )


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
    delivery = Delivery(Prospect.read(with_["prospect"]), anka)
    if delivery.request_id:
        text = f"following the distribution {delivery.request_id}, which goes on since an earlier run"
        anka.tell(Said(text=text, level="notice"))
    if with_["wait"]:
        delivery.bring(retries=with_["retries"])
    else:
        delivery.begin()
    moved = {key: known[key] for key in ("moves-least", "moves-most") if key in known}
    return build(Outputs, delivery.known() | moved)
