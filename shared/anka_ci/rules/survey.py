"""A survey of the fleet: its nodes, the channels that are meant, what differs, and what each node holds.

Only reads; how it is judged is in ``rules.drift``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import NotFoundError
from anka_ci.rules import drift, fleet, selection, usage
from anka_ci.rules.drift import Aim, Drift, Held
from anka_ci.rules.fleet import Channel
from anka_ci.wire.node import Node

if TYPE_CHECKING:
    from anka_ci.anka import Anka


@dataclass(frozen=True, kw_only=True)
class Survey:
    """``nodes`` are those that are looked at; ``aims`` one for each channel, with all the nodes that it means."""

    nodes: Sequence[Node]
    aims: Sequence[Aim]
    drift: Sequence[Drift]
    held: Sequence[Held]

    @property
    def unverified(self) -> list[str]:
        """The names of the nodes that do not report what they hold."""
        return [node.name for node in self.nodes if node.templates is None]


def chosen(path: str, names: Collection[str] | None, context: str) -> list[Channel]:
    """The channels of a fleet file that are meant in a context, or those of them that are named.

    ``NotFoundError`` for a name that the file does not have.
    """
    found = {each.name: each for each in fleet.read(path)}
    for name in names or ():
        if name not in found:
            raise NotFoundError("channel", name, where=path, known=found)
    wanted = [each for each in found.values() if names is None or each.name in names]
    return [each for each in wanted if each.within(context)]


def take(
    anka: Anka, channels: Sequence[Channel], *, group: str | None, names: Sequence[str] | None, what: str
) -> Survey:
    """Look at the nodes of a group, at those that are named, or at all, for ``what`` needs it.

    Of the registry's templates only those are read that a node holds or a channel names.
    """
    every = anka.controller.nodes()
    nodes = selection.choose(anka, group=group, names=names, among=every)
    groups = anka.controller.groups() if any(each.groups for each in channels) else []
    rows = anka.registry.stack(what).templates()
    meant = [fleet.template_of(each, rows) for each in channels]
    ids = {held.id.lower() for node in nodes for held in node.templates or ()}
    ids |= {row.id.lower() for row in meant if row is not None}
    templates = {each.id.lower(): each for each in usage.shown(anka, [row for row in rows if row.id.lower() in ids])}
    aims = [
        drift.aim(channel, templates.get(row.id.lower()) if row else None, every, groups)
        for channel, row in zip(channels, meant, strict=True)
    ]
    return Survey(
        nodes=nodes,
        aims=aims,
        drift=list(drift.of_channels(aims, nodes)),
        held=list(drift.of_registry(nodes, templates, aims)),
    )
