"""Where each setting of a context comes from: a flag, the environment, or the settings file.

Found by leaving one source out at a time and loading the context again, so that it is true for every setting there is
or will be. Loads only; asks no server.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from anka_ci import inputs, settings
from anka_ci.auth import Material, SignIn
from anka_ci.errors import AnkaCiError
from anka_ci.inputs import SharedInputs
from anka_ci.rules.diagnosis.context import ContextFacts, Setting
from anka_ci.secret import Secret
from anka_ci.settings import Context

CHOOSING = ("ANKA_CI_SETTINGS", "ANKA_CI_CONTEXT")
"""Variables that choose the file and the context; what they choose comes from the file all the same."""
NAMES = {"controller_url": "controller", "registry_urls": "registry"}
"""Settings whose names for people are not their fields'."""


def facts(env: Mapping[str, str], shared: SharedInputs, context: Context) -> ContextFacts:
    """The context as it was loaded, each setting that is not the default with its origin."""
    file = settings.path(env)
    chosen = "--context" if shared.context else "ANKA_CI_CONTEXT" if env.get("ANKA_CI_CONTEXT") else "its default"
    found = []
    left_out = list(_left_out(env, shared))
    bare = {key: value for key, value in env.items() if not key.startswith("ANKA_CI_") or key in CHOOSING}
    from_file = _load(bare, SharedInputs(context=shared.context))
    for field in dataclasses.fields(Context):
        value = getattr(context, field.name)
        if field.name in ("name", "sources") or value == getattr(Context(), field.name):
            continue
        origin = next((name for name, other in left_out if getattr(other, field.name) != value), "")
        if not origin and getattr(from_file, field.name) == value:
            origin = f"what {file} names" if isinstance(value, (Secret, Material)) else str(file)
        name = NAMES.get(field.name, inputs.dashed(field.name))
        found.append(Setting(name=name, value=text(value), origin=origin or "the options and the environment alike"))
    return ContextFacts(name=context.name, file=str(file), exists=file.exists(), chosen=chosen, settings=tuple(found))


def unreadable(env: Mapping[str, str], error: AnkaCiError) -> ContextFacts:
    """The context that could not be loaded."""
    file = settings.path(env)
    return ContextFacts(name="", file=str(file), exists=file.exists(), failure=error.emit())


def _left_out(env: Mapping[str, str], shared: SharedInputs) -> Iterator[tuple[str, Context]]:
    """Each source by its name, and the context without it."""
    for field in inputs.fields(SharedInputs):
        if field.key != "context" and getattr(shared, field.name) != field.default:
            left: dict[str, Any] = {field.name: field.default}
            yield f"--{field.key}", _load(env, dataclasses.replace(shared, **left))
    for name in sorted(env):
        if name.startswith("ANKA_CI_") and name not in CHOOSING:
            yield name, _load({key: value for key, value in env.items() if key != name}, shared)


def _load(env: Mapping[str, str], shared: SharedInputs) -> Context:
    """The context, the defaults where it cannot be loaded without what was left out."""
    try:
        return settings.load(env, shared)
    except AnkaCiError:
        return Context()


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
