"""Inputs and outputs of steps: how they are declared, and the only validator of their values.

Nothing here reads an environment or a file; the faces hand in plain mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from anka_ci.errors import UsageError, suggestion
from anka_ci.inputs.field import Field, arg, camel, dashed, fields, python_name
from anka_ci.inputs.parsing import PARSERS, mapping, parse
from anka_ci.inputs.quantities import Duration, Percent, Size, duration, percent, show_duration, show_size, size

__all__ = [
    "PARSERS",
    "CallInputs",
    "Duration",
    "Field",
    "Percent",
    "SharedInputs",
    "Size",
    "Where",
    "arg",
    "bind",
    "build",
    "camel",
    "dashed",
    "duration",
    "emit",
    "fields",
    "mapping",
    "parse",
    "percent",
    "python_name",
    "show_default",
    "show_duration",
    "show_size",
    "size",
    "split_shared",
]

T = TypeVar("T")
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
    registry_url: str | None = arg(
        "URL of the registry, or oci://HOST/PREFIX of an OCI registry; what the controller reports when left out.",
        default=None,
    )
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


@dataclass(frozen=True, kw_only=True)
class CallInputs:
    """The inputs of one call of a command by a CI system; a step of a pipeline file has none of them."""

    inputs_file: str | None = arg(
        "Path of a JSON or YAML file with more inputs, for values over 96 KiB; no secret, and no input twice.",
        default=None,
    )


def split_shared(values: Mapping[str, object]) -> tuple[dict[str, object], dict[str, object]]:
    """Part a mapping of inputs into the step's own and the shared ones."""
    shared = {field.key for field in fields(SharedInputs)}
    own: Iterable[tuple[str, object]] = ((key, value) for key, value in values.items() if dashed(key) not in shared)
    return dict(own), {key: value for key, value in values.items() if dashed(key) in shared}
