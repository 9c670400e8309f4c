"""A small OpenID provider for one client: ``/config/v1/auth`` names it, ``/oidc/…`` is it.

Only the two grants that a CI system uses, client credentials and refresh. Tokens are opaque, in memory, and good only
here; for people signing in on a page there is nothing. Source: OpenID Connect Discovery 1.0 and RFC 6749.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from anka_ci.clock import Clock
from anka_ci.errors import UsageError
from anka_ci.server.auth import decoded64, keep
from anka_ci.server.call import Call, Parameters
from anka_ci.wire import schema

FILE = "oidc-client.json"
CLIENT = "anka-ci"
ACCESS_LIFE, REFRESH_LIFE = 300.0, 1800.0
MOST = 10000
Reply = tuple[int, dict[str, Any]]


class Issuer:
    """The provider; unless ``enabled`` there is none.

    ``url`` is asked for its own address, because a port is known only once the server listens. The client's secret is
    made at the first start and kept in ``file``, readable by its owner only.
    """

    def __init__(self, data: Path, clock: Clock, url: Callable[[], str], *, enabled: bool = True) -> None:
        self.file = data / FILE
        self.enabled = enabled
        self._clock = clock
        self._url = url
        self._lock = threading.Lock()
        self._access: dict[str, float] = {}
        self._refresh: dict[str, float] = {}
        self.client = self._secret = ""
        if not enabled:
            return
        if not self.file.exists():
            made = {"client_id": CLIENT, "client_secret": secrets.token_urlsafe(32)}
            keep(self.file, json.dumps(made).encode() + b"\n")
        try:
            found = json.loads(self.file.read_text(encoding="utf-8"))
            self.client, self._secret = str(found["client_id"]), str(found["client_secret"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{self.file} holds no OpenID client", hint="remove it, and it is made anew") from None

    @property
    def secret_file(self) -> Path:
        """A file with nothing but the client's secret, as a variable may name it."""
        file = self.file.with_name("oidc-client-secret")
        keep(file, self._secret.encode() + b"\n")
        return file

    def config(self, given: Parameters) -> dict[str, Any]:
        """Tell how to sign in with OpenID Connect, where that is set up."""
        if not self.enabled:
            return {}
        told = {"provider_url": f"{self._url()}/oidc", "user_name_field": "name", "groups_field": "groups"}
        return {"oidc": {**told, "display_name": "anka-ci"}}

    def discovery(self) -> Reply:
        """``GET /oidc/.well-known/openid-configuration``."""
        issuer = f"{self._url()}/oidc"
        return 200, {
            "issuer": issuer,
            "token_endpoint": f"{issuer}/token",
            "grant_types_supported": ["client_credentials", "refresh_token"],
            "scopes_supported": ["profile", "groups"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }

    def token(self, content: bytes, authorization: str) -> Reply:
        """``POST /oidc/token``: a form; the client's id and secret in it, or as Basic."""
        form = dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
        identity, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "basic":
            identity, _, secret = (decoded64(value) or b"").decode("utf-8", "replace").partition(":")
        known = hmac.compare_digest(secret.encode("utf-8", "replace"), self._secret.encode())
        if not known or identity != self.client:
            return 401, {"error": "invalid_client"}
        grant, now = form.get("grant_type"), self._clock.monotonic()
        if grant == "refresh_token":
            with self._lock:
                until = self._refresh.pop(form.get("refresh_token", ""), 0.0)
            if until <= now:
                return 400, {"error": "invalid_grant"}
        elif grant != "client_credentials":
            return 400, {"error": "unsupported_grant_type"}
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        with self._lock:
            self._access = _living(self._access, now) | {access: now + ACCESS_LIFE}
            self._refresh = _living(self._refresh, now) | {refresh: now + REFRESH_LIFE}
        return 200, {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(ACCESS_LIFE),
            "refresh_token": refresh,
            "refresh_expires_in": int(REFRESH_LIFE),
        }

    def admits(self, bearer: str) -> bool:
        """Whether an access token is one of this provider's, and still good."""
        given, now = bearer.encode("utf-8", "replace"), self._clock.monotonic()
        with self._lock:
            known = [until for each, until in self._access.items() if hmac.compare_digest(given, each.encode())]
        return bool(known) and known[0] > now


def _living(tokens: Mapping[str, float], now: float) -> dict[str, float]:
    return dict([(token, until) for token, until in tokens.items() if until > now][1 - MOST :])


CALLS = (
    Call(
        "GET",
        "/config/v1/auth",
        Issuer.config,
        "authConfig",
        answers=schema.noun(
            "AuthConfig",
            {
                "oidc": schema.noun(
                    "AuthConfigOidc",
                    dict.fromkeys(("provider_url", "user_name_field", "groups_field", "display_name"), schema.TEXT),
                )
            },
            optional=("oidc",),
        ),
        open=True,
    ),
)
