"""Every way of signing in that is configured, each on its own: also those that another one stands in front of.

Made from the settings only; what is sent and asked is the transport's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
NAMES = ("TOKEN", "CERTIFICATE", "KEY", "PASSPHRASE", "API_KEY_ID", "API_KEY", "CLIENT_ID", "CLIENT_SECRET")


def alone(context: Context, service: str, kind: str | None) -> Context:
    """The context with one way of signing in to the service left, or none."""
    gone: dict[str, Any] = {name: None for each, names in PARTS.items() if each != kind for name in names}
    if service == REGISTRY:
        found = context.of(REGISTRY)
        kept = SignIn(**{field.name: getattr(found, field.name) for field in dataclasses.fields(SignIn)})
        return dataclasses.replace(context, registry_sign_in=dataclasses.replace(kept, **gone))
    return dataclasses.replace(context, **gone)


def parts(found: SignIn) -> tuple[object, ...]:
    """What a sign-in sends; two that send the same are one way."""
    return tuple(getattr(found, name) for names in PARTS.values() for name in names)


def words(context: Context, service: str) -> str:
    """How the service is signed in to, for people; empty when it is not."""
    if not context.of(service).kinds:
        return ""
    return " and ".join(way.detail for way in describe(context) if way.service == service)


def contexts(env: Mapping[str, str], shared: SharedInputs, context: Context) -> list[Context]:
    """The context as it is, and as it would be without what the options, and then the environment, say of signing in.

    So the ways of a settings file come to light which a variable stands in front of.
    """
    found = [context]
    # An option never names a whole way: its secret part comes from the environment or from a file.
    names = {prefix + name for prefix in (settings.PREFIX, settings.REGISTRY_PREFIX) for name in NAMES}
    names |= {f"{name}_FILE" for name in names} | {settings.REGISTRY_PREFIX + "SIGN_IN"}
    less = {key: value for key, value in env.items() if key not in names}
    bare = dataclasses.replace(shared, certificate=None, api_key_id=None, client_id=None)
    for other_env, other in ((env, bare), (less, bare)):
        try:
            found.append(settings.load(other_env, other))
        except AnkaCiError:
            continue
    return found
