"""Requests to one registry: signed in, tried again, followed to where its blobs are, and what each status means.

REST calls are ``transport``'s. Where a registry keeps its blobs on another host, it redirects there: that host gets
neither our sign-in, nor our headers, nor our client certificate, and is never spoken to over http when the registry
itself is reached over https.
"""

from __future__ import annotations

import contextlib
import http.client
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from anka_ci import transport
from anka_ci.auth import REGISTRY
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.oci.body import Reply, Source
from anka_ci.oci.challenge import Nobody, OfAnka, Scope, Signer
from anka_ci.oci.line import Line
from anka_ci.oci.sign_in import OfRegistry
from anka_ci.wire import values

if TYPE_CHECKING:
    from anka_ci.anka import Anka

TRIES = 5
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as dead."""
LONGEST = 300.0
"""Seconds that a server may ask us to wait; who asks for longer is told of instead."""
LARGEST = 64 << 20
"""Bytes of a reply that are read into memory."""
LARGEST_TOKEN = 1 << 20
"""Bytes of a realm's reply that are read."""
_ANSWERS = (200, 201, 202, 204, 206, 400, 404, 409, 412, 413, 416)
"""Statuses that some caller knows what to do with."""
_REDIRECTS = (301, 302, 303, 307, 308)
_PORTS = {"http": 80, "https": 443}
HOPS = 5
"""Redirects that are followed for one request."""
SIGNINGS = 3
"""Times that one request is sent: without a sign-in, with one, and with one that has ended meanwhile renewed."""


class Connection:
    """The connection to one server at ``url``, opened when it is needed. Not for use by two threads at once.

    ``UnreachableError``: no usable answer. ``NotAuthorisedError``: 401 or 403. ``RefusedError``: the server said no.
    """

    def __init__(self, url: str, anka: Anka, signer: Signer | None = None) -> None:
        """Without a ``signer`` it is another host's, which gets nothing of ours."""
        self.url = url.rstrip("/")
        self._anka = anka
        self._signer: Signer = signer or Nobody()
        self._line = Line(self.url, anka, own=signer is not None)
        self._parts = self._line.parts
        self._others: dict[str, Connection] = {}

    @classmethod
    def to(cls, url: str, anka: Anka, *, foreign: bool, apart: str = "") -> Connection:
        """A connection to a registry, signed in as an Anka registry or, ``foreign``, as an OCI registry wants it.

        All of them share one sign-in, but for those that are for something ``apart``.
        """
        url = url.rstrip("/")
        if not foreign:
            asking = transport.Transport(url, anka, what=REGISTRY).ask
            return cls(url, anka, OfAnka(transport.signer(url, anka, REGISTRY), asking))
        found, config = anka.context.of(REGISTRY), anka.context.docker_config
        file = Path(config) if config else None
        key = ("oci", url, found, apart)
        return cls(url, anka, anka.signers.once(key, lambda: OfRegistry(url, found, file, anka.clock)))

    @property
    def prefix(self) -> str:
        """The path of the URL, which stands before every other."""
        return self._parts.path

    def ours(self, location: str) -> bool:
        """Whether an address is on this server; one behind a proxy may take itself for plain http."""
        found, mine = urlsplit(urljoin(self.url, location)), self._parts
        port = _PORTS.get(mine.scheme)  # where none is named, whatever scheme the location has
        same = (found.hostname, found.port or port) == (mine.hostname, mine.port or port)
        return same and found.scheme in (mine.scheme, "http")

    def follow(self, location: str) -> tuple[Connection, str]:
        """The connection to where an address is, and what to ask there. ``UnreachableError`` for one without TLS."""
        found = urlsplit(urljoin(self.url, location))
        path = found.path + (f"?{found.query}" if found.query else "")
        if self.ours(location):
            return self, path
        if found.scheme not in ("http", "https") or (self._parts.scheme, found.scheme) == ("https", "http"):
            hint = "have the registry name its storage with https"
            raise UnreachableError(f"{self.url}: redirected to {found.scheme}://{found.netloc}", hint=hint)
        origin = f"{found.scheme}://{found.netloc}"
        if origin not in self._others:
            self._others[origin] = Connection(origin, self._anka)
        return self._others[origin], path

    def call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        known: tuple[int, ...],
    ) -> Reply:
        """One small request with its retries; all of ours may be repeated without harm."""
        given = dict(headers or {})
        if body:
            given["Content-Length"] = str(len(body))
        for attempt in range(1, TRIES + 1):
            self._anka.cancelled.check(f"{method} {self.url}")
            self._anka.deadline.check(f"{method} {self.url}")
            try:
                reply = self.once(method, path, given, body)
                self.check(method, path, reply, known)
                return reply
            except UnreachableError as error:
                if attempt == TRIES or error.lasting:
                    raise
                self.pause(attempt, error)
        raise AssertionError("the loop returns or raises")

    def once(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Source = b"",
        timeout: float = TIMEOUT,
    ) -> Reply:
        with self.stream(method, path, headers, body, timeout) as reply:
            try:
                content = b"" if method == "HEAD" else reply.read(LARGEST + 1)
            except (OSError, http.client.HTTPException) as error:
                raise self.unreachable(error) from error
        if len(content) > LARGEST:
            raise RefusedError(f"{method} {self.url}{path}: more than {LARGEST >> 20} MiB came back")
        return Reply(reply.status, reply.headers, content)

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Source = b"",
        timeout: float = TIMEOUT,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request, wherever it is redirected to, and hand out the reply.

        The connection is kept only when the reply was read to its end.
        """
        there, target = self, path
        for _ in range(HOPS):
            with there._signed(method, target, headers, body, timeout) as reply:
                place = reply.headers.get("Location") if reply.status in _REDIRECTS else None
                if place is None or method not in ("GET", "HEAD"):
                    if reply.status not in _ANSWERS:
                        there.check(method, target, Reply(reply.status, reply.headers, reply.read(1 << 16)), ())
                    yield reply
                    return
                reply.read(1 << 16)
            there, target = there.follow(urljoin(f"{there.url}{target}", place))
        raise UnreachableError(f"{method} {self.url}: redirected more than {HOPS} times", url=self.url)

    @contextlib.contextmanager
    def _signed(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Source, timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request, signed in; a file's bytes are sent once, whatever the registry says of the sign-in."""
        scope = Scope.of(method, path)
        for attempt in range(1, SIGNINGS + 1):
            used = self._signer.authorization(self._ask, scope)
            with self._line.exchange(method, path, {**self._line.standing(used), **headers}, body, timeout) as reply:
                if reply.status != 401:
                    self._signer.accepted(used)
                elif self._signer.rejected(used, scope, reply.headers):
                    reply.read(1 << 16)
                    if isinstance(body, bytes) and attempt < SIGNINGS:
                        continue
                    raise UnreachableError(f"{self.url}: the session has ended", hint="try again", url=self.url)
                yield reply
                return

    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Ask a realm for a token, on a connection that carries nothing of ours but what ``headers`` say."""
        self._anka.cancelled.check(f"{method} {self.url}")
        self._anka.deadline.check(f"{method} {self.url}")
        parts = urlsplit(url)
        realm = Line(f"{parts.scheme}://{parts.netloc}", self._anka, own=False)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        length = {"Content-Length": str(len(body))} if body else {}
        try:
            with realm.exchange(method, path, {**realm.standing(), **headers, **length}, body, TIMEOUT) as reply:
                return reply.status, reply.read(LARGEST_TOKEN)
        except (OSError, http.client.HTTPException) as error:
            raise realm.unreachable(error) from error
        finally:
            realm.close()

    def check(self, method: str, path: str, reply: Reply, known: tuple[int, ...]) -> None:
        """Raise for every status that the caller does not know what to do with."""
        status = reply.status
        if status in known:
            return
        asked, said = f"{method} {urljoin(self.url, urlsplit(path).path)}", reply.said()
        error: AnkaCiError
        if status == 401:
            error = NotAuthorisedError(f"{asked}: not signed in ({said or status})", hint=self._hint())
        elif status == 403:
            error = NotAuthorisedError(f"{asked}: not permitted ({status}): {said}", hint="check the sign-in")
        elif status == 404:
            hint = "is it a registry that speaks /v2/?"
            error = NotFoundError("call", asked, where=self.url, hint=hint)
        elif status == 507:
            error = RefusedError(f"{asked}: {said}", hint="make room on the registry's disk, then go on")
        elif status >= 500 or status in (408, 425, 429):
            error = away = UnreachableError(f"{asked}: server error {status}: {said}", hint="see the server's log")
            away.wait = values.retry_after(reply.headers.get("Retry-After"), self._anka.clock.now())
        elif 300 <= status < 400:
            error = UnreachableError(f"{asked}: redirected ({status})", hint="name the final address")
        else:
            tls = status == 400 and "HTTPS" in said
            hint = "it speaks TLS there: write https:// in its address, or oci:// for an OCI registry" if tls else ""
            error = RefusedError(f"{asked}: {said or status}", hint=hint, said=said, status=status)
        raise error

    def _hint(self) -> str:
        found = self._anka.context.of(REGISTRY)
        return self._signer.hint() if isinstance(self._signer, OfRegistry) else found.hint()

    def unreachable(self, error: BaseException) -> AnkaCiError:
        """The error of a reply that broke off."""
        return self._line.unreachable(error)

    def pause(self, attempt: int, error: UnreachableError) -> None:
        """Wait before the next try: longer after each, or as long as the server asked for; raise what asks for long."""
        if error.wait is not None and error.wait > LONGEST:
            error.hint = f"it asks to come back in {error.wait:.0f} s; try again then"
            raise error
        seconds = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0) if error.wait is None else error.wait
        self._anka.clock.sleep(self._anka.deadline.left(seconds) or 0.0, self._anka.cancelled)
