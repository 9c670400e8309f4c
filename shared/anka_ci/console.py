"""The person's side of a command: the environment, what is printed, and the signals.

The one place that prints what a person or another program reads. Every text goes through the redactor first.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.errors import InterruptError
from anka_ci.secret import Redactor, Secret

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 4.3
"""Seconds that a running step gets after the first signal; then it is left where it stands."""


class Console:
    """What a command is handed: ``env`` to read, ``out`` and ``err`` to print, ``interrupts`` to be told of signals."""

    def __init__(self, env: Mapping[str, str], redactor: Redactor | None = None) -> None:
        self.env = env
        self.redactor = redactor or Redactor()
        if env.get("ANKA_CI_TOKEN"):
            self.redactor.add(Secret(env["ANKA_CI_TOKEN"]))

    def out(self, text: str) -> None:
        """Print a result on stdout."""
        sys.stdout.write(self.redactor(text))
        sys.stdout.flush()

    def err(self, text: str) -> None:
        """Print a diagnostic on stderr."""
        sys.stderr.write(self.redactor(text))
        sys.stderr.flush()

    @contextmanager
    def interrupts(self, cancelled: Cancelled) -> Iterator[None]:
        """While inside, the first SIGINT, SIGTERM or SIGHUP sets ``cancelled`` and the second ends everything at once.

        What does not look at ``cancelled`` (a read from a server that is silent) is broken off after ``PATIENCE``
        seconds with ``InterruptError``; ``settled`` says that it has ended by itself.
        """

        def note(number: int, frame: FrameType | None) -> None:
            if cancelled:
                process.kill_all()
                raise KeyboardInterrupt
            cancelled.set(signal.Signals(number).name)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

        def late(number: int, frame: FrameType | None) -> None:
            process.kill_all()
            raise InterruptError(f"interrupted ({cancelled.reason}); what was running did not end in time")

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
