"""Progress as a person reads it: the events of a command, as lines on stderr.

On a terminal how far a transfer is stands in one line that is written over; elsewhere it is told every 30 seconds at
most. Of few nodes every change is told; of many, how many are where, and each failure. Nothing here is read by a
program.
"""

from __future__ import annotations

import shutil
import threading
from collections import Counter, deque

from anka_ci import account, result
from anka_ci.clock import Clock
from anka_ci.console import Console
from anka_ci.inputs import show_size
from anka_ci.result import Event, NodeChanged, Printed, Said, StepBegan, StepEnded

PAUSE = 30.0
"""Seconds between two lines of progress where no terminal is."""
SHARE = 0.1
"""Of many nodes, the share whose end is told although the pause is not over."""
FEW = 10
"""So many nodes are told one by one."""
LAST_LINES = 20
"""Lines of a script that are shown when it fails and they were kept back (``quiet``)."""
MOST_SAID = 200
"""Warnings and notices that are kept for the result; more of them tell nobody anything."""
FAILED, ENDED = ("failed", "cancelled"), ("done", "failed", "cancelled", "already", "skipped")
STATES = (*ENDED, "pulling", "queued")


class Progress:
    """The one ``tell`` of a command; may be called from several threads.

    ``verbose`` tells of many nodes as of few. ``said`` are the warnings and notices so far, each once, as they stand in
    a result document.
    """

    def __init__(self, console: Console, clock: Clock, *, quiet: bool = False, verbose: bool = False) -> None:
        self._console = console
        self._clock = clock
        self._quiet, self._verbose = quiet, verbose
        self._terminal = console.terminal
        self._lock = threading.RLock()
        self._told: float | None = None
        self._shown = ""
        self._kept: deque[str] = deque(maxlen=LAST_LINES)
        self._step = ""
        self._nodes = Nodes()
        self.said: list[dict[str, object]] = []

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
            elif isinstance(event, Said):
                self._said(event)

    def _began(self, event: StepBegan) -> None:
        self._told, self._nodes, self._step = None, Nodes(), event.id
        self._kept.clear()
        what = "" if event.id == event.step else f" ({event.step})"
        title = f"[{event.number}/{event.total}] {event.id}{what}"
        if not self._console.group(title) and not self._quiet:
            self._line(f"{title} …")

    def _ended(self, event: StepEnded) -> None:
        done = event.result
        self._clear()
        if self._quiet and done.error is not None:
            for line in self._kept:
                self._line(line)
        self._console.end_group()
        if not self._quiet or done.error is not None:
            words = account.gist(done)
            took = f" in {account.seconds(done.seconds)}" if done.status != "skipped" else ""
            self._line(
                f"[{event.number}/{event.total}] {done.id} {done.status}{took}" + (f": {words}" if words else "")
            )

    def _said(self, event: Said) -> None:
        if event.level in ("notice", "warning"):
            row: dict[str, object] = {"step": self._step, "level": event.level, "text": event.text}
            if row not in self.said and len(self.said) < MOST_SAID:
                self.said.append(row)
        if not self._quiet or event.level in ("warning", "fault"):
            self._line(event.text)

    def _node(self, event: NodeChanged) -> None:
        if not self._nodes.change(event) or self._quiet:
            return
        if self._verbose or not self._nodes.many or event.state in FAILED:
            self._line(f"  {event.node}: {event.state}" + (f" ({event.reason})" if event.reason else ""))

    def _progress(self, event: result.Progress) -> None:
        if self._quiet:
            return
        due = self._nodes.far(event)
        if self._nodes.many and not self._verbose:
            if event.unit == "nodes" and self._nodes.states:
                self._tally(f"  {event.subject}: {self._nodes.tally()}", due)
        elif self._terminal:
            self._over(_far(event))
        elif self._rare():
            self._line(f"  {self._nodes.moving() or event.node}" if event.node else _far(event))

    def _tally(self, text: str, due: bool) -> None:
        """How many of many nodes are where."""
        if self._terminal:
            self._over(text)
        elif self._rare() or due:
            self._told = self._clock.monotonic()
            self._line(text)

    def _over(self, text: str) -> None:
        self._shown = text[: max(20, shutil.get_terminal_size().columns - 1)]
        self._console.err(f"\r\x1b[2K{self._shown}")

    def _rare(self) -> bool:
        """Whether the pause since the last line of progress is over; what ends before the first needs none."""
        now = self._clock.monotonic()
        if self._told is not None and now - self._told < PAUSE:
            return False
        first, self._told = self._told is None, now
        return not first

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


class Nodes:
    """The nodes of a step: the state of each, and how far those are that are at it."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self._shares: dict[str, float] = {}
        self._total = 0
        self._tenth = -1

    @property
    def many(self) -> bool:
        return max(self._total, len(self.states)) > FEW

    def change(self, event: NodeChanged) -> bool:
        """Note a node's state; whether it is a new one."""
        new = self.states.get(event.node) != event.state
        self.states[event.node] = event.state
        if event.state in ENDED:
            self._shares.pop(event.node, None)
        return new

    def far(self, event: result.Progress) -> bool:
        """Note how far a node or all of them are; whether another tenth of all has ended since this last said so."""
        if event.node and event.unit == "share" and self.states.get(event.node) not in ENDED:
            self._shares[event.node] = event.done / event.total if event.total else 1.0
        if event.unit != "nodes":
            return False
        self._total = max(self._total, int(event.total), len(self.states))
        tenth = int(self._ended() / self._total / SHARE) if self._total else 0
        if not self.states or tenth <= self._tenth:
            return False
        self._tenth = tenth
        return True

    def tally(self) -> str:
        """How many are where, in one line."""
        counts = Counter(self.states.values())
        order = [*(state for state in STATES if state in counts), *sorted({*counts} - {*STATES})]
        told = ", ".join(f"{counts[state]} {state}" for state in order)
        return f"{self._ended()} of {self._total} nodes ended ({told})"

    def moving(self) -> str:
        """How far those are that are at it."""
        return ", ".join(f"{node} {share:.0%}" for node, share in self._shares.items())

    def _ended(self) -> int:
        return sum(state in ENDED for state in self.states.values())


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
