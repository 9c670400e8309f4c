"""Content-addressed blobs on disk, and uploads that survive a kill.

A blob is visible only once it is whole: its bytes are flushed, it is renamed into place, and the folder is flushed.
Nothing here knows templates.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from pathlib import Path

from anka_ci.errors import NotFoundError, RefusedError

BLOCK = 1 << 20


class Blobs:
    """Blobs under ``blobs/sha256/ab/<hex>`` and unfinished uploads under ``uploads/<uuid>`` of a data folder."""

    def __init__(self, data: Path) -> None:
        self._blobs = data / "blobs" / "sha256"
        self._uploads = data / "uploads"
        self._blobs.mkdir(parents=True, exist_ok=True)
        self._uploads.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where a blob is, whether it is there or not; ``digest`` is ``sha256:`` and 64 hex digits."""
        hexes = digest.removeprefix("sha256:")
        return self._blobs / hexes[:2] / hexes

    def size(self, digest: str) -> int | None:
        """Bytes of a blob; None when it is not there."""
        try:
            return self.path(digest).stat().st_size
        except OSError:
            return None

    def begin(self) -> str:
        """Start an upload; its id."""
        upload = str(uuid.uuid4())
        (self._uploads / upload).touch(exist_ok=False)
        return upload

    def upload(self, upload: str) -> Path:
        """The file of an unfinished upload; ``NotFoundError`` when there is none."""
        try:
            file = self._uploads / str(uuid.UUID(upload))
        except ValueError:
            raise NotFoundError("upload", upload) from None
        if not file.exists():
            raise NotFoundError("upload", upload)
        return file

    def cancel(self, upload: str) -> None:
        """Forget an upload."""
        self.upload(upload).unlink(missing_ok=True)

    def finish(self, upload: str, digest: str) -> int:
        """Make an upload a blob; its size. ``RefusedError`` when its bytes do not match, and the upload is gone then.

        The bytes are read once more, so that what is checked is what is on disk, also after a restart in between.
        """
        file = self.upload(upload)
        hashed, count = hashlib.sha256(), 0
        buffer = memoryview(bytearray(BLOCK))
        with file.open("rb") as source:
            while got := source.readinto(buffer):
                hashed.update(buffer[:got])
                count += got
            if f"sha256:{hashed.hexdigest()}" != digest:
                file.unlink()
                raise RefusedError(f"the bytes sent have the digest sha256:{hashed.hexdigest()}, not {digest}")
            os.fsync(source.fileno())
        final = self.path(digest)
        if not final.parent.exists():
            final.parent.mkdir(exist_ok=True)
            _flush_folder(self._blobs)
        file.rename(final)
        _flush_folder(final.parent)
        return count

    def store(self, content: bytes) -> str:
        """Keep a small content as a blob; its digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self.size(digest) is None:
            upload = self.begin()
            self.upload(upload).write_bytes(content)
            self.finish(upload, digest)
        return digest

    def remove(self, digest: str) -> None:
        """Remove a blob; nothing happens when it is gone."""
        with contextlib.suppress(FileNotFoundError):
            self.path(digest).unlink()

    def free(self) -> tuple[int, int]:
        """Free and total bytes of the disk."""
        found = os.statvfs(self._blobs)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
