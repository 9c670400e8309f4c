"""Where each setting of a context comes from: a flag, the environment, or the settings file.

Found by leaving one source out at a time and loading the context again, so that it is true for every setting there is
or will be. Loads only; asks no server.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci import inputs, settings
from anka_ci.auth import Material, SignIn
from anka_ci.commands import sign_ins
from anka_ci.errors import AnkaCiError
from anka_ci.inputs import SharedInputs
from anka_ci.rules.diagnosis.context import ContextFacts, Setting
from anka_ci.secret import Secret
from anka_ci.settings import Context

CHOOSING = ("ANKA_CI_SETTINGS", "ANKA_CI_CONTEXT")
"""Variables that choose the file and the context; what they choose comes from the file all the same."""
NAMES = {"controller_url": "controller", "registry_urls": "registry"}
"""Settings whose names for people are not their fields'."""


@dataclass(frozen=True, kw_only=True)
class _Without:
    """The context without one source: ``name``. ``only`` is the one setting it tells about, empty: all of them."""

    name: str
    context: Context
    only: str = ""


def facts(
    env: Mapping[str, str], shared: SharedInputs, context: Context, failure: AnkaCiError | None = None
) -> ContextFacts:
    """The context as it was loaded, each setting that is not the default with its origin.

    ``failure`` says why it cannot be loaded as it stands; ``env`` and ``context`` are then what could be loaded of it.
    """
    file = settings.path(env)
    chosen = "--context" if shared.context else "ANKA_CI_CONTEXT" if env.get("ANKA_CI_CONTEXT") else "its default"
    found = []
    left_out = list(_left_out(env, shared))
    bare = {key: value for key, value in env.items() if not key.startswith("ANKA_CI_") or key in CHOOSING}
    from_file = _load(bare, SharedInputs(context=shared.context)) or Context()
    for field in dataclasses.fields(Context):
        value = getattr(context, field.name)
        if field.name in ("name", "sources") or value == getattr(Context(), field.name):
            continue
        others = [each for each in left_out if each.only in ("", field.name)]
        origin = next((each.name for each in others if getattr(each.context, field.name) != value), "")
        if not origin and getattr(from_file, field.name) == value:
            origin = f"what {file} names" if isinstance(value, (Secret, Material)) else str(file)
        name = NAMES.get(field.name, inputs.dashed(field.name))
        found.append(Setting(name=name, value=text(value), origin=origin or "the options and the environment alike"))
    authorities = [each.ca for each in (context, context.registry_sign_in) if each is not None and each.ca]
    return ContextFacts(
        name=context.name,
        file=str(file),
        exists=file.exists(),
        chosen=chosen,
        settings=tuple(found),
        unreadable=tuple(ca for ca in dict.fromkeys(authorities) if not os.access(ca, os.R_OK)),
        failure=failure.emit() if failure else None,
    )


def _left_out(env: Mapping[str, str], shared: SharedInputs) -> Iterator[_Without]:
    """Each source by its name, and the context without it.

    Of a way of signing in that has several parts none can be left out alone: then the whole way is.
    """
    signed = sign_ins.variables(sign_ins.NAMES)
    less = {key: value for key, value in env.items() if key not in signed}
    for field in inputs.fields(SharedInputs):
        if field.key != "context" and getattr(shared, field.name) != field.default:
            left: dict[str, Any] = {field.name: field.default}
            other = _load(env, dataclasses.replace(shared, **left))
            if other is not None:
                yield _Without(name=f"--{field.key}", context=other)
            elif (other := _load(less, sign_ins.unsigned(shared))) is not None:
                yield _Without(name=f"--{field.key}", context=other, only=field.name)
    for name in sorted(env):
        if not name.startswith("ANKA_CI_") or name in CHOOSING:
            continue
        other = _load({key: value for key, value in env.items() if key != name}, shared)
        if other is not None:
            yield _Without(name=name, context=other)
        elif name in signed and (other := _load(less, sign_ins.unsigned(shared))) is not None:
            own = name.removeprefix(settings.PREFIX).removesuffix("_FILE").lower()
            yield _Without(name=name, context=other, only="registry_sign_in" if own.startswith("registry_") else own)


def _load(env: Mapping[str, str], shared: SharedInputs) -> Context | None:
    """The context; None where it cannot be loaded without what was left out."""
    try:
        return settings.load(env, shared)
    except AnkaCiError:
        return None


def text(value: object) -> str:
    """A setting as people read it; a secret as ``***``."""
    if isinstance(value, Material):
        return value.file or str(value.secret)
    if isinstance(value, SignIn):
        return " and ".join(value.kinds) or "none"
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):  # headers
        return ", ".join(f"{name}: {secret}" for name, secret in value)
    if isinstance(value, tuple):
        words = [str(item) for item in value]
        return ", then ".join(words) if all("://" in word for word in words) else shlex.join(words)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g} s" if isinstance(value, float) else str(value)
