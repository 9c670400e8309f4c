"""What is sent to sign in: nothing, the root token, or a session that is made once and renewed when it ends.

A session is made of an API key by Anka's TAP, or of an OpenID client's id and secret; one serves every request until it
has expired or was refused, because a handshake before each request is what floods a controller. Speaks HTTP only
through the ``Ask`` that it is handed.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from anka_ci.auth import SignIn, keys
from anka_ci.clock import Clock
from anka_ci.errors import NotAuthorisedError, UnreachableError
from anka_ci.secret import Secret
from anka_ci.wire.envelope import Envelope

Ask = Callable[[str, str, Mapping[str, str], bytes], "tuple[int, bytes]"]
"""Ask a URL once, without any sign-in: method, URL, headers, body; the status and content that came back."""
SHARE = 0.9
"""The part of a session's life after which it is renewed without waiting to be refused."""
LIFE = 300.0
"""Seconds that Anka gives a session of an API key (ANKA_API_KEYS_SESSION_TTL), for want of being told."""
_PROFILE = {
    *("name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture"),
    *("website", "gender", "birthdate", "zoneinfo", "locale", "updated_at"),
}
"""The claims that the OpenID scope ``profile`` brings."""


class Session:
    """Signs requests to one service in. This one always says the same; None: it says nothing."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def authorization(self, ask: Ask) -> str | None:
        """The value of the header ``Authorization``."""
        return self._value

    def accepted(self, used: str | None) -> None:
        """A request with this value was let in."""

    def rejected(self, used: str | None) -> bool:
        """A request with this value was refused; whether it is worth another try, with a new session."""
        return False


class Renewed(Session, ABC):
    """A session that ends. Several threads may use it; one of them makes it, the others wait for that."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(None)
        self._clock = clock
        self._lock = threading.Lock()
        self._until = 0.0
        self._proven = False

    def authorization(self, ask: Ask) -> str | None:
        with self._lock:
            if self._value is None or self._clock.monotonic() >= self._until:
                self._value = None
                self._value, life = self._make(ask)
                self._until = self._clock.monotonic() + life * SHARE
                self._proven = False
            return self._value

    def accepted(self, used: str | None) -> None:
        with self._lock:
            self._proven = self._proven or used == self._value

    def rejected(self, used: str | None) -> bool:
        with self._lock:
            if used != self._value:  # another thread has renewed it meanwhile
                return True
            # One that has never been let in is no session that has ended: a new one would fare no better.
            proven, self._value = self._proven, None
            return proven

    @abstractmethod
    def _make(self, ask: Ask) -> tuple[str, float]:
        """A new value, and how many seconds it lives."""


class Tap(Renewed):
    """Sessions of an API key: hand, decrypt, shake. Source: Anka's pages on user API keys and TAP (since 1.19)."""

    def __init__(self, url: str, found: SignIn, clock: Clock) -> None:
        super().__init__(clock)
        self._url = url
        self._found = found

    def _make(self, ask: Ask) -> tuple[str, float]:
        found = self._found
        assert found.api_key is not None
        what = f"API key {found.api_key_id}"
        key = keys.private_key(found.api_key, found.passphrase, what)
        handed = self._post(ask, "/tap/v1/hand", {"id": found.api_key_id}, what)
        sealed = _base64(handed)
        if sealed is None:
            raise UnreachableError(f"{what}: {self._url}/tap/v1/hand answered no base64", url=self._url)
        secret = keys.decrypt(key, sealed, what).decode("utf-8", "replace")
        shaken = self._post(ask, "/tap/v1/shake", {"id": found.api_key_id, "secret": secret}, what)
        reply = _json(shaken) or _json(_base64(shaken) or b"")  # Anka's page says base64, every client reads JSON
        data = reply.get("data") if reply else None
        if not isinstance(data, dict) or not data.get("token"):
            raise UnreachableError(f"{what}: {self._url}/tap/v1/shake answered no session", url=self._url)
        return "Bearer " + base64.b64encode(json.dumps(data, separators=(",", ":")).encode()).decode(), LIFE

    def _post(self, ask: Ask, path: str, body: object, what: str) -> bytes:
        status, content = ask("POST", self._url + path, {"Content-Type": "application/json"}, json.dumps(body).encode())
        if status == 200 and not _refused(content):
            return content
        asked = f"{what}: POST {self._url}{path}"
        if status in (404, 405):
            hint = "it is older than 1.19, or ANKA_ENABLE_API_KEYS is off; use another way to sign in"
            raise NotAuthorisedError(f"{asked}: it offers no API keys ({status})", hint=hint, url=self._url)
        if status == 429 or status >= 500:
            raise UnreachableError(f"{asked}: server error {status}", hint="see the server's log", url=self._url)
        hint = (
            "the id is unknown there, or the key has expired: ask for a new one; controller and registry have their own"
        )
        raise NotAuthorisedError(f"{asked}: refused ({_said(content) or status})", hint=hint, url=self._url)


class Oidc(Renewed):
    """Sessions of an OpenID client by its id and secret. ``url`` is the service that tells of the provider.

    Anka documents OpenID for its web interface; Anka's plugins for Jenkins and TeamCity sign in this way.
    """

    def __init__(self, url: str, found: SignIn, clock: Clock) -> None:
        super().__init__(clock)
        self._url = url
        self._found = found
        self._provider: tuple[str, str] | None = None
        self._refresh: tuple[Secret, float] | None = None

    def _make(self, ask: Ask) -> tuple[str, float]:
        if self._provider is None:
            self._provider = self._discover(ask)
        endpoint, scope = self._provider
        assert self._found.client_id is not None
        assert self._found.client_secret is not None
        identity, secret = self._found.client_id, self._found.client_secret.reveal()
        if self._refresh is not None and self._clock.monotonic() < self._refresh[1]:
            form = {"grant_type": "refresh_token", "refresh_token": self._refresh[0].reveal()}
            self._refresh = None  # good for one try
            form |= {"client_id": identity, "client_secret": secret}
            status, content = ask("POST", endpoint, _FORM, urlencode(form).encode())
            if status == 200 and (reply := _json(content)) is not None and reply.get("access_token"):
                return self._taken(reply)
        form = {"grant_type": "client_credentials", "scope": scope}
        headers = {**_FORM, "Authorization": basic(identity, Secret(secret))}
        status, content = ask("POST", endpoint, headers, urlencode(form).encode())
        reply = _json(content)
        if status != 200 or reply is None or not reply.get("access_token"):
            said = str((reply or {}).get("error_description") or (reply or {}).get("error") or status)[:200]
            if status == 429 or status >= 500:
                raise UnreachableError(f"the OpenID provider {endpoint}: server error {said}", url=endpoint)
            hint = "check the client id and secret, and that the provider allows client credentials"
            raise NotAuthorisedError(f"OpenID client {identity}: {endpoint} refused: {said}", hint=hint, url=endpoint)
        return self._taken(reply)

    def _taken(self, reply: Mapping[str, Any]) -> tuple[str, float]:
        life = _seconds(reply.get("expires_in"), LIFE)
        if isinstance(reply.get("refresh_token"), str):
            until = self._clock.monotonic() + _seconds(reply.get("refresh_expires_in"), life) * SHARE
            self._refresh = (Secret(reply["refresh_token"]), until)
        return f"Bearer {reply['access_token']}", life

    def _discover(self, ask: Ask) -> tuple[str, str]:
        """The provider's token endpoint, and the scope to ask for."""
        address = f"{self._url}/config/v1/auth"
        status, content = ask("GET", address, {}, b"")
        envelope = Envelope.read(content)
        told = envelope.body.get("oidc") if envelope and isinstance(envelope.body, dict) else None
        if not isinstance(told, dict) or not isinstance(told.get("provider_url"), str):
            if status >= 500:
                raise UnreachableError(f"GET {address}: server error {status}", url=address)
            hint = "OpenID is not set up there; use another way to sign in"
            raise NotAuthorisedError(f"GET {address}: names no OpenID provider ({status})", hint=hint, url=address)
        fields = [str(told.get(key) or name) for key, name in (("user_name_field", "name"), ("groups_field", "groups"))]
        scope = ["profile"] if _PROFILE & {*fields} else []
        scope += [name for name in dict.fromkeys(fields) if name not in _PROFILE]
        place = told["provider_url"].rstrip("/") + "/.well-known/openid-configuration"
        status, content = ask("GET", place, {}, b"")
        endpoint = (_json(content) or {}).get("token_endpoint")
        if status != 200 or not isinstance(endpoint, str):
            raise UnreachableError(f"GET {place}: names no token endpoint ({status})", url=place)
        return endpoint, " ".join(scope)


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def session(url: str, found: SignIn, clock: Clock, controller_url: str | None) -> Session:
    """The session for one service at ``url``; the controller tells of an OpenID provider where there is one."""
    if found.token is not None:
        return Session(basic("root", found.token))
    if found.api_key is not None:
        return Tap(url, found, clock)
    if found.client_secret is not None:
        return Oidc(controller_url or url, found, clock)
    if found.user is not None:
        user, _, password = found.user.reveal().partition(":")
        return Session(basic(user, Secret(password)))
    return Session(None if found.auth_token is None else f"Bearer {found.auth_token.reveal()}")


def basic(user: str, password: Secret) -> str:
    """The value of a Basic ``Authorization`` header."""
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()


def _base64(content: bytes) -> bytes | None:
    plain = b"".join(content.split()).replace(b"-", b"+").replace(b"_", b"/").rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None


def _json(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(content: bytes) -> bool:
    envelope = Envelope.read(content)
    return envelope is not None and not envelope.ok


def _said(content: bytes) -> str:
    envelope = Envelope.read(content)
    return envelope.message if envelope else ""


def _seconds(value: object, default: float) -> float:
    try:
        return max(1.0, float(str(value)))
    except ValueError:
        return default


def refusal(asked: str, found: SignIn, said: str, url: str) -> NotAuthorisedError:
    """The error of a 401."""
    return NotAuthorisedError(f"{asked}: not signed in ({said})", hint=found.hint(), url=url)
