"""The data plane: manifests, tags and whole blobs of the OCI Distribution API (``/v2/``).

A template's repository is its id in lower case and takes only versions of it; any other repository takes what ordinary
clients push, unseen by the REST calls. Bytes are never held in memory whole; uploads are ``server.uploads``.
Source: https://github.com/opencontainers/distribution-spec (1.1).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from aiohttp import web

from anka_ci.errors import AnkaCiError, NotFoundError, RefusedError
from anka_ci.server.artifacts import DIGEST, INDEX_TYPE, Artifact
from anka_ci.server.blobs import FullError, MissingError
from anka_ci.server.state import ConflictError
from anka_ci.wire.manifest import MANIFEST_TYPE, Manifest, oci_tag

if TYPE_CHECKING:
    from anka_ci.server.state import State

Handler = Callable[..., Awaitable[web.StreamResponse]]
Routes = list[tuple[tuple[str, ...], str, Handler]]
T = TypeVar("T")

LARGEST_MANIFEST = 4 << 20
REPOSITORY = r"/v2/(.+)"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class OciError(Exception):
    """A refusal as the specification words it: ``status``, ``code`` and a message."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


def answering(handler: Handler) -> Handler:
    """The handler for a repository's calls: its name is checked first, and every refusal becomes a reply."""

    async def answer(request: web.BaseRequest, name: str, *parts: str) -> web.StreamResponse:
        try:
            if not _NAME.fullmatch(name) or len(name) > 255:
                raise OciError(400, "NAME_INVALID", f"{name[:255]!r} is no name of a repository")
            return await handler(request, name, *parts)
        except OciError as found:
            error = found
        except FullError as found:
            error = OciError(507, "INSUFFICIENT_STORAGE", found.message)
        except MissingError as found:
            error = OciError(400, "MANIFEST_BLOB_UNKNOWN", found.message)
        except NotFoundError as found:
            code = {"manifest": "MANIFEST_UNKNOWN", "blob": "BLOB_UNKNOWN", "upload": "BLOB_UPLOAD_UNKNOWN"}
            error = OciError(404, code.get(found.noun, "NAME_UNKNOWN"), found.message)
        except RefusedError as found:
            error = OciError(409, "DENIED", found.message)
        body = {"errors": [{"code": error.code, "message": error.message}]}
        return web.json_response(body, status=error.status, headers=error.headers)

    return answer


async def aside(call: Callable[..., T], *arguments: Any) -> T:
    """Run what waits for the disk in a thread, so that other requests go on."""
    return await asyncio.get_running_loop().run_in_executor(None, call, *arguments)


class Oci:
    """Handlers over one ``State``; each takes the request and the parts of its path."""

    def __init__(self, state: State) -> None:
        self._state = state

    def routes(self) -> Routes:
        """Methods, pattern of the path, handler."""
        read, manifests = ("GET", "HEAD"), REPOSITORY + r"/manifests/([^/]+)"
        found: Routes = [
            (read, REPOSITORY + r"/manifests/([^/]+)", self.manifest),
            (("PUT",), manifests, self.put_manifest),
            (("DELETE",), manifests, self.delete_manifest),
            (read, REPOSITORY + r"/blobs/([^/]+)", self.blob),
            (("DELETE",), REPOSITORY + r"/blobs/([^/]+)", self.delete_blob),
            (("GET",), REPOSITORY + r"/tags/list", self.tags),
            (("GET",), REPOSITORY + r"/referrers/([^/]+)", self.referrers),
        ]
        checked = [(methods, pattern, answering(handler)) for methods, pattern, handler in found]
        return [(("GET", "HEAD"), r"/v2/?", self.version), *checked]

    async def version(self, request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({}, headers={"Docker-Distribution-API-Version": "registry/2.0"})

    async def blob(self, request: web.BaseRequest, name: str, digest: str) -> web.StreamResponse:
        """A blob's bytes, also a range of them; HEAD pins it, so that a pusher may rely on it for an hour."""
        find = self._state.hold if request.method == "HEAD" else self._state.blobs.size
        if not DIGEST.fullmatch(digest) or await aside(find, digest) is None:
            raise NotFoundError("blob", digest)
        headers = {"Docker-Content-Digest": digest, "Content-Type": "application/octet-stream"}
        return web.FileResponse(self._state.blobs.path(digest), chunk_size=1 << 20, headers=headers)

    async def delete_blob(self, request: web.BaseRequest, name: str, digest: str) -> web.StreamResponse:
        """Remove a blob that nothing holds any more."""
        if not DIGEST.fullmatch(digest):
            raise NotFoundError("blob", digest)
        try:
            await aside(self._state.discard, digest)
        except NotFoundError:
            raise
        except RefusedError as found:
            raise OciError(405, "UNSUPPORTED", found.message) from found
        return web.Response(status=202)

    async def manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.StreamResponse:
        """A version's or an artifact's manifest; the GET of a version counts as a pull of it."""
        if await aside(self._state.tags, name) is None:
            artifact = await aside(self._state.artifacts.get, name, reference)
            headers = {"Docker-Content-Digest": artifact.digest, "Content-Type": artifact.type}
            return web.Response(body=artifact.content, headers=headers)
        content, digest, tag = await aside(self._state.manifest, name, reference)
        if request.method == "GET":
            await aside(self._state.pulled, name, tag)
        headers = {"Docker-Content-Digest": digest, "Content-Type": MANIFEST_TYPE}
        return web.Response(body=content, headers=headers)

    async def put_manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.StreamResponse:
        """Commit a version of a template, or keep an artifact.

        ``If-Match`` with the digest of a template's newest version replaces that version.
        """
        content = bytearray()
        while block := await request.content.readany():
            content += block
            if len(content) > LARGEST_MANIFEST:
                raise OciError(413, "SIZE_INVALID", f"the manifest is larger than {LARGEST_MANIFEST} bytes")
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if ":" in reference and reference != digest:
            raise OciError(400, "DIGEST_INVALID", f"the manifest's digest is {digest}, not {reference}")
        if ":" not in reference and not _TAG.fullmatch(reference):
            raise OciError(400, "MANIFEST_INVALID", f"{reference!r} is no tag")
        headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
        try:
            manifest = Manifest.read(bytes(content))
        except (ValueError, TypeError, AttributeError, RecursionError, AnkaCiError) as found:
            raise OciError(400, "MANIFEST_INVALID", f"the manifest cannot be read: {found}") from None
        if manifest is not None and manifest.repository == name:
            number = await self._commit(request, bytes(content), digest, manifest, reference)
            headers["Anka-Ci-Version"] = str(number)
        else:
            kind = request.headers.get("Content-Type", "").partition(";")[0].strip()
            subject = await self._keep(name, reference, bytes(content), kind)
            if subject:
                headers["OCI-Subject"] = subject
        return web.Response(status=201, headers=headers)

    async def _commit(
        self, request: web.BaseRequest, content: bytes, digest: str, manifest: Manifest, reference: str
    ) -> int:
        if reference not in (digest, oci_tag(manifest.tag)):
            raise OciError(
                400,
                "MANIFEST_INVALID",
                f"the manifest is of the tag {manifest.tag!r}; put it under {oci_tag(manifest.tag)} or its digest",
            )
        replaces = request.headers.get("If-Match", "").strip('"') or None
        absent = request.headers.get("If-None-Match") == "*"
        try:
            return await aside(lambda: self._state.commit(content, digest, absent=absent, replaces=replaces))
        except ConflictError as found:
            conditional = {"If-Match", "If-None-Match"} & set(request.headers)
            raise OciError(412 if conditional else 409, "DENIED", found.message) from None

    async def _keep(self, name: str, reference: str, content: bytes, kind: str) -> str:
        try:
            artifact = Artifact.read(content, kind)
        except ValueError as found:
            raise OciError(400, "MANIFEST_INVALID", str(found)) from None
        await aside(self._state.artifacts.put, name, reference, artifact)
        return artifact.subject

    async def delete_manifest(self, request: web.BaseRequest, name: str, reference: str) -> web.StreamResponse:
        """Remove an artifact by digest, or one of its tags. A template's versions hang together: they are reverted."""
        if await aside(self._state.tags, name) is not None:
            raise OciError(405, "UNSUPPORTED", "a template's versions are removed by DELETE /registry/revert")
        await aside(self._state.artifacts.delete, name, reference)
        await aside(self._state.collect)
        return web.Response(status=202)

    async def tags(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        """The tags in order of their text; ``n`` and ``last`` give them in pages."""
        found = await aside(self._state.tags, name)
        tags = sorted(await aside(self._state.artifacts.tags, name) if found is None else found)
        last, most = request.query.get("last"), request.query.get("n", "")
        if last is not None:
            tags = [tag for tag in tags if tag > last]
        headers = {}
        if most:
            if not re.fullmatch(r"\d{1,9}", most):
                raise OciError(400, "PAGINATION_NUMBER_INVALID", f"n={most[:50]!r} is no number")
            if 0 < int(most) < len(tags):
                query = urlencode({"n": int(most), "last": tags[int(most) - 1]})
                headers["Link"] = f'</v2/{name}/tags/list?{query}>; rel="next"'
            tags = tags[: int(most)]
        return web.json_response({"name": name, "tags": tags}, headers=headers)

    async def referrers(self, request: web.BaseRequest, name: str, digest: str) -> web.StreamResponse:
        """The artifacts that name a digest as their subject, as an index; also when there is none."""
        if not DIGEST.fullmatch(digest):
            raise OciError(400, "DIGEST_INVALID", f"{digest!r} is no sha256 digest")
        kind, headers = request.query.get("artifactType"), {}
        found = await aside(self._state.artifacts.referrers, name, digest)
        if kind:
            found = [artifact for artifact in found if artifact.artifact_type == kind]
            headers["OCI-Filters-Applied"] = "artifactType"
        rows = [
            {
                "mediaType": artifact.type,
                "digest": artifact.digest,
                "size": len(artifact.content),
                "artifactType": artifact.artifact_type,
                "annotations": dict(artifact.annotations),
            }
            for artifact in found
        ]
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": rows}).encode()
        return web.Response(body=body, headers={**headers, "Content-Type": INDEX_TYPE})
