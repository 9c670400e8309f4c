"""Content-addressed blobs on disk, and uploads that survive a kill.

A blob is visible only once it is whole: its bytes are flushed, it is renamed into place, and the folder is flushed.
Nothing here knows templates.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from anka_ci.errors import NotFoundError, RefusedError

BLOCK = 1 << 20


class FullError(RefusedError):
    """There is no room for what was sent; what had arrived before is kept, so the upload can go on later."""


class MissingError(RefusedError):
    """Something refers to a blob that is not here, or not of that size."""


class Incoming:
    """An upload that someone writes to: bytes are hashed as they are written, so that nothing is read again.

    The digest of what has arrived is kept in memory between requests; after a restart the file is read once. A context
    manager; not to be written to by two at once.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.size = 0
        self._hash = hashlib.sha256()
        self._handle = -1
        self._lock = threading.Lock()

    def __enter__(self) -> Incoming:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Open the file and catch up with what it holds."""
        self._handle = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        if os.fstat(self._handle).st_size == self.size:
            return
        self._hash, self.size = hashlib.sha256(), 0
        buffer = memoryview(bytearray(BLOCK))
        while got := os.preadv(self._handle, [buffer], self.size):
            self._hash.update(buffer[:got])
            self.size += got

    def write(self, blocks: Iterable[bytes]) -> None:
        """Append. ``FullError`` when there is no room; what did fit is kept and counted."""
        with self._lock, _room():
            if self._handle < 0:
                raise RefusedError("the upload was closed")
            for block in blocks:
                left = memoryview(block)
                while left:
                    written = os.write(self._handle, left)
                    self._hash.update(left[:written])
                    self.size += written
                    left = left[written:]

    def flush(self) -> str:
        """Bring everything to disk; the digest of it."""
        with self._lock, _room():
            os.fsync(self._handle)
            return f"sha256:{self._hash.hexdigest()}"

    def close(self) -> None:
        """Close the file, after a write that is under way."""
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
            self._handle = -1


class Blobs:
    """Blobs under ``blobs/sha256/ab/<hex>`` and unfinished uploads under ``uploads/<uuid>`` of a data folder."""

    def __init__(self, data: Path) -> None:
        self._blobs = data / "blobs" / "sha256"
        self._uploads = data / "uploads"
        self._incoming: dict[str, Incoming] = {}
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

    def check(self, wanted: Iterable[tuple[str, int]]) -> None:
        """``MissingError`` unless each digest is here with that size."""
        for digest, size in wanted:
            if self.size(digest) != size:
                raise MissingError(f"the blob {digest} is missing or not of {size} bytes; upload it first")

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every blob with its size."""
        for file in self._blobs.glob("*/*"):
            with contextlib.suppress(FileNotFoundError):
                yield f"sha256:{file.name}", file.stat().st_size

    def begin(self) -> str:
        """Start an upload; its id."""
        upload = str(uuid.uuid4())
        with _room():
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

    def receive(self, upload: str) -> Incoming:
        """An upload to write to, not yet opened; the caller sees to it that nobody else writes to it."""
        file = self.upload(upload)
        return self._incoming.setdefault(file.name, Incoming(file))

    def cancel(self, upload: str) -> None:
        """Forget an upload."""
        file = self.upload(upload)
        file.unlink(missing_ok=True)
        self._incoming.pop(file.name, None)

    def finish(self, upload: str, digest: str) -> int:
        """Make an upload a blob; its size.

        ``RefusedError`` when its bytes do not match the digest; the upload is gone then.
        """
        with self.receive(upload) as incoming:
            found = incoming.flush()
            if found != digest:
                self.cancel(upload)
                raise RefusedError(f"the bytes sent have the digest {found}, not {digest}")
        final = self.path(digest)
        with _room():
            if not final.parent.exists():
                final.parent.mkdir(exist_ok=True)
                _flush_folder(self._blobs)
            incoming.file.rename(final)
            _flush_folder(final.parent)
        self._incoming.pop(incoming.file.name, None)
        return incoming.size

    def store(self, content: bytes) -> str:
        """Keep a small content as a blob; its digest."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        if self.size(digest) is None:
            upload = self.begin()
            with self.receive(upload) as incoming:
                incoming.write([content])
            self.finish(upload, digest)
        return digest

    def remove(self, digest: str) -> None:
        """Remove a blob; nothing happens when it is gone."""
        with contextlib.suppress(FileNotFoundError):
            self.path(digest).unlink()

    def forget(self, before: float) -> None:
        """Remove the uploads that nobody has written to since ``before`` (Unix seconds)."""
        for file in self._uploads.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    self.cancel(file.name)

    def free(self) -> tuple[int, int]:
        """Free and total bytes of the disk."""
        found = os.statvfs(self._blobs)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


@contextlib.contextmanager
def _room() -> Iterator[None]:
    """Say it when the disk, a quota or a limit of the process is what stops a write."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise FullError(f"the registry has no room: {error.strerror}") from error


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
