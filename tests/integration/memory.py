"""The most memory that a program had, as a small process between it and the test saw it.

A child begins with the peak of the process that it was forked off, and Linux keeps that over its exec; so a program
that a test starts itself seems to need what the tests before it needed.
"""

from __future__ import annotations

import sys
from pathlib import Path

BETWEEN = """
import pathlib, resource, subprocess, sys
place, *words = sys.argv[1:]
code = subprocess.call(words)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
pathlib.Path(place).write_text(str(peak * (1 if sys.platform == "darwin" else 1024)))
sys.exit(code)
"""


def measured(place: Path) -> list[str]:
    """What to put before the words of a program, so that its peak stands in the file ``place``, in bytes."""
    return [sys.executable, "-Ic", BETWEEN, str(place)]
