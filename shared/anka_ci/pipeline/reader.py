"""The reader of pipeline files: from a YAML document to a ``Pipeline``, with every problem it has.

Asks no server and reads no environment; what the steps and expressions mean is looked at by ``pipeline.checks``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from anka_ci.document import Node, Place
from anka_ci.errors import UsageError, suggestion
from anka_ci.inputs import PARSERS, Duration, duration
from anka_ci.pipeline.model import TYPES, Job, Parameter, Pipeline, Step, Triggers
from anka_ci.pipeline.parts import parts

T = TypeVar("T")

KEYS = ("version", "name", "context", "parameters", "secrets", "job", "github", "jenkins", "steps")
STEP_KEYS = ("id", "use", "with", "run", "env", "if", "always", "confirm", "timeout")
JOB_KEYS = ("runner", "triggers", "timeout", "concurrency")
TRIGGER_KEYS = ("manual", "schedule", "push")
PARAMETER_KEYS = ("help", "default", "required", "choices", "type")


class Reader:
    """Reads a file's document and keeps every problem instead of stopping at the first."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[UsageError] = []

    def note(self, place: Place, text: str, hint: str = "") -> None:
        self.problems.append(UsageError(f"{place}: {text}", hint=hint, **place.facts()))

    @contextmanager
    def noting(self) -> Iterator[None]:
        """A ``UsageError`` raised inside is noted."""
        try:
            yield
        except UsageError as error:
            self.problems.append(error)

    def pipeline(self, root: Node) -> Pipeline:
        """The whole file; what cannot be read is left out, and noted."""
        found = self._mapping(root, "the file", KEYS)
        if "version" not in found:
            self.note(root.place, "the file has no version", "write `version: 1` as its first line")
        elif found["version"].value != "1":
            self.note(found["version"].place, f"version {found['version'].plain()!r} is unknown", "there is version 1")
        text: Callable[[str], str | None] = lambda key: self._read(found.get(key), lambda node: node.text(key))  # noqa: E731
        steps = self._steps(found.get("steps"), root)
        parameters = self._parameters(found.get("parameters"))
        return Pipeline(
            file=self.file,
            name=text("name") or re.sub(r"\.ya?ml$", "", self.file.rsplit("/", 1)[-1]),
            context=text("context"),
            parameters=parameters,
            secrets=self._names(found.get("secrets"), "secrets", r"[A-Za-z_][A-Za-z0-9_]*"),
            job=self._job(found.get("job"), parameters),
            github=self._open(found.get("github"), "github"),
            jenkins=self._open(found.get("jenkins"), "jenkins"),
            steps=tuple(steps),
        )

    def _mapping(self, node: Node | None, what: str, known: Collection[str] | None = None) -> dict[str, Node]:
        """A mapping's values by key; unknown keys are noted and left out."""
        found: dict[str, Node] = {}
        if node is not None:
            with self.noting():
                found = dict(node.mapping(what))
            for key in [key for key in found if known is not None and key not in known]:
                del found[key]
                self.note(node.keys[key], f"{what}: unknown key {key!r}", suggestion(key, known or ()))
        return found

    def _read(self, node: Node | None, read: Callable[[Node], T]) -> T | None:
        """What ``read`` makes of a node; None when there is none, or a problem with it."""
        if node is not None:
            with self.noting():
                return read(node)
        return None

    def _open(self, node: Node | None, what: str) -> Node | None:
        return node if self._mapping(node, what) else None

    def _flag(self, node: Node | None, what: str, default: bool = False) -> bool:
        found = self._read(node, lambda node: _parsed(node, what, PARSERS[bool]))
        return default if found is None else bool(found)

    def _texts(self, node: Node | None, what: str) -> tuple[str, ...]:
        """A list of texts, or one text."""
        if node is None:
            return ()
        if isinstance(node.value, str):
            return tuple(filter(None, [self._read(node, lambda node: node.text(what))]))
        items = self._read(node, lambda node: node.items(what)) or []
        return tuple(filter(None, (self._read(item, lambda item: item.text(f"each of {what}")) for item in items)))

    def _names(self, node: Node | None, what: str, form: str) -> tuple[str, ...]:
        found = self._texts(node, what)
        for name in found:
            if node is not None and not re.fullmatch(form, name):
                self.note(node.place, f"{what}: {name!r} is no name of a variable")
        return found

    def _parameters(self, node: Node | None) -> dict[str, Parameter]:
        found: dict[str, Parameter] = {}
        for name, value in self._mapping(node, "parameters").items():
            place = node.keys[name] if node else value.place
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
                self.note(place, f"parameter {name!r}: a name is letters, digits, - and _")
            found[name] = self._parameter(name, value, place)
        return found

    def _parameter(self, name: str, node: Node, place: Place) -> Parameter:
        what = f"parameter {name}"
        if not isinstance(node.value, dict):  # the short form: its default, or nothing for a required one
            node = Node(value={} if node.value is None else {"default": node}, place=node.place)
        found = self._mapping(node, what, PARAMETER_KEYS)
        default = found.get("default")
        choices = self._texts(found.get("choices"), f"{what}: choices")
        plain = default is not None and not default.quoted and default.value in ("true", "false") and not choices
        kind = self._read(found.get("type"), lambda node: node.text("type")) or ("bool" if plain else "text")
        if kind not in TYPES:
            self.note(found["type"].place, f"{what}: no type {kind!r}", suggestion(kind, TYPES))
            kind = "text"
        required = self._flag(found.get("required"), f"{what}: required", default is None)
        parameter = Parameter(
            name=name,
            help=self._read(found.get("help"), lambda node: node.text("help")) or "",
            type=kind,
            default=default.value if default is not None and isinstance(default.value, str) else None,
            required=required,
            choices=choices,
            place=place,
        )
        if default is not None:
            self._default(parameter, default)
        elif not required:
            try:
                parameter.parse("")
            except ValueError:
                hint = "give it a default, or leave `required: false` out"
                self.note(place, f"{what}: is not required, and without a default nothing fits it", hint)
        return parameter

    def _default(self, parameter: Parameter, node: Node) -> None:
        text = node.value
        if text is not None and not isinstance(text, str):
            self.note(node.place, f"parameter {parameter.name}: a default is text")
        elif text is not None and "${{" in text:
            hint = "use the expression where the parameter is used"
            self.note(node.place, f"parameter {parameter.name}: a default cannot hold an expression", hint)
        elif text:
            try:
                parameter.parse(text)
            except ValueError as error:
                self.note(node.place, f"parameter {parameter.name}: its default {error}")

    def _job(self, node: Node | None, parameters: Mapping[str, Parameter]) -> Job:
        found = self._mapping(node, "job", JOB_KEYS)
        triggers = self._mapping(found.get("triggers"), "triggers", TRIGGER_KEYS)
        schedule = self._texts(triggers.get("schedule"), "schedule")
        for cron in schedule:
            if len(cron.split()) != 5:
                hint = "minute, hour, day of month, month, day of week: '17 3 * * 1'"
                self.note(triggers["schedule"].place, f"schedule {cron!r} has not five fields", hint)
        return Job(
            runner=self._texts(found.get("runner"), "runner"),
            triggers=Triggers(
                manual=self._flag(triggers.get("manual"), "manual", True),
                schedule=schedule,
                push=self._texts(triggers.get("push"), "push"),
            ),
            timeout=self._timeout(found.get("timeout")),
            concurrency=self._read(found.get("concurrency"), lambda node: self._concurrency(node, parameters)),
        )

    def _concurrency(self, node: Node, parameters: Mapping[str, Parameter]) -> str:
        text = node.text("concurrency")
        try:
            parts(text, parameters)
        except UsageError as error:
            self.note(node.place, f"concurrency: {error.message}", error.hint)
        return text

    def _timeout(self, node: Node | None) -> Duration | None:
        return self._read(node, lambda node: _parsed(node, "timeout", duration))

    def _steps(self, node: Node | None, root: Node) -> list[Step]:
        items = self._read(node, lambda node: node.items("steps")) or []
        if not items and (node is None or node.value in (None, [])):
            self.note(node.place if node else root.place, "the file has no steps")
        found = [(item, self._mapping(item, "step", STEP_KEYS)) for item in items]
        ids = self._ids([keys for _, keys in found])
        return [self._step(item, keys, id) for (item, keys), id in zip(found, ids, strict=True)]

    def _ids(self, steps: Sequence[Mapping[str, Node]]) -> list[str]:
        """Every step's id: the one it was given, or its name, numbered from the second on."""
        given: dict[str, Place] = {}
        ids: list[str] = []
        for found in steps:
            id = self._read(found.get("id"), lambda node: node.text("id")) or ""
            if id and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", id):
                self.note(found["id"].place, f"id {id!r}: an id is letters, digits, - and _, and starts with a letter")
            elif id in given:
                hint = f"it is the id of the step at line {given[id].line}"
                self.note(found["id"].place, f"the id {id!r} is used twice", hint)
            elif id:
                given[id] = found["id"].place
            ids.append(id)
        taken = set(given)
        for number, found in enumerate(steps):
            if not ids[number]:
                use = found["use"].value if "use" in found else "run"
                name = use if isinstance(use, str) else "step"
                count = next(count for count in range(1, len(steps) + 2) if numbered(name, count) not in taken)
                ids[number] = numbered(name, count)
                taken.add(ids[number])
        return ids

    def _step(self, node: Node, found: Mapping[str, Node], id: str) -> Step:
        if isinstance(node.value, dict) and ("use" in found) == ("run" in found):
            hint = "write `use: pull` with its inputs in `with:`, or `run:` with a shell text"
            self.note(node.place, "a step has either `use` or `run`", hint)
        for key, other in (("with", "use"), ("confirm", "use"), ("env", "run")):
            if key in found and other not in found:
                self.note(node.keys[key], f"{key!r} belongs to a step with {other!r}")
        inputs = found.get("with")
        for key in ("if", "confirm"):
            self._read(found.get(key), lambda each, key=key: each.text(key))  # type: ignore[misc]
        return Step(
            id=id,
            place=node.place,
            use=self._read(found.get("use"), lambda each: each.text("use")),
            use_place=found["use"].place if "use" in found else node.place,
            inputs=self._mapping(inputs, "with"),
            keys=inputs.keys if inputs else {},
            run=self._read(found.get("run"), lambda each: each.text("run")),
            env=self._mapping(found.get("env"), "env"),
            condition=found.get("if"),
            always=self._flag(found.get("always"), "always"),
            confirm=found.get("confirm"),
            timeout=self._timeout(found.get("timeout")),
        )


def numbered(name: str, count: int) -> str:
    """The id of the ``count``-th step of a name."""
    return name if count == 1 else f"{name}-{count}"


def _parsed(node: Node, what: str, parse: Callable[[str], Any]) -> Any:
    try:
        return parse(node.text(what))
    except ValueError as error:
        raise UsageError(f"{node.place}: {what}: {error}", **node.place.facts()) from None
