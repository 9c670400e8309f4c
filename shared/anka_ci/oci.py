"""The only client of the data plane: blobs and manifests under ``/v2/``, pushed, pulled and taken up again.

Bytes go through a fixed buffer, or from file to socket inside the kernel; no blob is ever in memory whole. A pulled
blob is checked against its digest while it is written. Source: https://github.com/opencontainers/distribution-spec.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import queue
import random
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from anka_ci import auth
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.flush import Flusher
from anka_ci.wire.manifest import MANIFEST_TYPE

if TYPE_CHECKING:
    from anka_ci.anka import Anka

BLOCK = 1 << 20
SLICE = 8 << 20
"""Bytes handed to the kernel at once when sending; progress and cancellation are looked at in between."""
BUFFERS = 4
TRIES = 5
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as dead."""
SLOWEST = 20e6
"""Bytes a second that a registry is trusted to check a finished upload with, at the least."""
LARGEST_MANIFEST = 4 << 20
LARGEST_CONTENT = 64 << 20
"""Bytes of a blob that is fetched into memory: configurations and nvram only."""

Moved = Callable[[int], None]
"""Called with the number of bytes that have just gone over the wire."""


def _nobody(count: int) -> None:
    """Tell nobody."""


class Oci:
    """The blobs and manifests of one registry at ``url``. Not for use by two threads at once.

    ``UnreachableError``: no usable answer after ``TRIES``. ``NotAuthorisedError``: 401 or 403. ``NotFoundError``: no
    such manifest or blob. ``RefusedError``: the registry said no, or bytes do not match their digest.
    """

    def __init__(self, url: str, anka: Anka) -> None:
        self.url = url.rstrip("/")
        self._parts = urlsplit(self.url)
        self._anka = anka
        self._connection: http.client.HTTPConnection | None = None

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        """A manifest's digest, None when there is none; does not count as a pull."""
        reply = self._call("HEAD", self._manifest(repository, reference), known=(200, 404))
        return reply.headers.get("Docker-Content-Digest") if reply.status == 200 else None

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """A manifest and its digest; the registry counts this as a pull."""
        path = self._manifest(repository, reference)
        reply = self._call("GET", path, headers={"Accept": MANIFEST_TYPE}, known=(200, 404))
        if reply.status == 404:
            raise NotFoundError("manifest", f"{repository}:{reference}", where=self.url)
        digest = "sha256:" + hashlib.sha256(reply.content).hexdigest()
        if reply.headers.get("Docker-Content-Digest", digest) != digest:
            raise RefusedError(f"the manifest {repository}:{reference} does not match its digest")
        return reply.content, digest

    def put_manifest(self, repository: str, reference: str, content: bytes, *, replaces: str | None = None) -> int:
        """Commit a version; its number (-1 where the registry does not tell).

        Without ``replaces`` the tag must not be there with another content; with it, the newest version with that
        digest is replaced. ``RefusedError`` otherwise.
        """
        headers = {"Content-Type": MANIFEST_TYPE, "If-None-Match": "*"}
        if replaces is not None:
            headers = {"Content-Type": MANIFEST_TYPE, "If-Match": f'"{replaces}"'}
        reply = self._call("PUT", self._manifest(repository, reference), headers=headers, body=content, known=(201,))
        return int(reply.headers.get("Anka-Ci-Version", "-1"))

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Bytes of a blob, None when it is not there; the registry keeps it for the push that asked."""
        reply = self._call("HEAD", self._blob(repository, digest), known=(200, 404))
        return int(reply.headers.get("Content-Length", "0")) if reply.status == 200 else None

    def content(self, repository: str, digest: str) -> bytes:
        """A small blob, in memory."""
        reply = self._call("GET", self._blob(repository, digest), known=(200, 404))
        if reply.status == 404:
            raise NotFoundError("blob", digest, where=self.url)
        if "sha256:" + hashlib.sha256(reply.content).hexdigest() != digest:
            raise RefusedError(f"what {self.url} sent does not match the digest {digest}")
        return reply.content

    def put_content(self, repository: str, content: bytes) -> str:
        """Store a small blob, unless it is there; its digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self.blob_size(repository, digest) is None:
            path = f"{self._uploads(repository)}?digest={quote(digest)}"
            headers = {"Content-Type": "application/octet-stream"}
            self._call("POST", path, headers=headers, body=content, known=(201,))
        return digest

    # a layer on its way up

    def push(self, repository: str, digest: str, file: Path, ticket: Path, moved: Moved = _nobody) -> int:
        """Store a file as a blob, unless it is there; the bytes sent by this call.

        ``ticket`` is where the upload's address is kept, so that a later call, also of another process, goes on where
        this one was cut off.
        """
        if self.blob_size(repository, digest) is not None:
            ticket.unlink(missing_ok=True)
            return 0
        sent, failed = 0, 0
        size = file.stat().st_size

        def count(number: int) -> None:
            nonlocal sent
            sent += number
            moved(number)

        while True:
            before = sent
            try:
                self._upload(repository, digest, file, size, ticket, count)
                return sent
            except UnreachableError:
                failed = 1 if sent - before >= SLICE else failed + 1  # who gets on has not failed
                if failed >= TRIES:
                    raise
                self._pause(failed)
                if self.blob_size(repository, digest) is not None:  # only the answer was lost
                    ticket.unlink(missing_ok=True)
                    return sent
            except _StaleError as error:
                # The upload is not what we took it for; what is wrong with a second, fresh one is no accident.
                ticket.unlink(missing_ok=True)
                failed += 1
                if failed >= 3:
                    raise RefusedError(f"{file.name}: {error.message}", hint="is the layer damaged?") from error

    def _upload(self, repository: str, digest: str, file: Path, size: int, ticket: Path, moved: Moved) -> None:
        location, offset = self._resume(digest, ticket) or self._begin(repository, digest, ticket)
        if offset > size:
            raise _StaleError(f"the registry holds {offset} bytes of a layer of {size}")
        if offset < size:
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(size - offset),
                "Content-Range": f"{offset}-{size - 1}",
            }
            with file.open("rb") as source:
                reply = self._once("PATCH", location, headers, _Source(source.fileno(), offset, size, moved))
            if reply.status == 404:
                raise _StaleError(f"the upload was not taken up again: {reply.said()}")
            if reply.status in (409, 416):  # the connection before this one was not quite dead yet
                raise UnreachableError(f"{self.url}: the upload is at another place: {reply.said()}")
            self._check("PATCH", location, reply, (202,))
            location = urljoin(location, reply.headers.get("Location", location))
        joint = "&" if urlsplit(location).query else "?"
        last = f"{location}{joint}digest={quote(digest)}"
        reply = self._once("PUT", last, {"Content-Length": "0"}, timeout=TIMEOUT + size / SLOWEST)
        if reply.status in (400, 404, 416):
            raise _StaleError(f"the registry did not take the bytes: {reply.said()}")
        self._check("PUT", last, reply, (201,))
        ticket.unlink(missing_ok=True)

    def _begin(self, repository: str, digest: str, ticket: Path) -> tuple[str, int]:
        path = self._uploads(repository)
        reply = self._call("POST", path, headers={"Content-Length": "0"}, known=(202,))
        location = urljoin(urljoin(self.url, path), reply.headers.get("Location", ""))
        ticket.write_text(json.dumps({"registry": self.url, "digest": digest, "location": location}), encoding="utf-8")
        return location, 0

    def _resume(self, digest: str, ticket: Path) -> tuple[str, int] | None:
        """An upload that was begun, and where it stands, as the registry says."""
        try:
            found = json.loads(ticket.read_text(encoding="utf-8"))
            location = str(found["location"])
            if (found["registry"], found["digest"]) != (self.url, digest) or not self._ours(location):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        reply = self._call("GET", location, known=(204, 200, 404))
        if reply.status == 404:
            return None
        if "Upload-Offset" in reply.headers:
            offset = int(reply.headers["Upload-Offset"])
        else:
            last = reply.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
            offset = int(last) + 1 if last.isdigit() and last != "0" else 0
        return urljoin(location, reply.headers.get("Location", location)), offset

    # a layer on its way down

    def pull(self, repository: str, digest: str, size: int, part: Path, moved: Moved = _nobody) -> int:
        """Fetch a blob of ``size`` bytes into ``part``, going on where it ends; the bytes received by this call.

        ``part`` is flushed to disk. Raises ``RefusedError`` for bytes that do not match, and ``part`` is gone then;
        ``OSError`` when the disk is full.
        """
        received, failed = 0, 0

        def count(number: int) -> None:
            nonlocal received
            received += number
            moved(number)

        while True:
            before = received
            there = part.stat().st_size if part.exists() else 0
            if there > size:
                part.unlink()
                there = 0
            try:
                found = self._download(repository, digest, size, part, there, count)
            except UnreachableError:
                failed = 1 if received - before >= SLICE else failed + 1
                if failed >= TRIES:
                    raise
                self._pause(failed)
                continue
            if found == digest:
                return received
            part.unlink(missing_ok=True)
            if not there:  # what we had from before may have been damaged; what came in one piece is not ours to mend
                raise RefusedError(
                    f"the blob {digest} came with the digest {found}", hint="the registry's copy is damaged; push again"
                )

    def _download(self, repository: str, digest: str, size: int, part: Path, there: int, moved: Moved) -> str:
        with part.open("ab") as target, Flusher(target.fileno()) as flusher, _Hasher(part, there) as hasher:
            if there < size:
                headers = {"Range": f"bytes={there}-"} if there else {}
                path = self._blob(repository, digest)
                with self._stream("GET", path, headers) as reply:
                    if reply.status not in (200, 206):
                        self._check("GET", path, _Reply(reply.status, reply.headers, reply.read(1 << 16)), ())
                    total = reply.headers.get("Content-Range", "").rpartition("/")[2]
                    length = int(total or reply.headers.get("Content-Length") or -1)
                    if length != size:
                        raise RefusedError(f"the blob {digest} has {length} bytes at {self.url}, not {size}")
                    if there and reply.status != 206:
                        raise RefusedError(f"{self.url} does not send a part of a blob", hint="remove " + str(part))
                    self._receive(reply, target.fileno(), hasher, flusher, size - there, moved)
        return hasher.digest

    def _receive(
        self,
        reply: http.client.HTTPResponse,
        target: int,
        hasher: _Hasher,
        flusher: Flusher,
        left: int,
        moved: Moved,
    ) -> None:
        while left:
            self._anka.cancelled.check("pulling")
            buffer = hasher.buffer()
            try:
                got = reply.readinto(buffer[: min(len(buffer), left)])
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
            if not got:
                raise UnreachableError(f"{self.url}: the connection ended {left} bytes early", url=self.url)
            rest = buffer[:got]
            while rest:
                rest = rest[os.write(target, rest) :]
            hasher.put(buffer, got)
            flusher.wrote(got)
            left -= got
            moved(got)

    # requests

    def _manifest(self, repository: str, reference: str) -> str:
        return f"{self._parts.path}/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}"

    def _blob(self, repository: str, digest: str) -> str:
        return f"{self._parts.path}/v2/{quote(repository)}/blobs/{quote(digest, safe=':')}"

    def _uploads(self, repository: str) -> str:
        return f"{self._parts.path}/v2/{quote(repository)}/blobs/uploads/"

    def _ours(self, location: str) -> bool:
        found = urlsplit(urljoin(self.url, location))
        return (found.scheme, found.netloc) == (self._parts.scheme, self._parts.netloc)

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        known: tuple[int, ...],
    ) -> _Reply:
        """One small request with its retries; all of ours may be repeated without harm."""
        given = dict(headers or {})
        if body:
            given["Content-Length"] = str(len(body))
        for attempt in range(1, TRIES + 1):
            self._anka.cancelled.check(f"{method} {self.url}")
            self._anka.deadline.check(f"{method} {self.url}")
            try:
                reply = self._once(method, path, given, body)
                self._check(method, path, reply, known)
                return reply
            except UnreachableError:
                if attempt == TRIES:
                    raise
                self._pause(attempt)
        raise AssertionError("the loop returns or raises")

    def _once(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | _Source = b"",
        timeout: float = TIMEOUT,
    ) -> _Reply:
        with self._stream(method, path, headers, body, timeout) as reply:
            try:
                content = b"" if method == "HEAD" else reply.read(LARGEST_CONTENT + 1)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
        if len(content) > LARGEST_CONTENT:
            raise RefusedError(f"{method} {self.url}{path}: more than {LARGEST_CONTENT >> 20} MiB came back")
        return _Reply(reply.status, reply.headers, content)

    @contextlib.contextmanager
    def _stream(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | _Source = b"",
        timeout: float = TIMEOUT,
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and hand out the reply; the connection is kept only when the reply was read to its end."""
        connection, prefix = self._open(timeout)
        target = urlsplit(urljoin(self.url + "/", path))
        wanted = prefix + target.path + (f"?{target.query}" if target.query else "")
        clean = False
        try:
            try:
                connection.putrequest(method, wanted, skip_accept_encoding=True)
                for key, value in {**auth.headers(self._anka.context), **headers}.items():
                    connection.putheader(key, value)
                connection.endheaders()
                broken = self._send(connection, body)
                try:
                    reply = connection.getresponse()
                except (OSError, http.client.HTTPException) as error:
                    raise broken or error from None
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from error
            if reply.status not in (200, 201, 202, 204, 206, 400, 404, 409, 412, 416):
                content = reply.read(1 << 16)
                self._check(method, path, _Reply(reply.status, reply.headers, content), ())
            yield reply
            clean = reply.isclosed() and broken is None
        finally:
            if not clean:
                self._close()

    def _send(self, connection: http.client.HTTPConnection, body: bytes | _Source) -> OSError | None:
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

    def _open(self, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        """The open connection, and what stands before a path: a plain proxy wants the whole URL."""
        parts, proxy = self._parts, self._proxy()
        prefix = f"{parts.scheme}://{parts.netloc}" if proxy and parts.scheme == "http" else ""
        if self._connection is None:
            host, port = parts.hostname or "", parts.port
            if proxy:
                host, port = proxy.hostname or "", proxy.port
            if parts.scheme == "https":
                try:
                    secure = ssl.create_default_context(cafile=self._anka.context.ca)
                except OSError as error:
                    raise UnreachableError(f"{self.url}: {error}", hint="check the CA file") from error
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=secure)
                if proxy:
                    self._connection.set_tunnel(parts.hostname or "", parts.port or 443)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        return self._connection, prefix

    def _proxy(self) -> urllib.parse.SplitResult | None:
        found = self._anka.context.proxy
        if not found and not urllib.request.proxy_bypass(self._parts.hostname or ""):
            found = urllib.request.getproxies().get(self._parts.scheme)
        return urlsplit(found) if found else None

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _check(self, method: str, path: str, reply: _Reply, known: tuple[int, ...]) -> None:
        """Raise for every status that the caller does not know what to do with."""
        status = reply.status
        if status in known:
            return
        asked, said = f"{method} {urljoin(self.url, urlsplit(path).path)}", reply.said()
        error: AnkaCiError
        if status in (401, 403):
            error = NotAuthorisedError(f"{asked}: not permitted ({status}): {said}", hint="check the sign-in")
        elif status == 404:
            hint = "is it a registry that speaks /v2/?"
            error = NotFoundError("call", asked, where=self.url, hint=hint)
        elif status == 507:
            error = RefusedError(f"{asked}: {said}", hint="make room on the registry's disk, then go on")
        elif status >= 500 or status in (408, 425, 429):
            error = UnreachableError(f"{asked}: server error {status}: {said}", hint="see the server's log")
        elif 300 <= status < 400:
            error = UnreachableError(f"{asked}: redirected ({status})", hint="name the final address")
        else:
            error = RefusedError(f"{asked}: {said or status}", said=said, status=status)
        raise error

    def _pause(self, attempt: int) -> None:
        seconds = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
        self._anka.clock.sleep(self._anka.deadline.left(seconds) or 0.0, self._anka.cancelled)

    def _unreachable(self, error: BaseException) -> UnreachableError:
        self._close()
        said = str(error) or type(error).__name__
        return UnreachableError(f"{self.url}: {said}", hint="is it running, and is the address right?", url=self.url)


class _StaleError(AnkaCiError):
    """An unfinished upload that is gone, or is not what the ticket says."""


class _Reply:
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


class _Source:
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


class _Hasher:
    """Hashes in a thread of its own what another writes: first what was in the file, then buffer after buffer."""

    def __init__(self, part: Path, there: int) -> None:
        self.digest = ""
        self._part, self._there = part, there
        self._free: queue.SimpleQueue[memoryview] = queue.SimpleQueue()
        self._full: queue.SimpleQueue[tuple[memoryview, int] | None] = queue.SimpleQueue()
        self._failure: OSError | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> _Hasher:
        for _ in range(BUFFERS):
            self._free.put(memoryview(bytearray(BLOCK)))
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._given_up = exc[0] is not None
        self._full.put(None)
        self._thread.join()
        if self._failure is not None and exc[0] is None:
            raise self._failure

    def buffer(self) -> memoryview:
        """A buffer to fill; waits for the hashing to keep up."""
        return self._free.get()

    def put(self, buffer: memoryview, count: int) -> None:
        self._full.put((buffer, count))

    def _work(self) -> None:
        hashed = hashlib.sha256()
        try:
            if self._there:
                buffer, left = self._free.get(), self._there
                with self._part.open("rb") as source:
                    while left and not self._given_up and (got := source.readinto(buffer[: min(BLOCK, left)])):
                        hashed.update(buffer[:got])
                        left -= got
                self._free.put(buffer)
        except OSError as error:
            self._failure = error
        while (item := self._full.get()) is not None:
            buffer, count = item
            hashed.update(buffer[:count])
            self._free.put(buffer)
        self.digest = f"sha256:{hashed.hexdigest()}"
