"""The only client of the data plane: blobs and manifests under ``/v2/``, pushed, pulled and taken up again.

Bytes go through a fixed buffer, or from file to socket inside the kernel; no blob is ever in memory whole. A pulled
blob is checked against its digest while it is written. Source: https://github.com/opencontainers/distribution-spec.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from anka_ci.connection import BLOCK, LARGEST, SLICE, TIMEOUT, TRIES, Connection, Moved, Reply, Source
from anka_ci.errors import AnkaCiError, NotFoundError, RefusedError, UnreachableError
from anka_ci.flush import Flusher
from anka_ci.wire.manifest import MANIFEST_TYPE

if TYPE_CHECKING:
    from anka_ci.anka import Anka

BUFFERS = 4
SLOWEST = 20e6
"""Bytes a second that a registry is trusted to check a finished upload with, at the least."""
LARGEST_CONTENT = LARGEST
"""Bytes of a blob that is fetched into memory: configurations and nvram only."""


def _nobody(count: int) -> None:
    """Tell nobody."""


class Oci:
    """The blobs and manifests of one registry at ``url``. Not for use by two threads at once.

    ``UnreachableError``: no usable answer after ``TRIES``. ``NotAuthorisedError``: 401 or 403. ``NotFoundError``: no
    such manifest or blob. ``RefusedError``: the registry said no, or bytes do not match their digest.
    """

    def __init__(self, url: str, anka: Anka) -> None:
        self.url = url.rstrip("/")
        self._anka = anka
        self._connection = Connection(self.url, anka)

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        """A manifest's digest, None when there is none; does not count as a pull."""
        reply = self._connection.call("HEAD", self._manifest(repository, reference), known=(200, 404))
        return reply.headers.get("Docker-Content-Digest") if reply.status == 200 else None

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """A manifest and its digest; the registry counts this as a pull."""
        path = self._manifest(repository, reference)
        reply = self._connection.call("GET", path, headers={"Accept": MANIFEST_TYPE}, known=(200, 404))
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
        reply = self._connection.call(
            "PUT", self._manifest(repository, reference), headers=headers, body=content, known=(201,)
        )
        return int(reply.headers.get("Anka-Ci-Version", "-1"))

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Bytes of a blob, None when it is not there; the registry keeps it for the push that asked."""
        reply = self._connection.call("HEAD", self._blob(repository, digest), known=(200, 404))
        return int(reply.headers.get("Content-Length", "0")) if reply.status == 200 else None

    def content(self, repository: str, digest: str) -> bytes:
        """A small blob, in memory."""
        reply = self._connection.call("GET", self._blob(repository, digest), known=(200, 404))
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
            self._connection.call("POST", path, headers=headers, body=content, known=(201,))
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
            except UnreachableError as error:
                failed = 1 if sent - before >= SLICE else failed + 1  # who gets on has not failed
                if failed >= TRIES:
                    raise
                self._connection.pause(failed, error)
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
                reply = self._connection.once("PATCH", location, headers, Source(source.fileno(), offset, size, moved))
            if reply.status == 404:
                raise _StaleError(f"the upload was not taken up again: {reply.said()}")
            if reply.status in (409, 416):  # the connection before this one was not quite dead yet
                raise UnreachableError(f"{self.url}: the upload is at another place: {reply.said()}")
            self._connection.check("PATCH", location, reply, (202,))
            location = urljoin(location, reply.headers.get("Location", location))
        joint = "&" if urlsplit(location).query else "?"
        last = f"{location}{joint}digest={quote(digest)}"
        reply = self._connection.once("PUT", last, {"Content-Length": "0"}, timeout=TIMEOUT + size / SLOWEST)
        if reply.status in (400, 404, 416):
            raise _StaleError(f"the registry did not take the bytes: {reply.said()}")
        self._connection.check("PUT", last, reply, (201,))
        ticket.unlink(missing_ok=True)

    def _begin(self, repository: str, digest: str, ticket: Path) -> tuple[str, int]:
        path = self._uploads(repository)
        reply = self._connection.call("POST", path, headers={"Content-Length": "0"}, known=(202,))
        location = urljoin(urljoin(self.url, path), reply.headers.get("Location", ""))
        ticket.write_text(json.dumps({"registry": self.url, "digest": digest, "location": location}), encoding="utf-8")
        return location, 0

    def _resume(self, digest: str, ticket: Path) -> tuple[str, int] | None:
        """An upload that was begun, and where it stands, as the registry says."""
        try:
            found = json.loads(ticket.read_text(encoding="utf-8"))
            location = str(found["location"])
            if (found["registry"], found["digest"]) != (self.url, digest) or not self._connection.ours(location):
                return None
        except (OSError, ValueError, KeyError, TypeError):
            return None
        reply = self._connection.call("GET", location, known=(204, 200, 404))
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
            except UnreachableError as error:
                failed = 1 if received - before >= SLICE else failed + 1
                if failed >= TRIES:
                    raise
                self._connection.pause(failed, error)
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
                with self._connection.stream("GET", path, headers) as reply:
                    if reply.status not in (200, 206):
                        self._connection.check("GET", path, Reply(reply.status, reply.headers, reply.read(1 << 16)), ())
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
                raise self._connection.unreachable(error) from error
            if not got:
                raise UnreachableError(f"{self.url}: the connection ended {left} bytes early", url=self.url)
            rest = buffer[:got]
            while rest:
                rest = rest[os.write(target, rest) :]
            hasher.put(buffer, got)
            flusher.wrote(got)
            left -= got
            moved(got)

    def _manifest(self, repository: str, reference: str) -> str:
        return f"{self._connection.prefix}/v2/{quote(repository)}/manifests/{quote(reference, safe=':')}"

    def _blob(self, repository: str, digest: str) -> str:
        return f"{self._connection.prefix}/v2/{quote(repository)}/blobs/{quote(digest, safe=':')}"

    def _uploads(self, repository: str) -> str:
        return f"{self._connection.prefix}/v2/{quote(repository)}/blobs/uploads/"


class _StaleError(AnkaCiError):
    """An unfinished upload that is gone, or is not what the ticket says."""


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
