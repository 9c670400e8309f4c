"""The rules of the registry: templates, versions and the blobs they hold, in SQLite.

A version is committed in one immediate transaction, after all of its blobs are on disk, so a tag whose bytes are not
all there is never seen. The only place that imports sqlite3; nothing here speaks HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anka_ci.clock import Clock
from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.server.artifacts import Artifacts
from anka_ci.server.blobs import Blobs
from anka_ci.server.shown import shown
from anka_ci.wire.manifest import Manifest, oci_tag
from anka_ci.wire.template import Template, Version

PIN = 3600.0
"""Seconds for which a blob that was just uploaded or asked for is kept although nothing refers to it yet."""
LARGEST_CONFIG = 4 << 20
"""Bytes of a VM configuration, which replies carry whole."""
ABANDONED = 7 * 86400.0
"""Seconds after which an unfinished upload that nobody goes on with is forgotten."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS templates (id TEXT PRIMARY KEY, name TEXT NOT NULL, arch TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS versions (
  template TEXT NOT NULL REFERENCES templates(id), number INTEGER NOT NULL, tag TEXT NOT NULL, oci_tag TEXT NOT NULL,
  digest TEXT NOT NULL, manifest BLOB NOT NULL, created REAL NOT NULL, pulled REAL,
  PRIMARY KEY (template, number), UNIQUE (template, oci_tag));
CREATE TABLE IF NOT EXISTS pins (digest TEXT PRIMARY KEY, until REAL NOT NULL);
"""


class ConflictError(RefusedError):
    """The tag is there with another content, or a precondition does not hold."""


class State:
    """Everything the registry knows, on one data folder. Methods may be called from any thread.

    ``OSError`` when the folder cannot be used, ``UsageError`` when its database cannot; later ``RefusedError`` when the
    database fails.
    """

    def __init__(self, data: Path, clock: Clock) -> None:
        self.blobs = Blobs(data)
        self._clock = clock
        self._lock = threading.RLock()
        file = data / "registry.sqlite3"
        try:
            self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._open()
        except sqlite3.Error as error:
            if hasattr(self, "_db"):
                self._db.close()
            hint = "restore it from a copy, or start with another --data; it was left as it is"
            raise UsageError(f"the database {file} cannot be used: {error}", hint=hint) from error
        self.artifacts = Artifacts(self.transaction, self.blobs)
        self.blobs.forget(clock.now() - ABANDONED)

    def _open(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One immediate transaction: all of it, or with an exception nothing."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise RefusedError(f"the registry's database cannot be used: {error}") from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise RefusedError(f"the registry's database cannot be read: {error}") from error

    def pin(self, digest: str) -> None:
        """Keep a blob for an hour, also one that is only about to come."""
        with self.transaction() as db:
            self._pin(db, digest)

    def hold(self, digest: str) -> int | None:
        """Bytes of a blob, which is then kept for an hour; None when it is not here."""
        with self.transaction() as db:
            size = self.blobs.size(digest)
            if size is not None:
                self._pin(db, digest)
        return size

    def _pin(self, db: sqlite3.Connection, digest: str) -> None:
        db.execute("REPLACE INTO pins VALUES (?, ?)", (digest, self._clock.now() + PIN))

    def store(self, upload: str, digest: str) -> int:
        """Make an upload a blob, which is then kept for an hour; its size. Errors as ``Blobs.finish`` has them."""
        # Pinned before it is there, so that a clean-up in between cannot take it.
        self.pin(digest)
        return self.blobs.finish(upload, digest)

    def commit(self, content: bytes, digest: str, *, absent: bool = False, replaces: str | None = None) -> int:
        """Add a version, or replace the newest one whose manifest has the digest ``replaces``; its number.

        The same content under the same tag again changes nothing. ``ConflictError`` for a tag that is there with
        another content, for a ``replaces`` that is not the newest version, and for a repository that holds other
        artifacts; ``MissingError`` for a missing blob.
        """
        manifest = Manifest.read(content)
        if manifest is None:
            raise RefusedError("the manifest is no template")
        wanted = [(layer.digest, layer.size) for layer in manifest.layers]
        with self.transaction() as db:
            template = manifest.repository
            if self.artifacts.there(db, template):
                raise ConflictError(f"the repository {template} holds other artifacts; remove them first")
            self.blobs.check([*wanted, (manifest.config_digest, manifest.config_size)])
            self._config(manifest)
            there = db.execute(
                "SELECT * FROM versions WHERE template = ? AND oci_tag = ?", (template, oci_tag(manifest.tag))
            ).fetchone()
            newest = db.execute("SELECT max(number) FROM versions WHERE template = ?", (template,)).fetchone()[0]
            if there is not None and there["digest"] == digest:
                return int(there["number"])
            if replaces is not None:
                if there is None or there["digest"] != replaces or there["number"] != newest:
                    raise ConflictError(f"{manifest.name}:{manifest.tag} is not the newest version with that content")
                db.execute("DELETE FROM versions WHERE template = ? AND number = ?", (template, newest))
                newest -= 1
            elif there is not None:
                raise ConflictError(f"{manifest.tag}: tag already exists", absent=absent)
            number = 0 if newest is None else int(newest) + 1
            if not db.execute("SELECT 1 FROM templates WHERE lower(id) = ?", (template,)).fetchone():
                db.execute("INSERT INTO templates VALUES (?, ?, ?)", (manifest.id, manifest.name, manifest.arch))
            db.execute(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (template, number, manifest.tag, oci_tag(manifest.tag), digest, content, self._clock.now()),
            )
        if replaces is not None:
            self.collect()
        return number

    def manifest(self, template: str, reference: str) -> tuple[bytes, str, str]:
        """A version's manifest, its digest and its tag, by OCI tag or digest; ``latest`` is the newest unless a tag."""
        rows = self._rows("SELECT * FROM versions WHERE template = ? ORDER BY number", template)
        found = next((row for row in rows if reference in (row["oci_tag"], row["digest"])), None)
        if found is None and reference == "latest" and rows:
            found = rows[-1]
        if found is None:
            raise NotFoundError("manifest", f"{template}:{reference}")
        return found["manifest"], found["digest"], found["tag"]

    def pulled(self, template: str, tag: str) -> None:
        """Note that someone pulled a version."""
        with self.transaction() as db:
            db.execute(
                "UPDATE versions SET pulled = ? WHERE template = ? AND tag = ?", (self._clock.now(), template, tag)
            )

    def templates(self) -> list[Template]:
        """Every template with its versions."""
        with self._lock:
            rows = self._rows("SELECT * FROM templates ORDER BY name, id")
            return [shown(row, self._versions(row["id"])) for row in rows]

    def template(self, template_id: str) -> Template:
        """One template; ``NotFoundError`` when there is none."""
        with self._lock:
            rows = self._rows("SELECT * FROM templates WHERE lower(id) = ?", template_id.lower())
            if not rows:
                raise NotFoundError("template", template_id)
            return shown(rows[0], self._versions(template_id))

    def tags(self, repository: str) -> list[str] | None:
        """The OCI tags of a template's repository; None when it is not one."""
        with self._lock:
            if not self._rows("SELECT 1 FROM templates WHERE lower(id) = ?", repository):
                return None
            return [row["oci_tag"] for row in self._versions(repository)]

    def _versions(self, template_id: str) -> list[sqlite3.Row]:
        return self._rows("SELECT * FROM versions WHERE template = ? ORDER BY number", template_id.lower())

    def config(self, template: Template, version: Version) -> dict[str, Any]:
        """A version's VM configuration."""
        manifest = Manifest.read(self.manifest(template.id.lower(), oci_tag(version.tag))[0])
        assert manifest is not None
        return self._config(manifest)

    def _config(self, manifest: Manifest) -> dict[str, Any]:
        if manifest.config_size > LARGEST_CONFIG:
            raise RefusedError(f"the VM configuration is larger than {LARGEST_CONFIG} bytes")
        try:
            content = json.loads(self.blobs.path(manifest.config_digest).read_bytes())
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise RefusedError(f"the VM configuration {manifest.config_digest} is no JSON object")
        return content

    def set_arch(self, template: Template, arch: str) -> None:
        with self.transaction() as db:
            db.execute("UPDATE templates SET arch = ? WHERE id = ?", (arch, template.id))

    def revert(self, template: Template, version: Version) -> int:
        """Remove a version and all newer ones, with version 0 the template; the bytes that stay because of pins.

        ``ConflictError`` when the version has meanwhile become another.
        """
        with self.transaction() as db:
            there = db.execute(
                "SELECT tag FROM versions WHERE template = ? AND number = ?", (template.id.lower(), version.number)
            ).fetchone()
            if there is None or there["tag"] != version.tag:
                raise ConflictError(f"version {version.number} of {template.name} is no longer {version.tag}")
            db.execute("DELETE FROM versions WHERE template = ? AND number >= ?", (template.id.lower(), version.number))
            if version.number == 0:
                db.execute("DELETE FROM templates WHERE id = ?", (template.id,))
        return self.collect()

    def delete(self, template: Template) -> int:
        """Remove a template with all its versions; the bytes that stay because they are pinned."""
        with self.transaction() as db:
            db.execute("DELETE FROM versions WHERE template = ?", (template.id.lower(),))
            db.execute("DELETE FROM templates WHERE id = ?", (template.id,))
        return self.collect()

    def collect(self) -> int:
        """Free the blobs that nothing refers to and nobody pinned; bytes that stay because they are pinned."""
        with self.transaction() as db:
            db.execute("DELETE FROM pins WHERE until < ?", (self._clock.now(),))
            pins = {row["digest"] for row in db.execute("SELECT digest FROM pins")}
            used, kept = self._used(db), 0
            for digest, size in self.blobs.digests():
                if digest not in used and digest in pins:
                    kept += size
                elif digest not in used:
                    self.blobs.remove(digest)
        self.blobs.forget(self._clock.now() - ABANDONED)
        return kept

    def discard(self, digest: str) -> None:
        """Remove a blob that nothing refers to, pinned or not, because a client said so.

        ``NotFoundError`` when it is not here, ``RefusedError`` when a version or an artifact holds it.
        """
        with self.transaction() as db:
            if self.blobs.size(digest) is None:
                raise NotFoundError("blob", digest)
            if digest in self._used(db):
                raise RefusedError(f"the blob {digest} is in use")
            db.execute("DELETE FROM pins WHERE digest = ?", (digest,))
            self.blobs.remove(digest)

    def _used(self, db: sqlite3.Connection) -> set[str]:
        used = self.artifacts.blobs(db)
        for row in db.execute("SELECT manifest FROM versions"):
            manifest = Manifest.read(row["manifest"])
            if manifest is not None:
                used |= {manifest.config_digest, *(layer.digest for layer in manifest.layers)}
        return used
