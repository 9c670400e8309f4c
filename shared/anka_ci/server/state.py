"""The rules of the registry: templates, versions and the blobs they hold, in SQLite.

A version is committed in one immediate transaction, after all of its blobs are on disk, so a tag whose bytes are not
all there is never seen. The only place that imports sqlite3; nothing here speaks HTTP.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anka_ci.clock import Clock
from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.server.blobs import Blobs
from anka_ci.wire.manifest import Manifest, oci_tag
from anka_ci.wire.template import Template, Version

PIN = 3600.0
"""Seconds for which a blob that was just uploaded or asked for is kept although nothing refers to it yet."""

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
    """Everything the registry knows, on one data folder. Methods may be called from any thread."""

    def __init__(self, data: Path, clock: Clock) -> None:
        self.blobs = Blobs(data)
        self._clock = clock
        self._lock = threading.RLock()
        self._db = sqlite3.connect(data / "registry.sqlite3", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def pin(self, digest: str) -> None:
        """Keep a blob for an hour."""
        with self.transaction() as db:
            db.execute("REPLACE INTO pins VALUES (?, ?)", (digest, self._clock.now() + PIN))

    def commit(self, content: bytes, digest: str, *, absent: bool = False, replaces: str | None = None) -> int:
        """Add a version, or replace the newest one whose manifest has the digest ``replaces``; its number.

        The same content under the same tag again changes nothing. ``ConflictError`` for a tag that is there with
        another content, and for a ``replaces`` that is not the newest version; ``RefusedError`` for a missing blob.
        """
        manifest = Manifest.read(content)
        if manifest is None:
            raise RefusedError("the manifest is no template")
        wanted = [(layer.digest, layer.size) for layer in manifest.layers]
        with self.transaction() as db:
            for blob, size in [*wanted, (manifest.config_digest, manifest.config_size)]:
                if self.blobs.size(blob) != size:
                    raise RefusedError(f"the blob {blob} is missing or not of {size} bytes; upload it first")
            template = manifest.repository
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
            db.execute("INSERT OR IGNORE INTO templates VALUES (?, ?, ?)", (manifest.id, manifest.name, manifest.arch))
            db.execute(
                "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
                (template, number, manifest.tag, oci_tag(manifest.tag), digest, content, self._clock.now()),
            )
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
        found = []
        for row in self._rows("SELECT * FROM templates ORDER BY name, id"):
            versions = self._rows("SELECT * FROM versions WHERE template = ? ORDER BY number", row["id"].lower())
            found.append(_template(row, versions))
        return found

    def template(self, template_id: str) -> Template:
        """One template; ``NotFoundError`` in the registry's own words."""
        rows = self._rows("SELECT * FROM templates WHERE lower(id) = ?", template_id.lower())
        if not rows:
            raise NotFoundError("template", template_id)
        versions = self._rows("SELECT * FROM versions WHERE template = ? ORDER BY number", template_id.lower())
        return _template(rows[0], versions)

    def config(self, template: Template, version: Version) -> dict[str, Any]:
        """A version's VM configuration."""
        manifest = Manifest.read(self.manifest(template.id.lower(), oci_tag(version.tag))[0])
        assert manifest is not None
        content = json.loads(self.blobs.path(manifest.config_digest).read_bytes())
        return dict(content)

    def set_arch(self, template: Template, arch: str) -> None:
        with self.transaction() as db:
            db.execute("UPDATE templates SET arch = ? WHERE id = ?", (arch, template.id))

    def revert(self, template: Template, version: Version) -> None:
        """Remove a version and all newer ones; reverting version 0 removes the template."""
        with self.transaction() as db:
            db.execute("DELETE FROM versions WHERE template = ? AND number >= ?", (template.id.lower(), version.number))
            if version.number == 0:
                db.execute("DELETE FROM templates WHERE id = ?", (template.id,))
        self.collect()

    def delete(self, template: Template) -> None:
        """Remove a template with all its versions."""
        with self.transaction() as db:
            db.execute("DELETE FROM versions WHERE template = ?", (template.id.lower(),))
            db.execute("DELETE FROM templates WHERE id = ?", (template.id,))
        self.collect()

    def collect(self) -> int:
        """Free the blobs that nothing refers to and nobody pinned; bytes that stay because they are pinned."""
        with self.transaction() as db:
            db.execute("DELETE FROM pins WHERE until < ?", (self._clock.now(),))
            pins = {row["digest"] for row in db.execute("SELECT digest FROM pins")}
            used = set()
            for row in db.execute("SELECT manifest FROM versions"):
                manifest = Manifest.read(row["manifest"])
                if manifest is not None:
                    used |= {manifest.config_digest, *(layer.digest for layer in manifest.layers)}
            kept = 0
            for file in self.blobs.path("sha256:00").parent.parent.glob("*/*"):
                digest = f"sha256:{file.name}"
                if digest not in used and digest in pins:
                    kept += file.stat().st_size
                elif digest not in used:
                    self.blobs.remove(digest)
        return kept


def _template(row: sqlite3.Row, versions: Sequence[sqlite3.Row]) -> Template:
    found: list[Version] = []
    sizes: dict[str, int] = {}
    for each in versions:
        manifest = Manifest.read(each["manifest"])
        assert manifest is not None
        sizes |= {layer.file: layer.size for layer in manifest.layers}
        nvram = manifest.of_role("nvram")
        found.append(
            Version(
                number=each["number"],
                tag=each["tag"],
                images=tuple(layer.file for layer in manifest.of_role("disk")),
                state_files=tuple(layer.file for layer in manifest.of_role("state")),
                config_file=f"{row['id']}.yaml",
                nvram=nvram[0].file if nvram else "",
                description=manifest.description,
                size=sum(layer.size for layer in manifest.layers),
                last_pull=int(each["pulled"] or 0),
                last_push=int(each["created"]),
                creation_date=int(each["created"]),
            )
        )
    return Template(
        id=row["id"],
        name=row["name"],
        versions=tuple(found),
        size=sum(sizes.values()),
        arch=row["arch"],
        last_pull=max((version.last_pull or 0 for version in found), default=0),
        last_push=max((version.last_push or 0 for version in found), default=0),
    )
