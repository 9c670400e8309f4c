"""The names in a pipeline file: of templates, tags, groups, nodes and channels, each at its place.

Asks no server and reads no other file. A name that only a run can tell is told by its place and not guessed; one that
an earlier step of the file makes is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from anka_ci import inputs
from anka_ci.document import Node, Place
from anka_ci.pipeline.model import Parameter, Pipeline, Step
from anka_ci.steps import catalog

if TYPE_CHECKING:
    pass

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
