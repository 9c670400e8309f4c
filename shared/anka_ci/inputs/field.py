"""One declared input or output: its name in every spelling, its type, its help.

No value is read here.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Field:
    """One declared input or output, as every face needs it."""

    name: str
    type: type
    help: str
    default: object
    required: bool
    many: bool
    choices: tuple[str, ...]
    secret: bool
    may_be_empty: bool

    @property
    def key(self) -> str:
        return dashed(self.name)


def arg(
    help: str,
    *,
    default: Any = dataclasses.MISSING,
    choices: Sequence[str] = (),
    secret: bool = False,
    may_be_empty: bool = False,
) -> Any:
    """Declare an input (or an output) of a step: a dataclass field with its help.

    ``may_be_empty`` is for texts such as a description, where an empty value has no other meaning than itself; any
    other input that is given but empty is an error, because an unset variable must never mean "all" or "latest".
    """
    metadata = {"help": help, "choices": tuple(choices), "secret": secret, "may_be_empty": may_be_empty}
    return dataclasses.field(default=default, metadata=metadata)


def dashed(name: str) -> str:
    """``save_image`` as the CLI, YAML, inputs, outputs and folders spell it: ``save-image``."""
    return name.rstrip("_").replace("_", "-")


def python_name(key: str) -> str:
    """``save-image`` as Python spells it: ``save_image``."""
    return key.replace("-", "_")


def camel(name: str, prefix: str = "") -> str:
    """``save-image`` as Groovy spells it: ``saveImage``; with the prefix ``anka``: ``ankaSaveImage``."""
    words = [word for word in re.split("[-_]", prefix + "-" + name if prefix else name) if word]
    return words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])


def fields(cls: type) -> tuple[Field, ...]:
    """The declared fields of an ``Inputs`` or ``Outputs`` dataclass, in order."""
    hints = typing.get_type_hints(cls)
    found = []
    for field in dataclasses.fields(cls):
        kind, many = _kind(hints[field.name])
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        found.append(
            Field(
                name=field.name,
                type=kind,
                help=field.metadata.get("help", ""),
                default=None if required else field.default,
                required=required,
                many=many,
                choices=field.metadata.get("choices", ()),
                secret=field.metadata.get("secret", False),
                may_be_empty=field.metadata.get("may_be_empty", False),
            )
        )
    return tuple(found)


def _kind(hint: Any) -> tuple[type, bool]:
    """The plain type behind ``X``, ``X | None`` and ``tuple[X, ...]``."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _kind(next(part for part in typing.get_args(hint) if part is not type(None)))
    if origin is tuple:
        return _kind(typing.get_args(hint)[0])[0], True
    if origin is not None:
        return origin, False
    return hint, False
