"""The data plane: the part of the OCI Distribution API that moves template layers (``/v2/``).

Repositories are lower-case template ids. Only template manifests are taken; bytes are never held in memory whole.
Source: https://github.com/opencontainers/distribution-spec (1.1).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import TYPE_CHECKING

from aiohttp import web

from anka_ci.errors import AnkaCiError, NotFoundError, RefusedError
from anka_ci.server.state import ConflictError
from anka_ci.wire.manifest import MANIFEST_TYPE, Manifest

if TYPE_CHECKING:
    from anka_ci.server.state import State

LARGEST_MANIFEST = 4 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def error(status: int, code: str, message: str) -> web.Response:
    """An error as the specification words it."""
    return web.json_response({"errors": [{"code": code, "message": message}]}, status=status)


class Oci:
    """Handlers over one ``State``; each takes the request and the parts of its path."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def version(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})

    async def begin(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        """Mount a blob that is here, take one whole in the request, or start an upload."""
        for key in ("mount", "digest"):
            digest = request.query.get(key)
            if digest and not _DIGEST.fullmatch(digest):
                return error(400, "DIGEST_INVALID", f"{digest!r} is no sha256 digest")
        mount = request.query.get("mount")
        if mount and self._state.blobs.size(mount) is not None:
            self._state.pin(mount)
            return self._created(name, mount)
        upload = self._state.blobs.begin()
        if request.query.get("digest"):
            return await self.finish(request, name, upload)
        return self._progress(202, name, upload)

    async def status(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        try:
            return self._progress(204, name, upload)
        except NotFoundError as found:
            return error(404, "BLOB_UPLOAD_UNKNOWN", found.message)

    async def append(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        """Take the next bytes; they have to begin where the upload stands."""
        try:
            file = self._state.blobs.upload(upload)
        except NotFoundError as found:
            return error(404, "BLOB_UPLOAD_UNKNOWN", found.message)
        start = re.match(r"(\d+)-", request.headers.get("Content-Range", "").removeprefix("bytes ").strip())
        if start and int(start.group(1)) != file.stat().st_size:
            return self._progress(416, name, upload)
        loop = asyncio.get_running_loop()
        with file.open("ab") as target:
            while block := await request.content.read(1 << 20):
                await loop.run_in_executor(None, target.write, block)
        return self._progress(202, name, upload)

    async def finish(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        """Take the last bytes, check all of them against the digest and make them a blob."""
        digest = request.query.get("digest", "")
        if not _DIGEST.fullmatch(digest):
            return error(400, "DIGEST_INVALID", f"{digest!r} is no sha256 digest")
        reply = await self.append(request, name, upload)
        if reply.status != 202:
            return reply
        # Pinned before it is there, so that a clean-up in between cannot take it.
        self._state.pin(digest)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._state.blobs.finish, upload, digest)
        except RefusedError as found:
            return error(400, "DIGEST_INVALID", found.message)
        return self._created(name, digest)

    async def cancel(self, request: web.BaseRequest, name: str, upload: str) -> web.StreamResponse:
        try:
            self._state.blobs.cancel(upload)
        except NotFoundError as found:
            return error(404, "BLOB_UPLOAD_UNKNOWN", found.message)
        return web.Response(status=204)

    async def blob(self, request: web.BaseRequest, name: str, digest: str) -> web.StreamResponse:
        """A blob's bytes, also a range of them; HEAD pins it, so that a pusher may rely on it for an hour."""
        if not _DIGEST.fullmatch(digest) or self._state.blobs.size(digest) is None:
            return error(404, "BLOB_UNKNOWN", f"no blob {digest}")
        if request.method == "HEAD":
            self._state.pin(digest)
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.FileResponse(self._state.blobs.path(digest), headers=headers)

    async def manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.StreamResponse:
        try:
            content, digest, tag = self._state.manifest(name, reference)
        except NotFoundError as found:
            return error(404, "MANIFEST_UNKNOWN", found.message)
        if request.method == "GET":
            self._state.pulled(name, tag)
        headers = {"Docker-Content-Digest": digest, "Content-Type": MANIFEST_TYPE}
        return web.Response(body=content, headers=headers)

    async def put_manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.StreamResponse:
        """Commit a version. ``If-Match`` with the newest version's digest replaces it."""
        content = await request.content.read(LARGEST_MANIFEST + 1)
        while len(content) <= LARGEST_MANIFEST and (more := await request.content.read(1 << 20)):
            content += more
        if len(content) > LARGEST_MANIFEST:
            return error(413, "SIZE_INVALID", "the manifest is too large")
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        try:
            manifest = Manifest.read(content)
            if manifest is None or manifest.repository != name:
                return error(400, "MANIFEST_INVALID", "only template manifests in their own repository are taken")
            replaces = request.headers.get("If-Match", "").strip('"') or None
            absent = request.headers.get("If-None-Match") == "*"
            number = self._state.commit(content, digest, absent=absent, replaces=replaces)
        except ConflictError as found:
            conditional = {"If-Match", "If-None-Match"} & set(request.headers)
            return error(412 if conditional else 409, "DENIED", found.message)
        except (ValueError, AnkaCiError) as found:
            return error(400, "MANIFEST_INVALID", str(found))
        location = f"/v2/{name}/manifests/{digest}"
        headers = {"Location": location, "Docker-Content-Digest": digest, "Anka-Ci-Version": str(number)}
        return web.Response(status=201, headers=headers)

    async def tags(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        try:
            template = self._state.template(name)
        except NotFoundError as found:
            return error(404, "NAME_UNKNOWN", found.message)
        return web.Response(
            text=json.dumps({"name": name, "tags": sorted(version.tag for version in template.versions or ())}),
            content_type="application/json",
        )

    def _progress(self, status: int, name: str, upload: str) -> web.Response:
        size = self._state.blobs.upload(upload).stat().st_size
        headers = {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{max(0, size - 1)}"}
        return web.Response(status=status, headers={**headers, "OCI-Upload-UUID": upload, "Upload-Offset": str(size)})

    def _created(self, name: str, digest: str) -> web.Response:
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return web.Response(status=201, headers=headers)
