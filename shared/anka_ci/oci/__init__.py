"""The only client of the data plane: blobs and manifests under ``/v2/``, pushed, pulled and taken up again.

It speaks to the embedded registry and, ``foreign``, to any other that keeps to the specification. They differ in how
one signs in (``sign_in``, ``docker``), in that only ours knows conditions and numbers of versions, and in that others
may keep their blobs elsewhere and take an upload only in chunks (``connection``, ``upload``). Bytes go through a fixed
buffer, or from file to socket inside the kernel; no blob is ever in memory whole, and every pulled one is checked
against its SHA-256 while it is written. Source: https://github.com/opencontainers/distribution-spec.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

from anka_ci.errors import NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.oci.body import Moved, nobody
from anka_ci.oci.connection import LARGEST, Connection
from anka_ci.oci.download import Download
from anka_ci.oci.paths import Paths, with_digest
from anka_ci.oci.upload import Chunks, Upload
from anka_ci.wire.manifest import MANIFEST_TYPE

if TYPE_CHECKING:
    from anka_ci.anka import Anka

LARGEST_CONTENT = LARGEST
"""Bytes of a blob that is fetched into memory: configurations and nvram only."""
DOCKER_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
"""What older registries call the same."""
PAGE = 1000
"""Names asked for at once; a registry may send fewer, and say where the list goes on."""


class Oci:
    """The blobs and manifests of one registry at ``url``. Not for use by two threads at once; ``again`` makes another.

    ``UnreachableError``: no usable answer after ``TRIES``. ``NotAuthorisedError``: 401 or 403. ``NotFoundError``: no
    such manifest or blob. ``RefusedError``: the registry said no, or bytes do not match their digest.
    """

    def __init__(self, url: str, anka: Anka, *, foreign: bool = False) -> None:
        self.url = url.rstrip("/")
        self.foreign = foreign
        self._anka = anka
        self._connection = Connection.to(self.url, anka, foreign=foreign)
        self._mounting: Connection | None = None
        self._paths = Paths(self._connection.prefix)
        self._accepted = f"{MANIFEST_TYPE}, {DOCKER_TYPE}" if foreign else MANIFEST_TYPE
        self._chunks: Chunks = anka.signers.once(("chunks", self.url), Chunks)

    def again(self, anka: Anka) -> Oci:
        """Another client of the same registry, with a connection of its own."""
        return Oci(self.url, anka, foreign=self.foreign)

    def ping(self) -> None:
        """Ask whether it is a registry that lets us in."""
        self._connection.call("GET", self._paths.root, known=(200,))

    def manifest_digest(self, repository: str, reference: str) -> str | None:
        """A manifest's digest, None when there is none; does not count as a pull where the registry tells it."""
        path, accepted = self._paths.manifest(repository, reference), {"Accept": self._accepted}
        reply = self._connection.call("HEAD", path, headers=accepted, known=(200, 404))
        if reply.status == 404:
            return None
        told = reply.headers.get("Docker-Content-Digest")
        return told if told or not self.foreign else self.manifest(repository, reference)[1]

    def manifest(self, repository: str, reference: str) -> tuple[bytes, str]:
        """A manifest and its digest; the registry counts this as a pull."""
        path = self._paths.manifest(repository, reference)
        reply = self._connection.call("GET", path, headers={"Accept": self._accepted}, known=(200, 404))
        if reply.status == 404:
            raise NotFoundError("manifest", f"{repository}:{reference}", where=self.url)
        digest = "sha256:" + hashlib.sha256(reply.content).hexdigest()
        if reply.headers.get("Docker-Content-Digest", digest) != digest:
            raise RefusedError(f"the manifest {repository}:{reference} does not match its digest")
        return reply.content, digest

    def put_manifest(self, repository: str, reference: str, content: bytes, *, replaces: str | None = None) -> int:
        """Commit a version; its number (-1 where the registry does not tell).

        Without ``replaces`` the tag must not be there with another content; with it, the newest version with that
        digest is replaced. ``RefusedError`` otherwise. A foreign registry knows no such conditions: the tag is put,
        whatever it was.
        """
        headers = {"Content-Type": MANIFEST_TYPE}
        if not self.foreign:
            headers |= {"If-None-Match": "*"} if replaces is None else {"If-Match": f'"{replaces}"'}
        reply = self._connection.call(
            "PUT", self._paths.manifest(repository, reference), headers=headers, body=content, known=(201,)
        )
        return int(reply.headers.get("Anka-Ci-Version", "-1"))

    def blob_size(self, repository: str, digest: str) -> int | None:
        """Bytes of a blob, None when it is not there; the registry keeps it for the push that asked."""
        reply = self._connection.call("HEAD", self._paths.blob(repository, digest), known=(200, 404))
        return int(reply.headers.get("Content-Length", "0")) if reply.status == 200 else None

    def content(self, repository: str, digest: str) -> bytes:
        """A small blob, in memory."""
        reply = self._connection.call("GET", self._paths.blob(repository, digest), known=(200, 404))
        if reply.status == 404:
            raise NotFoundError("blob", digest, where=self.url)
        if "sha256:" + hashlib.sha256(reply.content).hexdigest() != digest:
            raise RefusedError(f"what {self.url} sent does not match the digest {digest}")
        return reply.content

    def put_content(self, repository: str, content: bytes) -> str:
        """Store a small blob, unless it is there; its digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self.blob_size(repository, digest) is None:
            path = f"{self._paths.uploads(repository)}?digest={quote(digest)}"
            headers = {"Content-Type": "application/octet-stream"}
            reply = self._connection.call("POST", path, headers=headers, body=content, known=(201, 202))
            if reply.status == 202:  # it wants the bytes in a request of their own
                location = urljoin(urljoin(self.url, path), reply.headers.get("Location", ""))
                there, target = self._connection.follow(with_digest(location, digest))
                there.call("PUT", target, headers=headers, body=content, known=(201,))
        return digest

    def tags(self, repository: str) -> list[str] | None:
        """The tags of a repository, in the registry's order, page after page; None when there is no such repository."""
        found = self._pages(self._paths.tags(repository, PAGE), "tags")
        return None if found is None else [str(tag) for tag in found]

    def repositories(self) -> list[str] | None:
        """The names of all repositories; None where the registry does not list them, which it need not."""
        found = self._pages(self._paths.catalog(PAGE), "repositories")
        return None if found is None else [str(name) for name in found]

    def _pages(self, path: str, key: str) -> list[object] | None:
        found: list[object] = []
        seen = set()
        while path not in seen:
            seen.add(path)
            reply = self._connection.call("GET", path, known=(200, 404))
            if reply.status == 404:
                return found or None
            try:
                rows = json.loads(reply.content)[key] or []
                found += list(rows)
            except (ValueError, LookupError, TypeError, RecursionError) as error:
                raise UnreachableError(f"{self.url} told no {key}", hint="is it an OCI registry?") from error
            match = re.match(r'\s*<([^>]+)>\s*;\s*rel="?next"?', reply.headers.get("Link", ""))
            if not match:
                break
            there, path = self._connection.follow(urljoin(f"{self.url}{path}", match.group(1)))
            if there is not self._connection:
                raise UnreachableError(f"{self.url} has its list of {key} go on elsewhere", url=self.url)
        return found

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Have the registry take a blob over from its repository ``source``; whether it did. No byte is moved.

        It need not know how, and we need not be allowed to read there: then the blob has to be pushed.
        """
        if self._mounting is None:  # signed in apart: what it asks for the one must not stand in the way of the other
            self._mounting = Connection.to(self.url, self._anka, foreign=self.foreign, apart="mount")
        path = f"{self._paths.uploads(repository)}?mount={quote(digest)}&from={quote(source, safe='')}"
        try:
            reply = self._mounting.call("POST", path, headers={"Content-Length": "0"}, known=(201, 202, 400, 404))
        except NotAuthorisedError:
            return False
        return reply.status == 201

    def push(self, repository: str, digest: str, file: Path, ticket: Path, moved: Moved = nobody) -> int:
        """Store a file as a blob, unless it is there; the bytes sent by this call.

        ``ticket`` is where the upload's address is kept, so that a later call, also of another process, goes on where
        this one was cut off.
        """
        path = self._paths.uploads(repository)
        upload = Upload(self._connection, self._chunks, path, lambda: self.blob_size(repository, digest) is not None)
        return upload.send(digest, file, ticket, moved)

    def pull(self, repository: str, digest: str, size: int, part: Path, moved: Moved = nobody) -> int:
        """Fetch a blob of ``size`` bytes into ``part``, going on where it ends; the bytes received by this call.

        ``part`` is flushed to disk. Raises ``RefusedError`` for bytes that do not match, and ``part`` is gone then;
        ``OSError`` when the disk is full.
        """
        path = self._paths.blob(repository, digest)
        return Download(self._connection, self._anka.cancelled).fetch(path, digest, size, part, moved)
