"""Where a path of ``cp`` is: on this machine, or in a guest, which is a folder of this machine.

Copies nothing. The temporary folder of a guest is this machine's, because that is what the guest's commands see; any
other absolute path is below the guest's folder, and none is taken that a link leads out of it.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from dataclasses import dataclass
from pathlib import Path

from anka_ci.standin import mounts
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NOT_FOUND, Failure
from anka_ci.standin.stored import Machine

HOME = "/Users/anka"
"""The home folder in a real guest; here the guest's folder is its home."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One end of a copy: ``inside`` is the VM whose guest it is in; ``contents``: what is in the folder, not it."""

    path: Path
    said: str
    inside: Machine | None = None
    contents: bool = False
    make: bool = False


def guest(desk: Desk, word: str) -> tuple[Machine, str] | None:
    """The VM that a word names before a colon, and the path behind it; None for a path of this machine."""
    if word.startswith(("/", "./", "../", ":")) or ":" not in word:
        return None
    for place in (place for place, letter in enumerate(word) if letter == ":"):
        machine = desk.library.seek(word[:place])
        if machine is not None:
            return machine, word[place + 1 :]
    if Path(word).exists():
        return None
    raise Failure(
        f"{word.partition(':')[0]}: not found", NOT_FOUND, hint=f"if it is a file of this machine, write ./{word}"
    )


def place(word: str, found: tuple[Machine, str] | None, *, writing: bool) -> Place:
    below = word if found is None else found[1]
    contents = below.endswith(("/", "/.")) or below in (".", "")
    if found is None:
        return Place(path=Path(below).absolute(), said=word, contents=contents)
    machine = found[0]
    path = _inside(machine, below, writing=writing)
    return Place(path=path, said=word, inside=machine, contents=contents, make=writing and below.startswith("/"))


def _inside(machine: Machine, below: str, *, writing: bool) -> Path:
    """Where a guest's path is on this machine."""
    home = machine.guest
    if below.startswith("/"):
        whole = posixpath.normpath(below)
        shared = ("/tmp", "/private/tmp", "/var/tmp", tempfile.gettempdir(), str(home))
        if any(whole == each or whole.startswith(each + "/") for each in shared):
            return Path(whole)
        if whole == HOME or whole.startswith(HOME + "/"):
            whole = whole[len(HOME) :]
        found = home / whole.lstrip("/")
        if not writing and not os.path.lexists(found) and os.path.lexists(whole):
            return Path(whole)  # a guest's commands see this machine's files
    else:
        found = home / posixpath.normpath("/" + below).lstrip("/")
    allowed = [home.resolve(), *(Path(each["host_path"]).resolve() for each in mounts.read(machine))]
    real = (found if found.is_dir() else found.parent).resolve()
    if not any(real == each or each in real.parents for each in allowed):
        raise Failure(f"{machine.name}:{below}: a link leads out of the guest, to {real}")
    return found


def note(to: Place) -> str:
    """What differs from a real guest, where it matters to who copies."""
    if to.inside is None or not to.make:
        return ""
    path, home = str(to.path), str(to.inside.guest)
    if to.said.partition(":")[2].startswith(home) or not path.startswith(home + "/") or HOME in to.said:
        return ""
    return f"{to.said}: the guest's commands find this as {path}"
