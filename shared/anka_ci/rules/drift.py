"""Drift: what nodes report of their templates, against the channels of a fleet file and against the registry.

Pure decisions over what was read. A node that reports nothing is never taken to be right or wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from anka_ci.rules import selection
from anka_ci.rules.fleet import Channel
from anka_ci.wire.node import Group, Node
from anka_ci.wire.template import Template


@dataclass(frozen=True, kw_only=True)
class Aim:
    """A channel with what it means here: its template, if the registry has it, and the nodes that are to have it."""

    channel: Channel
    template: Template | None
    nodes: tuple[Node, ...]
    missing: tuple[str, ...] = ()
    """Groups that the controller does not have."""

    @property
    def title(self) -> str:
        return f"{self.template.name if self.template else self.channel.template}:{self.channel.tag}"

    @property
    def wrong(self) -> str:
        """Why no node can ever have what it names; empty when one can."""
        if self.template is None:
            return "the registry has no such template"
        if not any(version.tag == self.channel.tag for version in self.template.versions or ()):
            return "the registry has no such tag"
        return ""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """A node that does not have what a channel wants, or a channel itself when ``node`` is None."""

    aim: Aim
    node: Node | None
    has: str
    why: str
    kind: Literal["channel", "conflict", "unable", "differs"]
    """What is wrong: the channel itself, two of them, a node that is out of reach, or what a node has."""

    def row(self) -> dict[str, Any]:
        node = self.node
        return {
            "channel": self.aim.channel.name,
            "node": node.name if node else None,
            "state": node.state if node else None,
            "wanted": self.aim.title,
            "has": self.has or None,
            "why": self.why,
        }


@dataclass(frozen=True, kw_only=True)
class Held:
    """A tag on a node; ``registry`` is ``there``, ``tag gone`` or ``template gone``."""

    node: Node
    id: str
    name: str
    tag: str
    registry: str
    channels: tuple[str, ...] = ()

    @property
    def gone(self) -> bool:
        return self.registry != "there"

    def row(self) -> dict[str, Any]:
        return {
            "node": self.node.name,
            "template": self.name,
            "tag": self.tag,
            "registry": self.registry,
            "channels": list(self.channels),
            "id": self.id,
        }


def aim(channel: Channel, template: Template | None, nodes: Sequence[Node], groups: Sequence[Group]) -> Aim:
    """What a channel means for the nodes: those of its groups and its architecture, and of its template's."""
    ids = {name: {each.id for each in groups if name in (each.id, each.name)} for name in channel.groups}
    wanted = {id for found in ids.values() for id in found}
    arch = channel.arch or (template.arch if template else "")
    return Aim(
        channel=channel,
        template=template,
        nodes=tuple(
            node
            for node in nodes
            if (not channel.groups or wanted & {each.id for each in node.groups})
            and (not arch or not node.arch or node.arch == arch)
        ),
        missing=tuple(name for name, found in ids.items() if not found),
    )


def of_channels(aims: Sequence[Aim], looked_at: Sequence[Node]) -> Iterator[Drift]:
    """What differs, channel by channel, on the nodes that are looked at; one that reports nothing is left out."""
    wants: dict[tuple[str, str], Aim] = {}
    ids = {node.id for node in looked_at}
    for each in aims:
        for name in each.missing:
            yield Drift(aim=each, node=None, has="", why=f"the controller has no group {name!r}", kind="channel")
        if each.wrong:
            yield Drift(aim=each, node=None, has="", why=each.wrong, kind="channel")
        elif not each.nodes and not each.missing:
            yield Drift(aim=each, node=None, has="", why="no node is to have it", kind="channel")
        if each.template is None:
            continue
        for node in (node for node in each.nodes if node.id in ids):
            first = wants.setdefault((each.template.id, node.id), each)
            tag = node.tag_of(each.template.id)
            has = f"{each.template.name}:{tag}" if tag else ""
            if first.channel.tag != each.channel.tag:
                why = (
                    f"the channel {first.channel.name} wants {first.title} there, and a node has one tag of a template"
                )
                yield Drift(aim=each, node=node, has=has, why=why, kind="conflict")
            elif node.templates is not None and not each.wrong and tag != each.channel.tag:
                unable = selection.out_of_reach(node)
                why = unable or ("it has another tag" if has else "it does not have the template")
                yield Drift(aim=each, node=node, has=has, why=why, kind="unable" if unable else "differs")


def of_registry(nodes: Sequence[Node], templates: Mapping[str, Template], aims: Sequence[Aim]) -> Iterator[Held]:
    """What each node reports, and whether the registry still has it; ``templates`` by id in lower case."""
    wanted: dict[tuple[str, str, str], list[str]] = {}
    for each in aims:
        for node in each.nodes if each.template else ():
            assert each.template is not None
            wanted.setdefault((node.id, each.template.id.lower(), each.channel.tag), []).append(each.channel.name)
    for node in nodes:
        for held in node.templates or ():
            template = templates.get(held.id.lower())
            tags = {version.tag for version in template.versions or ()} if template else set()
            there = "template gone" if template is None else "there" if held.tag in tags or not held.tag else "tag gone"
            yield Held(
                node=node,
                id=held.id,
                name=template.name if template else held.name,
                tag=held.tag,
                registry=there,
                channels=tuple(wanted.get((node.id, held.id.lower(), held.tag), ())),
            )
