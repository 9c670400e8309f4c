"""Distributions: starting one, and what came of each node's part. Waiting for one is ``rules.following``.

Cancels nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, FellShortError, UnreachableError
from anka_ci.result import Said
from anka_ci.wire.distribution import Distribution

if TYPE_CHECKING:
    from anka_ci.anka import Anka

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
    return known | {
        "succeeded": [name for name, share in shares.items() if share.done],
        "failed": [*_list(known.get("failed")), *failed],
        "pending": [name for name, share in shares.items() if not share.ended],
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
    tag to these nodes is it, and when there is none it is sent once more, as sending twice moves nothing twice.
    """

    def ask() -> str:
        return anka.controller.distribute(
            template_id=template_id,
            tag=tag,
            version=version,
            node_ids=node_ids,
            permission_group=permission_group,
        )

    try:
        return ask()
    except UnreachableError as error:
        anka.tell(Said(text=f"{error.message}; looking whether it was taken all the same", level="warning"))
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
        return ask()


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
