"""The stand-in ``anka`` in this process: the same words, environment, output and exit code, without a new interpreter.

Starting Python and loading HTTP takes most of the time of a test that asks ``anka`` something. What the command itself
does is not replaced. A guest's command is another program, and is started as always; so is a stand-in that is spoken to
on its standard input, one behind another launcher than the server's, and those of the server's nodes unless asked for.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shlex
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anka_ci import process, standin
from anka_ci.clock import Cancelled
from anka_ci.errors import InterruptError
from anka_ci.standin.__main__ import main
from anka_ci.streams import OnLine

STARTED_ALWAYS = {"run"}
"""Commands of the stand-in that become, or feed, another program."""
MODULES = [each.name for each in pkgutil.walk_packages(standin.__path__, "anka_ci.standin.")]
_DEFAULT = re.compile(r'\[ -n "\$\{(\w+)\+set\}" \] \|\| \1=(.*)')


class Near:
    """Takes the place of ``process.run``; ``started`` is that function itself. With ``nodes``, theirs is near too."""

    def __init__(self, started: Callable[..., process.Finished]) -> None:
        self._started, self._streams = started, Streams()
        self.nodes = False
        self._streams.replace(sys, self._streams)

    def __call__(
        self, argv: Sequence[str], *, input: bytes | None = None, cancelled: Cancelled | None = None, **more: Any
    ) -> process.Finished:
        command = next((word for word in argv[1:] if not word.startswith("-")), "")
        env: Mapping[str, str] = os.environ if more.get("env") is None else more["env"]
        defaults = _defaults(Path(argv[0]))
        if (
            defaults is None
            or input is not None
            or command in STARTED_ALWAYS
            or (not self.nodes and "ANKA_HOME" in env)
        ):
            return self._started(argv, input=input, cancelled=cancelled, **more)
        on_line = more.get("on_line")
        with self._streams.stdout.kept(on_line) as out, self._streams.stderr.kept(on_line) as err:
            status = main(argv[1:], {**defaults, **env}, cancelled)
        if cancelled:
            raise InterruptError(f"anka: interrupted ({cancelled.reason})")
        return process.Finished(argv=tuple(argv), status=status, stdout="".join(out), stderr="".join(err))

    def end(self) -> None:
        """Put back what was there."""
        self._streams.replace(self._streams, sys)


class Stream:
    """A standard stream of the stand-in: a list of its own for each thread that runs it, else the process's."""

    def __init__(self, name: str) -> None:
        self.name, self._mine = name, threading.local()

    @contextmanager
    def kept(self, on_line: OnLine | None) -> Iterator[list[str]]:
        """What this thread prints meanwhile; its lines are handed on as they come."""
        self._mine.parts, self._mine.on_line = parts, _ = [], on_line
        try:
            yield parts
        finally:
            del self._mine.parts

    def write(self, text: str) -> int:
        parts = getattr(self._mine, "parts", None)
        if parts is None:
            return int(getattr(sys, self.name).write(text))
        parts.append(text)
        for line in re.split(r"[\r\n]", text):
            if self._mine.on_line is not None and line.strip():
                self._mine.on_line(self.name, line)
        return len(text)

    def isatty(self) -> bool:
        return not hasattr(self._mine, "parts") and bool(getattr(sys, self.name).isatty())

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(sys, self.name), name)


class Streams:
    """Takes the place of ``sys`` in the stand-in's modules. The real one is no place to change: pytest gives it other
    streams with each phase of a test, whatever a thread is printing at that moment."""

    def __init__(self) -> None:
        self.stdout, self.stderr = Stream("stdout"), Stream("stderr")

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)

    @staticmethod
    def replace(old: object, new: object) -> None:
        """Put ``new`` where ``old`` is, in every module of the stand-in."""
        for name in MODULES:
            module = importlib.import_module(name)
            if getattr(module, "sys", None) is old:
                module.sys = new  # type: ignore[attr-defined]


def _defaults(launcher: Path) -> dict[str, str] | None:
    """What a server's launcher sets where the caller has not; None when it is no such launcher."""
    try:
        text = launcher.read_text()
    except (OSError, UnicodeError):
        return None
    if f"exec {shlex.quote(sys.executable)} -Im anka_ci.standin" not in text:
        return None
    return {name: shlex.split(value)[0] for name, value in _DEFAULT.findall(text)}
