"""The only parser of an input's value, from its text or its JSON value; what is wrong with it is a ``ValueError``.

Where a value came from is not known here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from anka_ci.errors import suggestion
from anka_ci.inputs.field import Field
from anka_ci.inputs.quantities import Duration, Percent, Size, duration, percent, size


def parse(field: Field, value: object) -> object:
    """One value of one field, from its text or its JSON value; ``ValueError`` says what is wrong with it."""
    if field.type is dict and not field.many:
        return mapping(value)
    if field.many:
        items = _list(value)
        if not items:
            raise ValueError("is given but empty; leave it out if you do not mean to choose")
        return tuple(_scalar(field, item) for item in items)
    return _scalar(field, value)


def _list(value: object) -> list[object]:
    """Newlines or a JSON array; commas never split, because names may hold them."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                value = json.loads(text)
            except json.JSONDecodeError as error:
                raise ValueError(f"is not a JSON array: {error}") from None
        else:
            return [line.strip() for line in text.splitlines() if line.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError("wants a list: one per line, or a JSON array")
    return list(value)


def _scalar(field: Field, value: object) -> object:
    kind = field.type
    if isinstance(value, (dict, list, tuple)) and kind not in (dict, object):
        raise ValueError(f"wants {_wanted(field)}, not a {'mapping' if isinstance(value, dict) else 'list'}")
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"wants text, not {json.dumps(value)}; put it in quotes")
        text = value
    else:
        text = value.strip() if isinstance(value, str) else json.dumps(value)
    if not text.strip() and not field.may_be_empty:
        raise ValueError("is given but empty; leave it out if you do not mean to choose")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    if field.choices and text not in field.choices:
        near = suggestion(text, field.choices) if len(field.choices) > 8 else ""
        raise ValueError(f"{text!r} is none of {', '.join(field.choices)}" + (f"; {near}" if near else ""))
    try:
        return PARSERS[kind](text)
    except KeyError:
        raise ValueError(f"no parser for {kind}") from None
    except OverflowError:
        raise ValueError(f"{text!r} is too large") from None


def _wanted(field: Field) -> str:
    return {str: "text", bool: "true or false", int: "a whole number"}.get(
        field.type, f"a {field.type.__name__.lower()}"
    )


_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"{text!r} is neither true nor false")


def _int(text: str) -> int:
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)


def mapping(value: object) -> dict[str, Any]:
    """A mapping, a JSON object, or ``NAME=value`` on each line or in a list; no error shows a value."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("is not a JSON object") from None
    if isinstance(value, dict):
        found = {str(name): item for name, item in value.items()}
    else:
        lines = [line.strip() for line in value.splitlines()] if isinstance(value, str) else value
        if not isinstance(lines, (list, tuple)) or not all(isinstance(line, str) for line in lines):
            raise ValueError("wants a mapping, or NAME=value on each line")
        pairs = [line.partition("=") for line in lines if line.strip()]
        if not all(equals and name.strip() for name, equals, _ in pairs):
            raise ValueError("wants NAME=value on each line, or a mapping")
        found = {name.strip(): item for name, _, item in pairs}
        if len(found) < len(pairs):
            raise ValueError("names something twice")
    if not found:
        raise ValueError("is given but empty; leave it out if you do not mean to choose")
    return found


PARSERS: dict[Any, Callable[[str], object]] = {
    str: str,
    bool: _bool,
    int: _int,
    Duration: duration,
    Size: size,
    Percent: percent,
    dict: json.loads,
    object: json.loads,
}
