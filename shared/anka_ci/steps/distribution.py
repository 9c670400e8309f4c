"""Look at distributions, wait for one, or cancel one, by request id.

So one job starts a distribution (`distribute` with `wait: false`) and another waits for it: `action: wait` fails (code
7) when any node's part did not succeed, or a node that is done does not report the tag itself within a minute, as
`distribute` does. `status` and `list` only look. `cancel` ends what has not finished; nodes that are done keep the tag.
An interrupted wait leaves the request alone unless `on-interrupt: cancel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import distribution, following
from anka_ci.steps import Runs
from anka_ci.wire.values import emit_time

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.distribution import Distribution

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"action": "list"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    request_id: str | None = arg("Request id, an output of `distribute`; not for `list`.", default=None)
    action: str = arg("What to do.", default="status", choices=("status", "wait", "cancel", "list"))
    on_interrupt: str = arg(
        "What becomes of the request when the wait is interrupted or times out.",
        default="leave",
        choices=("cancel", "leave"),
    )

    def __post_init__(self) -> None:
        if self.action == "list" and self.request_id is not None:
            raise ValueError("action: list is about all distributions; leave request-id out")
        if self.action != "list" and self.request_id is None:
            raise ValueError(f"action: {self.action} needs a request-id; action: list tells them")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    request_id: str | None = arg("The request's id.", default=None)
    id: str | None = arg("The template's id.", default=None)
    tag: str | None = arg("The tag; empty when the controller does not tell.", default=None)
    version: int | None = arg("The number of its version, where the controller tells.", default=None)
    ended: bool | None = arg("Whether every node's part has ended.", default=None)
    succeeded: tuple[str, ...] | None = arg("Names of the nodes whose part is done.", default=None)
    failed: tuple[str, ...] | None = arg("Names of the nodes whose part failed or was cancelled.", default=None)
    pending: tuple[str, ...] | None = arg("Names of the nodes that are still at it.", default=None)
    unverified: tuple[str, ...] | None = arg(
        "With `wait`, names of the nodes that are done and report no templates; absent when there are none.",
        default=None,
    )
    reasons: tuple[dict[str, Any], ...] | None = arg("Why nodes failed: node, state, reason.", default=None)
    distributions: tuple[dict[str, Any], ...] | None = arg(
        "With `list`, every request, newest first: request-id, template, tag, nodes, done, failed, time.", default=None
    )


def plan(inputs: Inputs, anka: Anka) -> Plan:
    if inputs.action == "list":
        rows = [_row(request) for request in anka.controller.distributions()]
        action = Action(verb="list", text="list the distributions", writes=False)
        return Plan(step="distribution", actions=(action,), expects={"distributions": rows})
    request = anka.controller.distribution(str(inputs.request_id))
    known = _known(request, anka)
    if inputs.action == "cancel" and request.ended:
        return Plan(step="distribution", expects=known, notes=("it has ended already: there is nothing to cancel",))
    verbs = {"status": "look at", "wait": "wait for", "cancel": "cancel"}
    action = Action(
        verb=inputs.action,
        text=f"{verbs[inputs.action]} the distribution {request.id}",
        with_={"request-id": request.id, "on-interrupt": inputs.on_interrupt},
        writes=inputs.action == "cancel",
    )
    moving = inputs.action == "wait" and not request.ended
    if moving or inputs.action == "cancel":  # how the nodes end is not known yet
        known = {key: known[key] for key in known if key in ("request-id", "id", "tag", "version")}
    return Plan(step="distribution", actions=(action,), bytes=None if moving else 0, expects=known)


def run(plan: Plan, anka: Anka) -> Outputs:
    action = next(iter(plan.actions), None)
    if action is None or action.verb in ("list", "status"):
        return build(Outputs, plan.expects)
    request_id = str(action.with_["request-id"])
    if action.verb == "cancel":
        anka.controller.cancel_distribution(request_id)
        return build(Outputs, _known(anka.controller.distribution(request_id), anka))
    names = {node.id: node.name for node in anka.controller.nodes()}
    start = {key: plan.expects[key] for key in ("request-id", "id", "tag", "version") if key in plan.expects}
    known = following.follow(start, request_id, anka, names, on_interrupt=str(action.with_["on-interrupt"]))
    known["ended"] = True
    distribution.judge(known, f"distribution {request_id}")
    return build(Outputs, known)


def _known(request: Distribution, anka: Anka) -> dict[str, object]:
    names = {node.id: node.name for node in anka.controller.nodes()}
    known: dict[str, object] = {"request-id": request.id, "id": request.template_id, "tag": request.tag}
    known |= (
        {"ended": request.ended} if request.version is None else {"version": request.version, "ended": request.ended}
    )
    return distribution.outcome(known, request, names)


def _row(request: Distribution) -> dict[str, object]:
    states = [share.state for share in request.nodes.values()]
    return {
        "request-id": request.id,
        "template": request.template_id,
        "tag": request.tag,
        "nodes": len(states),
        "done": states.count("done"),
        "failed": states.count("failed") + states.count("cancelled"),
        "time": "" if request.requested is None else emit_time(request.requested),
    }
