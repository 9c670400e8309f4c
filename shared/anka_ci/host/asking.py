"""Asking the ``anka`` command: one call, its environment, its progress, and its answer or its error.

The part of the door that all nouns share; knows no operation.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from anka_ci import process, process_table
from anka_ci.auth import REGISTRY
from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.host import answers, sudo, turns
from anka_ci.host.memory import Memory
from anka_ci.host.release import Release
from anka_ci.host.words import Words
from anka_ci.result import Progress, Said
from anka_ci.streams import OnLine

if TYPE_CHECKING:
    from anka_ci.anka import Anka

_PERCENT = re.compile(r"(\d{1,3})%\s*\[|\]\s*(\d{1,3})%")
"""A progress bar: 3.x puts the number before it, 2.x behind."""
STALL = 600.0
"""Seconds after which a command that neither prints nor uses the processor is ended. Whether it prints while it
transfers is not documented for 3.x, so what it uses counts as well; Anka gives its own operations 300 s."""
TRIES = 3
"""So often a call that changes nothing, or may be repeated, is made in all."""


class Asking:
    """``command`` is the argument list that every call begins with."""

    def __init__(self, anka: Anka, command: tuple[str, ...]) -> None:
        self.command = command
        self._anka = anka
        self._found = anka.context.of(REGISTRY)
        self._version: dict[str, Any] | None = None

    def _told(self, *, again: bool = False) -> dict[str, Any]:
        """What the command tells of itself, from memory where it was asked before and has not changed since."""
        memory = Memory(self.command, os.environ)
        if self._version is None and not again:
            self._version = memory.recall()
        if self._version is None or again:
            self._version = self._mapping(["version"])
            memory.keep(self._version)
        return self._version

    @cached_property
    def _words(self) -> Words:
        release = Release.read(self._told())
        if release.unknown:
            text = f"this host has anka {release}, which is newer than this anka-ci knows; it is taken for 3.9"
            self._anka.tell(Said(text=text, level="warning"))
        return Words(release)

    def _body(
        self,
        words: list[str],
        variables: Mapping[str, str] | None = None,
        *,
        sought: str = "",
        subject: str = "",
        tries: int = 1,
    ) -> Any:
        """Run a command in its machine-readable mode; the body of its answer, None when there is none.

        ``sought`` is what it names, for the error; with ``subject`` its progress is told. What may be done twice is
        tried up to ``tries`` times, when it failed for what passes by itself.

        Raises ``NotFoundError``, ``NotAuthorisedError``, ``UnreachableError`` or ``RefusedError`` with the command's
        words, ``UsageError`` when there is no such command, ``FellShortError`` at the deadline and when the command
        neither says nor does anything for long, and ``InterruptError`` when cancelled.
        """
        for attempt in range(1, tries + 1):
            done = self._heard(words, variables, subject)
            found = answers.envelope(done)
            if answers.good(done, found):
                return found.get("body")
            failed = answers.error(words, done, found, sought)
            if attempt == tries or not answers.passing(done, found):
                raise failed
            seconds = 4 ** (attempt - 1) * random.uniform(0.5, 1.0)
            self._anka.tell(Said(text=f"{failed.message}; trying again in {seconds:.1f} s", level="warning"))
            self._anka.clock.sleep(self._anka.deadline.left(seconds) or 0.0, self._anka.cancelled)
        raise AssertionError("the last try returns or raises")

    def _heard(self, words: list[str], variables: Mapping[str, str] | None, subject: str) -> process.Finished:
        """One call in the machine-readable mode, its progress told."""
        shown = ""

        def on_line(stream: str, line: str) -> None:
            nonlocal shown
            match = _PERCENT.search(line)
            percent = (match.group(1) or match.group(2)) if match else shown
            if percent != shown:
                shown = percent
                self._anka.tell(Progress(subject=subject, done=min(int(percent), 100) / 100, total=1.0))

        return self._plain(["--machine-readable", *words], variables, on_line=on_line if subject else None)

    def _turn(self, what: str, *, agent: bool = False) -> contextlib.AbstractContextManager[None]:
        """Alone at work on this library, as far as that can be had; ``agent``: a foreign transfer is waited for too."""
        return turns.turn(self._anka, self.command, os.environ, what, agent=agent)

    def _mapping(
        self, words: list[str], variables: Mapping[str, str] | None = None, *, sought: str = ""
    ) -> dict[str, Any]:
        """A question whose answer has to be a mapping, or a list that holds only one."""
        body = self._body(words, variables, sought=sought, tries=TRIES)
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            raise RefusedError(f"anka {' '.join(words)}: its answer is no mapping", hint="is it Anka's command?")
        return body

    def _list(self, words: list[str], *, sought: str = "") -> list[Any]:
        """A question whose answer has to be a list; nothing is an empty one."""
        body = self._body(words, sought=sought, tries=TRIES)
        if not isinstance(body, list) and body:
            raise RefusedError(f"anka {' '.join(words)}: its answer is no list", hint="is it Anka's command?")
        return body or []

    def _plain(
        self,
        words: list[str],
        variables: Mapping[str, str] | None = None,
        *,
        input: bytes | None = None,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        still: bool = False,
    ) -> process.Finished:
        """Run a command as it is to its end, whatever that is; ``still``: it may be silent for any time."""
        what = "anka " + " ".join(words)
        self._anka.cancelled.check(what)
        self._anka.deadline.check(what)
        try:
            return process.run(
                [*sudo.keeping(self.command, variables or ()), *words],
                env=self._environment(variables or {}),
                input=input,
                timeout=self._anka.deadline.left(timeout),
                stall=None if still else STALL,
                pulse=_used,
                on_line=on_line,
                cancelled=self._anka.cancelled,
                send=sudo.ending(self._anka, self.command),
            )
        except NotFoundError as error:
            raise UsageError(
                f"the anka command {self.command[0]!r} is not there", hint="correct ANKA_CI_ANKA, or install Anka"
            ) from error
        except RefusedError as error:  # no program, or not for this user or this machine
            raise UsageError(f"the anka command {error.message}", hint="correct ANKA_CI_ANKA, or its rights") from error

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """The caller's own, with progress on stderr; only what is asked as machine-readable answers so.

        ``variables`` win over the caller's, also over one that says the same by a file (``ANKA_CI_TOKEN_FILE``).
        """
        found = {**os.environ, "ANKA_PROGRESS": "1"}
        found.pop("ANKA_MACHINE_READABLE", None)
        for name in variables:
            found.pop(f"{name}_FILE", None)
        if self._found.ca:  # for the commands that have no option for it: every key of `anka config` is one
            found["ANKA_CA_BUNDLE"] = self._found.ca
        return {**found, **variables}


def _used(pid: int) -> int:
    """The processor's quarters of a second that a command has used, which stand still when it hangs."""
    return int(process_table.spent(pid) * 4)
