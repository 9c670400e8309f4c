"""Who signs a request in, and what a registry says that it wants: its challenge, and the scope of a request.

Holds no secret and asks nobody; how an OCI registry is signed in to is ``sign_in``. Source: the distribution project's
pages on token authentication.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from http.client import HTTPMessage

    from anka_ci.auth import sessions
    from anka_ci.auth.sessions import Session

Ask = Callable[[str, str, Mapping[str, str], bytes], "tuple[int, bytes]"]
"""Ask a URL once, without any sign-in: method, URL, headers, body; the status and content that came back."""


class Scope(NamedTuple):
    """What a request needs: which repository (empty: none), and whether it writes."""

    repository: str
    write: bool

    @classmethod
    def of(cls, method: str, path: str) -> Scope:
        """The scope of a request below ``/v2/``."""
        match = re.search(r"/v2/(.+?)/(?:blobs|manifests|tags)/", path)
        return cls(match.group(1) if match else "", method not in ("GET", "HEAD"))

    def __str__(self) -> str:
        if not self.repository:
            return ""
        return f"repository:{self.repository}:{'pull,push' if self.write else 'pull'}"


class Signer(Protocol):
    """How a connection signs its requests in."""

    def authorization(self, ask: Ask, scope: Scope) -> str | None:
        """The value of the header ``Authorization``, None: none."""

    def accepted(self, used: str | None) -> None:
        """A request with this value was let in."""

    def rejected(self, used: str | None, scope: Scope, headers: HTTPMessage) -> bool:
        """A request with this value got a 401 with these headers; whether it is worth another try."""


class Nobody:
    """Says nothing: where a registry sends us for a blob, and to a realm."""

    def authorization(self, ask: Ask, scope: Scope) -> str | None:
        return None

    def accepted(self, used: str | None) -> None:
        """There is nothing to learn."""

    def rejected(self, used: str | None, scope: Scope, headers: HTTPMessage) -> bool:
        return False


class OfAnka:
    """The session of an Anka registry, whatever the request."""

    def __init__(self, session: Session, ask: sessions.Ask) -> None:
        self._session, self._ask = session, ask

    def authorization(self, ask: Ask, scope: Scope) -> str | None:
        return self._session.authorization(self._ask)

    def accepted(self, used: str | None) -> None:
        self._session.accepted(used)

    def rejected(self, used: str | None, scope: Scope, headers: HTTPMessage) -> bool:
        return self._session.rejected(used)


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """What a registry wants: ``scheme`` ``basic`` or ``bearer``, the latter with where a token is to be had."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""

    @classmethod
    def read(cls, headers: HTTPMessage) -> Challenge | None:
        """The challenge that we can answer, Bearer before Basic; None when there is none."""
        found: dict[str, Challenge] = {}
        for line in headers.get_all("WWW-Authenticate") or ():
            starts = [*re.finditer(r"(?i)(?:^|,)\s*(basic|bearer)(?:\s+|$)", line)]
            ends = [*(match.start() for match in starts[1:]), len(line)]
            for match, end in zip(starts, ends, strict=False):
                words = line[match.end() : end]
                pairs = re.findall(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', words)
                known = {key.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain for key, quoted, plain in pairs}
                scheme = match.group(1).lower()
                parts = {key: known.get(key, "") for key in ("realm", "service", "scope")}
                found.setdefault(scheme, cls(scheme=scheme, **parts))
        return found.get("bearer") or found.get("basic")
