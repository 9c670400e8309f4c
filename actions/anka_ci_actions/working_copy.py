"""The workflow files of a working copy: a keeper of jobs that needs no token and asks no server.

A file is replaced as a whole and only when it still is what was read; two at once take turns. Nothing is committed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anka_ci.adapter.jobs import Change, ChangedMeanwhileError, Found, Outcome
from anka_ci.errors import AnkaCiError, RefusedError, UsageError
from anka_ci_actions import mark
from anka_ci_actions.section import FOLDER


class WorkingCopy:
    """The keeper of ``.github/workflows`` below ``root``. ``UsageError`` when that is no folder."""

    loses = ""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise UsageError(f"{root} is no folder", hint="give the folder of a working copy with --folder DIR")
        self._root = root
        self.where = str(root)

    def read(self, names: Collection[str]) -> Sequence[Found]:
        """The named files and those with our mark; ``RefusedError`` for one that cannot be read."""
        folder = self._root / FOLDER
        there = [f"{FOLDER}/{path.name}" for path in folder.glob("*.y*ml")] if folder.is_dir() else []
        found = [each for each in map(self._found, sorted({*there, *names})) if each is not None]
        return [each for each in found if each.mark is not None or each.name in names]

    def _found(self, name: str) -> Found | None:
        path = self._root / name
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            if not path.is_symlink():
                return None
            raw = f"{path.readlink()}\n".encode()  # it leads nowhere, and is somebody's own all the same
        except OSError as error:
            raise RefusedError(f"{path}: cannot be read: {error.strerror}", hint="make it readable") from error
        text, found = mark.take(raw.decode("utf-8", "replace"))
        ours = None if path.is_symlink() else found  # the file that it leads to is somebody's own
        return Found(name=name, text=text, mark=ours, revision=hashlib.sha256(raw).hexdigest())

    def write(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write each file in one step; what cannot be written fails alone."""
        try:
            (self._root / FOLDER).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failed = RefusedError(f"{self._root / FOLDER}: cannot be made: {error.strerror}", hint="make it a folder")
            return [Outcome(name=change.name, error=failed) for change in changes]
        with self._alone():
            return [self._write(change) for change in changes]

    def _write(self, change: Change) -> Outcome:
        path = self._root / change.name
        try:
            found = self._found(change.name)
            if (found.revision if found else None) != change.revision:
                raise ChangedMeanwhileError(f"{path} was changed meanwhile", hint="apply again")
            if change.job is None:
                path.unlink()
            else:
                _replace(path, mark.put(change.job))
        except OSError as error:
            failed = RefusedError(
                f"{path}: cannot be written: {error.strerror}", hint="is there room, and may we write?"
            )
            return Outcome(name=change.name, error=failed)
        except AnkaCiError as error:
            return Outcome(name=change.name, error=error)
        return Outcome(name=change.name)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While inside, no other apply writes here: the folder itself is the lock, and nothing is left behind."""
        handle = os.open(self._root / FOLDER, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _replace(path: Path, text: str) -> None:
    """Put a file in place as a whole, with the mode of the one it replaces."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(prefix=".anka-ci-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
