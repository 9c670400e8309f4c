"""Asking the ``anka`` command: one call, its environment, its progress, and its answer or its error.

The part of the door that all nouns share; knows no operation.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from anka_ci import process
from anka_ci.auth import REGISTRY
from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.host import answers
from anka_ci.host.release import Release
from anka_ci.host.words import Words
from anka_ci.result import Progress

if TYPE_CHECKING:
    from anka_ci.anka import Anka

_PERCENT = re.compile(r"(\d{1,3})%\s*\[")


class Asking:
    """``command`` is the argument list that every call begins with."""

    def __init__(self, anka: Anka, command: tuple[str, ...]) -> None:
        self.command = command
        self._anka = anka
        self._found = anka.context.of(REGISTRY)
        self._version: dict[str, Any] | None = None

    def _told(self) -> dict[str, Any]:
        if self._version is None:
            self._version = dict(self._body(["version"]) or {})
        return self._version

    @cached_property
    def _words(self) -> Words:
        return Words(Release.read(self._told()))

    def _body(
        self, words: list[str], variables: Mapping[str, str] | None = None, *, sought: str = "", subject: str = ""
    ) -> Any:
        """Run a command in its machine-readable mode; the body of its answer, None when there is none.

        ``sought`` is what it names, for the error; with ``subject`` its progress is told. Raises ``NotFoundError``,
        ``NotAuthorisedError``, ``UnreachableError`` or ``RefusedError`` with the command's words, ``UsageError`` when
        there is no such command, ``FellShortError`` at the deadline and ``InterruptError`` when cancelled.
        """

        def on_line(stream: str, line: str) -> None:
            if match := _PERCENT.search(line):
                self._anka.tell(Progress(subject=subject, done=int(match.group(1)) / 100, total=1.0))

        done = self._plain(["--machine-readable", *words], variables, on_line=on_line if subject else None)
        found = answers.envelope(done)
        if answers.good(done, found):
            return found.get("body")
        raise answers.error(words, done, found, sought)

    def _mapping(
        self, words: list[str], variables: Mapping[str, str] | None = None, *, sought: str = ""
    ) -> dict[str, Any]:
        """The same where the body has to be a mapping, or a list that holds only one."""
        body = self._body(words, variables, sought=sought)
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            raise RefusedError(f"anka {' '.join(words)}: its answer is no mapping", hint="is it Anka's command?")
        return body

    def _plain(
        self,
        words: list[str],
        variables: Mapping[str, str] | None = None,
        *,
        input: bytes | None = None,
        on_line: process.OnLine | None = None,
        timeout: float | None = None,
    ) -> process.Finished:
        """Run a command as it is to its end, whatever that is."""
        try:
            return process.run(
                [*self.command, *words],
                env={**self._environment(), **(variables or {})},
                input=input,
                timeout=self._anka.deadline.left(timeout),
                on_line=on_line,
                cancelled=self._anka.cancelled,
            )
        except NotFoundError as error:
            raise UsageError(
                f"the anka command {self.command[0]!r} is not there", hint="correct ANKA_CI_ANKA, or install Anka"
            ) from error

    def _environment(self) -> dict[str, str]:
        """The caller's own, with progress on stderr."""
        found = {**os.environ, "ANKA_PROGRESS": "1"}
        if self._found.ca:  # for the commands that have no option for it: every key of `anka config` is one
            found["ANKA_CA_BUNDLE"] = self._found.ca
        return found
