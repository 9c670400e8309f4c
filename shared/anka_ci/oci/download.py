"""A blob on its way down: into a file, going on where it ends, checked against its digest while it is written.

Hashes in a second thread; no blob is ever in memory whole, and none is good that does not match.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci.errors import RefusedError, UnreachableError
from anka_ci.flush import Flusher
from anka_ci.oci.body import BLOCK, SLICE, Moved, Reply
from anka_ci.oci.connection import TRIES, Connection

if TYPE_CHECKING:
    from anka_ci.clock import Cancelled

BUFFERS = 4


class Download:
    """Blobs of one registry, fetched over ``connection``."""

    def __init__(self, connection: Connection, cancelled: Cancelled) -> None:
        self._connection = connection
        self._cancelled = cancelled
        self._url = connection.url

    def fetch(self, path: str, digest: str, size: int, part: Path, moved: Moved) -> int:
        """Fetch the blob at ``path``: see ``Oci.pull``."""
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
                found = self._download(path, digest, size, part, there, count)
            except UnreachableError as error:
                failed = 1 if received - before >= SLICE else failed + 1
                if failed >= TRIES:
                    raise
                self._connection.pause(failed, error)
                continue
            if found == "":  # it sends no parts: from the beginning then
                part.unlink()
                continue
            if found == digest:
                return received
            part.unlink(missing_ok=True)
            if not there:  # what we had from before may have been damaged; what came in one piece is not ours to mend
                raise RefusedError(
                    f"the blob {digest} came with the digest {found}", hint="the registry's copy is damaged; push again"
                )

    def _download(self, path: str, digest: str, size: int, part: Path, there: int, moved: Moved) -> str:
        """The digest of what is in ``part`` then; empty when the registry did not go on where it ends."""
        with part.open("ab") as target, Flusher(target.fileno()) as flusher, _Hasher(part, there) as hasher:
            if there < size:
                headers = {"Range": f"bytes={there}-"} if there else {}
                with self._connection.stream("GET", path, headers) as reply:
                    if reply.status not in (200, 206):
                        self._connection.check("GET", path, Reply(reply.status, reply.headers, reply.read(1 << 16)), ())
                    total = reply.headers.get("Content-Range", "").rpartition("/")[2]
                    length = total if total.isdigit() else reply.headers.get("Content-Length", "")
                    if length and length != str(size):
                        raise RefusedError(f"the blob {digest} has {length} bytes at {self._url}, not {size}")
                    if there and reply.status != 206:
                        return ""
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
            self._cancelled.check("pulling")
            buffer = hasher.buffer()
            try:
                got = reply.readinto(buffer[: min(len(buffer), left)])
            except (OSError, http.client.HTTPException) as error:
                raise self._connection.unreachable(error) from error
            if not got:
                raise UnreachableError(f"{self._url}: the connection ended {left} bytes early", url=self._url)
            rest = buffer[:got]
            while rest:
                rest = rest[os.write(target, rest) :]
            hasher.put(buffer, got)
            flusher.wrote(got)
            left -= got
            moved(got)


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
