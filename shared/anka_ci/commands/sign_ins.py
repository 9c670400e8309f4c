"""Every way of signing in that is configured, each on its own: also those that another one stands in front of.

Made from the settings only; what is sent and asked is the transport's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from anka_ci import settings
from anka_ci.auth import API_KEY, CERTIFICATE, OIDC, REGISTRY, TOKEN, SignIn, describe
from anka_ci.errors import AnkaCiError
from anka_ci.inputs import SharedInputs
from anka_ci.settings import Context

PARTS = {
    TOKEN: ("token",),
    API_KEY: ("api_key_id", "api_key"),
    OIDC: ("client_id", "client_secret"),
    CERTIFICATE: ("certificate", "key"),
}
"""What of a sign-in belongs to which way; a passphrase may belong to two and stays."""
NAMES = (*(name for names in PARTS.values() for name in names), "passphrase")
"""All parts of all ways."""


def alone(context: Context, service: str, kind: str | None) -> Context:
    """The context with one way of signing in to the service left, or none."""
    gone: dict[str, Any] = {name: None for each, names in PARTS.items() if each != kind for name in names}
    if len(context.of(service).kinds) > 1:
        gone["sources"] = ()  # they are told of all the ways together
    return _changed(context, service, gone)


def _changed(context: Context, service: str, changes: dict[str, Any]) -> Context:
    """The context with another sign-in to the service."""
    if service != REGISTRY:
        return dataclasses.replace(context, **changes)
    found = context.of(REGISTRY)
    kept = SignIn(**{field.name: getattr(found, field.name) for field in dataclasses.fields(SignIn)})
    return dataclasses.replace(context, registry_sign_in=dataclasses.replace(kept, **changes))


def parts(found: SignIn) -> tuple[object, ...]:
    """What a sign-in sends; two that send the same are one way."""
    return tuple(getattr(found, name) for names in PARTS.values() for name in names)


def words(context: Context, service: str) -> str:
    """How the service is signed in to, for people; empty when it is not."""
    found = context.of(service)
    if not found.kinds:
        return ""
    if len(found.kinds) > 1:
        context = _changed(context, service, {"sources": ()})
    return " and ".join(way.detail for way in describe(context) if way.service == service)


def variables(names: Iterable[str]) -> set[str]:
    """The variables that give these parts of a sign-in, for both services."""
    plain = {prefix + name.upper() for prefix in (settings.PREFIX, settings.REGISTRY_PREFIX) for name in names}
    return plain | {f"{name}_FILE" for name in plain}


def unsigned(shared: SharedInputs) -> SharedInputs:
    """The inputs without what they say of signing in."""
    gone: dict[str, Any] = dict.fromkeys(NAMES)
    return dataclasses.replace(shared, **gone)


def contexts(env: Mapping[str, str], shared: SharedInputs, context: Context) -> list[Context]:
    """The context as it is, and as it would be without what the options, and then the environment, say of signing in.

    So the ways of a settings file come to light which a variable stands in front of.
    """
    less = _less(env, variables(NAMES) | {settings.REGISTRY_PREFIX + "SIGN_IN"})
    found = (_loaded(env, unsigned(shared)), _loaded(less, unsigned(shared)))
    return [context, *(each for each in found if each is not None)]


def parted(env: Mapping[str, str], shared: SharedInputs) -> tuple[Mapping[str, str], list[Context]]:
    """The contexts with one way each of those that the environment names at once, which cannot be used so.

    With the environment of the first. No context is there when it is something else that cannot be used.
    """
    found = []
    for kind, names in PARTS.items():
        less = _less(env, variables(name for each, other in PARTS.items() if each != kind for name in other))
        own = shared if any(getattr(shared, name) for name in names) else unsigned(shared)
        context = _loaded(less, own)
        if context is not None and (context.kinds or context.of(REGISTRY).kinds):
            found.append((less, context))
    if not found:
        less = _less(env, variables(NAMES))
        context = _loaded(less, unsigned(shared))
        found = [(less, context)] if context is not None else []
    return (found[0][0] if found else env), [context for _, context in found]


def _less(env: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {key: value for key, value in env.items() if key not in names}


def _loaded(env: Mapping[str, str], shared: SharedInputs) -> Context | None:
    try:
        return settings.load(env, shared)
    except AnkaCiError:
        return None
