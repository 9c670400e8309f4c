"""Signing in to an OCI registry, in the way that it asks for.

It says with 401 how it wants to be asked (``WWW-Authenticate``): Basic, or Bearer with a token of the ``realm`` that it
names, for a ``scope``. Tokens are kept per repository until they have nearly expired. Credentials go to the registry
itself and to that realm, and only over https, or to the very host of a registry that has no TLS; they never go where a
registry sends us for a blob. Source: the distribution project's pages on token authentication.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from anka_ci.auth import SignIn, sessions
from anka_ci.errors import NotAuthorisedError, UnreachableError
from anka_ci.oci import docker
from anka_ci.oci.challenge import Ask, Challenge, Scope
from anka_ci.oci.docker import Credentials
from anka_ci.secret import Secret

if TYPE_CHECKING:
    from http.client import HTTPMessage

    from anka_ci.clock import Clock

LIFE = 60.0
"""Seconds that a token lives whose realm does not say: so the specification."""
SHARE = 0.9
"""The part of a token's life after which it is renewed without waiting to be refused."""
CLIENT = "anka-ci"
"""What we call ourselves to a realm that wants to know."""


@dataclass(frozen=True, kw_only=True)
class _Token:
    value: str
    scope: str
    until: float
    proven: bool = False


class OfRegistry:
    """The sign-in to the OCI registry at ``url``; several threads may use it, one of them asks for a token.

    ``found`` gives ``user`` or ``auth_token``; else the Docker configuration does; else we stay anonymous, which a
    public registry answers with a token too.
    """

    def __init__(self, url: str, found: SignIn, config: Path | None, clock: Clock) -> None:
        self._url = url
        self._found = found
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._scopes: dict[Scope, str] = {}
        self._tokens: dict[Scope, _Token] = {}
        self._credentials: Credentials | None = None
        self._looked = False

    def authorization(self, ask: Ask, scope: Scope) -> str | None:
        if self._found.auth_token is not None:
            return f"Bearer {self._found.auth_token.reveal()}"
        with self._lock:
            challenge = self._challenge
            if challenge is None:
                return None
            if challenge.scheme == "basic":
                return self._basic()
            token = self._tokens.get(scope)
            if token is None and not scope.write:  # what may be written may be read
                token = self._tokens.get(Scope(scope.repository, write=True))
            if token is None or self._clock.monotonic() >= token.until:
                token = self._tokens[scope] = self._fetch(ask, challenge, scope)
            return token.value

    def accepted(self, used: str | None) -> None:
        with self._lock:
            for scope, token in self._tokens.items():
                if token.value == used and not token.proven:
                    self._tokens[scope] = _Token(value=token.value, scope=token.scope, until=token.until, proven=True)

    def rejected(self, used: str | None, scope: Scope, headers: HTTPMessage) -> bool:
        challenge = Challenge.read(headers)
        if self._found.auth_token is not None or challenge is None:
            return False
        with self._lock:
            self._challenge = challenge
            if challenge.scheme == "basic":
                return self._basic() not in (None, used)
            wanted = challenge.scope or str(scope)
            again = False
            for known, token in [*self._tokens.items()]:
                if token.value == used:  # it has ended, or it was for less than this request needs
                    again = token.proven or token.scope != wanted
                    del self._tokens[known]
            self._scopes[scope] = wanted
            return again or used is None or scope in self._tokens  # the last: another thread has renewed it meanwhile

    def hint(self) -> str:
        """What to do about a sign-in that was refused."""
        if self._found.auth_token is not None:
            return "check the token of the registry (ANKA_REGISTRY_AUTH_TOKEN), and whether it has expired"
        if self._credentials is not None:
            return f"check the user and password from {self._credentials.source}, and what they may do there"
        host = urlsplit(self._url).netloc
        return f"sign in: set ANKA_REGISTRY_USER to USER:PASSWORD or ANKA_REGISTRY_AUTH_TOKEN, or `docker login {host}`"

    def _basic(self) -> str | None:
        who = self._who()
        if who is None or who.identity:  # what is there to be traded for a token is no password
            return None
        self._confidential(self._url, "the registry")
        return sessions.basic(who.user, who.password)

    def _who(self) -> Credentials | None:
        if not self._looked:
            host = urlsplit(self._url).netloc
            if self._found.user is not None:
                user, _, password = self._found.user.reveal().partition(":")
                source = ", ".join(self._found.sources) or "the sign-in"
                self._credentials = Credentials(user=user, password=Secret(password), source=source)
            elif self._config is not None:
                self._credentials = docker.credentials(self._config, host)
            self._looked = True
        return self._credentials

    def _confidential(self, url: str, what: str) -> None:
        """Refuse to send credentials where they could be read, or to a host that the registry has no business with."""
        ours, theirs = urlsplit(self._url), urlsplit(url)
        if theirs.scheme == "https" or (ours.scheme == "http" and theirs.hostname == ours.hostname):
            return
        raise NotAuthorisedError(
            f"{self._url} wants the sign-in to be sent to {_bare(url)}, where anyone on the way could read it",
            hint=f"{what} has to be reached over https; nothing was sent",
            url=self._url,
        )

    def _fetch(self, ask: Ask, challenge: Challenge, scope: Scope) -> _Token:
        """A token of the realm for a scope."""
        if not re.match(r"https?://[^/]", challenge.realm):
            raise UnreachableError(f"{self._url} names no realm that gives tokens", url=self._url)
        self._confidential(challenge.realm, "the realm that gives tokens")
        who, wanted = self._who(), self._scopes.get(scope) or str(scope)
        asked = [("service", challenge.service)] if challenge.service else []
        asked += [("scope", each) for each in wanted.split()]
        if who is not None and who.identity:
            form = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", who.password.reveal())]
            form += [*(each for each in asked if each[0] != "scope"), ("scope", wanted)]
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            status, content = ask("POST", challenge.realm, headers, urlencode(form).encode())
        else:
            parts = urlsplit(challenge.realm)
            query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *asked])
            headers = {} if who is None else {"Authorization": sessions.basic(who.user, who.password)}
            status, content = ask("GET", urlunsplit(parts._replace(query=query)), headers, b"")
        return self._read(status, content, challenge.realm, wanted)

    def _read(self, status: int, content: bytes, realm: str, wanted: str) -> _Token:
        place = _bare(realm)
        try:
            found: Any = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        found = found if isinstance(found, Mapping) else {}
        value = found.get("token") or found.get("access_token")
        if status == 429 or status >= 500:
            raise UnreachableError(f"{place}: server error {status} instead of a token", hint="try again", url=place)
        if status != 200:
            raise NotAuthorisedError(
                f"{place}: no token for {wanted or 'this'} ({status})", hint=self.hint(), url=place
            )
        if not isinstance(value, str) or not re.fullmatch(r"[!-~]+", value):
            raise UnreachableError(f"{place} answered no token", hint="is it the realm of a registry?", url=place)
        life = found.get("expires_in")
        seconds = float(life) if isinstance(life, int) and life > 0 else LIFE
        until = self._clock.monotonic() + seconds * SHARE
        return _Token(value=f"Bearer {value}", scope=wanted, until=until)


def _bare(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
