"""The stand-in ``anka`` in this process: the same words, environment, output and exit code, without a new interpreter.

Starting Python and loading HTTP takes most of the time of a test that asks ``anka`` something. What the command itself
does is not replaced. A guest's command is another program, and is started as always; so is a stand-in that is spoken to
on its standard input, one behind another launcher than the server's, and those of the server's nodes.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.errors import InterruptError
from anka_ci.standin.__main__ import main

STARTED_ALWAYS = {"run"}
"""Commands of the stand-in that become, or feed, another program."""
_DEFAULT = re.compile(r'\[ -n "\$\{(\w+)\+set\}" \] \|\| \1=(.*)')


class Near:
    """Takes the place of ``process.run``; ``started`` is that function itself."""

    def __init__(self, started: Callable[..., process.Finished]) -> None:
        self._started = started

    def __call__(
        self, argv: Sequence[str], *, input: bytes | None = None, cancelled: Cancelled | None = None, **more: Any
    ) -> process.Finished:
        command = next((word for word in argv[1:] if not word.startswith("-")), "")
        env: Mapping[str, str] = os.environ if more.get("env") is None else more["env"]
        defaults = _defaults(Path(argv[0]))
        if defaults is None or input is not None or command in STARTED_ALWAYS or "ANKA_HOME" in env:
            return self._started(argv, input=input, cancelled=cancelled, **more)
        on_line = more.get("on_line")
        with _stream("stdout").kept(on_line) as out, _stream("stderr").kept(on_line) as err:
            status = main(argv[1:], {**defaults, **env}, cancelled)
        if cancelled:
            raise InterruptError(f"anka: interrupted ({cancelled.reason})")
        return process.Finished(argv=tuple(argv), status=status, stdout="".join(out), stderr="".join(err))


class Stream:
    """A standard stream that is another one for each thread which runs the stand-in."""

    def __init__(self, name: str, plain: TextIO) -> None:
        self.name, self.plain, self._mine = name, plain, threading.local()

    @contextmanager
    def kept(self, on_line: process.OnLine | None) -> Iterator[list[str]]:
        """What this thread prints meanwhile; its lines are handed on as they come."""
        self._mine.parts, self._mine.on_line = parts, _ = [], on_line
        try:
            yield parts
        finally:
            del self._mine.parts

    def write(self, text: str) -> int:
        parts = getattr(self._mine, "parts", None)
        if parts is None:
            return self.plain.write(text)
        parts.append(text)
        for line in re.split(r"[\r\n]", text):
            if self._mine.on_line is not None and line.strip():
                self._mine.on_line(self.name, line)
        return len(text)

    def isatty(self) -> bool:
        return self.plain.isatty() and not hasattr(self._mine, "parts")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)


_wrapping = threading.Lock()


def _stream(name: str) -> Stream:
    """The stream as it is now, so wrapped that each thread may have its own: pytest changes it between two phases."""
    with _wrapping:
        if not isinstance(getattr(sys, name), Stream):
            setattr(sys, name, Stream(name, getattr(sys, name)))
        found = getattr(sys, name)
        assert isinstance(found, Stream)
        return found


def unwrap() -> None:
    """Put back the streams as they were."""
    with _wrapping:
        for name in ("stdout", "stderr"):
            if isinstance(getattr(sys, name), Stream):
                setattr(sys, name, getattr(sys, name).plain)


def _defaults(launcher: Path) -> dict[str, str] | None:
    """What a server's launcher sets where the caller has not; None when it is no such launcher."""
    try:
        text = launcher.read_text()
    except (OSError, UnicodeError):
        return None
    if f"exec {shlex.quote(sys.executable)} -Im anka_ci.standin" not in text:
        return None
    return {name: shlex.split(value)[0] for name, value in _DEFAULT.findall(text)}
