"""An ``anka`` that runs as another user through ``sudo``: whose library it is, what it is told, and how it is ended.

Asks for no password. Source: sudo(8).
"""

from __future__ import annotations

import itertools
import os
import pwd
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci import process
from anka_ci.errors import AnkaCiError
from anka_ci.result import Said

if TYPE_CHECKING:
    from anka_ci.anka import Anka

KEPT = "ANKA_REGISTRY_"
"""How the variables begin without which a registry cannot be signed in to."""


def used(command: Sequence[str]) -> bool:
    """Whether a command goes through ``sudo``."""
    return Path(command[0]).name == "sudo"


def owner(command: Sequence[str]) -> int:
    """The number of the user whose library a command works on: ``sudo`` goes to root's, or to that of ``-u``."""
    if not used(command):
        return os.geteuid()
    name = next((after for word, after in itertools.pairwise(command) if word in ("-u", "--user")), "root")
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return 0


def keeping(command: Sequence[str], names: Iterable[str]) -> list[str]:
    """The command with leave to hand those of the variables on that it cannot do without.

    ``sudo`` hands none on by itself, and its rules may forbid it: so nothing is asked that can be gone without.
    """
    kept = sorted(name for name in names if name.startswith(KEPT))
    if not used(command) or not kept:
        return list(command)
    return [command[0], f"--preserve-env={','.join(kept)}", *command[1:]]


def ending(anka: Anka, command: Sequence[str]) -> Callable[[int, int], None] | None:
    """What sends a signal to a process group of root's, which this user may not; None where no ``sudo`` is used."""
    if not used(command):
        return None

    def send(group: int, number: int) -> None:
        words = [command[0], "-n", "/bin/kill", f"-{int(number)}", "--", f"-{group}"]
        try:
            done = process.run(words, timeout=2)
            said = done.stderr.strip() if done.status else ""
        except AnkaCiError as error:
            said = error.message
        if said:
            text = f"the anka command goes on, as its user is another: sudo kill -- -{group} ends it ({said[-200:]})"
            anka.tell(Said(text=text, level="warning"))

    return send
