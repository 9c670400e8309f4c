"""Diagnosis: what the facts about a context, its servers and this host mean, as findings a person can act on.

Facts in, findings out: nothing here asks a server, reads a file or knows the time. A finding that cannot be had is
there as "not known", with the reason; none is silently missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from anka_ci.errors import (
    FellShortError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)

Level = Literal["ok", "warning", "problem", "not known"]

WORST = (UsageError, UnreachableError, NotAuthorisedError, RefusedError, NotFoundError, FellShortError)
"""The classes of problems, the worst first: what is wrong with a setting hides all that comes after it, and so on."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. ``area`` is what it belongs to (``context``, ``this host``, a server).

    ``seen`` is what was seen, or why it is not known; ``do`` what to do about it, empty when there is nothing to do.
    ``code`` is the exit code of a problem's class (see ``errors``), 0 for everything else.
    """

    area: str
    name: str
    level: Level
    seen: str
    do: str = ""
    code: int = 0

    def emit(self) -> dict[str, object]:
        found: dict[str, object] = {"area": self.area, "name": self.name, "level": self.level, "seen": self.seen}
        if self.do:
            found["do"] = self.do
        if self.code:
            found["code"] = self.code
        return found


class Told:
    """The findings of one area, in the order in which they are told."""

    def __init__(self, area: str) -> None:
        self.area = area
        self.findings: list[Finding] = []

    def ok(self, name: str, seen: str) -> None:
        self._add(name, "ok", seen)

    def warning(self, name: str, seen: str, do: str) -> None:
        self._add(name, "warning", seen, do)

    def problem(self, name: str, seen: str, do: str, code: int) -> None:
        self._add(name, "problem", seen, do, code)

    def unknown(self, name: str, why: str, do: str = "") -> None:
        """It cannot be told, because ``why``."""
        self._add(name, "not known", f"not known, because {why}", do)

    def _add(self, name: str, level: Level, seen: str, do: str = "", code: int = 0) -> None:
        self.findings.append(Finding(area=self.area, name=name, level=level, seen=seen, do=do, code=code))


def worst(findings: Iterable[Finding]) -> int:
    """The exit code of the worst problem; 0 when nothing is one."""
    codes = {finding.code for finding in findings if finding.level == "problem"}
    return next((kind.code for kind in WORST if kind.code in codes), max(codes, default=0))


def listed(names: Iterable[str], most: int = 8) -> str:
    """Names in one line, the many cut short."""
    found = list(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
