"""Which node takes an instance: a pure decision over the nodes as they are.

Anka scores nodes per poll and documents no more; here the least busy node wins among those that hold the tag, then
among the others. A group that is full hands on to its fallback group.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from anka_ci.server.record import Record
from anka_ci.wire.node import ACTIVE, Group, Node


def accepts(node: Node) -> bool:
    """Whether a node starts instances: only an active one, never one in drain mode."""
    return node.state == ACTIVE


def choose(record: Record, nodes: Sequence[Node], groups: Iterable[Group], taken: Mapping[str, int]) -> Node | None:
    """The node for an instance; None when it has to wait. ``taken`` says how many places of a node are taken."""
    fit = [
        node
        for node in nodes
        if accepts(node)
        and (node.capacity or 0) > taken.get(node.id, 0)
        and record.order.node_id in ("", node.id)
        and record.instance.arch in ("", node.arch)
    ]
    for group in chain(record.order.group_id, groups):
        members = [node for node in fit if not group or group in {each.id for each in node.groups}]
        if members:
            return min(members, key=lambda node: (_lacks(node, record), taken.get(node.id, 0)))
    return None


def chain(group_id: str, groups: Iterable[Group]) -> list[str]:
    """A group and what it falls back to, in order; ``[""]`` for no group, which means every node."""
    by_id = {group.id: group for group in groups}
    found: list[str] = []
    wanted: str | None = group_id
    while wanted is not None and wanted not in found:
        found.append(wanted)
        wanted = by_id[wanted].fallback_group_id if wanted in by_id else None
    return found


def _lacks(node: Node, record: Record) -> bool:
    return node.tag_of(record.instance.template_id) != record.instance.tag
