"""Finding the ``anka`` command on this machine.

Runs nothing.
"""

from __future__ import annotations

import os
import shutil

from anka_ci.errors import UsageError

PLACES = ("/usr/local/bin/anka", "/opt/homebrew/bin/anka")
"""Where the command is when the PATH is bare, as launchd and SSH agents have it."""


def command() -> tuple[str, ...]:
    """The ``anka`` on the PATH, else the one where its package puts it; ``UsageError`` when there is none."""
    found = shutil.which("anka") or next((place for place in PLACES if os.access(place, os.X_OK)), None)
    if found is None:
        raise UsageError(
            "no `anka` command on this machine",
            hint="run the step on a Mac with Anka, or set ANKA_CI_ANKA to the command; inside an Anka VM there "
            "is none: to push from there, use the step save-image, which has the controller do it",
        )
    return (found,)
