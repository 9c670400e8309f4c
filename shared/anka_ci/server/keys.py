"""API keys (UAK) and the sessions made with them (TAP): ``/api/v1/apikey``, ``/v1/apikey``, ``/tap/v1/…``.

Keys outlive a restart, of each only the public half is kept; secrets and sessions are in memory only. A secret is good
once and for a minute, a session for five, by the server's clock. One session is good for the controller's calls and the
registry's, which on a real Anka have sessions of their own. Source: Anka's pages on API keys and TAP (since 1.19).
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from anka_ci.clock import Clock
from anka_ci.errors import NotAuthorisedError, RefusedError
from anka_ci.server import key_pair
from anka_ci.server.auth import REQUIRED, decoded64, keep
from anka_ci.server.call import Call, Parameter, Parameters
from anka_ci.server.groups import Store
from anka_ci.wire import schema
from anka_ci.wire.values import emit_time

TABLE = (
    "CREATE TABLE IF NOT EXISTS api_keys (id TEXT PRIMARY KEY, groups TEXT NOT NULL, public BLOB NOT NULL,"
    " created REAL NOT NULL, expires REAL NOT NULL)"
)
SECRET_LIFE, SESSION_LIFE = 60.0, 300.0
"""Seconds; Anka's page gives both 10 s and 3 minutes for a secret, and 5 minutes for a session."""
MOST = 1000
"""Secrets that may be outstanding for one key, and sessions it may have: clients make one before every request."""
FIRST = "anka-ci"
"""The key that is there to begin with."""
FIRST_LIFE = 3650 * 86400


@dataclass(frozen=True, kw_only=True)
class Key:
    """An API key as it is kept: the public half as SubjectPublicKeyInfo in DER; times in seconds since 1970."""

    id: str
    groups: tuple[str, ...]
    public: bytes
    created: float
    expires: float

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "ApiKey",
        {
            "id": schema.id_of("api-key"),
            "groups": schema.several(schema.TEXT),
            "expiration": schema.TIME,
            "created": schema.TIME,
        },
    )

    def emit(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "groups": list(self.groups),
            "expiration": emit_time(self.expires),
            "created": emit_time(self.created),
        }


@dataclass(frozen=True)
class _Session:
    key: str
    token: str
    until: float


class Keys:
    """The API keys kept in ``store``, with their secrets and sessions. Methods may be called from any thread.

    Unless ``enabled`` no handshake succeeds. ``RefusedError`` for what makes no sense, ``NotAuthorisedError`` for a
    handshake that fails, whatever the reason.
    """

    def __init__(self, store: Store, clock: Clock, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._secrets: dict[str, list[tuple[str, float]]] = {}
        self._sessions: dict[str, _Session] = {}
        with store.transaction() as db:
            db.execute(TABLE)
            rows = db.execute(
                "SELECT id, groups, public, created, expires FROM api_keys ORDER BY created, id"
            ).fetchall()
        self._keys = {
            row[0]: Key(id=row[0], groups=tuple(json.loads(row[1])), public=row[2], created=row[3], expires=row[4])
            for row in rows
        }

    def first(self, file: Path) -> None:
        """See to it that there is a key to begin with, its private half in ``file``: one cannot sign in to make one."""
        if self._alive(FIRST) is not None and file.exists():
            return
        with self._lock:
            self._keys.pop(FIRST, None)
        private = self.create({"id": FIRST, "ttl": FIRST_LIFE, "groups": [FIRST]})
        keep(file, (private or "").encode() + b"\n")

    # the calls

    def list(self, given: Parameters) -> list[dict[str, Any]]:
        """Every key; with ``id`` a list of that one (its real shape is undocumented)."""
        with self._lock:
            if "id" not in given:
                return [key.emit() for key in self._keys.values()]
            return [self._known(given["id"]).emit()]

    def create(self, given: Parameters) -> str | None:
        """Make a key. Without ``publicKey`` its private half is the reply (base64 of PKCS#1 DER), kept nowhere."""
        identity, groups = given["id"], _groups(given) or ()
        if len(identity) > 255 or not identity.isprintable():
            raise RefusedError("id has to be a line of at most 255 characters")
        with self._lock:
            if identity in self._keys:
                raise RefusedError(f"there is an API key {identity} already")
        public, private = key_pair.pair(given.get("publickey"))
        now = self._clock.now()
        key = Key(id=identity, groups=groups, public=public, created=now, expires=now + given["ttl"])
        with self._lock:
            if identity in self._keys:
                raise RefusedError(f"there is an API key {identity} already")
            self._save(key)
        return private

    def change(self, given: Parameters) -> None:
        """Change a key's groups, or its life from now on; the public key stays."""
        identity, ttl, groups = given["id"], given.get("ttl"), _groups(given)
        if given.get("publickey") is not None:
            raise RefusedError("publicKey cannot be changed: delete the API key, and make a new one")
        with self._lock:
            old = self._known(identity)
            expires = old.expires if ttl is None else self._clock.now() + ttl
            new_groups = old.groups if groups is None else groups
            self._save(Key(id=old.id, groups=new_groups, public=old.public, created=old.created, expires=expires))

    def delete(self, given: Parameters) -> None:
        """Delete a key; its sessions end with it."""
        with self._lock:
            key = self._known(given["id"])
            with self._store.transaction() as db:
                db.execute("DELETE FROM api_keys WHERE id = ?", (key.id,))
            del self._keys[key.id]
            self._secrets.pop(key.id, None)
            self._sessions = {name: each for name, each in self._sessions.items() if each.key != key.id}

    # the handshake

    def hand(self, given: Parameters) -> str:
        """A new secret, sealed for the key's owner: base64 (standard alphabet, padded) of RSA-OAEP."""
        key = self._alive(given.get("id")) if self._enabled else None
        if key is None:
            raise NotAuthorisedError(REQUIRED)
        secret = secrets.token_urlsafe(20)
        sealed = key_pair.seal(key.public, secret.encode())
        now = self._clock.monotonic()
        with self._lock:
            left = [each for each in self._secrets.get(key.id, []) if each[1] > now]
            self._secrets[key.id] = [*left[1 - MOST :], (secret, now + SECRET_LIFE)]
        return base64.b64encode(sealed).decode()

    def shake(self, given: Parameters) -> dict[str, Any]:
        """A session for who knows the secret, which is good only once."""
        key, told = self._alive(given.get("id")), given.get("secret")
        if key is None or not isinstance(told, str) or not self._spend(key.id, told):
            raise NotAuthorisedError(REQUIRED)
        session, token = secrets.token_urlsafe(18), secrets.token_urlsafe(32)
        now = self._clock.monotonic()
        with self._lock:
            living = {name: each for name, each in self._sessions.items() if each.until > now}
            mine = [name for name, each in living.items() if each.key == key.id]
            for name in mine[: max(0, len(mine) + 1 - MOST)]:
                del living[name]
            living[session] = _Session(key.id, token, now + SESSION_LIFE)
            self._sessions = living
        return {"id": key.id, "data": {"userName": key.id, "token": token, "sessionId": session}}

    def admits(self, bearer: str) -> bool:
        """Whether the value of a Bearer header is a session that is alive; key order, spaces and alphabet are free."""
        try:
            found = json.loads(decoded64(bearer) or b"")
        except (ValueError, RecursionError):
            return False
        if not isinstance(found, dict):
            return False
        name, token = found.get("sessionId"), found.get("token")
        if not isinstance(name, str) or not isinstance(token, str):
            return False
        with self._lock:
            session = self._sessions.get(name)
        expected = session.token if session else "-"
        same = hmac.compare_digest(token.encode("utf-8", "replace"), expected.encode())
        return (
            session is not None
            and same
            and self._clock.monotonic() < session.until
            and self._alive(session.key) is not None
        )

    def _alive(self, identity: object) -> Key | None:
        with self._lock:
            key = self._keys.get(identity) if isinstance(identity, str) else None
        return key if key is not None and self._clock.now() < key.expires else None

    def _spend(self, identity: str, told: str) -> bool:
        now = self._clock.monotonic()
        with self._lock:
            left, good = [], False
            for secret, until in self._secrets.get(identity, []):
                if hmac.compare_digest(told.encode("utf-8", "replace"), secret.encode()) and until > now:
                    good = True
                else:
                    left.append((secret, until))
            self._secrets[identity] = left
            return good

    def _known(self, identity: str) -> Key:
        if identity not in self._keys:
            raise RefusedError(f"Not found: API key {identity}")
        return self._keys[identity]

    def _save(self, key: Key) -> None:
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO api_keys (id, groups, public, created, expires) VALUES (?, ?, ?, ?, ?)",
                (key.id, json.dumps(list(key.groups)), key.public, key.created, key.expires),
            )
        self._keys[key.id] = key


def _groups(given: Parameters) -> tuple[str, ...] | None:
    """A list, or a text with commas: Anka's table and its example differ."""
    if "groups" not in given:
        return None
    found = [part.strip() for text in given["groups"] for part in text.split(",")]
    if not found or not all(part and len(part) < 256 for part in found):
        raise RefusedError("groups has to be a list of names")
    return tuple(dict.fromkeys(found))


_ID = Parameter("id", "Id of an API key.", place="body", required=True, form="api-key-id")
_GROUPS = Parameter("groups", "Permission groups of the key.", "texts", "body", required=True)
_TTL = Parameter("ttl", "How long the key is good from now on, in seconds.", "number", "body", required=True, least=1)
_PUBLIC = Parameter("publicKey", "Public key as base64 of its PKIX form; one is made when left out.", place="body")
_ASKED = Parameter("id", "Id of an API key.", form="api-key-id")
_MADE = schema.either(schema.TEXT, schema.NULL)


def _rows(path: str, prefix: str, *, controller: bool) -> tuple[Call, ...]:
    """Anka documents the parameters in the query, and its examples send a body. The groups' needs differ."""
    groups, ttl = replace(_GROUPS, required=controller), replace(_TTL, required=False)
    return (
        Call("GET", path, Keys.list, f"{prefix}ApiKeys", (_ASKED,), schema.several(Key.SCHEMA)),
        Call("POST", path, Keys.create, f"{prefix}AddApiKey", (_ID, _TTL, _GROUPS, _PUBLIC), _MADE, null=True),
        Call("PUT", path, Keys.change, f"{prefix}ChangeApiKey", (_ID, groups, ttl)),
        Call("DELETE", path, Keys.delete, f"{prefix}DeleteApiKey", (_ID,)),
    )


_SECRET = Parameter("secret", "What the hand sealed, unsealed.", place="body", required=True, form="tap-secret")
_SESSION = schema.noun(
    "Session",
    {
        "id": schema.id_of("api-key"),
        "data": schema.noun("SessionData", {"userName": schema.TEXT, "token": schema.TEXT, "sessionId": schema.TEXT}),
    },
)
TAP = (
    Call("POST", "/tap/v1/hand", Keys.hand, "hand", (_ID,), schema.TEXT, bare=True, open=True),
    Call("POST", "/tap/v1/shake", Keys.shake, "shake", (_ID, _SECRET), _SESSION, bare=True, open=True),
)
CONTROLLER = (*_rows("/api/v1/apikey", "controller", controller=True), *TAP)
REGISTRY = (*_rows("/v1/apikey", "registry", controller=False), *TAP)
