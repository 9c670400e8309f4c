"""What the REST calls are made of: one row per operation. Routing and the OpenAPI description both come from the rows.

To add calls, write a class whose methods take the bound ``Parameters`` and give the envelope's body (None for none,
``Told`` for a message beside it), or raise ``RefusedError``; write the rows below it, as ``CALLS``; and name class and
rows in ``server.table``. The object itself is made in ``server.app``. A row binds its parameters before the method is
called: every spelling arrives under the documented name in lower case, with the declared type; what was given but empty
is absent. Nothing here knows HTTP, so that the description needs no server.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from anka_ci.errors import RefusedError
from anka_ci.wire import schema
from anka_ci.wire.schema import Schema

Parameters = Mapping[str, Any]
"""Query and body together, keys in lower case; what was given empty or null is absent, and named under ``EMPTY``."""
EMPTY = "EMPTY"
"""No parameter: those are in lower case."""
Type = Literal["text", "number", "flag", "texts", "object", "objects"]
Place = Literal["query", "body", "both"]
MOST = 999_999_999
LONGEST = 4096
"""Characters of a text, such as a name, an id or a key; what is meant to be long says so."""
LONG = 1 << 20
"""Characters of a script or of a log."""
LARGEST = 64 << 10
"""Characters of the JSON of an object whose keys are not ours to say, such as an instance's metadata: it is kept, and
told again in every list. Anka documents no limit; what is larger belongs into a file."""


@dataclass(frozen=True)
class Told:
    """A success without a body that has something to say."""

    message: str


@dataclass(frozen=True)
class Parameter:
    """One parameter: its documented ``name``, and its further ``spellings``; letter case never matters.

    ``place`` is where it is documented to be; the server reads it from query and body alike. ``form`` is the schema's
    ``format`` of a text, such as ``template-id``. A number lies between ``least`` and ``most``, and may be a text, as
    a flag may; ``texts`` may be one text; a text has ``longest`` characters at most, an object or a list of them
    ``LARGEST`` as JSON. A required one that is missing, null or empty is refused; so is a ``named`` list that is given
    but names nothing, because leaving it out means all: a caller's unset variable must not.
    """

    name: str
    help: str
    type: Type = "text"
    place: Place = "query"
    required: bool = False
    spellings: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    form: str = ""
    least: int = 0
    most: int = MOST
    longest: int = LONGEST
    named: bool = False

    def read(self, given: Parameters) -> Any:
        """The value, checked; None when it was not given. ``RefusedError`` for a value that cannot be."""
        names = [name.lower() for name in (self.name, *self.spellings)]
        values = [given[name] for name in names if name in given]
        if len({_comparable(value) for value in values}) > 1:
            raise RefusedError(f"{' and '.join(name for name in names if name in given)} contradict each other")
        if self.named and (values[:1] == [[]] or (not self.required and set(names) & set(given.get(EMPTY, ())))):
            all_ = "" if self.required else "; leave it out for all"
            raise RefusedError(f"{self.name} is given but names nothing{all_}")
        if not values:
            if self.required:
                raise RefusedError(f"{self.name} is missing")
            return None
        return self._checked(values[0])

    def _checked(self, value: Any) -> Any:
        shown = str(value)[:100]
        if self.type == "number":
            if isinstance(value, (bool, float)) or not re.fullmatch(r"[0-9]{1,9}", str(value)):
                raise RefusedError(f"{self.name} {shown!r} is no number from {self.least} on")
            if not self.least <= int(value) <= self.most:
                raise RefusedError(f"{self.name} {shown} is not between {self.least} and {self.most}")
            return int(value)
        if self.type == "flag":
            found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
            if found is None:
                raise RefusedError(f"{self.name} {shown!r} is neither true nor false")
            return found
        if self.type == "texts":
            found_texts = [value] if isinstance(value, str) else value
            if not isinstance(found_texts, list) or not all(isinstance(item, str) and item for item in found_texts):
                raise RefusedError(f"{self.name} has to be a list of texts")
            for item in found_texts:
                self._check_length(item)
            return found_texts
        if self.type == "object" and not isinstance(value, dict):
            raise RefusedError(f"{self.name} has to be an object")
        if self.type == "objects" and not (isinstance(value, list) and all(isinstance(item, dict) for item in value)):
            raise RefusedError(f"{self.name} has to be a list of objects")
        if self.type in ("object", "objects") and len(json.dumps(value, ensure_ascii=False)) > LARGEST:
            raise RefusedError(f"{self.name} has more than {LARGEST} characters as JSON")
        if self.type == "text" and not isinstance(value, str):
            raise RefusedError(f"{self.name} has to be a text")
        if self.type == "text":
            self._check_length(value)
        if self.choices and value not in self.choices:
            raise RefusedError(f"{self.name} {shown!r} has to be {' or '.join(self.choices)}")
        return value

    def _check_length(self, text: str) -> None:
        if len(text) > self.longest:
            raise RefusedError(f"{self.name} has {len(text)} characters; {self.longest} are the most")

    @property
    def schema(self) -> Schema:
        """What a well-behaved client sends."""
        # In a query the address as a whole has a limit before a text has.
        limit = {"maxLength": self.longest} if self.place == "body" else {}
        text: Schema = schema.one_of(*self.choices) if self.choices else {**schema.TEXT, **limit}
        if self.form:
            text = {"type": "string", "minLength": 1, **limit, "format": self.form}
        return {
            "text": text,
            "number": {"type": "integer", "minimum": self.least, "maximum": self.most},
            "flag": schema.FLAG,
            "texts": {**schema.several({"minLength": 1, **text}), **({"minItems": 1} if self.named else {})},
            "object": schema.OPEN,
            "objects": schema.several(schema.OPEN),
        }[self.type]


@dataclass(frozen=True)
class Call:
    """One operation. ``handler`` is a method, not bound; the first sentence of its docstring is the summary.

    ``also`` are further paths that answer alike. ``answers`` is the schema of the envelope's body; None: there is none,
    and the key is then null (``null``, the registry's way) or absent (the controller's). ``bare`` calls answer without
    an envelope, a text as text and anything else as JSON, but for failures. ``open`` ones need no signing in. Of
    ``one_of`` exactly one parameter has to be given, in the body.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    handler: Callable[[Any, Parameters], Any]
    id: str
    parameters: tuple[Parameter, ...] = ()
    answers: Schema | None = None
    also: tuple[str, ...] = ()
    null: bool = False
    bare: bool = False
    open: bool = False
    one_of: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path, *self.also)

    @property
    def summary(self) -> str:
        return (self.handler.__doc__ or self.id).strip().split("\n")[0]

    def bind(self, given: Parameters) -> dict[str, Any]:
        """The parameters as the handler gets them; ``RefusedError`` for the first that cannot be."""
        found = dict(given)
        for parameter in self.parameters:
            value = parameter.read(given)
            if value is not None:
                found[parameter.name.lower()] = value
        if self.one_of and sum(name in found for name in self.one_of) != 1:
            raise RefusedError(f"one of {' and '.join(self.one_of)} is needed, and only one")
        return found


def parameters(query: Iterable[tuple[str, Any]], content: bytes) -> dict[str, Any]:
    """Query and JSON body as one mapping; ``RefusedError`` for malformed JSON and for two values that disagree."""
    found: dict[str, Any] = {}
    body: object = {}
    query = list(query)
    if content.strip():
        try:
            body = json.loads(
                content.decode(), parse_constant=_none, parse_float=_finite, object_pairs_hook=_without_two
            )
        except (ValueError, RecursionError):  # also of text that is not UTF-8
            raise RefusedError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise RefusedError("the body is no JSON object")
    try:  # half of a surrogate pair cannot be kept, searched or sent back
        json.dumps([query, body], ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise RefusedError("the request holds text that is not Unicode") from None
    for key, value in [*query, *body.items()]:
        name = key.lower()
        if value is None or (value == "" and name != "info"):
            found.setdefault(EMPTY, []).append(name)
            continue
        if name in found and _comparable(found[name]) != _comparable(value):
            raise RefusedError(f"two values for {key}")
        found[name] = value
    return found


def _without_two(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Python would take the last of two values for a key; which one was meant, nobody knows."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found and found[key] != value:
            raise RefusedError(f"two values for {key[:100]}")
        found[key] = value
    return found


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _none(text)


def _none(text: str) -> float:
    """Python reads NaN and Infinity, and would send them back to clients for whom they are no JSON."""
    raise ValueError(f"{text} is no number in JSON")


def _comparable(value: Any) -> str:
    """The same for a number or a flag and for the text of it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
