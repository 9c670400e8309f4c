"""Signing in to a controller or registry: what is configured, told without asking any server.

How it is gathered from inputs, environment and settings is ``auth.gather``; what is sent is ``auth.sessions``, over TLS
that ``auth.tls`` makes. Only explicit credentials are used: ``~/.netrc`` is never read, and no secret is ever printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.settings import Context

CONTROLLER, REGISTRY = "controller", "registry"
NONE, TOKEN, CERTIFICATE, API_KEY, OIDC = "none", "token", "certificate", "api-key", "oidc"
USER, AUTH_TOKEN = "user", "auth-token"
"""The two ways that OCI registries take, named as Anka names them since 3.9."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Key material as it was given: PEM text, or base64 of something binary; ``file`` when it came from one."""

    secret: Secret
    file: str | None = None

    @property
    def pem(self) -> bool:
        return "-----BEGIN" in self.secret.reveal()


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """How one service is reached and signed in to.

    At most one of ``token``, ``api_key``, ``client_secret``, ``user`` (``USER:PASSWORD``) and ``auth_token`` (sent as
    Bearer) is given; a client certificate may stand beside it.
    ``certificate`` is PEM (with its chain, and maybe the key) or PKCS#12. ``ca`` is the path of a PEM file, ``proxy`` a
    URL. ``headers`` go with every request. Without ``verify`` no certificate is checked. ``sources`` tells for people
    where each was found.
    """

    token: Secret | None = None
    certificate: Material | None = None
    key: Material | None = None
    passphrase: Secret | None = None
    api_key_id: str | None = None
    api_key: Material | None = None
    client_id: str | None = None
    client_secret: Secret | None = None
    user: Secret | None = None
    auth_token: Secret | None = None
    ca: str | None = None
    proxy: str | None = None
    headers: tuple[tuple[str, Secret], ...] = ()
    verify: bool = True
    sources: tuple[str, ...] = field(default=(), compare=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of sign-in that are configured; empty when there is none."""
        given = {
            TOKEN: self.token,
            API_KEY: self.api_key,
            OIDC: self.client_secret,
            USER: self.user,
            AUTH_TOKEN: self.auth_token,
            CERTIFICATE: self.certificate,
        }
        return tuple(kind for kind, value in given.items() if value is not None)

    def secrets(self) -> Iterator[Secret]:
        """Everything in it that must not be printed."""
        materials = [each.secret for each in (self.certificate, self.key, self.api_key) if each is not None]
        texts = (self.token, self.passphrase, self.client_secret, self.user, self.auth_token)
        yield from (each for each in texts if each is not None)
        if self.user is not None:
            yield Secret(self.user.reveal().partition(":")[2])
        yield from (each for each in materials if "PRIVATE KEY" in each.reveal() or "-----BEGIN" not in each.reveal())
        yield from (value for _, value in self.headers)
        if self.client_id and self.client_secret:
            yield Secret(f"{self.client_id}:{self.client_secret.reveal()}")

    def hint(self) -> str:
        """What to do about a sign-in that was refused."""
        if not self.kinds:
            return (
                "sign in: set ANKA_CI_TOKEN to the root token, or ANKA_CI_CERTIFICATE, or ANKA_CI_API_KEY_ID and "
                "ANKA_CI_API_KEY"
            )
        where = f" ({', '.join(self.sources)})" if self.sources else ""
        return f"check {' and '.join(_WORDS[kind] for kind in self.kinds)}{where}"


_WORDS = {
    TOKEN: "the token",
    API_KEY: "the API key, and whether it has expired",
    OIDC: "the client id and secret",
    USER: "the user and password",
    AUTH_TOKEN: "the registry's token, and whether it has expired",
    CERTIFICATE: "the client certificate, and whether it has expired",
}


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
    return tuple(way for service in (CONTROLLER, REGISTRY) for way in _ways(service, context.of(service)))


def _ways(service: str, found: SignIn) -> list[Way]:
    details = {
        TOKEN: "root token",
        API_KEY: f"API key {found.api_key_id}",
        OIDC: f"OpenID client {found.client_id}",
        USER: f"user {found.user.reveal().partition(':')[0] if found.user else ''}",
        AUTH_TOKEN: "token of the registry",
        CERTIFICATE: "client certificate" + (f" {_file(found.certificate)}" if _file(found.certificate) else ""),
    }
    where = f" from {', '.join(found.sources)}" if found.sources else ""
    ways = [Way(service=service, kind=kind, detail=details[kind] + where) for kind in found.kinds]
    return ways or [Way(service=service, kind=NONE, detail="no sign-in is configured")]


def _file(material: Material | None) -> str:
    return material.file or "" if material else ""


def service_of(what: str) -> str:
    """The service that a door means by its words for it."""
    return REGISTRY if REGISTRY in what else CONTROLLER
