"""The names in a pipeline file, looked up where they have to be.

Templates and tags in the registry, groups and nodes at the controller, channels in their fleet file. Only reads. A name
that only a run can tell is counted and not guessed; one that an earlier step of the file makes is not looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from anka_ci import inputs
from anka_ci.document import Node, Place
from anka_ci.errors import AnkaCiError, NotFoundError, UsageError, suggestion
from anka_ci.pipeline.model import Parameter, Pipeline, Step
from anka_ci.rules import fleet, usage
from anka_ci.steps import catalog

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template

NOUNS: Mapping[str, str] = {
    **{"template": "template", "onto": "template", "tag": "tag", "version": "version"},
    **{"group": "group", "nodes": "node", "node": "node", "fleet": "fleet"},
    **{"channels": "channel", "channel": "channel", "from-channel": "channel"},
}
"""What the inputs of steps name."""
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "push": ("template", "tag"),  # a VM of the host, and a tag that is to be made
    "save-image": ("tag",),
    "evict": ("template",),  # nodes may hold what the registry has lost
}
"""Inputs of those names that are to be found nowhere here."""
MAKES = {"push": ("template", "tag"), "save-image": ("new-template", "tag"), "clone": ("name",)}
"""Inputs with names that are there once the step has run."""
CONNECTION = ("context", "controller-url", "registry-url")
Connection = tuple[tuple[str, str], ...]
"""What a step says itself of the Anka that it goes to, as pairs of input and text; empty: the one of the file."""
_PARAMETER = re.compile(r"\$\{\{\s*params\.([A-Za-z][A-Za-z0-9_-]*)\s*\}\}")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A name in a file. ``of`` is the template of a tag or version, or the fleet file of a channel.

    ``at`` is where to look for it.
    """

    noun: str
    name: str
    place: Place
    of: str = ""
    at: Connection = ()


@dataclass(kw_only=True)
class Names:
    """The names of a file that can be told; ``unknown`` are the places of those that only a run can tell."""

    found: list[Named] = field(default_factory=list)
    unknown: list[Place] = field(default_factory=list)


def names(pipeline: Pipeline) -> Names:
    """Every name that the steps of a file have in their inputs, each once."""
    told = Names()
    made: set[tuple[Connection, str]] = set()
    for step in pipeline.steps:
        at = _connection(pipeline, step)
        if step.use is None:
            continue
        if at is None:  # it goes to an Anka that only a run can tell
            told.unknown += [node.place for key, node in step.inputs.items() if key in NOUNS]
            continue
        found = _of_step(pipeline, step, told)
        told.found += [replace(each, at=at) for each in found if (at, each.name) not in made]
        for key in MAKES.get(step.use, ()):
            made.update((at, value) for value in _values(pipeline, step, key))
    told.found = once(told.found)
    return told


def once(found: Iterable[Named]) -> list[Named]:
    """Each name once, at its first place."""
    kept: dict[tuple[str, ...], Named] = {}
    for each in found:
        kept.setdefault((str(each.at), each.noun, each.name, each.of), each)
    return list(kept.values())


def _connection(pipeline: Pipeline, step: Step) -> Connection | None:
    """None where only a run can tell."""
    found = []
    for key in CONNECTION:
        if key in step.inputs:
            values = texts(pipeline, step.inputs[key])
            if len(values) != 1:
                return None
            found.append((key, values[0]))
    return tuple(found)


def _of_step(pipeline: Pipeline, step: Step, told: Names) -> Iterator[Named]:
    templates = _values(pipeline, step, "onto") or _values(pipeline, step, "template")
    fleets = _values(pipeline, step, "fleet")
    local = step.inputs.get("local")
    chosen = any(_values(pipeline, step, key) for key, noun in NOUNS.items() if noun == "channel")
    for key, node in step.inputs.items():
        noun = NOUNS.get(key)
        if noun is None or key in ELSEWHERE.get(str(step.use), ()) or (local is not None and local.value == "true"):
            continue
        if noun == "fleet" and chosen:  # its other channels are nothing to this step
            continue
        values = _values(pipeline, step, key)
        owners = {"tag": templates, "version": templates, "channel": fleets}.get(noun, [""])
        written = place(pipeline, node)
        if not values or not owners:
            told.unknown.append(written)
        yield from (Named(noun=noun, name=value, of=of, place=written) for value in values for of in owners)


def place(pipeline: Pipeline, node: Node) -> Place:
    """Where a value is written: its own place, or that of a parameter which a job gives."""
    named = parameter(pipeline, node)
    return named.place if named and named.place.file != node.place.file else node.place


def parameter(pipeline: Pipeline, node: Node) -> Parameter | None:
    """The parameter that a text names, if it is nothing else and there is such a one."""
    match = _PARAMETER.fullmatch(node.value.strip()) if isinstance(node.value, str) else None
    return pipeline.parameters.get(match.group(1)) if match else None


def _values(pipeline: Pipeline, step: Step, key: str) -> list[str]:
    """What an input may be, as far as the file tells: a text, a list, or a parameter's default or choices."""
    node = step.inputs.get(key)
    declared = {each.key: each for each in inputs.fields(catalog.load(str(step.use)).Inputs)}
    if node is None or key not in declared:
        return []
    found = []
    for item in node.value if isinstance(node.value, list) else [node]:
        values = texts(pipeline, item)
        if not values:
            return []
        found += values
    if not declared[key].many:
        return found
    try:
        return [str(each) for text in found for each in inputs.parse(declared[key], text)]  # type: ignore[attr-defined]
    except ValueError:  # what a parameter's default is worth is told when it runs
        return []


def texts(pipeline: Pipeline, node: Node) -> list[str]:
    """What one text may be; nothing when only a run can tell."""
    if not isinstance(node.value, str):
        return []
    named = parameter(pipeline, node)
    if named is None:
        return [] if "${{" in node.value else [node.value]
    return list(named.choices) or ([named.default] if named.default else [])


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
        found = [row for row in self._rows if row.id.lower() == name.lower()]
        return found or [row for row in self._rows if row.name == name]

    def _template(self, named: Named) -> Iterator[AnkaCiError]:
        found = self._matches(named.name)
        if len(found) > 1:
            ids = ", ".join(row.id for row in found)
            yield named.place.wrong(f"{len(found)} templates are named {named.name!r}", f"give one id: {ids}")
        if not found:
            yield from _missing(named, {row.name for row in self._rows}, self._anka.registry.url)

    def _tag(self, named: Named) -> Iterator[AnkaCiError]:
        """Nothing for a template that is not there once: that is said of the template."""
        found = self._matches(named.of)
        if len(found) != 1:
            return
        id = found[0].id
        if id not in self._shown:
            self._shown[id] = next(iter(usage.shown(self._anka, found)), None)
        template = self._shown[id]
        versions = (template.versions if template else None) or ()
        if named.noun == "version":
            known = {str(each.number) for each in versions if each.numbered is not None}
        else:
            known = {each.tag for each in versions} | ({"latest"} if versions else set())
        yield from _missing(named, known, f"template {found[0].name}")

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


def _missing(named: Named, known: set[str], where: str) -> Iterator[AnkaCiError]:
    if named.name not in known:
        error = NotFoundError(named.noun, named.name, where=where, hint=suggestion(named.name, known))
        error.message = f"{named.place}: {error.message}"
        error.facts |= named.place.facts()
        yield error
