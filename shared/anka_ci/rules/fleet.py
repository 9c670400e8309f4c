"""The fleet file, ``fleet.yml``: channels, each a name for the tag of a template that a part of the fleet is to have.

Read strictly, with line and column of what is wrong. What nodes really have, and whether a channel's template is there,
is not asked here. A file looks like this::

    version: 1
    channels:
      ios-prod:
        template: sonoma               # name or id
        tag: v12
        groups: [ios]                  # node groups that are to have it; all nodes when left out
        context: production            # only in this context of the settings file; in every one when left out
        arch: arm64                    # only for nodes of it
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from anka_ci import document
from anka_ci.document import Node, Place
from anka_ci.errors import RefusedError, UsageError, suggestion
from anka_ci.wire.template import Template

KEYS = {"template", "tag", "groups", "context", "arch"}
ARCHS = ("amd64", "arm64")
BOM = "\ufeff"
QUOTED = r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*["]"""
"""A quoted text of YAML that ends on its line."""
PLAIN = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
"""A tag that YAML takes as it is; all that is read here is text."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"


@dataclass(frozen=True, kw_only=True)
class Channel:
    """``groups`` empty: all nodes; ``context`` and ``arch`` empty: any. ``template`` is a name or an id."""

    name: str
    template: str
    tag: str
    groups: tuple[str, ...] = ()
    context: str = ""
    arch: str = ""
    place: Place

    def within(self, context: str) -> bool:
        """Whether it is meant in a context; one without a name, given by addresses only, may be any."""
        return not self.context or not context or self.context == context


def read(path: str) -> tuple[Channel, ...]:
    """The channels of a file, in its order; ``UsageError`` with the place of what is wrong."""
    return parse(document.read(Path(path)))


def text(path: str) -> str:
    """The text of a file that ``read`` takes."""
    read(path)
    return Path(path).read_bytes().decode("utf-8")


def moved(text: str, path: str, channel: str, tag: str) -> str:
    """The text of a fleet file with another tag for a channel, and everything else as it was, comments too.

    ``RefusedError`` where the tag is written in a way that is not one text on one line.
    """
    before = parse(document.parse(text.removeprefix(BOM), path))
    root = document.parse(text.removeprefix(BOM), path).mapping("the fleet file")
    node = root["channels"].mapping("channels")[channel].mapping(channel)["tag"]
    lines = text.split("\n")
    start = node.place.column - 1 + (len(BOM) if node.place.line == 1 and text.startswith(BOM) else 0)
    line = lines[node.place.line - 1]
    match = re.match(QUOTED if node.quoted else re.escape(str(node.value)), line[start:])
    if match is not None:
        new = tag if re.fullmatch(PLAIN, tag) else json.dumps(tag, ensure_ascii=False)
        lines[node.place.line - 1] = line[:start] + new + line[start + match.end() :]
    written = "\n".join(lines)
    try:
        after = parse(document.parse(written.removeprefix(BOM), path))
    except UsageError:
        after = ()
    wanted = [replace(each, tag=tag) if each.name == channel else each for each in before]
    if [replace(each, place=node.place) for each in after] != [replace(each, place=node.place) for each in wanted]:
        raise RefusedError(
            f"{node.place}: the tag of {channel} cannot be changed as it is written here",
            hint="write it as a text of its own on its line, such as `tag: v1`",
        )
    return written


def parse(root: Node) -> tuple[Channel, ...]:
    """The same of a document that was read."""
    found = root.first_version({"channels"}, "the fleet file")
    if "channels" not in found:
        raise root.place.wrong("the fleet file has no channels", "write `channels:` and a name for each")
    channels = found["channels"]
    return tuple(_channel(name, node, channels.keys[name]) for name, node in channels.mapping("channels").items())


def template_of(channel: Channel, rows: Sequence[Template]) -> Template | None:
    """The template that a channel names, by exact id, then by exact name; None when there is none.

    ``UsageError`` with its place for a name that two templates of its architecture have.
    """
    matches = [row for row in rows if row.id.lower() == channel.template.lower()]
    matches = matches or [row for row in rows if row.name == channel.template]
    if len(matches) > 1 and channel.arch:
        matches = [row for row in matches if row.arch in (channel.arch, "")] or matches
    if len(matches) > 1:
        ids = ", ".join(row.id for row in matches)
        text = f"channel {channel.name}: {len(matches)} templates are named {channel.template!r}"
        raise channel.place.wrong(text, f"give one id: {ids}")
    return matches[0] if matches else None


def _channel(name: str, node: Node, place: Place) -> Channel:
    what = f"channel {name}"
    if not re.fullmatch(NAME, name):
        raise place.wrong(f"{what}: a name is letters, digits and . _ -, 100 of them at most")
    found = node.only(KEYS, what)
    for key in ("template", "tag"):
        if key not in found:
            raise place.wrong(f"{what} has no {key}", "a channel names a template and one tag of it")
    arch = found["arch"].text(f"{what}: arch") if "arch" in found else ""
    if arch and arch not in ARCHS:
        known = suggestion(arch, ARCHS)
        raise found["arch"].place.wrong(f"{what}: arch {arch!r} is none of {', '.join(ARCHS)}", known)
    return Channel(
        name=name,
        template=found["template"].text(f"{what}: template"),
        tag=found["tag"].text(f"{what}: tag"),
        groups=found["groups"].texts(f"{what}: groups") if "groups" in found else (),
        context=found["context"].text(f"{what}: context") if "context" in found else "",
        arch=arch,
        place=place,
    )
