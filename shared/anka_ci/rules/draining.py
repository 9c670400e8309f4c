"""Drain mode: which nodes have to be told, and the wait until they are in it, out of it, or empty.

A node in drain mode starts no instance; those that run go on, and distributions are taken (since 1.37). Nothing here
ends an instance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, FellShortError
from anka_ci.plan import Action, Plan
from anka_ci.result import NodeChanged, Progress
from anka_ci.rules import selection, watch
from anka_ci.wire.node import ACTIVE, DRAINING, UNHEALTHY, Node

if TYPE_CHECKING:
    from anka_ci.anka import Anka

LIMIT = 60.0
"""Seconds in which the controller has to show a change of mode; Anka documents none."""
QUIET = 3600.0
"""Seconds without any instance ending after which a wait for empty nodes gives up; the step's timeout may be sooner."""


def plan(step: str, nodes: Sequence[Node], *, draining: bool, wait: bool = False) -> Plan:
    """The plan for nodes that are to be in drain mode, or not to be. ``wait``: until no VM runs on them."""
    already = [node for node in nodes if _shows(node, draining)]
    targets = [node for node in nodes if node not in already]
    busy = {node.name: node.running or 0 for node in nodes if node.running}
    mode = "put" if draining else "take"
    actions = []
    if targets:
        where = selection.listed([node.name for node in targets])
        text = f"put {where} into drain mode" if draining else f"take {where} out of drain mode"
        with_: dict[str, object] = {"nodes": {node.id: node.name for node in targets}}
        actions.append(Action(verb=mode, text=text, with_=with_))
    if wait and (targets or busy):
        text = f"wait until no VM runs on {selection.listed([node.name for node in nodes])}"
        with_ = {"nodes": {node.id: node.name for node in nodes}}
        actions.append(Action(verb="wait", text=text, with_=with_, writes=False))
    so = f"is {'already' if draining else 'not'} in drain mode"
    notes = selection.notes(dict.fromkeys((node.name for node in already), so))
    running = {
        name: f"runs {count} {'VM' if count == 1 else 'VMs'}, which {'is' if count == 1 else 'are'} left alone"
        for name, count in busy.items()
    }
    notes += selection.notes(running) if draining else []
    expects: dict[str, object] = {
        "changed": [node.name for node in targets],
        "already": [node.name for node in already],
        "unverified": [node.name for node in targets if _hides(node)],
    }
    if draining:
        expects["busy"] = [] if wait else list(busy)
    return Plan(step=step, actions=tuple(actions), expects=expects, notes=tuple(notes))


def run(plan: Plan, anka: Anka, *, draining: bool) -> dict[str, Any]:
    """Do what the plan says; the outputs. ``FellShortError`` with outputs for nodes that do not come to it."""
    known: dict[str, Any] = dict(plan.expects) | {"changed": [], "unverified": []}
    try:
        for action in plan.actions:
            names: Mapping[str, str] = action.with_["nodes"]  # type: ignore[assignment]
            if action.verb == "wait":
                _until_empty(known, anka, names)
                continue
            anka.tell(Progress(subject=plan.step, done=0, total=len(names), unit="nodes"))
            for done, (node_id, name) in enumerate(names.items(), 1):
                anka.controller.configure_node(node_id, drain_mode=draining)
                known["changed"].append(name)
                anka.tell(NodeChanged(node=name, state="done", reason=f"{'into' if draining else 'out of'} drain mode"))
                anka.tell(Progress(subject=plan.step, done=done, total=len(names), unit="nodes"))
            known["unverified"] = _verified(anka, names, draining)
        if draining and not any(action.verb == "wait" for action in plan.actions):
            chosen = {*known["changed"], *known["already"]}
            known["busy"] = [node.name for node in anka.controller.nodes() if node.name in chosen and node.running]
    except AnkaCiError as error:
        error.outputs = known
        raise
    return known


def _shows(node: Node, draining: bool) -> bool:
    """Whether a node says that it is as wanted; one whose state hides its mode does not say."""
    return not _hides(node) and (node.state == DRAINING) == draining


def _hides(node: Node) -> bool:
    """Whether a node's state says nothing of its drain mode: it is offline, say. Anka shows one state only."""
    return node.state not in (ACTIVE, UNHEALTHY, DRAINING)


def _verified(anka: Anka, names: Mapping[str, str], draining: bool) -> list[str]:
    """Wait until the nodes show the mode; those whose state hides it."""
    left: list[Node] = []

    def look() -> watch.Seen[list[str]]:
        nodes = [node for node in anka.controller.nodes() if node.id in names]
        left[:] = [node for node in nodes if not _hides(node) and not _shows(node, draining)]
        hidden = [node.name for node in nodes if _hides(node)]
        gone = [name for node_id, name in names.items() if node_id not in {node.id for node in nodes}]
        failed = f"the controller no longer lists {selection.listed(gone)}" if gone else ""
        return watch.Seen(value=hidden, ended=not left, mark=[node.name for node in left], failed=failed)

    wanted = "to show drain mode" if draining else "to show that they left drain mode"
    what = f"waiting for {selection.listed(list(names.values()))} {wanted}"
    try:
        return watch.poll(look, anka, what=what, stall=LIMIT)
    except FellShortError as error:
        error.facts["nodes"] = {node.name: f"it is still {node.state}" for node in left}
        raise


def _until_empty(known: dict[str, Any], anka: Anka, names: Mapping[str, str]) -> None:
    """Wait until no VM runs on the nodes; who still runs some is in the outputs."""

    def look() -> watch.Seen[None]:
        busy = {node.name: node.running or 0 for node in anka.controller.nodes() if node.id in names and node.running}
        known["busy"] = list(busy)
        return watch.Seen(value=None, ended=not busy, mark=busy)

    try:
        watch.poll(
            look, anka, what=f"waiting until no VM runs on {selection.listed(list(names.values()))}", stall=QUIET
        )
    except AnkaCiError as error:
        error.facts["nodes"] = dict.fromkeys(known["busy"], "still runs a VM")
        raise
