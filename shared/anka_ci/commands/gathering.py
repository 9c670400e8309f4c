"""The inputs of a call, put together: of the command line, of what a CI system hands in, and of a file.

No place wins over another: an input that two of them give is an error that names both. Nothing is bound here.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anka_ci import adapter, document, inputs
from anka_ci.console import Console
from anka_ci.document import Place
from anka_ci.errors import UsageError
from anka_ci.inputs import CallInputs, Field

INPUTS, INPUTS_FILE = "ANKA_CI_INPUTS", "ANKA_CI_INPUTS_FILE"
"""Variables that hold inputs as one JSON object, or the path of a file that does: how a CI system hands them in."""
LINE = "the command line"


@dataclass(frozen=True, kw_only=True)
class Given:
    """The inputs by dashed key, and where those of a file were written; ``call`` is no input of the step."""

    values: dict[str, object]
    call: CallInputs
    places: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    def where(self, key: str) -> Mapping[str, Any]:
        """The facts that tell where an input was written; empty when in no file."""
        return self.places.get(inputs.dashed(key), {})


class Gathering:
    """The inputs as they come together."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}
        self.places: dict[str, Mapping[str, Any]] = {}
        self._from: dict[str, str] = {}

    def add(self, found: Mapping[str, object], where: str) -> None:
        """Take inputs of one more place, ``where`` names it; ``UsageError`` for one that is there already."""
        for raw, value in found.items():
            self._take(inputs.dashed(raw), value, where, {})

    def file(self, path: Path, secret: Mapping[str, Field], *, left_out: bool = False) -> None:
        """Take the inputs of a file; ``UsageError`` for a secret one, by its name."""
        found, places = read(path)
        for raw, value in (adapter.given(found) if left_out else found).items():
            key = inputs.dashed(raw)
            place = places.get(raw)
            where, facts = str(place or path), place.facts() if place else {"file": str(path)}
            if key in secret:
                said = f"{where}: {key} is a secret, and has no place in a file that people share"
                raise UsageError(said, hint=f"set the variable {adapter.secret_variable(secret[key])}", **facts)
            self._take(key, value, where, facts)

    def _take(self, key: str, value: object, where: str, facts: Mapping[str, Any]) -> None:
        if key in self.values:
            said = f"the input {key!r} is given twice: by {self._from[key]} and by {where}"
            raise UsageError(said, hint="leave one of them out", **facts)
        self.values[key], self._from[key] = value, where
        if facts:
            self.places[key] = facts


def given(
    options: argparse.Namespace, console: Console, values: Mapping[str, object], declared: Iterable[Field]
) -> Given:
    """Every input of the call; ``values`` are those of the command line, ``declared`` what the command takes.

    What a CI system hands in is read when the options name it (``--report``), or when the command line holds no input
    at all. ``UsageError`` for a file that is no mapping, an input given twice, and a secret in a file.
    """
    fields = {field.key: field for field in declared}
    found, secret = Gathering(), {key: field for key, field in fields.items() if field.secret}
    found.add(values, LINE)
    if options.report or not (values or options.inputs_file):
        text, file = console.env.get(INPUTS), console.env.get(INPUTS_FILE)
        if text:
            handed = _object(text, INPUTS)
            if options.report:
                handed = {
                    key: value for key, value in adapter.given(handed).items() if not _default(fields, key, value)
                }
            found.add(handed, f"the inputs of the call ({INPUTS})")
        if file:
            found.file(Path(file), secret, left_out=bool(options.report))
    if options.inputs_file:
        found.add({"inputs-file": options.inputs_file}, "--inputs-file")
    keys = {field.key for field in inputs.fields(CallInputs)}
    call = inputs.bind(CallInputs, {key: value for key, value in found.values.items() if key in keys}, what="inputs")
    if call.inputs_file is not None:
        found.file(Path(call.inputs_file), secret)
    rest = {key: value for key, value in found.values.items() if key not in keys}
    return Given(values=rest, call=call, places=found.places)


def _default(fields: Mapping[str, Field], key: str, value: object) -> bool:
    """Whether it is an input's default: a face fills it in for what nobody wrote, and a file may say something else."""
    return key in fields and value == (inputs.show_default(fields[key]) or adapter.LEFT_OUT)


def read(path: Path) -> tuple[dict[str, object], dict[str, Place]]:
    """A file of inputs, JSON or YAML, and where each is written; ``UsageError`` when it is no mapping.

    In JSON a value has its type; in YAML what is written is text, as in a pipeline file: ``13.10`` stays that.
    """
    text = document.text(path)
    if path.suffix.lower() == ".json" or text.lstrip().startswith("{"):
        return _object(text, str(path)), {}
    root = document.parse(text, str(path))
    return {key: node.plain() for key, node in root.mapping("the inputs").items()}, dict(root.keys)


def _object(text: str, where: str) -> dict[str, object]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
            raise UsageError(f"{where}: {twice!r} is given twice", hint="leave one of them out")
        return found

    try:
        found = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{where} has to be one JSON object of inputs")
    return found
