"""What a job of a CI system calls: steps, and pipeline files with their parameters, as far as its text tells.

A CI system's module reads its own files into these; here they become pipelines, whose names can be looked up. Nothing
is rendered, run or evaluated: ``${{ params.NAME }}`` stands for what the job itself asks for, any other ``${{`` for
what only a run can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from anka_ci import pipeline
from anka_ci.document import Node, Place
from anka_ci.errors import AnkaCiError, NotFoundError
from anka_ci.pipeline import named
from anka_ci.pipeline.model import Parameter, Pipeline, Step
from anka_ci.pipeline.setting import DEFAULT_FILE

RUN_TELLS = "${{ }}"
"""A value that is known only when the job runs."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A step of the catalog; with ``use`` None a pipeline file: its input ``file``, and the parameters it is ``set``.

    ``sure`` False: what it sets, or whether it sets more, is known only when the job runs.
    """

    use: str | None
    place: Place
    inputs: Mapping[str, Node] = field(default_factory=dict)
    set: Mapping[str, Node] = field(default_factory=dict)
    sure: bool = True


@dataclass(frozen=True, kw_only=True)
class Called:
    """A job: what it asks for when it is started, what it calls, and the files it writes itself, by path.

    ``unknown`` are the places of calls that cannot be told.
    """

    file: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    unknown: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The pipelines of a job, and what is wrong with it before a name is looked up."""

    pipelines: tuple[Pipeline, ...]
    problems: tuple[AnkaCiError, ...]
    unknown: tuple[Place, ...]


def pipelines(called: Called, root: Path) -> Reading:
    """What a job calls: its own steps as one pipeline, and each pipeline file, from the repository at ``root``."""
    steps = [
        Step(id=f"call-{number}", place=call.place, use_place=call.place, use=call.use, inputs=call.inputs)
        for number, call in enumerate(called.calls, 1)
        if call.use is not None
    ]
    own = Pipeline(file=called.file, name=called.file, parameters=called.parameters, steps=tuple(steps))
    found, problems, unknown = [own], list[AnkaCiError](), [*called.unknown]
    for call in called.calls:
        if call.use is not None:
            continue
        name = call.inputs.get("file", Node(value=DEFAULT_FILE, place=call.place))
        paths = named.texts(own, name)
        if not paths:
            unknown.append(name.place)
        for path in paths:
            try:
                made = _file(called, path, root, name.place)
            except AnkaCiError as error:
                problems += getattr(error, "problems", None) or [error]
                continue
            problems += _unknown(call, made)
            found.append(_given(own, call, made))
    return Reading(pipelines=tuple(found), problems=tuple(problems), unknown=tuple(unknown))


def _file(called: Called, path: str, root: Path, place: Place) -> Pipeline:
    if path in called.texts:
        return pipeline.parse(called.texts[path], f"{called.file}: {path}")
    if not (root / path).is_file():
        error = NotFoundError("pipeline file", path, where=str(root), hint="render the job again, or correct its path")
        error.message = f"{place}: {error.message}"
        error.facts |= place.facts()
        raise error
    return pipeline.load(root / path)


def _unknown(call: Call, made: Pipeline) -> Iterator[AnkaCiError]:
    for name, node in call.set.items():
        if name not in made.parameters:
            error = NotFoundError("parameter", name, where=made.file, known=made.parameters)
            error.message = f"{node.place}: {error.message}"
            error.facts |= node.place.facts()
            yield error


def _given(own: Pipeline, call: Call, made: Pipeline) -> Pipeline:
    """A pipeline file with the parameters and the connection that a job gives it."""
    parameters = dict(made.parameters)
    for name, parameter in made.parameters.items():
        if name in call.set:
            values = tuple(named.texts(own, call.set[name]))
            asked = named.parameter(own, call.set[name])
            place = asked.place if asked else call.set[name].place
            parameters[name] = replace(parameter, default=None, choices=values, place=place)
        elif not call.sure:
            parameters[name] = replace(parameter, default=None, choices=())
    connection = {key: _literal(own, call.inputs[key]) for key in named.CONNECTION if key in call.inputs}
    steps = tuple(replace(step, inputs={**connection, **step.inputs}) if step.use else step for step in made.steps)
    return replace(made, parameters=parameters, steps=steps)


def _literal(own: Pipeline, node: Node) -> Node:
    """A job's text, so that it reads the same within the file; parameters of the job are not the file's."""
    values = named.texts(own, node)
    return replace(node, value=values[0] if len(values) == 1 else RUN_TELLS)
