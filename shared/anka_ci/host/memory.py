"""What is remembered of the ``anka`` command between calls: the release that it told, so that it is asked only once.

Remembered by path, size and time of the program, so that an update is noticed. What cannot be read is asked again, and
what cannot be written is not remembered; neither is a failure.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anka_ci.host import cache, sudo

MOST = 20
"""So many programs are remembered, the last ones asked."""
LARGEST = 1 << 16
"""Bytes beyond which the file is not ours."""


def program(command: Sequence[str], path: str | None = None) -> Path | None:
    """The file that a command runs in the end; None where that cannot be told from its words.

    Told are a program, found on the PATH or named whole, and one that ``sudo`` runs under its whole name.
    """
    last = command[-1]
    if len(command) > 1 and (not sudo.used(command) or "/" not in last):
        return None
    found = shutil.which(last, path=path)
    return Path(found).resolve() if found else None


class Memory:
    """``anka.json`` in the cache folder."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._env = env
        self._program = program(command, env.get("PATH"))
        self._key = self._made()

    def recall(self) -> dict[str, Any] | None:
        """What the command told of itself; None when it has to be asked."""
        told = self._read().get(self._key) if self._key else None
        return told if isinstance(told, dict) and isinstance(told.get("version"), str) else None

    def keep(self, told: Mapping[str, Any]) -> None:
        """Remember it, if that is possible."""
        place = cache.folder(self._env)
        if not self._key or self._key != self._made() or place is None:
            return
        kept = {key: value for key, value in self._read().items() if key != self._key and isinstance(value, dict)}
        while len(kept) >= MOST:
            del kept[next(iter(kept))]
        content = json.dumps({**kept, self._key: dict(told)}).encode()
        with contextlib.suppress(OSError):  # a full disk: it is asked again next time
            handle, part = tempfile.mkstemp(prefix=".anka-", dir=place)  # for its owner only
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(content)
                Path(part).replace(place / "anka.json")
            finally:
                Path(part).unlink(missing_ok=True)

    def _made(self) -> str:
        """The key: which program it is, and as which release a stand-in is to play; empty where that is not told."""
        if self._program is None:
            return ""
        try:
            found = self._program.stat()
        except OSError:
            return ""
        plays = sorted((name, value) for name, value in self._env.items() if name.startswith("ANKA_STANDIN_"))
        facts = [str(self._program), found.st_size, found.st_mtime_ns, plays]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def _read(self) -> dict[str, Any]:
        place = cache.folder(self._env)
        if place is None:
            return {}
        try:
            with (place / "anka.json").open("rb") as file:
                content = file.read(LARGEST)
                ours = os.fstat(file.fileno())
            if ours.st_uid != os.geteuid() or ours.st_mode & 0o022:
                return {}
            found = json.loads(content)
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
