"""Finding the ``anka`` command on this machine.

Runs nothing.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from anka_ci.errors import UsageError

PLACES = ("/usr/local/bin/anka", "/opt/homebrew/bin/anka")
"""Where the command is when the PATH is bare, as launchd and SSH agents have it."""


def command() -> tuple[str, ...]:
    """The ``anka`` on the PATH, else the one where its package puts it; ``UsageError`` when there is none."""
    found = shutil.which("anka") or next((place for place in PLACES if os.access(place, os.X_OK)), None)
    if found is not None:
        return (found,)
    places = [str(Path(folder) / "anka") for folder in os.environ.get("PATH", os.defpath).split(os.pathsep) if folder]
    lame = next((place for place in (*places, *PLACES) if Path(place).is_file()), None)
    if lame is not None:
        raise UsageError(f"{lame} is no program that this user may run", hint=f"make it one: chmod a+rx {lame}")
    raise UsageError(
        "no `anka` command on this machine",
        hint="run the step on a Mac with Anka, or set ANKA_CI_ANKA to the command; inside an Anka VM there "
        "is none: to push from there, use the step save-image, which has the controller do it",
    )
