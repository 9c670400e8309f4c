"""Inputs and outputs of steps: how they are declared, and the only parser and validator of their values.

Nothing here reads an environment or a file; the faces hand in plain mappings.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from anka_ci.errors import UsageError, suggestion

T = TypeVar("T")


class Duration(float):
    """Seconds. Written ``90s``, ``30m``, ``2h``, ``1d``, ``1h30m``, or a plain number of seconds."""


class Size(int):
    """Bytes. Written ``512MiB``, ``10GiB``, ``1.5GB``, or a plain number of bytes."""


class Percent(float):
    """A share from 0 to 100. Written ``50%`` or ``50``."""


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


Where = Callable[[str], Mapping[str, Any]]
"""For an input's key, the facts that say where it was written (``file``, ``line``, ``column``)."""


def bind(cls: type[T], values: Mapping[str, object], *, what: str = "step", where: Where | None = None) -> T:
    """Make ``cls`` from a mapping of keys (``if-exists`` or ``if_exists``) to strings or JSON values.

    A key whose value is None is absent. Raises ``UsageError`` for an unknown key (with the nearest name), a missing
    one, a value of the wrong type, and one that is given but empty.
    """
    locate = where or (lambda key: {})
    declared = {field.key: field for field in fields(cls)}
    found: dict[str, object] = {}
    for raw, value in values.items():
        key = dashed(raw)
        if key not in declared:
            raise UsageError(f"{what}: unknown input {raw!r}", hint=suggestion(key, declared), **locate(raw))
        field = declared[key]
        if field.name in found:
            raise UsageError(f"{what}: input {key!r} is given twice", **locate(raw))
        if value is not None:
            try:
                found[field.name] = parse(field, value)
            except ValueError as error:
                raise UsageError(f"{what}: {key}: {error}", **locate(raw)) from None
    for key, field in declared.items():
        if field.required and field.name not in found:
            raise UsageError(f"{what}: input {key!r} is missing", hint=field.help, **locate(""))
    try:
        return cls(**found)
    except ValueError as error:  # from __post_init__: inputs that do not go together
        raise UsageError(f"{what}: {error}", **locate("")) from None


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
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {
    unit + suffix: base**power
    for power, unit in enumerate(("", "k", "m", "g", "t", "p"))
    for suffix, base in (("ib", 1024), ("b", 1000), ("i", 1024))
    if unit or suffix == "b"
}


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


def duration(text: str) -> Duration:
    """``1h30m``, ``90s`` or ``90`` as seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return Duration(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
    if not parts or not re.fullmatch(r"(\s*\d+(\.\d+)?\s*[smhd])+\s*", text):
        raise ValueError(f"{text!r} is not a duration; write 90s, 30m, 2h or 1h30m")
    return Duration(sum(float(number) * _UNITS[unit] for number, unit in parts))


def size(text: str) -> Size:
    """``512MiB``, ``1.5GB`` or ``4096`` as bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text)
    unit = match.group(2).lower() if match else "?"
    if not match or (unit and unit not in _SIZES):
        raise ValueError(f"{text!r} is not a size; write 512MiB, 10GiB or a number of bytes")
    return Size(float(match.group(1)) * _SIZES.get(unit, 1)) if unit or "." in text else Size(match.group(1))


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


def percent(text: str) -> Percent:
    """``50%`` or ``50`` as a share of 100."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text)
    if not match or float(match.group(1)) > 100:
        raise ValueError(f"{text!r} is not a percentage from 0 to 100")
    return Percent(match.group(1))


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


def show_default(field: Field) -> str:
    """A field's default as text for help and faces; empty when there is none."""
    value = field.default
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Duration):
        return show_duration(value)
    if isinstance(value, Percent):
        return f"{value:g}%"
    if isinstance(value, tuple):
        return "\n".join(str(item) for item in value)
    return str(value)


def show_duration(seconds: float) -> str:
    """Seconds as people write them: ``45s``, ``30m``, ``1h30m``."""
    rest = round(seconds)
    if rest < 1:
        return f"{seconds:g}s"
    parts = []
    for unit in "dhms":
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def show_size(count: float) -> str:
    """Bytes as people read them: ``512 B``, ``1.5 MiB``, ``26 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"


def emit(instance: object) -> dict[str, object]:
    """An ``Inputs`` or ``Outputs`` as a JSON mapping with dashed keys; fields that are None are absent."""
    found = {field.key: getattr(instance, field.name) for field in fields(type(instance))}
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in found.items() if value is not None
    }


def build(cls: type[T], values: Mapping[str, object]) -> T:
    """An ``Outputs`` from what ``emit`` made of it, or from what a plan expects: dashed keys, JSON values."""
    known = {field.key: field for field in fields(cls)}
    found = {known[key].name: tuple(value) if known[key].many else value for key, value in values.items()}  # type: ignore
    return cls(**found)


@dataclass(frozen=True, kw_only=True)
class SharedInputs:
    """The inputs that every step has beside its own: the connection, and how the step is run."""

    context: str | None = arg("Name of the context in the settings file to use.", default=None)
    controller_url: str | None = arg("URL of the Anka controller, such as http://anka.internal:8090.", default=None)
    registry_url: str | None = arg("URL of the registry; what the controller reports when left out.", default=None)
    anka: str | None = arg("The anka command, as an argument list such as `sudo -n /usr/local/bin/anka`.", default=None)
    token: str | None = arg("Root token of the controller and registry.", default=None, secret=True)
    certificate: str | None = arg(
        "Client certificate to sign in with: path of a PEM or PKCS#12 file, or PEM text.", default=None
    )
    key: str | None = arg("Its private key: PEM text, or the path of a file.", default=None, secret=True)
    passphrase: str | None = arg("Passphrase of that key or PKCS#12 file.", default=None, secret=True)
    api_key_id: str | None = arg("Id of the API key (UAK) to sign in with.", default=None)
    api_key: str | None = arg(
        "Its private key: PEM text, one line of base64, or the path of a file.", default=None, secret=True
    )
    client_id: str | None = arg("Id of the OpenID client to sign in with.", default=None)
    client_secret: str | None = arg("Secret of that OpenID client.", default=None, secret=True)
    ca: str | None = arg("Path of a PEM file with the certificate authority to trust.", default=None)
    timeout: Duration | None = arg("Give up after this long, retries included; no limit when left out.", default=None)
    confirm: str | None = arg(
        "The digest of the plan that may lose data; `yes` is enough for losing only a newest version.",
        default=None,
    )
    summary: bool = arg("Write a job summary.", default=True)


def split_shared(values: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Part a mapping of inputs into the step's own and the shared ones."""
    shared = {field.key for field in fields(SharedInputs)}
    own: Iterable[tuple[str, object]] = ((key, value) for key, value in values.items() if dashed(key) not in shared)
    return dict(own), {key: value for key, value in values.items() if dashed(key) in shared}
