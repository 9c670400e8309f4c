"""Signing in to a controller or registry.

Only explicit credentials are used: ``~/.netrc`` is never read. The root token goes as HTTP Basic with the user
``root``, as Anka documents it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.settings import Context


CONTROLLER, REGISTRY = "controller", "registry"
NONE, TOKEN, CERTIFICATE, API_KEY, OIDC = "none", "token", "certificate", "api-key", "oidc"


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to sign in that is configured: to which ``service``, of which ``kind``, and ``detail`` for people.

    To try one, ask ``anka.controller.status()`` or ``anka.registry.status()``: both want a sign-in.
    """

    service: str
    kind: str
    detail: str = ""


def describe(context: Context) -> tuple[Way, ...]:
    """Which ways to sign in are configured, at least one for each service; asks no server and tells no secret."""
    kind, detail = (NONE, "no sign-in is configured") if context.token is None else (TOKEN, "root token")
    return tuple(Way(service=service, kind=kind, detail=detail) for service in (CONTROLLER, REGISTRY))


def headers(context: Context) -> dict[str, str]:
    """The headers that sign a request in; empty when the context has no credentials."""
    return {} if context.token is None else {"Authorization": basic("root", context.token)}


def basic(user: str, password: Secret) -> str:
    """The value of a Basic ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
