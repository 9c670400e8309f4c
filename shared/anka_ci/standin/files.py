"""Files that appear whole or not at all, and folders that go.

Knows nothing of VMs.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from pathlib import Path

PUT = ".put-"
"""How the names of files begin that are being written; one that is left is of a command that was killed."""

COPY = ".cp-"
"""The same of a file that is being copied into a guest; the number of the command that does it comes next."""


def put(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file whole or not at all; ``mode`` as ``open`` has it, for what not everybody is to read."""
    part = path.with_name(f"{PUT}{path.name}-{os.getpid()}")
    with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    flush(path.parent)


def abandoned(part: Path) -> bool:
    """Whether the command that was copying into a file of that name is no more."""
    number = part.name.removeprefix(COPY).partition("-")[0]
    try:
        os.kill(int(number), 0)
    except PermissionError:
        return False
    except (ProcessLookupError, ValueError, OverflowError):
        return True
    return False


def move(part: Path, to: Path) -> None:
    """Give a file, written and flushed, its name, which may be on another disk."""
    try:
        part.replace(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = to.with_name(f".{to.name}.moved")
        shutil.copyfile(part, near)
        with near.open("rb+") as file:
            os.fsync(file.fileno())
        near.replace(to)
        part.unlink()
    flush(to.parent)


def flush(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(folder: Path) -> None:
    """Remove a folder; it is out of sight at once, and folders that a guest closed are no obstacle."""
    if not folder.exists():
        return
    gone = folder.with_name(f".guest-{uuid.uuid4().hex}") if folder.name == "guest" else folder
    if folder.name != "guest" and not folder.name.startswith("."):
        gone = folder.with_name(f".new-{uuid.uuid4().hex}")
    folder.rename(gone)
    for place, folders, _ in os.walk(gone):
        for name in folders:
            inner = Path(place, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(gone, ignore_errors=True)
