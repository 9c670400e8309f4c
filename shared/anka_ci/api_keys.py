"""API keys (UAK) of a controller or a registry, which each have their own: listed, made, changed and deleted.

A private key that comes back is handed on as a secret and kept nowhere. Signing in with keys is ``auth``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import UnreachableError
from anka_ci.offer import offered
from anka_ci.secret import Secret
from anka_ci.wire.api_key import ApiKey

if TYPE_CHECKING:
    from anka_ci.transport import Transport

SINCE = "1.19"
WHAT = "manage API keys"


class ApiKeys:
    """The API keys behind one ``path`` of a server; ``status`` is where it tells its version."""

    def __init__(self, rest: Transport, path: str, *, status: str) -> None:
        self._rest, self._path, self._status = rest, path, status

    def all(self) -> list[ApiKey]:
        """Every key."""
        # https://docs.veertu.com/anka/anka-build-cloud/advanced-security-features/ : GET …/apikey
        body = self._ask("GET", None, idempotent=True)
        rows = [] if body is None else body
        if not isinstance(rows, list):
            raise UnreachableError(f"{self._rest.what}'s list of API keys is no list", hint="is it Anka?")
        try:
            return [ApiKey.read(row) for row in rows]
        except (ValueError, AttributeError, TypeError) as error:
            raise UnreachableError(f"an API key came back that cannot be read: {error}", hint="is it Anka?") from None

    def create(self, key_id: str, *, seconds: int, groups: Sequence[str], public_key: str = "") -> Secret | None:
        """Make a key that lasts so many ``seconds``; its private half (base64 of PKCS#1 DER), unless ``public_key`` is
        given. It is sent once: a private key that got lost on the way cannot be had again."""
        # POST …/apikey ; the tables say query, the transcripts show a body, and servers take the body.
        body: dict[str, object] = {"id": key_id, "ttl": seconds, "groups": list(groups)}
        found = self._ask("POST", body | ({"publicKey": public_key} if public_key else {}))
        if public_key:
            return None
        if not isinstance(found, str) or not found:
            hint = f"delete the key {key_id}, and make it again"
            raise UnreachableError(f"{self._rest.what} made the API key but told no private key", hint=hint)
        return Secret(found)

    def change(self, key_id: str, *, groups: Sequence[str], seconds: int | None = None) -> None:
        """Change a key's groups (the controller requires them), or its life from now on."""
        # PUT …/apikey
        body: dict[str, object] = {"id": key_id, "groups": list(groups)}
        self._ask("PUT", body | ({} if seconds is None else {"ttl": seconds}), idempotent=True)

    def delete(self, key_id: str) -> None:
        """Delete a key; whoever uses it is signed out."""
        # DELETE …/apikey with the id in the body
        self._ask("DELETE", {"id": key_id})

    def _ask(self, method: str, body: dict[str, object] | None, *, idempotent: bool = False) -> Any:
        with offered(self._rest, WHAT, since=SINCE, status=self._status):
            return self._rest.request(method, self._path, body=body, idempotent=idempotent)
