"""Progress as a person reads it: the events of a command, as lines on stderr.

On a terminal how far a transfer is stands in one line that is written over; elsewhere it is told every 30 seconds at
most, and a node's state when it changes. Nothing here is read by a program.
"""

from __future__ import annotations

import shutil
import threading
from collections import deque

from anka_ci import account, result
from anka_ci.clock import Clock
from anka_ci.console import Console
from anka_ci.inputs import show_size
from anka_ci.result import Event, NodeChanged, Printed, Said, StepBegan, StepEnded

PAUSE = 30.0
"""Seconds between two lines of progress where no terminal is."""
LAST_LINES = 20
"""Lines of a script that are shown when it fails and they were kept back (``quiet``)."""


class Progress:
    """The one ``tell`` of a command; may be called from several threads."""

    def __init__(self, console: Console, clock: Clock, *, quiet: bool = False) -> None:
        self._console = console
        self._clock = clock
        self._quiet = quiet
        self._terminal = console.terminal
        self._lock = threading.RLock()
        self._told: float | None = None
        self._states: dict[str, str] = {}
        self._shown = ""
        self._kept: deque[str] = deque(maxlen=LAST_LINES)

    def __call__(self, event: Event) -> None:
        with self._lock:
            if isinstance(event, StepEnded):
                self._console.settled()
                self._ended(event)
            elif isinstance(event, StepBegan):
                self._began(event)
            elif isinstance(event, NodeChanged):
                self._node(event)
            elif isinstance(event, result.Progress):
                self._progress(event)
            elif isinstance(event, Printed):
                self._printed(event)
            elif isinstance(event, Said) and (not self._quiet or event.level == "warning"):
                self._line(event.text)

    def _began(self, event: StepBegan) -> None:
        self._told, self._states = None, {}
        self._kept.clear()
        if not self._quiet:
            what = "" if event.id == event.step else f" ({event.step})"
            self._line(f"[{event.number}/{event.total}] {event.id}{what} …")

    def _ended(self, event: StepEnded) -> None:
        done = event.result
        self._clear()
        if self._quiet and done.error is not None:
            for line in self._kept:
                self._line(line)
        if not self._quiet or done.error is not None:
            words = account.gist(done)
            took = f" in {account.seconds(done.seconds)}" if done.status != "skipped" else ""
            self._line(
                f"[{event.number}/{event.total}] {done.id} {done.status}{took}" + (f": {words}" if words else "")
            )

    def _node(self, event: NodeChanged) -> None:
        if self._states.get(event.node) != event.state:
            self._states[event.node] = event.state
            if not self._quiet:
                self._line(f"  {event.node}: {event.state}" + (f" ({event.reason})" if event.reason else ""))

    def _progress(self, event: result.Progress) -> None:
        if self._quiet:
            return
        if self._terminal:
            self._shown = _far(event)[: max(20, shutil.get_terminal_size().columns - 1)]
            self._console.err(f"\r\x1b[2K{self._shown}")
            return
        now = self._clock.monotonic()
        if self._told is None:
            self._told = now  # what is over within the first seconds needs no line of its own
        elif now - self._told >= PAUSE:
            self._told = now
            self._line(_far(event))

    def _printed(self, event: Printed) -> None:
        if self._quiet:
            self._kept.append(event.text)
        else:
            self._line(event.text)

    def _line(self, text: str) -> None:
        self._clear()
        self._console.err(text + "\n")

    def _clear(self) -> None:
        if self._shown:
            self._console.err("\r\x1b[2K")
            self._shown = ""


def _far(event: result.Progress) -> str:
    """How far it is, in one line."""
    subject = " ".join(filter(None, (event.node, event.subject)))
    if event.unit == "bytes":
        far = f"{show_size(event.done)} of {show_size(event.total)}"
    elif event.unit == "nodes":
        far = f"{event.done:g} of {event.total:g} nodes"
    else:
        far = f"{100 * event.done / event.total if event.total else 100:.0f} %"
    return f"  {subject}: {far}" if subject else f"  {far}"
