"""What is wrong with a pipeline file, told all at once and without any server.

Steps, inputs and expressions are held against what the file declares and the steps' ``Inputs`` and ``Outputs``. No
expression is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from anka_ci import inputs
from anka_ci.document import Node, Place
from anka_ci.errors import UsageError, suggestion
from anka_ci.pipeline.expressions import (
    Expression,
    ExpressionError,
    Reference,
    condition,
    expressions,
    references,
)
from anka_ci.pipeline.model import Pipeline, Step
from anka_ci.pipeline.scope import NOW_FACTS, ROOTS, RUN_FACTS, STEP_FACTS
from anka_ci.steps import Step as CatalogStep
from anka_ci.steps import catalog

BESIDE = ("confirm", "timeout")
"""Shared inputs that are keys of the step itself, beside ``use``."""
RUN_OUTPUTS = ("exit-code",)
_IN_SHELL = re.compile(r"\$\{\{\s*(?:" + "|".join(ROOTS) + r")\b")


def check(pipeline: Pipeline) -> list[UsageError]:
    """Every problem of a file that was read, each with its place."""
    checker = Checker(pipeline)
    for number, step in enumerate(pipeline.steps):
        checker.step(number, step)
    return checker.problems


def names(pipeline: Pipeline) -> frozenset[str]:
    """Every name that an expression of the file may use after a dot."""
    found = {*pipeline.parameters, *pipeline.secrets}
    for step in pipeline.steps:
        found |= {step.id, *outputs(step)}
    return frozenset(found)


def outputs(step: Step) -> tuple[str, ...]:
    """The outputs that a step declares; none when there is no such step."""
    if step.use is None:
        return RUN_OUTPUTS
    if step.use not in catalog.BUILT:
        return ()
    return tuple(field.key for field in inputs.fields(catalog.load(step.use).Outputs))


def secret_inputs(use: str) -> set[str]:
    """The inputs of a step that may hold a secret."""
    own = inputs.fields(catalog.load(use).Inputs)
    return {field.key for field in (*own, *inputs.fields(inputs.SharedInputs)) if field.secret}


class Checker:
    """Goes through the steps of one file and keeps the problems."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.problems: list[UsageError] = []
        self.known = names(pipeline)
        self.ids = {step.id: number for number, step in enumerate(pipeline.steps)}

    def note(self, place: Place, text: str, hint: str = "") -> None:
        self.problems.append(UsageError(f"{place}: {text}", hint=hint, **place.facts()))

    def step(self, number: int, step: Step) -> None:
        """One step: its name, its inputs, and every expression in it."""
        if step.condition is not None:
            self.look(step.condition, number, condition)
        if step.confirm is not None:
            self.look(step.confirm, number)
        for node in step.env.values():
            self.scalar(node, "a variable")
            self.look(node, number, secrets=True)
        if step.run is not None and (match := _IN_SHELL.search(step.run)):
            hint = 'hand the value in: `env: {NAME: ${{ … }}}`, and write "$NAME" in the text'
            self.note(step.place, f"{match[0]} … }}}} is not evaluated inside `run`", hint)
        if step.use is not None:
            self.use(number, step, step.use)

    def use(self, number: int, step: Step, use: str) -> None:
        try:
            loaded = catalog.load(use)
        except UsageError as error:
            self.note(step.use_place, error.message, error.hint)
            return
        secret = secret_inputs(use)
        for key, node in step.inputs.items():
            self.look(node, number, secrets=inputs.dashed(key) in secret)
        self.values(step, loaded, use)

    def values(self, step: Step, loaded: CatalogStep, use: str) -> None:
        """Each input by itself, and all of them together where every value is written out."""
        before = len(self.problems)
        own = {field.key: field for field in inputs.fields(loaded.Inputs)}
        shared = {field.key: field for field in inputs.fields(inputs.SharedInputs) if field.key != "summary"}
        declared, given = own | shared, set()
        for raw, node in step.inputs.items():
            key, place = inputs.dashed(raw), step.keys[raw]
            given.add(key)
            if key in BESIDE and key not in own:
                self.note(place, f"{key!r} is no input; write it beside `use`")
            elif key not in declared:
                self.note(place, f"{use}: unknown input {raw!r}", suggestion(key, declared))
            elif node.value in (None, [], {}):
                self.note(node.place, f"{use}: {key}: is given but empty; leave it out if you do not mean to choose")
            elif not written(node):
                try:
                    inputs.parse(declared[key], node.plain())
                except ValueError as error:
                    self.note(node.place, f"{use}: {key}: {error}")
        for key, field in own.items():
            if field.required and key not in given:
                self.note(step.place, f"{use}: input {key!r} is missing", field.help)
        if len(self.problems) == before and not any(written(node) for node in step.inputs.values()):
            mine, _ = inputs.split_shared({key: node.plain() for key, node in step.inputs.items()})
            try:
                inputs.bind(loaded.Inputs, mine, what=use)
            except UsageError as error:
                self.note(step.place, error.message, error.hint)

    def scalar(self, node: Node, what: str) -> None:
        if not isinstance(node.value, str):
            self.note(node.place, f"{what} has to be text")

    def look(
        self,
        node: Node,
        number: int,
        find: Callable[[str], Iterable[Expression]] = expressions,
        *,
        secrets: bool = False,
    ) -> None:
        """Every expression in a value, wherever it is nested."""
        for leaf in leaves(node):
            try:
                found = list(find(str(leaf.value)))
            except ExpressionError as error:
                self.note(leaf.place, str(error))
                continue
            for expression in found:
                place = within(leaf, expression)
                try:
                    used = references(expression, self.known)
                except ExpressionError as error:
                    self.note(place, str(error))
                    continue
                for reference in used:
                    self.reference(reference, place, number, secrets=secrets)

    def reference(self, used: Reference, place: Place, number: int, *, secrets: bool) -> None:
        """One name that an expression uses, against what there is."""
        path = used.path
        if used.root == "params":
            self.among(path, self.pipeline.parameters, "parameter", place)
        elif used.root == "steps":
            self.step_reference(path, place, number)
        elif used.root == "run":
            self.among(path, RUN_FACTS, "fact of the run", place)
        elif used.root == "now":
            self.among(path, NOW_FACTS, "part of the time", place)
        elif used.root == "secrets":
            if not secrets:
                hint = "it may be used in `env` of a `run` step, and in inputs that are secret"
                self.note(place, "a secret cannot be used here", hint)
            elif not path:
                self.note(place, "name one secret: secrets.NAME")
            else:
                self.among(path, self.pipeline.secrets, "secret", place)
        elif used.root == "env":
            if path and path[0] in self.pipeline.secrets:
                self.note(place, f"{path[0]} is a secret of the file", f"write secrets.{path[0]}")
        else:
            self.note(place, f"unknown name {used.root!r}", suggestion(used.root, ROOTS))

    def among(self, path: tuple[str, ...], known: Collection[str], noun: str, place: Place) -> None:
        if path and path[0] not in known:
            self.note(place, f"no {noun} {path[0]!r}", suggestion(path[0], known) or f"the file declares no {noun}")

    def step_reference(self, path: tuple[str, ...], place: Place, number: int) -> None:
        if not path:
            return
        earlier = [id for id, place_of in self.ids.items() if place_of < number]
        if path[0] not in self.ids:
            self.note(place, f"no step {path[0]!r}", suggestion(path[0], earlier) or "no step comes before this one")
        elif path[0] not in earlier:
            what = "is this step itself" if self.ids[path[0]] == number else "runs later"
            self.note(place, f"the step {path[0]!r} {what}", "an expression sees only the steps before it")
        elif len(path) > 1 and path[1] not in STEP_FACTS:
            self.note(place, f"a step has no {path[1]!r}", f"write steps.{path[0]}.outputs.NAME")
        elif len(path) > 2 and path[1] == "outputs":
            step = self.pipeline.steps[self.ids[path[0]]]
            declared = outputs(step)
            if declared and path[2] not in declared:
                self.note(place, f"{step.what} has no output {path[2]!r}", suggestion(path[2], declared))


def leaves(node: Node) -> Iterable[Node]:
    """The texts in a value."""
    if isinstance(node.value, str):
        yield node
    elif node.value is not None:
        for each in node.value.values() if isinstance(node.value, Mapping) else node.value:
            yield from leaves(each)


def written(node: Node) -> bool:
    """Whether a value holds an expression."""
    return any("${{" in str(leaf.value) for leaf in leaves(node))


def within(leaf: Node, expression: Expression) -> Place:
    """Where in the file an expression stands: exact in a plain text of one line, else where its text starts."""
    if leaf.quoted or "\n" in str(leaf.value):
        return leaf.place
    return Place(file=leaf.place.file, line=leaf.place.line, column=leaf.place.column + expression.offset)
