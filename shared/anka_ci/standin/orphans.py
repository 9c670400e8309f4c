"""Marks on layers that may have become nobody's, so that a command that was killed leaves none of them for ever.

A mark is an empty dotfile beside the layers. It is set before a change and gone after it; the next command looks after
those that are left. Nothing is removed here, and what is needed is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from anka_ci.clock import Clock

STALE = 86_400.0
"""Seconds after which an unfinished download is removed, as Anka does from 3.2 on; until then a pull resumes it."""
FREED, FETCHED = ".freed-", ".fetched-"


class Orphans:
    """The marks in the layers' folder."""

    def __init__(self, images: Path, clock: Clock) -> None:
        self._images = images
        self._clock = clock

    def mark(self, files: Iterable[str], *, fetched: bool = False) -> None:
        """Say that these may be needed by nobody soon; ``fetched`` ones are kept for a day, for the pull to go on."""
        for file in files:
            (self._images / f"{FETCHED if fetched else FREED}{file}").touch()

    def clear(self, files: Iterable[str]) -> None:
        """Say that it is known of these: they are needed, or gone."""
        for file in files:
            for kind in (FREED, FETCHED):
                (self._images / f"{kind}{file}").unlink(missing_ok=True)

    def due(self) -> set[str]:
        """The files to look after now."""
        found = {path.name.removeprefix(FREED) for path in self._images.glob(f"{FREED}*")}
        for path in self._images.glob(f"{FETCHED}*"):
            if self._clock.now() - path.stat().st_mtime > STALE:
                found.add(path.name.removeprefix(FETCHED))
        return found
