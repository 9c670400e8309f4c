"""The error tree: one class per thing a caller can do about it, each with its exit code.

Nothing here prints, exits or catches; the one handler is at the roof (``cli``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class AnkaCiError(Exception):
    """A failure that we can explain: what was tried, what came back, what to do.

    ``message`` says what was tried and what came back, ``hint`` what to do about it. ``facts`` carries what helps to
    find it again (context, request id, node, file and line); ``fault`` says whose it is. ``outputs`` are those of a
    step's outputs that are known although it failed.
    """

    code: ClassVar[int] = 1
    name: ClassVar[str] = "error"
    fault: ClassVar[str] = "yours"

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.outputs: dict[str, object] = {}
        self.facts: dict[str, object] = {key: value for key, value in facts.items() if value not in (None, "")}

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def emit(self) -> dict[str, object]:
        """The error as it stands in a result document."""
        found: dict[str, object] = {
            "class": self.name,
            "code": self.code,
            "message": self.message,
            "fault": self.fault,
        }
        if self.hint:
            found["hint"] = self.hint
        if self.facts:
            found["facts"] = dict(self.facts)
        return found


class UsageError(AnkaCiError):
    """The request makes no sense as it was written: a wrong input, file, setting or option."""

    code = 2
    name = "usage"


class NotConnectedError(UsageError):
    """No CI system is connected: no adapter was handed in, or there is no token or no scope to ask with."""


class RefusedError(AnkaCiError):
    """Anka understood and said no (a FAIL envelope, a command that failed), or we refuse because it would do harm."""

    code = 3
    name = "refused"


class BusyError(RefusedError):
    """What is to be removed is at work."""


class NotFoundError(AnkaCiError):
    """No such template, tag, node, group, VM or request. ``noun`` and ``sought`` name it."""

    code = 4
    name = "not-found"

    def __init__(
        self,
        noun: str,
        sought: str,
        *,
        where: str = "",
        known: Iterable[str] = (),
        hint: str = "",
        **facts: object,
    ) -> None:
        super().__init__(
            f"no {noun} {sought!r}" + (f" in {where}" if where else ""),
            hint=hint or suggestion(sought, known),
            **facts,
        )
        self.noun = noun
        self.sought = sought


class NotAuthorisedError(AnkaCiError):
    """Not signed in, or signed in without the permission (401, 403)."""

    code = 5
    name = "not-authorised"


class UnreachableError(AnkaCiError):
    """No usable answer: refused, timed out, TLS failed, a 5xx, or something that is not Anka answered."""

    code = 6
    name = "unreachable"
    fault = "infrastructure"
    wait: float | None = None
    """Seconds after which the server asked to come back (``Retry-After``); None when it did not."""
    lasting: bool = False
    """Whether another try would end alike, as with a certificate that is not trusted."""


class FellShortError(AnkaCiError):
    """It ran, and did not get all the way: which nodes, and why, is in ``facts``."""

    code = 7
    name = "fell-short"
    fault = "infrastructure"


class NotOursError(AnkaCiError):
    """The thing exists and is not ours to change, or was changed by hand."""

    code = 8
    name = "not-ours"


class DriftError(AnkaCiError):
    """A check found changes or drift."""

    code = 9
    name = "drift"


class ConfirmationError(AnkaCiError):
    """Something would be lost and was not confirmed, or the confirmation no longer fits."""

    code = 10
    name = "confirmation"


class InterruptError(AnkaCiError):
    """A signal or a cancelled build ended the work."""

    code = 130
    name = "interrupted"


def surprise(error: Exception, what: str) -> dict[str, object]:
    """A fault of our own as it stands in a result document; its traceback is printed beside it."""
    hint = "this is a fault of anka-ci; please report the lines above"
    message = f"{what}: {type(error).__name__}: {error}"
    return {"class": "surprise", "code": 1, "message": message, "fault": "anka-ci", "hint": hint}


def suggestion(sought: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known name, or a short list of what there is; empty when nothing is known."""
    names = sorted(set(known))
    if not names:
        return ""
    near = difflib.get_close_matches(sought, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(repr(name) for name in names[:10])
    return f"there is {shown}" + (f" and {len(names) - 10} more" if len(names) > 10 else "")
