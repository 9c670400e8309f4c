"""What the ``anka`` command answers: its envelope, and which error a failure is.

Runs nothing. Lenient: a missing ``code``, ``message`` or ``body`` is none, and text stands in where no JSON came.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from anka_ci import process
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.wire import values
from anka_ci.wire.vm import Moved

NOT_FOUND, EXISTS, UNREACHABLE, DISCONNECTED = 3, 18, 30, 125
"""Exit codes of the command that are known: no such VM, template or tag; a VM of that name exists; no registry or no
way to it; the connection to the guest was lost."""

_PASSING = re.compile(
    r"connection (reset|refused|aborted|closed|timed out)|reset by peer|broken pipe|unexpected eof|timed? ?out|"
    r"temporar(y|ily)|handshake|no route to host|network is (down|unreachable)|too many requests|"
    r"bad gateway|service unavailable|internal server error|\b(429|50[0234])\b",
    re.IGNORECASE,
)
"""Words of failures that pass by themselves: of the network, and of a server or proxy that is overloaded or starts."""
_LASTING = re.compile(r"no registry (configured|named)|certificate|x509", re.IGNORECASE)
"""Words of failures that stay, whatever code they come with."""
_SIGN_IN = re.compile(r"(http|status|code|error):? 40[13]\b|authentication required|unauthori[sz]ed|forbidden", re.I)
_HINTS = (
    ("registry uuid", "the registry has another template of that name: push it onto that one, or rename the VM"),
    ("failed to checkout", "a layer on this host is damaged: delete the VM here, and pull it again"),
    ("could not create disk image", "is the disk of the library full, or not to be written to?"),
    ("maximum number of running instances", "stop a VM that runs on this host first"),
    ("wrong host for license", "the licence is another machine's: see `anka license show`"),
    ("did not find any versions with tag", "before 3.4 a `+` in a tag did not reach the registry: choose another tag"),
)
"""What to do about messages of the command that are known (Anka's command-line reference, exit codes and messages)."""
LONGEST = 300
"""So many characters of a text that is no envelope are told."""


def envelope(done: process.Finished) -> dict[str, Any]:
    """The last line that is not empty, as JSON; an empty mapping when it is none.

    Of stdout, where the command puts it; of stderr only where stdout is empty, for a wrapper that has mixed them up.
    """
    lines = [line for line in (done.stdout.strip() or done.stderr).splitlines() if line.strip()]
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
    said, code = _said(done, found), _code(done, found)
    what = "anka " + " ".join(word for word in words if word)
    if code == NOT_FOUND or said.endswith("not found"):
        return NotFoundError("VM or tag", sought or what, where="`anka`", hint=said, command=what)
    if _SIGN_IN.search(said):
        return NotAuthorisedError(f"{what}: {said}", hint="check how you sign in to the registry", command=what)
    if code == UNREACHABLE:
        failed = UnreachableError(f"{what}: {said}", hint="check the registry's address", command=what)
        failed.lasting = bool(_LASTING.search(said))
        return failed
    if done.status < 0:
        hint = "somebody ended it, or it crashed: see ~/Library/Logs/Anka/anka.log"
        return RefusedError(f"{what}: it was killed by {_signal(-done.status)}" + _after(said), hint=hint, command=what)
    if not found:
        hint = "is ANKA_CI_ANKA Anka's command? Run it yourself"
        text = f"{what}: no JSON came back (status {done.status}){_after(said)}"
        return RefusedError(text, hint=hint, command=what, status=code)
    hint = next((hint for begin, hint in _HINTS if begin in said.lower()), "")
    return RefusedError(f"{what}: {said or 'failed without a message'}", hint=hint, command=what, status=code)


def _said(done: process.Finished, found: Mapping[str, Any]) -> str:
    """What the command says of its failure: the envelope's message, else the end of what it printed."""
    text = done.stderr if found else done.stderr or done.stdout
    return str(found.get("message") or "") or " ".join(text.split())[-LONGEST:]


def _code(done: process.Finished, found: Mapping[str, Any]) -> int:
    code = values.integer(found, "code")
    return done.status if code is None else code


def _after(said: str) -> str:
    return f": {said}" if said else ""


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def passing(done: process.Finished, found: Mapping[str, Any]) -> bool:
    """Whether the same call may well succeed a little later: no answer of the registry, or one of an overloaded server.

    Source: code 30 and the messages of Anka's command-line reference; anklet takes any failure of a pull for a tag that
    is not there and cancels the job, so what passes has to be tried again here.
    """
    said, code = _said(done, found), _code(done, found)
    if done.status < 0 or code == NOT_FOUND or said.endswith("not found") or _LASTING.search(said):
        return False
    return code == UNREACHABLE or bool(_PASSING.search(said))


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
