"""Usage: who needs a tag of the registry: nodes that hold it or get it, instances, channels, pipeline files.

Only reads. What cannot be looked at is an error unless the caller says otherwise, and a name that two templates have is
taken for both.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anka_ci.errors import NotFoundError
from anka_ci.result import Said
from anka_ci.rules import fleet, instances, mentions, selection
from anka_ci.rules.fleet import Channel
from anka_ci.rules.sight import FEW, Seen, see

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version

OFTEN = 1000
"""After so many templates that were read it is told how far it is."""
Key = tuple[str, int]
"""A version: its template's id, and its number."""


def inventory(anka: Anka, what: str) -> list[Template]:
    """Every template of the registry with its versions, for ``what`` needs them.

    ``RefusedError`` where versions are no stack.
    """
    return shown(anka, anka.registry.stack(what).templates())


def shown(anka: Anka, rows: Sequence[Template]) -> list[Template]:
    """Templates of a list with their versions, a call for each; without those that were deleted meanwhile."""
    found = []
    for count, row in enumerate(rows, 1):
        with contextlib.suppress(NotFoundError):
            found.append(anka.registry.by_id(row.id))
        if count % OFTEN == 0:
            anka.tell(Said(text=f"read {count} of {len(rows)} templates"))
    return found


@dataclass(kw_only=True)
class Usage:
    """``by`` says who, by version; ``channels`` are those of them that are channels. ``notes`` are for people."""

    templates: Sequence[Template]
    by: dict[Key, list[str]] = field(default_factory=dict)
    channels: dict[Key, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = {template.id.lower(): template for template in self.templates}
        self._names: dict[str, list[Template]] = {}
        for template in self.templates:
            self._names.setdefault(template.name, []).append(template)

    def find(self, sought: str, tag: str | None = None, number: int | None = None) -> list[Key] | None:
        """The versions of an id or name, of every template that has it; without tag and number the newest.

        Empty when there is no such tag, None when there is no such template.
        """
        own = self._ids.get(sought.lower())
        templates = [own] if own else self._names.get(sought, [])
        picked = [(each, _pick(each, tag, number)) for each in templates]
        return [(each.id, version.number) for each, version in picked if version] if templates else None

    def add(self, keys: Iterable[Key] | None, who: str) -> None:
        for key in keys or ():
            self.by.setdefault(key, []).append(who)

    def of_fleet(self, seen: Seen) -> Usage:
        """Add what nodes hold, instances use and distributions bring."""
        self.notes += seen.notes
        for template in self.templates:
            id = template.id.lower()
            for tag, names in seen.holders.get(id, {}).items():
                self.add(self.find(id, tag or None), f"on {selection.listed(names, FEW)}")
            for each in seen.running.get(id, ()):
                found = self.find(id, each.tag or None, each.version)
                self.add(found, f"used by the instance {instances.title(each)}")
            for request in seen.moving.get(id, ()):
                found = self.find(id, request.tag or None, request.version)
                self.add(found, f"on its way to nodes by the distribution {request.id}")
        return self

    def of_channels(self, channels: Iterable[Channel]) -> Usage:
        """Add what channels name."""
        for channel in channels:
            found = self.find(channel.template, channel.tag)
            if not found:
                title = f"{channel.template}:{channel.tag}"
                self.notes.append(f"the channel {channel.name} names {title}, which the registry does not have")
            self.add(found, f"in the channel {channel.name}")
            for key in found or ():
                self.channels.setdefault(key, []).append(channel.name)
        return self

    def of_pipelines(self, patterns: Sequence[str]) -> Usage:
        """Add what pipeline files name."""
        found = mentions.read(patterns)
        for each in found.mentions:
            self.add(self.find(each.template, each.tag, each.number), f"named at {each.place.file}:{each.place.line}")
        self.notes += [
            f"{place}: this template is known only when the file runs, so nothing is kept for it here"
            for place in found.unknown
        ]
        return self


def gather(
    anka: Anka, templates: Sequence[Template], *, channels: str | None, pipelines: Sequence[str], unseen: bool
) -> Usage:
    """Who uses what of the templates; ``channels`` is the path of a fleet file."""
    found = Usage(templates=templates).of_fleet(see(anka, unseen=unseen))
    if channels is not None:
        found.of_channels(each for each in fleet.read(channels) if each.within(anka.context.name))
    return found.of_pipelines(pipelines) if pipelines else found


def _pick(template: Template, tag: str | None, number: int | None) -> Version | None:
    """The version of a tag; of a number where there is no tag; the newest where neither is told."""
    versions = template.versions or ()
    if tag is not None:
        own = next((each for each in versions if each.tag == tag), None)
        return own or (versions[-1] if tag == "latest" and versions else None)
    if number is not None:
        return next((each for each in versions if each.number == number), None)
    return versions[-1] if versions else None


def titles(by: Mapping[Key, Sequence[str]], keys: Iterable[Key]) -> list[str]:
    """What is told of some versions, each once."""
    return list(dict.fromkeys(each for key in keys for each in by.get(key, ())))
