"""Bringing a fleet to its channels: what has to be sent to which nodes and what is lost by it, and doing that.

One channel after the other; what one node does not take keeps no other node from its turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, FellShortError, RefusedError
from anka_ci.plan import Action, Loss
from anka_ci.rules import distribution, evicting, following, selection, truth
from anka_ci.rules.drift import Aim, Drift, Held
from anka_ci.rules.survey import Survey

if TYPE_CHECKING:
    from anka_ci.anka import Anka

Row = dict[str, Any]


def check(survey: Survey) -> None:
    """``RefusedError`` for channels that cannot be kept, whatever is done; all of them at once."""
    wrong = [each for each in survey.drift if each.kind in ("channel", "conflict")]
    if wrong:
        told = [f"{each.aim.channel.name} ({each.aim.channel.place}): {each.why}" for each in wrong]
        raise RefusedError(
            f"{len(wrong)} channels cannot be kept: {selection.listed(told)}",
            hint="put the fleet file right, or choose channels or nodes; nothing was done",
        )


def differing(survey: Survey, aim: Aim, kind: str = "differs") -> list[Drift]:
    """The nodes of a channel that do not have its tag, and can get it (or another ``kind`` of drift)."""
    return [each for each in survey.drift if each.aim is aim and each.kind == kind and each.node is not None]


def unable(survey: Survey) -> list[Row]:
    """Rows of reasons for the nodes that cannot get what they are to have."""
    return [
        {"channel": aim.channel.name, "node": each.node.name, "state": "failed", "reason": each.why}
        for aim in survey.aims
        for each in differing(survey, aim, "unable")
        if each.node is not None
    ]


def untold(unable: Sequence[Row]) -> list[str]:
    """Notes on the nodes that will get nothing."""
    return [
        f"{row['node']} will not get {row['channel']}, so the step will fall short: {row['reason']}" for row in unable
    ]


def nothing(unable: Sequence[Row], sent: Sequence[Action]) -> list[Action]:
    """What stands in a plan for a step that can only fall short."""
    text = "send nothing to nodes that are out of reach"
    return [Action(verb="distribute", text=text, writes=False)] if unable and not sent else []


def expected(action: Action) -> Row:
    """The row that a channel's action is to come to."""
    return row(action.with_, succeeded=list(nodes(action).values()), failed=[], pending=[])


def sending(anka: Anka, survey: Survey) -> tuple[list[Action], list[str]]:
    """An action for each channel that has to be sent somewhere, and notes for people.

    One that an earlier run has left under way is followed.
    """
    actions, notes = [], []
    ids = {node.id for node in survey.nodes}
    for aim in survey.aims:
        names = {each.node.id: each.node.name for each in differing(survey, aim) if each.node is not None}
        if not names or aim.template is None:
            continue
        version = aim.template.pick(aim.channel.tag)
        with_: Row = {
            "channel": aim.channel.name,
            "id": aim.template.id,
            "name": aim.template.name,
            "tag": version.tag,
            "version": version.number,
            "nodes": names,
        }
        under_way, told = distribution.running(
            anka,
            template_id=aim.template.id,
            tag=version.tag,
            version=version.number,
            wanted=list(names),
            chosen=[node.id for node in aim.nodes if node.id in ids],
        )
        notes += told
        where = f"{aim.title} to {selection.listed(list(names.values()))} for {aim.channel.name}"
        if under_way is not None:
            with_["request-id"] = under_way.id
            text = f"follow the distribution {under_way.id}, which brings {where} already"
            actions.append(Action(verb="follow", text=text, with_=with_, writes=False))
        else:
            actions.append(Action(verb="distribute", text=f"distribute {where}", with_=with_))
    return actions, notes


def evictions(survey: Survey) -> list[Action]:
    """An action for each template on nodes that the registry no longer has; nodes out of reach are left."""
    found: dict[str, list[Held]] = {}
    for held in survey.held:
        if held.registry == "template gone" and not selection.out_of_reach(held.node):
            found.setdefault(held.id, []).append(held)
    actions = []
    for id, holders in found.items():
        names = {each.node.id: each.node.name for each in holders}
        text = f"remove {holders[0].name} from {selection.listed(list(names.values()))}"
        actions.append(Action(verb="evict", text=text, with_={"id": id, "name": holders[0].name, "nodes": names}))
    return actions


def losses(survey: Survey, actions: Sequence[Action]) -> Iterator[Loss]:
    """What nodes hold, no registry has any more, and an action takes away."""
    touched = {(node, str(action.with_["id"]).lower()) for action in actions for node in nodes(action)}
    for held in survey.held:
        if held.gone and (held.node.id, held.id.lower()) in touched:
            yield Loss(text=f"{held.name}:{held.tag} on {held.node.name}, which the registry no longer has")


def nodes(action: Action) -> Mapping[str, str]:
    """The names of an action's nodes, by id."""
    with_: Mapping[str, Any] = action.with_
    found: Mapping[str, str] = with_["nodes"]
    return found


def row(with_: Mapping[str, Any], **more: object) -> Row:
    """A channel's row in the outputs, from its action."""
    return {"channel": with_["channel"], "wanted": f"{with_['name']}:{with_['tag']}", **more}


def run(anka: Anka, actions: Sequence[Action], known: Row) -> Row:
    """Do it; ``known`` are the outputs so far, with what could get nothing. An error has as outputs how far it got."""
    known = known | {"channels": [], "evicted": []}
    for action in actions:
        with_: Mapping[str, Any] = action.with_
        try:
            if action.verb == "evict":
                known["evicted"] += _evict(anka, with_)
            else:
                _send(anka, with_, known)
        except AnkaCiError as error:
            if action.verb != "evict":
                known["channels"].append(
                    row(with_, **_ends(error.outputs or {"pending": list(with_["nodes"].values())}))
                )
            error.outputs = known
            raise
    return known


def _send(anka: Anka, with_: Mapping[str, Any], known: Row) -> None:
    names: dict[str, str] = with_["nodes"]
    request_id = with_.get("request-id") or distribution.begin(
        anka,
        template_id=with_["id"],
        tag=with_["tag"],
        version=with_["version"],
        node_ids=list(names),
        permission_group=None,
    )
    begun: Row = {"id": with_["id"], "tag": with_["tag"]}
    told: Row = following.follow(begun, request_id, anka, names, expected=list(names), on_interrupt="cancel")
    untrue = _untrue(anka, with_, told["succeeded"])
    told["succeeded"] = [name for name in told["succeeded"] if name not in untrue]
    told["failed"] = [*told["failed"], *untrue]
    why: list[Row] = [*told["reasons"], *distribution.reasons("failed", untrue)]
    known["channels"].append(row(with_, **_ends(told)))
    known["reasons"] = [*known["reasons"], *({"channel": with_["channel"], **each} for each in why)]


def _untrue(anka: Anka, with_: Mapping[str, Any], succeeded: Sequence[str]) -> dict[str, str]:
    """The nodes whose part is done and that do not report the tag, with what they report instead."""
    ids = {id: name for id, name in with_["nodes"].items() if name in succeeded}
    found = truth.ask(anka, with_["id"], with_["tag"], list(ids))
    return {name: f"its part is done, but {found.reason(id)}" for id, name in ids.items() if found.of(id) is False}


def _evict(anka: Anka, with_: Mapping[str, Any]) -> list[str]:
    names: dict[str, str] = with_["nodes"]
    anka.controller.evict(with_["id"], list(names))
    evicting.wait({"id": with_["id"], "succeeded": list(names.values())}, anka, names)
    return titles(with_)


def titles(with_: Mapping[str, Any]) -> list[str]:
    """What an eviction removes, as ``TEMPLATE on NODE``."""
    return [f"{with_['name']} on {name}" for name in with_["nodes"].values()]


def judge(known: Row) -> None:
    """``FellShortError`` with ``known`` as outputs when a node did not get its tag."""
    if known["reasons"]:
        told = {f"{row['channel']} on {row['node']}": row["reason"] for row in known["reasons"]}
        error = FellShortError(
            f"{len(told)} nodes did not get what they are to have: {distribution.some(told, most=20)}",
            hint="look at these nodes, and reconcile again: nodes that have their tag by now are left alone",
            nodes=told,
        )
        error.outputs = known
        raise error


def _ends(told: Mapping[str, Any]) -> Row:
    return {key: list(told.get(key) or ()) for key in ("succeeded", "failed", "pending")}
