"""Uploads of blobs over the OCI Distribution API: begun, continued, finished, or mounted from what is here.

Bytes are hashed and written in a thread while the next ones are read; at most two batches are in memory. One writer at
a time: a second one waits a moment for the first (it may be a dying connection), then is refused.
Source: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#push
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from aiohttp import web

from anka_ci.errors import AnkaCiError, RefusedError
from anka_ci.server.artifacts import DIGEST
from anka_ci.server.blobs import FullError, Incoming
from anka_ci.server.oci import REPOSITORY, OciError, Routes, answering, aside

if TYPE_CHECKING:
    from anka_ci.server.state import State

BATCH = 1 << 20
"""Bytes that are handed to the thread at once."""
PATIENCE = 1.0
"""Seconds that a second writer waits for the first."""


class Uploads:
    """Handlers over one ``State``; each takes the request, the repository and, where there is one, the upload's id."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._writers: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def routes(self) -> Routes:
        """Methods, pattern of the path, handler."""
        one = REPOSITORY + r"/blobs/uploads/([0-9a-f-]+)"
        found: Routes = [
            (("POST",), REPOSITORY + r"/blobs/uploads/?", self.begin),
            (("GET",), one, self.status),
            (("PATCH",), one, self.append),
            (("PUT",), one, self.finish),
            (("DELETE",), one, self.cancel),
        ]
        return [(methods, pattern, answering(handler)) for methods, pattern, handler in found]

    async def begin(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        """Mount a blob that is here, take one whole in the request, or start an upload."""
        whole, mount = (_digest(request, key) for key in ("digest", "mount"))
        if mount and await aside(self._state.hold, mount) is not None:
            return _created(name, mount)
        upload = await aside(self._state.blobs.begin)
        if not whole:
            return self._progress(202, name, upload)
        try:
            return await self.finish(request, name, upload)
        except BaseException:  # nobody knows the id, so nobody could go on with it
            with contextlib.suppress(AnkaCiError, OSError):
                self._state.blobs.cancel(upload)
            raise

    async def status(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        """Where an upload stands."""
        return self._progress(204, name, upload)

    async def append(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        """Take the next bytes; they have to begin where the upload stands."""
        async with self._writing(upload):
            await self._receive(request, name, upload)
            return self._progress(202, name, upload)

    async def finish(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        """Take the last bytes, check all of them against the digest and make them a blob."""
        digest = _digest(request, "digest")
        if not digest:
            raise OciError(400, "DIGEST_INVALID", "the digest is missing")
        async with self._writing(upload):
            await self._receive(request, name, upload)
            try:
                await aside(self._state.store, upload, digest)
            except FullError:
                raise
            except RefusedError as found:
                raise OciError(400, "DIGEST_INVALID", found.message) from found
            return _created(name, digest)

    async def cancel(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        """Forget an upload."""
        async with self._writing(upload):
            self._state.blobs.cancel(upload)
            return web.Response(status=204)

    @contextlib.asynccontextmanager
    async def _writing(self, upload: str) -> AsyncIterator[None]:
        """Be the only one who writes to an upload."""
        lock = self._writers.setdefault(self._state.blobs.upload(upload).name, asyncio.Lock())
        try:
            await asyncio.wait_for(lock.acquire(), PATIENCE)
        except asyncio.TimeoutError:
            raise OciError(409, "BLOB_UPLOAD_INVALID", "someone else is writing to this upload") from None
        try:
            yield
        finally:
            lock.release()

    async def _receive(self, request: web.BaseRequest, name: str, upload: str) -> None:
        incoming = self._state.blobs.receive(upload)
        try:
            await aside(incoming.open)
            self._check(request, name, upload, incoming)
            await _pour(request, incoming)
        finally:
            incoming.close()

    def _check(self, request: web.BaseRequest, name: str, upload: str, incoming: Incoming) -> None:
        """Whether the request's bytes follow on what is here, and will fit."""
        length, told = request.content_length, request.headers.get("Content-Range")
        if told is not None:
            match = re.fullmatch(r"(?:bytes[ =])?\s*(\d{1,18})-(\d{1,18})(?:/\S*)?", told.strip())
            if match is None:
                raise OciError(400, "BLOB_UPLOAD_INVALID", f"{told[:100]!r} is no Content-Range such as 0-99")
            start, end = int(match.group(1)), int(match.group(2))
            if start != incoming.size:
                headers = self._progress(416, name, upload).headers
                message = f"the upload stands at {incoming.size} bytes, not at {start}"
                raise OciError(416, "BLOB_UPLOAD_INVALID", message, dict(headers))
            if length is not None and end - start + 1 != length:
                message = f"the Content-Range is of {end - start + 1} bytes, the Content-Length {length}"
                raise OciError(400, "SIZE_INVALID", message)
        free = self._state.blobs.free()[0]
        if length is not None and length > free:
            raise FullError(f"the registry has no room: {length} bytes are to come, {free} are free")

    def _progress(self, status: int, name: str, upload: str) -> web.Response:
        size = self._state.blobs.upload(upload).stat().st_size
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{max(0, size - 1)}"}
        return web.Response(status=status, headers={**headers, "OCI-Upload-UUID": upload, "Upload-Offset": str(size)})


async def _pour(request: web.BaseRequest, incoming: Incoming) -> None:
    """Write the request's bytes while the next are read. What came before a connection broke is kept."""
    batch: list[bytes] = []
    size = 0
    broken: Exception | None = None
    writing: asyncio.Future[None] | None = None
    while True:
        try:
            block = await request.content.readany()
        except Exception as error:
            broken, block = error, b""
        if block:
            batch.append(block)
            size += len(block)
        if size >= BATCH or not block:
            if writing is not None:
                await writing
            writing = asyncio.get_running_loop().run_in_executor(None, incoming.write, batch)
            batch, size = [], 0
        if not block:
            await writing  # type: ignore[misc]
            break
    if broken is not None:
        raise OciError(400, "BLOB_UPLOAD_INVALID", "the connection broke; what came is kept") from broken


def _digest(request: web.BaseRequest, key: str) -> str:
    """A digest of the query; empty when it is not there."""
    digest = request.query.get(key, "")
    if digest and not DIGEST.fullmatch(digest):
        raise OciError(400, "DIGEST_INVALID", f"{digest[:200]!r} is no sha256 digest")
    return digest


def _created(name: str, digest: str) -> web.Response:
    headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
