"""The facts about one server that its diagnosis is made from: what was read, and what came back.

Facts only; nothing is judged here, and nothing asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.wire.server_status import ServerStatus

if TYPE_CHECKING:
    from anka_ci.reach import Reach
    from anka_ci.wire.certificate import Certificate


@dataclass(frozen=True, kw_only=True)
class Read:
    """One read that was tried. ``status`` is the HTTP status, 0 when no answer came: then ``failure``, ``hint``
    and ``code`` are those of the error.

    ``ok`` is the envelope's word, None when the reply is none; ``said`` its message, or the reply's own text. ``sent``
    and ``seconds`` are when it was asked and how long it took; ``headers`` in lower case, ``body`` the envelope's.
    """

    name: str
    path: str
    status: int = 0
    ok: bool | None = None
    said: str = ""
    failure: str = ""
    hint: str = ""
    code: int = 0
    sent: float = 0.0
    seconds: float = 0.0
    date: float | None = None
    headers: Mapping[str, str]
    content: bytes = b""
    body: Any = None

    @property
    def allowed(self) -> bool:
        return self.ok is True and self.status == 200


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of signing in, tried alone: ``detail`` names it for people, ``read`` is what became of it.

    ``used`` says whether the steps use it; else another stands in front of it.
    """

    detail: str
    used: bool
    read: Read


@dataclass(frozen=True, kw_only=True)
class Client:
    """A client certificate; None when it cannot be read, and ``failure`` says why."""

    detail: str
    certificate: Certificate | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What was found about one server. ``signed`` names how we sign in (empty: not at all), ``hint`` what to check.

    ``ways`` are all that are configured, ``clients`` the certificates among them; ``provider`` is the OpenID provider
    that the server names, looked for when we are not let in. ``first`` is the read of its status, ``reads`` those that
    follow when that one worked, ``anonymous`` the read of its status without any sign-in, None when we have none
    anyway. ``now`` in seconds since 1970.
    """

    what: str
    url: str
    reach: Reach
    signed: str
    now: float
    hint: str = ""
    ways: tuple[Way, ...] = ()
    clients: tuple[Client, ...] = ()
    provider: str = ""
    first: Read | None = None
    anonymous: Read | None = None
    reads: tuple[Read, ...] = ()

    @property
    def status(self) -> ServerStatus | None:
        """What the server says of itself; None when it did not."""
        body = self.first.body if self.first is not None and self.first.allowed else None
        return ServerStatus.read(body) if isinstance(body, Mapping) else None

    def read(self, name: str) -> Read | None:
        return next((read for read in self.reads if read.name == name), None)
