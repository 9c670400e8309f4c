"""The names of a pipeline file, looked up where they have to be.

Templates and tags in the registry, groups and nodes at the controller, channels in their fleet file. Only reads, and
asks for each thing once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, NotFoundError, UsageError, suggestion
from anka_ci.pipeline.named import Named
from anka_ci.rules import fleet, usage

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template


class Live:
    """An Anka that is asked for names, each thing once."""

    def __init__(self, anka: Anka) -> None:
        self._anka = anka
        self._shown: dict[str, Template | None] = {}

    @cached_property
    def _rows(self) -> list[Template]:
        return self._anka.registry.templates()

    @cached_property
    def _nodes(self) -> set[str]:
        return {name for node in self._anka.controller.nodes() for name in (node.name, node.id)}

    @cached_property
    def _groups(self) -> set[str]:
        return {name for group in self._anka.controller.groups() for name in (group.name, group.id)}

    def problems(self, named: Named) -> Iterator[AnkaCiError]:
        """What is wrong with a name; nothing when it is there once."""
        if named.noun == "template":
            yield from self._template(named)
        elif named.noun in ("tag", "version"):
            yield from self._tag(named)
        elif named.noun == "node":
            yield from _missing(named, self._nodes, self._anka.controller.url)
        elif named.noun == "group":
            yield from _missing(named, self._groups, self._anka.controller.url)
        elif named.noun == "channel":
            yield from self._fleet(named, named.of, named.name)
        else:
            yield from self._fleet(named, named.name)

    def _matches(self, name: str) -> list[Template]:
        if self._anka.registry.STACK:
            rows = [row for row in self._rows if row.id.lower() == name.lower()]
            return rows or [row for row in self._rows if row.name == name]
        if name not in self._shown:  # an OCI registry need not list its repositories
            try:
                self._shown[name] = self._anka.registry.template(name)
            except (NotFoundError, UsageError):  # a name that no repository can have is told by `_template`
                self._shown[name] = None
        found = self._shown[name]
        return [] if found is None else [found]

    def _template(self, named: Named) -> Iterator[AnkaCiError]:
        try:
            self._anka.registry.repository(named.name)
        except UsageError as error:
            yield named.place.wrong(error.message, error.hint)
            return
        found = self._matches(named.name)
        if len(found) > 1:
            ids = ", ".join(row.id for row in found)
            yield named.place.wrong(f"{len(found)} templates are named {named.name!r}", f"give one id: {ids}")
        if not found:
            known = {row.name for row in self._rows} if self._anka.registry.STACK else set[str]()
            yield from _missing(named, known, self._anka.registry.url)

    def _tag(self, named: Named) -> Iterator[AnkaCiError]:
        """Nothing for a template that is not there once: that is said of the template."""
        found = self._matches(named.of)
        if len(found) != 1:
            return
        template = self._whole(found[0])
        versions = (template.versions if template else None) or ()
        if named.noun == "version":
            known = {str(each.number) for each in versions if each.numbered is not None}
        else:
            known = {each.tag for each in versions} | ({"latest"} if template and _has_newest(template) else set())
        yield from _missing(named, known, f"template {found[0].name}")

    def _whole(self, row: Template) -> Template | None:
        """A template of a list with its versions; None for one that was deleted meanwhile."""
        if row.versions is None and row.id not in self._shown:
            self._shown[row.id] = next(iter(usage.shown(self._anka, [row])), None)
        return row if row.versions is not None else self._shown[row.id]

    def _fleet(self, named: Named, path: str, only: str | None = None) -> Iterator[AnkaCiError]:
        """The names of a fleet file's channels for this context, at their places there; those of one, if named."""
        try:
            channels = fleet.read(path)
        except UsageError as error:
            yield error
            return
        if only is not None:
            yield from _missing(named, {each.name for each in channels}, path)
        for channel in channels:
            if only in (None, channel.name) and channel.within(self._anka.context.name):
                what = {"template": [channel.template], "tag": [channel.tag], "group": list(channel.groups)}
                for noun, each in ((noun, each) for noun, values in what.items() for each in values):
                    yield from self.problems(Named(noun=noun, name=each, of=channel.template, place=channel.place))


def _has_newest(template: Template) -> bool:
    """Whether ``latest`` means one of its versions, which an OCI registry need not know."""
    try:
        template.pick()
    except NotFoundError:
        return False
    return True


def _missing(named: Named, known: set[str], where: str) -> Iterator[AnkaCiError]:
    if named.name not in known:
        error = NotFoundError(named.noun, named.name, where=where, hint=suggestion(named.name, known))
        error.message = f"{named.place}: {error.message}"
        error.facts |= named.place.facts()
        yield error
