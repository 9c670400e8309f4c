"""One HTTP connection with bodies of any size, its retries, and what each status means: under the data plane only.

REST calls are ``transport``'s. A body goes from file to socket inside the kernel where it can; nothing is in memory
whole. A proxy is taken from the context, else from the environment.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from anka_ci import transport
from anka_ci.auth import REGISTRY, sessions
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.secret import Secret
from anka_ci.wire import values

if TYPE_CHECKING:
    from anka_ci.anka import Anka

BLOCK = 1 << 20
SLICE = 8 << 20
"""Bytes handed to the kernel at once when sending; progress and cancellation are looked at in between."""
TRIES = 5
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as dead."""
LARGEST = 64 << 20
"""Bytes of a reply that are read into memory."""
_ANSWERS = (200, 201, 202, 204, 206, 400, 404, 409, 412, 416)
"""Statuses that some caller knows what to do with."""

Moved = Callable[[int], None]
"""Called with the number of bytes that have just gone over the wire."""


class Connection:
    """The connection to one server at ``url``, opened when it is needed. Not for use by two threads at once.

    ``UnreachableError``: no usable answer. ``NotAuthorisedError``: 401 or 403. ``RefusedError``: the server said no.
    """

    def __init__(self, url: str, anka: Anka) -> None:
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        self._anka = anka
        self._found = anka.context.of(REGISTRY)
        self._signer = transport.signer(self.url, anka, REGISTRY)
        self._connection: http.client.HTTPConnection | None = None

    @property
    def prefix(self) -> str:
        """The path of the URL, which stands before every other."""
        return self._parts.path

    def ours(self, location: str) -> bool:
        """Whether an address is on this server."""
        found = urlsplit(urljoin(self.url, location))
        return (found.scheme, found.netloc) == (self._parts.scheme, self._parts.netloc)

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
        """Send a request and hand out the reply; the connection is kept only when the reply was read to its end."""
        used = self._signer.authorization(transport.Transport(self.url, self._anka, what=REGISTRY).ask)
        connection, prefix = self._open(timeout)
        target = urlsplit(urljoin(self.url + "/", path))
        wanted = prefix + target.path + (f"?{target.query}" if target.query else "")
        clean = False
        try:
            try:
                connection.putrequest(method, wanted, skip_accept_encoding=True)
                for key, value in {**self._standing(used), **headers}.items():
                    connection.putheader(key, value)
                connection.endheaders()
                broken = self._send(connection, body)
                try:
                    reply = connection.getresponse()
                except (OSError, http.client.HTTPException) as error:
                    raise broken or error from None
            except (OSError, http.client.HTTPException) as error:
                raise self.unreachable(error) from error
            if reply.status == 401 and self._signer.rejected(used):
                raise UnreachableError(f"{self.url}: the session has ended", hint="try again", url=self.url)
            if reply.status != 401:
                self._signer.accepted(used)
            if reply.status not in (200, 201, 202, 204, 206, 400, 404, 409, 412, 416):
                content = reply.read(1 << 16)
                self.check(method, path, Reply(reply.status, reply.headers, content), ())
            yield reply
            clean = reply.isclosed() and broken is None
        finally:
            if not clean:
                self._close()

    def _send(self, connection: http.client.HTTPConnection, body: bytes | Source) -> OSError | None:
        """Send a body. A connection that breaks may still hold the reason as a reply, so that is read first."""
        try:
            if isinstance(body, bytes):
                if body:
                    connection.send(body)
                return None
            while body.offset < body.end:
                self._anka.cancelled.check("pushing")
                body.send(connection.sock)
        except OSError as error:
            return error
        return None

    def _standing(self, authorization: str | None) -> dict[str, str]:
        """The headers that every request has."""
        found = {name: value.reveal() for name, value in self._found.headers}
        if authorization is not None:
            found["Authorization"] = authorization
        proxy = self._proxy()
        if proxy and self._parts.scheme == "http" and proxy.username:
            found["Proxy-Authorization"] = _proxy_password(proxy)
        return found

    def _open(self, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        """The open connection, and what stands before a path: a plain proxy wants the whole URL."""
        parts, proxy = self._parts, self._proxy()
        prefix = f"{parts.scheme}://{parts.netloc}" if proxy and parts.scheme == "http" else ""
        if self._connection is None:
            host, port = parts.hostname or "", parts.port
            if proxy:
                host, port = proxy.hostname or "", proxy.port
            if parts.scheme == "https":
                secure = transport.context(self._found, self._anka)
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=secure)
                if proxy:
                    extra = {"Proxy-Authorization": _proxy_password(proxy)} if proxy.username else None
                    self._connection.set_tunnel(parts.hostname or "", parts.port or 443, extra)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        return self._connection, prefix

    def _proxy(self) -> SplitResult | None:
        known = transport.proxies(self.url, self._found)
        found = known.get(self._parts.scheme) or known.get("all")
        return urlsplit(found if "://" in found else f"http://{found}") if found else None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def check(self, method: str, path: str, reply: Reply, known: tuple[int, ...]) -> None:
        """Raise for every status that the caller does not know what to do with."""
        status = reply.status
        if status in known:
            return
        asked, said = f"{method} {urljoin(self.url, urlsplit(path).path)}", reply.said()
        error: AnkaCiError
        if status == 401:
            error = NotAuthorisedError(f"{asked}: not signed in ({said or status})", hint=self._found.hint())
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
            error = RefusedError(f"{asked}: {said or status}", said=said, status=status)
        raise error

    def pause(self, attempt: int, error: UnreachableError) -> None:
        """Wait before the next try: longer after each, or as long as the server asked for."""
        seconds = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0) if error.wait is None else error.wait
        self._anka.clock.sleep(self._anka.deadline.left(seconds) or 0.0, self._anka.cancelled)

    def unreachable(self, error: BaseException) -> AnkaCiError:
        self._close()
        said = str(error) or type(error).__name__
        if refused := transport.refusal(self.url, self._found, self._anka, said):
            return refused
        hint = "is it running, and is the address right?"
        failed = UnreachableError(f"{self.url}: {said}", hint=hint, url=self.url)
        failed.lasting = "CERTIFICATE_VERIFY_FAILED" in said
        return failed


def _proxy_password(proxy: SplitResult) -> str:
    return sessions.basic(unquote(proxy.username or ""), Secret(unquote(proxy.password or "")))


class Reply:
    """A reply that was read to its end."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    def said(self) -> str:
        """The registry's own words, shortened."""
        try:
            text = str(json.loads(self.content)["errors"][0]["message"])
        except (ValueError, LookupError, TypeError):
            text = " ".join(self.content.decode("utf-8", "replace").split())
        return text[:300]


class Source:
    """The bytes of an open file from ``offset`` to ``end``, on their way into a socket."""

    def __init__(self, file: int, offset: int, end: int, moved: Moved) -> None:
        self._file = file
        self.offset = offset
        self.end = end
        self._moved = moved
        self._buffer: memoryview | None = None

    def send(self, sock: object) -> None:
        """Send the next slice; without a copy through this process where the socket is a plain one."""
        count, before = min(SLICE, self.end - self.offset), self.offset
        try:
            if isinstance(sock, ssl.SSLSocket):
                self._buffer = self._buffer or memoryview(bytearray(BLOCK))
                got = os.preadv(self._file, [self._buffer[:count]], before)
                sock.sendall(self._buffer[:got])
                self.offset += got
            else:
                with open(self._file, "rb", closefd=False, buffering=0) as source:
                    try:
                        sock.sendfile(source, before, count)  # type: ignore[attr-defined]
                    finally:  # some of it may have gone out before the connection broke
                        self.offset = max(before, source.tell())
        finally:
            self._moved(self.offset - before)
        if self.offset == before:
            raise RefusedError("the layer became shorter while it was sent")
