"""The person's side of a command: the environment, what is printed, and the signals.

The one place that prints what a person or another program reads. Every text goes through the redactor first.
"""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

from anka_ci import holding, process, settings
from anka_ci.auth import CONTROLLER, REGISTRY
from anka_ci.clock import Cancelled
from anka_ci.errors import InterruptError
from anka_ci.inputs import SharedInputs
from anka_ci.secret import Redactor, Secret
from anka_ci.settings import Context

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 3.8
"""Seconds that a running step gets after the first signal; then it is left where it stands."""


class Groups(Protocol):
    """How a CI system is told to fold lines of its log."""

    def open(self, title: str) -> None:
        """Begin a group; ends the one before."""

    def close(self) -> None:
        """End the group, if there is one."""


class Console:
    """What a command is handed: ``env`` to read, ``out`` and ``err`` to print, ``interrupts`` to be told of signals."""

    def __init__(self, env: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self.env = env
        self.redactor = redactor or Redactor()
        self.reported = False
        """Whether the CI system was told of a result."""
        self.groups: Groups | None = None
        """Where the CI system can fold lines of its log: how."""
        self._title = ""
        for name in settings.SECRET_VARIABLES:
            if env.get(name) and not env[name].startswith(("/", "~", ".")):  # a path may be told
                self.redactor.add(Secret(env[name]))

    def out(self, text: str) -> None:
        """Print a result on stdout."""
        sys.stdout.write(self.redactor(text))
        sys.stdout.flush()

    def err(self, text: str) -> None:
        """Print a diagnostic on stderr."""
        if self._title and self.groups is not None:  # a group that holds no line is none
            title, self._title = self._title, ""
            self.groups.open(self.redactor(title))
        sys.stderr.write(self.redactor(text))
        sys.stderr.flush()

    def group(self, title: str) -> bool:
        """Fold what is told from here on under a title; False where the CI system cannot."""
        self.end_group()
        self._title = title
        return self.groups is not None

    def end_group(self) -> None:
        """Fold no more."""
        self._title = ""
        if self.groups is not None:
            self.groups.close()

    @property
    def terminal(self) -> bool:
        """Whether a person watches stderr on a terminal that can rewrite a line."""
        return sys.stderr.isatty() and self.env.get("TERM", "dumb") != "dumb"

    def context(self, shared: SharedInputs, file_context: str | None = None) -> Context:
        """The context that the inputs, the environment, a file or the settings name; its secrets are masked."""
        context = settings.load(self.env, shared, file_context)
        for service in (CONTROLLER, REGISTRY):
            for secret in context.of(service).secrets():
                self.redactor.add(secret)
        return context

    def verbose(self) -> None:
        """Print the diagnostics of every part on stderr from now on."""
        handler = _Diagnostics(self)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.DEBUG)

    @contextmanager
    def interrupts(self, cancelled: Cancelled) -> Iterator[None]:
        """While inside, the first SIGINT, SIGTERM or SIGHUP sets ``cancelled`` and the second ends everything at once.

        What does not look at ``cancelled`` (a read from a server that is silent) is broken off after ``PATIENCE``
        seconds with ``InterruptError``; ``settled`` says that it has ended by itself.
        """

        def at_once() -> None:
            process.kill_all()
            raise KeyboardInterrupt

        def note(number: int, frame: FrameType | None) -> None:
            if cancelled:
                holding.when_free(at_once)
                return
            cancelled.set(signal.Signals(number).name)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

        def give_up() -> None:
            cancelled.hurried = True
            process.kill_all()
            raise InterruptError(f"interrupted ({cancelled.reason}); what was running did not end in time")

        def late(number: int, frame: FrameType | None) -> None:
            holding.when_free(give_up)

        handlers = dict.fromkeys(SIGNALS, note) | {signal.SIGALRM: late}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            self.settled()
            for number, handler in before.items():
                signal.signal(number, handler)

    def settled(self) -> None:
        """What ran when the first signal came has ended."""
        signal.setitimer(signal.ITIMER_REAL, 0)


class _Diagnostics(logging.Handler):
    """Log records as lines on stderr, redacted like everything else."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.err(self.format(record) + "\n")
