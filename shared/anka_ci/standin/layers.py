"""Layers: deterministic, uncompressed tars of what changed in a guest's folder, ``.wh.NAME`` for what was removed.

Owners and times are blanked, so the same change is the same layer on every machine. What a layer says is judged before
a byte of it is written: absolute paths, ``..``, and links that lead out of the folder are refused.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import stat
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from anka_ci.flush import Flusher
from anka_ci.standin.output import Failure
from anka_ci.wire.manifest import Layer

BLOCK = 1 << 20
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
TIME = 1_000_000_000
"""The time of every file that came out of a layer (9 September 2001): recent enough for tools that know no 1970."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path of a guest: ``kind`` is file, folder or link. A file's bytes are in ``source`` from ``offset`` on."""

    kind: str
    mode: int = 0
    size: int = 0
    target: str = ""
    source: Path | None = None
    offset: int = 0

    def same(self, other: Entry) -> bool:
        """The same but for the bytes, which have to be compared."""
        return (self.kind, self.mode, self.size, self.target) == (other.kind, other.mode, other.size, other.target)


Tree = dict[str, Entry]
"""Every path of a guest, relative, with ``/``."""


def tree(files: Sequence[Path]) -> Tree:
    """What layers, base first, make together. ``Failure`` for one that is none, or that is not safe to unpack."""
    found: Tree = {}
    for file in files:
        try:
            with tarfile.open(file, "r:") as tar:
                added: Tree = {}
                for member in tar:
                    _add(found, added, member, file)
        except (tarfile.TarError, ValueError, EOFError) as error:
            raise Failure(f"{file.name}: failed to checkout: this is no layer of the stand-in ({error})") from error
        except FileNotFoundError:
            raise Failure(
                f"{file.name}: failed to checkout: the layer is not in the library", hint="pull again"
            ) from None
    for path, entry in found.items():
        if entry.kind == "link" and not inside(path, entry.target):
            raise Failure(f"failed to checkout: the link {path!r} leads out of the guest, to {entry.target!r}")
    return found


def _add(found: Tree, added: Tree, member: tarfile.TarInfo, file: Path) -> None:
    path = posixpath.normpath(member.name)
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts or "\0" in member.name:
        raise Failure(f"{file.name}: failed to checkout: the layer names {member.name!r}, outside of the guest")
    if path == ".":
        return
    folder, name = posixpath.split(path)
    if name == OPAQUE:
        for below in [key for key in found if key.startswith(f"{folder}/" if folder else "") and key not in added]:
            del found[below]
        return
    if name.startswith(WHITEOUT):
        _remove(found, posixpath.join(folder, name[len(WHITEOUT) :]))
        return
    for above in _above(path):
        parent = found.get(above)
        if parent is None:
            found[above] = added[above] = Entry(kind="folder", mode=0o755)
        elif parent.kind != "folder":
            raise Failure(f"{file.name}: failed to checkout: {path!r} leads through {above!r}, which is no folder")
    if member.isdir():
        entry = Entry(kind="folder", mode=member.mode & 0o777)
    elif member.issym():
        entry = Entry(kind="link", target=member.linkname)
    elif member.islnk():
        linked = found.get(posixpath.normpath(member.linkname))
        if linked is None or linked.kind != "file":
            raise Failure(
                f"{file.name}: failed to checkout: {path!r} is a link to {member.linkname!r}, which is no file"
            )
        entry = linked
    elif member.isfile():
        entry = Entry(kind="file", mode=member.mode & 0o777, size=member.size, source=file, offset=member.offset_data)
    else:
        raise Failure(f"{file.name}: failed to checkout: {path!r} is neither file, folder nor link")
    if entry.kind != "folder":
        _remove(found, path)
    found[path] = added[path] = entry


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _remove(found: Tree, path: str) -> None:
    """Remove a path, and what is below it when it is a folder."""
    old = found.pop(path, None)
    if old is not None and old.kind == "folder":
        for key in [key for key in found if key.startswith(path + "/")]:
            del found[key]


def inside(path: str, target: str) -> bool:
    """Whether a link at ``path`` stays within the guest."""
    where = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return not target.startswith("/") and where != ".." and not where.startswith("../")


def unpack(entries: Mapping[str, Entry], folder: Path) -> None:
    """Write a tree into a new, empty folder; links last, so that nothing is ever written through one."""
    buffer = memoryview(bytearray(BLOCK))
    folders = sorted(path for path, entry in entries.items() if entry.kind == "folder")
    for path in folders:
        (folder / path).mkdir(parents=True, exist_ok=True)
    for path, entry in entries.items():
        if entry.kind == "file":
            _copy(entry, folder / path, buffer)
    for path, entry in entries.items():
        if entry.kind == "link":
            (folder / path).symlink_to(entry.target)
    for path in reversed(folders):
        (folder / path).chmod(entries[path].mode)
        os.utime(folder / path, (TIME, TIME))


def _copy(entry: Entry, target: Path, buffer: memoryview) -> None:
    assert entry.source is not None
    left = entry.size
    with entry.source.open("rb", buffering=0) as source, target.open("xb", buffering=0) as file:
        source.seek(entry.offset)
        while left:
            got = source.readinto(buffer[: min(BLOCK, left)]) or 0
            if not got:
                raise Failure(f"{entry.source.name}: failed to checkout: the layer ends early", hint="pull again")
            rest = buffer[:got]
            while rest:
                rest = rest[file.write(rest) or 0 :]
            left -= got
        os.fchmod(file.fileno(), entry.mode)
    os.utime(target, (TIME, TIME))


def digest(file: Path) -> str:
    """The digest of a layer's file as it is now."""
    hashed = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    with file.open("rb", buffering=0) as source:
        while count := source.readinto(buffer):
            hashed.update(buffer[:count])
    return f"sha256:{hashed.hexdigest()}"


def scan(folder: Path) -> dict[str, os.stat_result]:
    """Every path of a guest's folder as it is on disk; sockets, pipes and devices are no part of it."""
    found: dict[str, os.stat_result] = {}

    def stop(error: OSError) -> None:
        raise Failure(f"the guest's {error.filename} cannot be read: {error.strerror}") from error

    for place, folders, files in os.walk(folder, onerror=stop):
        above = place[len(str(folder)) + 1 :]
        for name in sorted(folders + files):
            path = posixpath.join(above, name)
            info = os.lstat(posixpath.join(place, name))
            if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) or stat.S_ISLNK(info.st_mode):
                found[path] = info
    return found


def entry(folder: Path, path: str, info: os.stat_result) -> Entry:
    """A path on disk as an entry."""
    if stat.S_ISLNK(info.st_mode):
        return Entry(kind="link", target=str((folder / path).readlink()))
    mode = stat.S_IMODE(info.st_mode) & 0o777
    if stat.S_ISDIR(info.st_mode):
        return Entry(kind="folder", mode=mode)
    return Entry(kind="file", mode=mode, size=info.st_size, source=folder / path)


def equal(one: Entry, other: Entry) -> bool:
    """Whether two files of the same size have the same bytes."""
    assert one.source is not None
    assert other.source is not None
    first, second = memoryview(bytearray(BLOCK)), memoryview(bytearray(BLOCK))
    left = one.size
    with one.source.open("rb") as here, other.source.open("rb") as there:
        here.seek(one.offset)
        there.seek(other.offset)
        while left:
            count = min(BLOCK, left)
            got = here.readinto(first[:count])
            if got != there.readinto(second[:count]) or not got or first[:got] != second[:got]:
                return False
            left -= got
    return True


def write(target: Path, entries: Mapping[str, Entry], removed: Iterable[str]) -> tuple[str, int]:
    """Write a layer, flushed to disk; its digest and size in bytes."""
    for path, each in entries.items():
        if posixpath.basename(path).startswith(WHITEOUT):
            raise Failure(f"the guest's {path!r} cannot be kept: names that begin with {WHITEOUT!r} mark what is gone")
        if each.kind == "link" and not inside(path, each.target):
            raise Failure(
                f"the guest's link {path!r} leads out of it, to {each.target!r}",
                hint="make it relative, or copy what it leads to",
            )
    gone = {posixpath.join(posixpath.dirname(path), WHITEOUT + posixpath.basename(path)) for path in removed}
    with target.open("wb", buffering=0) as file, Flusher(file.fileno()) as flusher:
        sink = _Sink(file, flusher)
        with tarfile.TarFile(fileobj=sink, mode="w", format=tarfile.PAX_FORMAT, copybufsize=BLOCK) as tar:
            for path in sorted({*gone, *entries}):
                info = tarfile.TarInfo(path)
                if path in gone:
                    info.mode = 0
                    tar.addfile(info)
                else:
                    _put(tar, info, entries[path])
    return f"sha256:{sink.hashed.hexdigest()}", sink.size


def _put(tar: tarfile.TarFile, info: tarfile.TarInfo, entry: Entry) -> None:
    info.mode = entry.mode
    if entry.kind == "folder":
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    elif entry.kind == "link":
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        tar.addfile(info)
    else:
        assert entry.source is not None
        info.size = entry.size
        with entry.source.open("rb", buffering=0) as source:
            source.seek(entry.offset)
            try:
                tar.addfile(info, source)
            except OSError as error:
                raise Failure(
                    f"the guest's {info.name} cannot be kept: {error}", hint="is the guest at work?"
                ) from error


class _Sink(io.RawIOBase):
    """A file to write to that hashes what it is given."""

    def __init__(self, file: IO[bytes], flusher: Flusher) -> None:
        self._file = file
        self._flusher = flusher
        self.hashed = hashlib.sha256()
        self.size = 0

    def write(self, data: Any, /) -> int:
        self.hashed.update(data)
        self.size += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]
        self._flusher.wrote(len(data))
        return len(data)

    def tell(self) -> int:
        return self.size


def named(parent: str, digest: str, size: int) -> Layer:
    """A layer's name comes from what it stands on and what it holds: the same change has the same name everywhere."""
    return Layer(file=hashlib.sha256((parent + digest).encode()).hexdigest()[:32] + ".ank", digest=digest, size=size)
