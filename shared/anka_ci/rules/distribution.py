"""Distributions: finding and starting one, and what came of each node's part. Waiting for one is ``rules.following``.

Cancels nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import (
    AnkaCiError,
    FellShortError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.inputs import show_duration
from anka_ci.result import Said
from anka_ci.wire.distribution import Distribution

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RECENT = 6 * 3600.0
"""Seconds for which a request may have been going to be taken for one that an earlier run of the same job has left."""
PAUSES = (1.0, 5.0)
"""Seconds before a request whose answer was lost, and which was not taken, is sent again."""
Known = dict[str, object]
"""A step's outputs as far as they are known: dashed keys, JSON values."""


def reasons(state: str, found: Mapping[str, str]) -> list[dict[str, str]]:
    """Rows for a table of reasons."""
    return [{"node": node, "state": state, "reason": reason} for node, reason in found.items()]


def some(reasons_: Mapping[str, str], most: int = 5) -> str:
    """The first few of many reasons, as text."""
    listed = "; ".join(f"{node}: {reason}" for node, reason in list(reasons_.items())[:most])
    return listed + (f"; and {len(reasons_) - most} more" if len(reasons_) > most else "")


def outcome(known: Known, request: Distribution, names: Mapping[str, str], expected: Sequence[str] = ()) -> Known:
    """``known`` with what came of each node of a request: succeeded, failed, pending, and the reasons.

    ``names`` maps node ids to names; a node of ``expected`` that the request does not show has failed.
    """
    shares = {names.get(node, node): share for node, share in request.nodes.items()}
    failed = {name: share.error for name, share in shares.items() if share.ended and not share.done}
    missing = [names.get(node, node) for node in expected if node not in request.nodes]
    failed |= dict.fromkeys(missing, "the controller has no entry for it")
    return (
        known
        | {
            "succeeded": [name for name, share in shares.items() if share.done],
            "pending": [name for name, share in shares.items() if not share.ended],
        }
        | fallen(known, failed)
    )


def fallen(known: Known, failed: Mapping[str, str]) -> Known:
    """The outputs that tell of failed nodes, with more of them: reasons by name."""
    return {
        "failed": [*_list(known.get("failed")), *failed],
        "reasons": [*_list(known.get("reasons")), *reasons("failed", failed)],
    }


def judge(known: Known, title: str) -> None:
    """``FellShortError`` with the nodes and reasons in its facts, and ``known`` as outputs, when any node failed."""
    rows = [row for row in _list(known["reasons"]) if row["state"] == "failed"]
    if rows:
        total = len(rows) + len(_list(known["succeeded"])) + len(_list(known["pending"]))
        listed = some({row["node"]: row["reason"] for row in rows}, most=20)
        error = FellShortError(
            f"{title} failed on {len(rows)} of {total} nodes: {listed}",
            hint="look at these nodes, and distribute again: nodes that have the tag by now are left alone",
            nodes={row["node"]: row["reason"] for row in rows},
        )
        error.outputs = known
        raise error


def running(
    anka: Anka, *, template_id: str, tag: str, version: int, wanted: Collection[str], chosen: Collection[str]
) -> tuple[Distribution | None, list[str]]:
    """The request that brings this version to just these nodes already, as one that an earlier run of a job has left.

    It is still going, began less than ``RECENT`` ago, covers every node of ``wanted`` and none outside ``chosen``. None
    when there is no such request, or no telling which: then the notes for people say why another one is started.
    """
    try:
        requests = [each for each in anka.controller.distributions() if not each.ended]
    except (RefusedError, NotFoundError, NotAuthorisedError) as error:
        return None, [f"whether a distribution of the same goes on already is not known: {error.message}"]
    wanted_ids, chosen_ids = {*wanted}, {*chosen}
    fitting = [
        each
        for each in requests
        if each.template_id.lower() == template_id.lower()
        and wanted_ids <= {*each.nodes} <= chosen_ids
        and each.tag in ("", tag)
        and each.version in (None, version)
    ]
    now = anka.clock.now()
    sure = [each for each in fitting if each.tag and each.requested is not None and now - each.requested < RECENT]
    if len(sure) == 1:
        return sure[0], []
    ids = ", ".join(each.id for each in sure or fitting)
    if sure:
        return None, [f"several distributions bring the same to these nodes already ({ids}): one more is started"]
    if any(not each.tag or each.requested is None for each in fitting):
        return None, [f"{ids} may bring the same to these nodes, but that is not told: another is started"]
    return None, [f"{ids} goes on for {show_duration(RECENT)} or longer: another is started"] if fitting else []


def begin(
    anka: Anka,
    *,
    template_id: str,
    tag: str,
    version: int,
    node_ids: Sequence[str],
    permission_group: str | None,
) -> str:
    """Start a distribution; the request's id.

    When the answer is lost, the controller is asked whether it has taken the request: one that is on its way with this
    tag to these nodes is it, and when there is none it is sent again, as sending twice moves nothing twice.
    """

    def ask() -> str:
        return anka.controller.distribute(
            template_id=template_id,
            tag=tag,
            version=version,
            node_ids=node_ids,
            permission_group=permission_group,
        )

    for pause in PAUSES:
        try:
            return ask()
        except UnreachableError as error:
            anka.tell(Said(text=f"{error.message}; looking whether it was taken all the same", level="warning"))
            if (found := _taken(anka, error, template_id=template_id, tag=tag, node_ids=node_ids)) is not None:
                return found
            anka.clock.sleep(anka.deadline.left(pause) or 0.0, anka.cancelled)
    return ask()


def _taken(anka: Anka, error: UnreachableError, *, template_id: str, tag: str, node_ids: Sequence[str]) -> str | None:
    """The id of the request whose answer was lost, None when there is none; ``error`` where that cannot be told."""
    try:
        taken = [each for each in anka.controller.distributions() if not each.ended]
    except AnkaCiError:
        raise error from None
    same = [each for each in taken if each.template_id == template_id and {*each.nodes} == {*node_ids}]
    sure = [each for each in same if each.tag == tag]
    if sure:
        return sure[0].id
    if any(not each.tag for each in same):  # Anka's own samples tell no tag
        ids = ", ".join(each.id for each in same)
        hint = f"it may be under way as {ids}: look with `anka-ci distribution`"
        raise UnreachableError(error.message, hint=hint, **error.facts) from error
    return None


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
