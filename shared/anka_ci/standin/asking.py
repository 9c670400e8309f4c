"""The question before something is lost.

Never waits for an answer where nobody can give one.
"""

from __future__ import annotations

import sys

from anka_ci.standin.desk import Desk
from anka_ci.standin.output import Failure


def confirm(desk: Desk, question: str, *, yes: bool) -> None:
    """Go on with ``yes``, or when a person at a terminal says so; ``Failure`` otherwise, and nothing is done.

    ``question`` is without its mark; what Anka asks ends with ``[y/N]:``.
    """
    if yes:
        return
    if desk.voice.machine or not sys.stdin.isatty():
        raise Failure(f"{question}?", hint="say so with --yes; nothing was changed")
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failure("aborted", hint="nothing was changed")
