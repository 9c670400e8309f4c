"""Preflight: what sending a tag would move to each node, whether there is room for it, and how long that takes.

By what the nodes report and the registry tells; nothing is guessed: where sizes leave something open it is a range. A
node may hold more than it reports, such as older tags that were pulled by hand, and would then move less.

A distribution takes none of the registry's disk. Whether the permission to distribute is there is told by no call, so
that shows only when it begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import NotAuthorisedError, NotFoundError, RefusedError
from anka_ci.inputs import show_duration, show_size
from anka_ci.rules.layers import Layers, Range

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.node import Node
    from anka_ci.wire.template import Template, Version

MANY = 200
"""So many templates that nodes hold are read at most; the layers of others count as not known."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a node has to move, and the names of what it holds beside the template, which it may evict for that."""

    node: Node
    moves: Range
    others: tuple[str, ...] = ()

    @property
    def short(self) -> int:
        """Bytes that are surely missing on its disk now; 0 where nothing is, or its disk is not told."""
        free = self.node.free_disk
        return max(0, self.moves.least - free) if self.node.disk_size and free is not None else 0

    @property
    def never(self) -> str:
        """Why it can never fit, whatever the node evicts; empty when it can, or that is not known."""
        node = self.node
        if not self.short or node.anka_disk_usage is None or (self.others and not node.anka_disk_usage):
            return ""
        most = (node.free_disk or 0) + node.anka_disk_usage
        if self.moves.least <= most:
            return ""
        return f"at least {show_size(self.moves.least)} are needed, and {show_size(most)} is all that can come free"

    @property
    def tight(self) -> str:
        """What it has to evict, or may have to; empty when it fits, or its disk is not known."""
        free = self.node.free_disk
        if not self.node.disk_size or free is None or self.never:
            return ""
        lost = f"other templates it holds ({', '.join(self.others)})" if self.others else "older tags and leftovers"
        if self.short:
            return f"has {show_size(free)} free for {self.moves}, so it evicts {lost}"
        if self.moves.most is not None and self.moves.most > free:
            return f"has {show_size(free)} free for {self.moves}, so it may evict {lost}"
        return ""


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """``loads`` are the nodes' that get the tag; ``bandwidth`` in bytes per second of each, None when not given."""

    loads: tuple[Load, ...]
    bandwidth: int | None = None
    made_with: str | None = None
    left: float | None = None
    """Seconds until the deadline, None when there is none."""

    @property
    def total(self) -> Range:
        """What is moved in all."""
        most = [load.moves.most for load in self.loads]
        known = [each for each in most if each is not None]
        least = sum(load.moves.least for load in self.loads)
        return Range(least=least, most=sum(known) if len(known) == len(most) else None)

    @property
    def exact(self) -> int | None:
        """What is moved in all, None where that is a range."""
        return self.total.least if self.total.least == self.total.most else None

    def expects(self) -> dict[str, object]:
        """What there is of it in the outputs of a plan."""
        if not self.loads:
            return {}
        most = {} if self.total.most is None else {"moves-most": self.total.most}
        return {"moves-least": self.total.least, **most}

    def unfit(self) -> dict[str, str]:
        """Why nodes, by id, surely do not get it: there is no room, or no time."""
        found = {load.node.id: load.never for load in self.loads if load.never}
        if self.bandwidth and self.left is not None:
            for load in self.loads:
                seconds = load.moves.least / self.bandwidth
                if seconds > self.left:
                    found.setdefault(
                        load.node.id,
                        f"moving {load.moves} takes {show_duration(seconds)} or more at "
                        f"{show_size(self.bandwidth)}/s, and there are {show_duration(self.left)}",
                    )
        return found

    def notes(self) -> tuple[list[str], dict[str, str]]:
        """What is moved as sentences, and what has to be said of single nodes, by name."""
        if not self.loads:
            return [], {}
        alike = len({load.moves for load in self.loads}) == 1
        said = f"moves {self.loads[0].moves} to each of {len(self.loads)} nodes"
        if not alike:
            said = f"moves {self.total} to {len(self.loads)} nodes in all"
        if len(self.loads) == 1:
            said = f"moves {self.total}"
        longest = [load.moves.most for load in self.loads]
        if self.bandwidth:
            least = max(load.moves.least for load in self.loads) / self.bandwidth
            most = None if None in longest else max(count for count in longest if count is not None) / self.bandwidth
            takes = [show_duration(least)] if most == least else [show_duration(least), show_duration(most or 0)]
            words = f"{takes[0]} or more" if most is None else " to ".join(takes)
            said += f", which takes {words} at {show_size(self.bandwidth)}/s a node"
        unfit = self.unfit()
        single = {load.node.name: f"will fail: {unfit[load.node.id]}" for load in self.loads if load.node.id in unfit}
        if not alike:
            single = {load.node.name: f"gets {load.moves}" for load in self.loads} | single
        single |= {load.node.name: load.tight for load in self.loads if load.tight and load.node.id not in unfit}
        for load in self.loads:
            if self.made_with and load.node.anka_version and older(load.node.anka_version, self.made_with):
                text = f"runs Anka {load.node.anka_version}, older than the {self.made_with} the template was made with"
                single[load.node.name] = f"{single[load.node.name]}; it {text}" if load.node.name in single else text
        return [said], single


def look(
    anka: Anka,
    template: Template,
    version: Version,
    nodes: Sequence[Node],
    *,
    named: Collection[str],
    bandwidth: int | None,
    made_with: str | None,
) -> Preflight:
    """The preflight of sending a version to nodes; reads each template that they hold."""
    known = held(anka, nodes, template)
    found = loads(nodes, version, template, known, named)
    return Preflight(loads=found, bandwidth=bandwidth, made_with=made_with, left=anka.deadline.left())


def older(one: str, other: str) -> bool:
    """Whether a version such as ``3.8.5`` is older than another; False where that cannot be told."""
    numbers = [[int(part) for part in each.split(".") if part.isascii() and part.isdigit()] for each in (one, other)]
    return bool(numbers[0]) and bool(numbers[1]) and numbers[0] < numbers[1]


def held(anka: Anka, nodes: Sequence[Node], template: Template) -> dict[str, Template]:
    """The templates that nodes hold as the registry has them, by id in lower case, a call for each."""
    found = {template.id.lower(): template}
    ids = {each.id.lower(): each.id for node in nodes for each in node.templates or ()}
    for id_ in list(ids.values())[:MANY]:
        if id_.lower() not in found:
            with contextlib.suppress(NotFoundError, NotAuthorisedError, RefusedError):  # then it is not known
                found[id_.lower()] = anka.registry.by_id(id_)
    return found


def loads(
    nodes: Sequence[Node], version: Version, template: Template, known: Mapping[str, Template], named: Collection[str]
) -> tuple[Load, ...]:
    """What each node has to move; ``known`` are the templates they hold, ``named`` the ids of nodes of which one that
    reports the tag is to get it all the same."""
    layers = Layers(list(known.values()))
    told: dict[object, Range] = {}
    found = []
    for node in nodes:
        there, sure = [], node.templates is not None and node.id not in named
        for each in node.templates or ():
            own = known.get(each.id.lower())
            tag = next((one for one in own.versions or () if one.tag == each.tag), None) if own else None
            if own is None or tag is None:
                sure = False  # what the registry lost may share layers with what it has
            elif node.id not in named or own is not template:
                there.append((own, tag))
        key = (frozenset((one.id, tag.number) for one, tag in there), sure)
        if key not in told:
            moves = layers.moved((template, version), there)
            told[key] = moves if sure else Range(least=0, most=moves.most)
        others = tuple(f"{one.name}:{one.tag}" for one in node.templates or () if one.id.lower() != template.id.lower())
        found.append(Load(node=node, moves=told[key], others=others))
    return tuple(found)
