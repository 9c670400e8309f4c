"""The folder in which this user's calls remember and wait for each other: the user's cache folder.

Nothing in it is needed: whoever removes it loses a little time. Nobody else can read or write it.
"""

from __future__ import annotations

import os
import pwd
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def folder(env: Mapping[str, str]) -> Path | None:
    """The folder, made where it is missing; None where none can be made that only this user can write to.

    ``$XDG_CACHE_HOME/anka-ci``, else ``~/Library/Caches/anka-ci`` on macOS and ``~/.cache/anka-ci`` elsewhere; where
    the home cannot be written to, a folder of this user among the temporary files.
    """
    home = Path(env.get("HOME") or _home())
    usual = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    places = [Path(env.get("XDG_CACHE_HOME") or usual) / "anka-ci"]
    places.append(Path(tempfile.gettempdir()) / f"anka-ci-{os.geteuid()}")
    return next((place for place in places if place.is_absolute() and _usable(place)), None)


def _home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/nonexistent"


def _usable(place: Path) -> bool:
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = place.lstat()
    except OSError:
        return False
    ours = found.st_uid == os.geteuid() and not found.st_mode & 0o022 and place.is_dir() and not place.is_symlink()
    return ours and os.access(place, os.W_OK | os.X_OK)
