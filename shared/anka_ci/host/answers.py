"""What the ``anka`` command answers: its envelope, and which error a failure is.

Runs nothing. Lenient: a missing ``code``, ``message`` or ``body`` is none, and text stands in where no JSON came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from anka_ci import process
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.wire.vm import Moved

NOT_FOUND, EXISTS, UNREACHABLE, DISCONNECTED = 3, 18, 30, 125
"""Exit codes of the command that are known: no such VM, template or tag; a VM of that name exists; no registry or no
way to it; the connection to the guest was lost."""


def envelope(done: process.Finished) -> dict[str, Any]:
    """The last line of stdout that is not empty, as JSON; an empty mapping when it is none."""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    try:
        found = json.loads(lines[-1]) if lines else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def good(done: process.Finished, found: Mapping[str, Any]) -> bool:
    """Whether a command has done what it was asked for."""
    return found.get("status") == "OK" and done.status == 0


def error(words: Sequence[str], done: process.Finished, found: Mapping[str, Any], sought: str) -> AnkaCiError:
    """The error that a failure is; ``sought`` is the VM, template or tag that was named."""
    said = str(found.get("message") or "") or " ".join((done.stderr or done.stdout).split())[-300:]
    code = found.get("code", done.status)
    what = "anka " + " ".join(word for word in words if word)
    if code == NOT_FOUND or said.endswith("not found"):
        return NotFoundError("VM or tag", sought or what, where="`anka`", hint=said, command=what)
    if "Authentication Required" in said:
        return NotAuthorisedError(f"{what}: {said}", hint="check how you sign in to the registry", command=what)
    if code == UNREACHABLE:
        return UnreachableError(f"{what}: {said}", hint="check the registry's address", command=what)
    if not found:
        return RefusedError(f"{what}: no JSON came back (status {done.status}): {said}", command=what)
    return RefusedError(f"{what}: {said or 'failed without a message'}", command=what, status=code)


def spoken(done: process.Finished) -> str:
    """The command's own error of a call that passes a guest's streams through; empty when the guest spoke last.

    People are told ``anka: MESSAGE`` on stderr, by 2.x ``-anka: MESSAGE``.
    """
    if done.status not in (1, NOT_FOUND, EXISTS, UNREACHABLE):
        return ""
    last = [line.removeprefix("-") for line in done.stderr.splitlines()[-3:]]
    return next((line.removeprefix("anka: ") for line in reversed(last) if line.startswith("anka: ")), "")


def moved(body: object, key: str) -> Moved:
    """Bytes are an extension of the stand-in; Anka's own command does not tell them."""
    if not isinstance(body, Mapping):
        return Moved()
    found = {name: body.get(name) for name in (key, "bytes_shared", "version")}
    numbers = {name: value if isinstance(value, int) else None for name, value in found.items()}
    return Moved(moved=numbers[key], shared=numbers["bytes_shared"], version=numbers["version"])
