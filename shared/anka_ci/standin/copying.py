"""``cp``: files between this machine and a guest's folder, with the options of Anka's ``cp``, which are BSD's.

Runs no program. A file appears whole under its name; nothing is written through a link that is found in its place.
What is half copied is not in the guest, where it would get into the next layer, should the command be killed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

from anka_ci.errors import UsageError
from anka_ci.standin import guests, places
from anka_ci.standin.desk import Desk
from anka_ci.standin.files import COPY
from anka_ci.standin.output import Failure, Reply
from anka_ci.standin.places import Place
from anka_ci.standin.stored import Machine

OPTIONS = {
    "cp": {f"-{letter}": (letter, False) for letter in "RLHPfnpavrX"},
}
USAGE = "anka cp [-RLHPfnpav] VM:[PATH] PATH, or anka cp [-RLHPfnpav] PATH… VM:[PATH]"
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class How:
    """The options."""

    recursive: bool = False
    follow: str = "none"
    preserve: bool = False
    keep: bool = False

    @classmethod
    def read(cls, letters: set[str]) -> How:
        recursive = bool(letters & {"R", "r", "a"})
        follow = "all" if "L" in letters or not recursive else "command" if "H" in letters else "none"
        return cls(
            recursive=recursive,
            follow=follow,
            preserve=bool(letters & {"p", "a"}),
            keep="n" in letters and "f" not in letters,
        )


def cp(desk: Desk, words: list[str]) -> Reply:
    """Copy into a guest or out of one; a VM that is not running is started, as ``run`` does."""
    letters, named = _split(words)
    if len(named) < 2:
        raise UsageError(f"usage: {USAGE}")
    *sources, target = named
    machines = {word: found for word in named if (found := places.guest(desk, word)) is not None}
    if not machines or (target in machines and any(word in machines for word in sources)):
        raise UsageError("one side has to be in a guest, the other on this machine", hint=f"usage: {USAGE}")
    with desk.library.locked(desk.cancelled):
        for machine, _ in machines.values():
            if machine.meta.status != "running":
                guests.start(desk.library, machine, desk.environment)
    to = places.place(target, machines.get(target), writing=True)
    work = Work(how=How.read(letters), verbose="v" in letters, into=to.inside)
    for word in sources:
        work.copy(places.place(word, machines.get(word), writing=False), to, several=len(sources) > 1)
    if work.problems:
        raise Failure("; ".join(work.problems))
    note = places.note(to)
    if note and not desk.voice.machine:
        print(f"anka: {note}", file=sys.stderr)
    return Reply(body={}, message=note, text="\n".join(work.told))


def _split(words: list[str]) -> tuple[set[str], list[str]]:
    """Options, together or apart, before or behind the names; and the names."""
    letters: set[str] = set()
    named: list[str] = []
    for place, word in enumerate(words):
        if word == "--":
            named += words[place + 1 :]
            break
        if len(word) > 1 and word.startswith("-"):
            unknown = next((letter for letter in word[1:] if f"-{letter}" not in OPTIONS["cp"]), None)
            if unknown is not None:
                raise UsageError(f"no such option: -{unknown}", hint=f"usage: {USAGE}")
            letters |= set(word[1:])
        elif not word:
            raise UsageError("a path is empty", hint=f"usage: {USAGE}")
        else:
            named.append(word)
    return letters, named


class Work:
    """One run of ``cp``: what it says, and what it could not copy."""

    def __init__(self, *, how: How, verbose: bool, into: Machine | None = None) -> None:
        self._how, self._verbose, self._into = how, verbose, into
        self.told: list[str] = []
        self.problems: list[str] = []

    def copy(self, source: Place, target: Place, *, several: bool) -> None:
        """Copy what one word names to the target: into it when it is a folder, as it otherwise."""
        path = source.path
        if not os.path.lexists(path):
            raise Failure(f"{source.said}: No such file or directory")
        as_folder = target.path.is_dir()
        if not as_folder and target.make:
            folder = target.path if target.contents or several else target.path.parent
            folder.mkdir(parents=True, exist_ok=True)  # a Mac has these folders, a new guest has none
            as_folder = target.path.is_dir()
        if not as_folder and (several or (target.contents and not self._how.recursive)):
            raise Failure(f"{target.said}: there is no such folder")
        if not as_folder and not target.path.parent.is_dir():
            raise Failure(f"{target.said}: No such file or directory")
        whole = path.is_dir() and source.contents and self._how.recursive
        to = target.path if whole or not as_folder else target.path / (path.name or path.resolve().name)
        if path.is_dir() and self._how.recursive:
            here = path.resolve()
            if here in to.resolve().parents:
                raise Failure(f"{source.said}: is copied into itself")
        self._one(path, to, first=True, contents=whole)

    def _one(self, source: Path, to: Path, *, first: bool, contents: bool = False) -> None:
        follow = self._how.follow == "all" or (first and (self._how.follow == "command" or contents))
        info = source.stat() if follow else source.lstat()
        if stat.S_ISDIR(info.st_mode):
            if self._how.recursive:
                self._folder(source, to, info, first=first)
            else:
                self.problems.append(f"{source} is a directory (not copied)")
        elif stat.S_ISLNK(info.st_mode) or stat.S_ISREG(info.st_mode):
            self._file(source, to, info)
        else:
            self.problems.append(f"{source} is neither file, folder nor link (not copied)")

    def _folder(self, source: Path, to: Path, info: os.stat_result, *, first: bool) -> None:
        if to.is_symlink() and not first:
            raise Failure(f"{to}: is a link where a folder is to be")
        fresh = not to.exists()
        if fresh:
            to.mkdir(mode=(info.st_mode & 0o777) | 0o700)
        elif not to.is_dir():
            raise Failure(f"{to}: Not a directory")
        for each in sorted(source.iterdir()):
            self._one(each, to / each.name, first=False)
        if self._how.preserve:
            to.chmod(info.st_mode & 0o777)
            os.utime(to, ns=(info.st_atime_ns, info.st_mtime_ns))
        elif fresh and not info.st_mode & 0o200:
            to.chmod(info.st_mode & 0o777)

    def _file(self, source: Path, to: Path, info: os.stat_result) -> None:
        if os.path.lexists(to):
            if self._how.keep:
                return
            if to.is_dir() and not to.is_symlink():
                raise Failure(f"{to}: Is a directory")
            if to.exists() and to.samefile(source):
                return  # a path that the guest has in common with this machine
        part = self._part(to)
        try:
            if stat.S_ISLNK(info.st_mode):
                part.symlink_to(source.readlink())
            else:
                _bytes(source, part, info)
                if self._how.preserve:
                    part.chmod(info.st_mode & 0o777)
                    os.utime(part, ns=(info.st_atime_ns, info.st_mtime_ns))
            part.replace(to)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
        if self._verbose:
            self.told.append(f"{source} -> {to}")

    def _part(self, to: Path) -> Path:
        """Where a file is until it is whole: beside the guest's folder, or on another disk beside what it will be."""
        name = f"{COPY}{os.getpid()}-{uuid.uuid4().hex}"
        if self._into is not None and self._into.guest.resolve() in (to.parent.resolve(), *to.parent.resolve().parents):
            return self._into.folder / name
        return to.with_name(name)


def _bytes(source: Path, to: Path, info: os.stat_result) -> None:
    buffer = memoryview(bytearray(BLOCK))
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, info.st_mode & 0o777)
    with source.open("rb", buffering=0) as reader, os.fdopen(handle, "wb", buffering=0) as writer:
        while count := reader.readinto(buffer):
            rest = buffer[:count]
            while rest:
                rest = rest[writer.write(rest) or 0 :]
