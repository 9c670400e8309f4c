"""JSON Schemas of what the nouns ``emit``, for the OpenAPI description and the tests that hold the server to it.

Closed: an object has the properties that are named and no other, unless it is an open mapping on the wire too. A
noun's schema stands beside its ``emit``. An id is opaque text; its ``format`` says which noun it names. Nothing here
validates.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
"""A whole number from 0 on: bytes, Unix seconds, a number of things."""
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
TIME: Schema = {"type": "string", "format": "date-time"}
OPEN: Schema = {"type": "object"}
"""A mapping whose keys are not ours to say, such as a VM configuration."""
NULL: Schema = {"type": "null"}


def id_of(noun: str) -> Schema:
    """An id: ``format`` is ``NOUN-id``, and nothing is said about its spelling."""
    return {"type": "string", "minLength": 1, "format": f"{noun}-id"}


def one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def several(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def mapping(schema: Schema) -> Schema:
    """An object with any keys, and values of one kind."""
    return {"type": "object", "additionalProperties": schema}


def either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def noun(title: str, properties: Mapping[str, Schema], optional: Collection[str] = ()) -> Schema:
    """A closed object; all of its properties are there but the ``optional`` ones. ``title`` is its component's name."""
    return {
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
    }
