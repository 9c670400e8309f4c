"""OCI artifacts that are no templates: the images and indexes of ordinary clients, by tag and digest.

The REST calls never see them, and they never share a repository with a template. Rules only: no HTTP, no files.
Source: https://github.com/opencontainers/image-spec (manifest.md, image-index.md).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.server.blobs import Blobs, MissingError
from anka_ci.wire.manifest import MANIFEST_TYPE

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = (INDEX_TYPE, "application/vnd.docker.distribution.manifest.list.v2+json")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TABLES = (
    "CREATE TABLE IF NOT EXISTS artifacts (repository TEXT NOT NULL, digest TEXT NOT NULL, type TEXT NOT NULL,"
    " subject TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (repository, digest))",
    "CREATE TABLE IF NOT EXISTS artifact_tags (repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,"
    " PRIMARY KEY (repository, tag))",
)

Transaction = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A manifest or an index as it was sent. ``blobs`` are digests with sizes; ``subject`` is a digest, or empty."""

    type: str
    content: bytes
    blobs: tuple[tuple[str, int], ...] = ()
    manifests: tuple[str, ...] = ()
    subject: str = ""
    artifact_type: str = ""
    annotations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.content).hexdigest()

    @classmethod
    def read(cls, content: bytes, content_type: str = "") -> Artifact:
        """Parse what a client sent; ``ValueError`` when it is neither manifest nor index of version 2."""
        try:
            found = json.loads(content)
            if not isinstance(found, dict) or found.get("schemaVersion") != 2:
                raise ValueError("only manifests of schemaVersion 2 are taken")
            told = found.get("mediaType")
            if told and content_type and told != content_type:
                raise ValueError(f"the Content-Type is {content_type}, the manifest's mediaType {told}")
            kind = told or content_type or (INDEX_TYPE if "manifests" in found else MANIFEST_TYPE)
            if kind in INDEXES:
                blobs, manifests = [], [_descriptor(item)[0] for item in found["manifests"]]
            elif kind in MANIFESTS:
                # A layer with `urls` may be elsewhere on purpose.
                layers = [item for item in found["layers"] if not item.get("urls")]
                blobs, manifests = [_descriptor(item) for item in (found["config"], *layers)], []
            else:
                raise ValueError(f"the media type {kind} is not taken")
            return cls(
                type=kind,
                content=content,
                blobs=tuple(blobs),
                manifests=tuple(manifests),
                subject=_descriptor(found["subject"])[0] if found.get("subject") else "",
                artifact_type=str(found.get("artifactType") or found.get("config", {}).get("mediaType") or ""),
                annotations=dict(found.get("annotations") or {}),
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"the manifest is broken: {error!r}") from None


class Artifacts:
    """The artifacts of a registry, in the tables of its database. Methods may be called from any thread.

    ``transaction`` opens one immediate transaction of that database.
    """

    def __init__(self, transaction: Transaction, blobs: Blobs) -> None:
        self._transaction = transaction
        self._blobs = blobs
        with transaction() as db:
            for table in TABLES:
                db.execute(table)

    def put(self, repository: str, reference: str, artifact: Artifact) -> None:
        """Keep an artifact, under a tag when ``reference`` is one; a tag that is there moves to it.

        ``MissingError`` for a blob or manifest that is not here, ``RefusedError`` for the repository of a template.
        """
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM templates WHERE lower(id) = ?", (repository,)).fetchone():
                raise RefusedError(f"{repository} is a template's repository and takes only versions of it")
            self._blobs.check(artifact.blobs)
            for digest in artifact.manifests:
                if self._row(db, repository, digest) is None:
                    raise MissingError(f"the manifest {digest} is missing; push it first")
            db.execute(
                "INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?, ?, ?)",
                (repository, artifact.digest, artifact.type, artifact.subject, artifact.content),
            )
            if reference != artifact.digest:
                db.execute("REPLACE INTO artifact_tags VALUES (?, ?, ?)", (repository, reference, artifact.digest))

    def get(self, repository: str, reference: str) -> Artifact:
        """An artifact by tag or digest; ``NotFoundError`` when there is none."""
        with self._transaction() as db:
            row = self._row(db, repository, reference)
        if row is None:
            raise NotFoundError("manifest", f"{repository}:{reference}")
        return Artifact.read(row["content"], row["type"])

    def delete(self, repository: str, reference: str) -> None:
        """Remove a tag, or by digest an artifact with all its tags; ``NotFoundError`` when there is none."""
        with self._transaction() as db:
            if self._row(db, repository, reference) is None:
                raise NotFoundError("manifest", f"{repository}:{reference}")
            if DIGEST.fullmatch(reference):
                db.execute("DELETE FROM artifacts WHERE repository = ? AND digest = ?", (repository, reference))
            column = "digest" if DIGEST.fullmatch(reference) else "tag"
            db.execute(f"DELETE FROM artifact_tags WHERE repository = ? AND {column} = ?", (repository, reference))

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository; ``NotFoundError`` when nothing was ever put there."""
        with self._transaction() as db:
            if not self.there(db, repository):
                raise NotFoundError("repository", repository)
            rows = db.execute("SELECT tag FROM artifact_tags WHERE repository = ?", (repository,)).fetchall()
        return [row["tag"] for row in rows]

    def referrers(self, repository: str, digest: str) -> list[Artifact]:
        """The artifacts of a repository that name ``digest`` as their subject, oldest first."""
        query = "SELECT type, content FROM artifacts WHERE repository = ? AND subject = ? ORDER BY rowid"
        with self._transaction() as db:
            rows = db.execute(query, (repository, digest)).fetchall()
        return [Artifact.read(row["content"], row["type"]) for row in rows]

    def there(self, db: Any, repository: str) -> bool:
        """Whether a repository holds artifacts."""
        return bool(db.execute("SELECT 1 FROM artifacts WHERE repository = ? LIMIT 1", (repository,)).fetchone())

    def blobs(self, db: Any) -> set[str]:
        """Every blob that an artifact holds."""
        rows = db.execute("SELECT type, content FROM artifacts")
        return {digest for row in rows for digest, _ in Artifact.read(row["content"], row["type"]).blobs}

    def _row(self, db: Any, repository: str, reference: str) -> Any:
        if not DIGEST.fullmatch(reference):
            query = "SELECT digest FROM artifact_tags WHERE repository = ? AND tag = ?"
            row = db.execute(query, (repository, reference)).fetchone()
            if row is None:
                return None
            reference = row["digest"]
        query = "SELECT type, content FROM artifacts WHERE repository = ? AND digest = ?"
        return db.execute(query, (repository, reference)).fetchone()


def _descriptor(item: Mapping[str, Any]) -> tuple[str, int]:
    digest, size = item["digest"], item["size"]
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is no sha256 digest")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{size!r} is no size")
    return digest, size
