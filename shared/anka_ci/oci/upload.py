"""A blob on its way up: from a file, in one piece or in chunks, taken up again where it was cut off.

One piece is what every registry takes that Docker can push to. Where a host answers that it is too large, or loses all
of it with the connection, chunks are sent to that host from then on, none smaller than it asks for. Nothing is in
memory whole.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from anka_ci.errors import AnkaCiError, RefusedError, UnreachableError
from anka_ci.oci.body import SLICE, Moved, Reply, Source
from anka_ci.oci.connection import TIMEOUT, TRIES, Connection
from anka_ci.oci.paths import with_digest

if TYPE_CHECKING:
    from http.client import HTTPMessage

SLOWEST = 20e6
"""Bytes a second that a registry is trusted to check a finished upload with, at the least."""
CHUNK = 64 << 20
"""Bytes of the first chunk that is tried where one piece does not do; below the 100 MB that proxies often let pass."""
SMALLEST = 1 << 20
"""Bytes of a chunk below which a registry that still finds it too large is told off."""


class Chunks:
    """How much one host takes at once; every connection to it learns from every other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._most: int | None = None
        self._least = 0

    def end(self, offset: int, size: int) -> int:
        """Where the chunk ends that begins at ``offset``; a rest below the least is sent with it."""
        with self._lock:
            if self._most is None:
                return size
            return min(size, offset + max(self._most, self._least))

    def told(self, headers: HTTPMessage) -> None:
        """Learn from a registry's reply what it wants at least (``OCI-Chunk-Min-Length`` of the specification)."""
        told = headers.get("OCI-Chunk-Min-Length", "")
        if told.isdigit():
            with self._lock:
                self._least = max(self._least, int(told))

    def shrink(self, sent: int) -> bool:
        """Send less than the ``sent`` bytes from now on; False when that is little already."""
        with self._lock:
            smaller = CHUNK if sent > CHUNK else sent // 2
            if smaller < max(SMALLEST, self._least):
                return False
            self._most = smaller if self._most is None else min(self._most, smaller)
            return True


class Upload:
    """One blob, sent over ``connection`` to the uploads at ``path``; ``there`` tells whether the registry has it."""

    def __init__(self, connection: Connection, chunks: Chunks, path: str, there: Callable[[], bool]) -> None:
        self._connection = connection
        self._chunks = chunks
        self._path = path
        self._there = there
        self._url = connection.url
        self._began = 0
        self._lost: int | None = None
        """Where a chunk began whose connection broke."""

    def send(self, digest: str, file: Path, ticket: Path, moved: Moved) -> int:
        """Store ``file`` as the blob ``digest``: see ``Oci.push``."""
        if self._there():
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
                self._upload(digest, file, size, ticket, count)
                return sent
            except UnreachableError as error:
                failed = 1 if sent - before >= SLICE else failed + 1  # who gets on has not failed
                self._lost = self._began if sent - before >= SLICE else None
                if failed >= TRIES:
                    raise
                self._connection.pause(failed, error)
                if self._there():  # only the answer was lost
                    ticket.unlink(missing_ok=True)
                    return sent
            except _TooLargeError as error:
                if not self._chunks.shrink(error.sent):
                    raise RefusedError(f"{file.name}: {error.message}", hint="what limits it, a proxy?") from error
            except _StaleError as error:
                # The upload is not what we took it for; what is wrong with a second, fresh one is no accident.
                ticket.unlink(missing_ok=True)
                failed += 1
                if failed >= 3:
                    raise RefusedError(f"{file.name}: {error.message}", hint="is the layer damaged?") from error

    def _upload(self, digest: str, file: Path, size: int, ticket: Path, moved: Moved) -> None:
        location, offset = self._resume(digest, size, ticket) or self._begin(digest, ticket)
        if offset > size:
            raise _StaleError(f"the registry holds {offset} bytes of a layer of {size}")
        if self._lost is not None and offset <= self._lost:  # of what a connection breaks over it keeps nothing
            self._chunks.shrink(max(size, CHUNK + 1))
        self._lost = None
        with file.open("rb") as source:
            while offset < size:
                self._began, end = offset, self._chunks.end(offset, size)
                location, offset = self._chunk(location, Source(source.fileno(), offset, end, moved))
                if end < size:
                    self._note(digest, ticket, location)
        last = with_digest(location, digest)
        there, target = self._connection.follow(last)
        reply = there.once("PUT", target, {"Content-Length": "0"}, timeout=TIMEOUT + size / SLOWEST)
        if reply.status in (400, 404, 416):
            raise _StaleError(f"the registry did not take the bytes: {reply.said()}")
        there.check("PUT", target, reply, (201,))
        ticket.unlink(missing_ok=True)

    def _chunk(self, location: str, source: Source) -> tuple[str, int]:
        """Send a chunk; where the next goes, and at which byte it begins."""
        begin, end = source.offset, source.end
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(end - begin),
            "Content-Range": f"{begin}-{end - 1}",
        }
        there, target = self._connection.follow(location)
        reply = there.once("PATCH", target, headers, source)
        if reply.status == 413:
            raise _TooLargeError(f"the registry takes no {end - begin} bytes at once: {reply.said()}", end - begin)
        if reply.status == 404:
            raise _StaleError(f"the upload was not taken up again: {reply.said()}")
        if reply.status in (409, 416):  # the connection before this one was not quite dead yet
            raise UnreachableError(f"{self._url}: the upload is at another place: {reply.said()}")
        there.check("PATCH", target, reply, (202, 201, 204))  # the first is what the specification says
        return self._next(location, reply), end

    def _begin(self, digest: str, ticket: Path) -> tuple[str, int]:
        reply = self._connection.call("POST", self._path, headers={"Content-Length": "0"}, known=(202,))
        self._chunks.told(reply.headers)
        location = self._next(self._path, reply)
        self._note(digest, ticket, location)
        return location, 0

    def _next(self, location: str, reply: Reply) -> str:
        """The address that a reply names, which may be relative, or the one before."""
        return urljoin(urljoin(self._url, location), reply.headers.get("Location", ""))

    def _note(self, digest: str, ticket: Path, location: str) -> None:
        ticket.write_text(json.dumps({"registry": self._url, "digest": digest, "location": location}), encoding="utf-8")

    def _resume(self, digest: str, size: int, ticket: Path) -> tuple[str, int] | None:
        """An upload that was begun, and where it stands, as the registry says."""
        try:
            found = json.loads(ticket.read_text(encoding="utf-8"))
            location = str(found["location"])
            if (found["registry"], found["digest"]) != (self._url, digest) or not self._connection.ours(location):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        there, target = self._connection.follow(location)
        reply = there.call("GET", target, known=(204, 200, 400, 404, 416))
        if reply.status in (400, 416):  # it keeps nothing of a piece that was cut off
            self._chunks.shrink(max(size, CHUNK + 1))
        if reply.status not in (200, 204):
            return None
        return self._next(location, reply), _offset(reply)


def _offset(reply: Reply) -> int:
    """How many bytes a registry holds of an upload; it cannot say one byte from none."""
    if "Upload-Offset" in reply.headers:
        return int(reply.headers["Upload-Offset"])
    last = reply.headers.get("Range", "").removeprefix("bytes=").partition("-")[2]
    return int(last) + 1 if last.isdigit() and last != "0" else 0


class _StaleError(AnkaCiError):
    """An unfinished upload that is gone, or is not what the ticket says."""


class _TooLargeError(AnkaCiError):
    """A chunk of ``sent`` bytes that the registry does not take at once."""

    def __init__(self, message: str, sent: int) -> None:
        super().__init__(message)
        self.sent = sent
