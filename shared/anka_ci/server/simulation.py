"""How a virtual node lives: a bandwidth, disk and fault model, folded over the node's orders in their order.

Pure: times are computed when an order is given and never waited for; nothing here knows what time it is. A node does
one thing after the other. A pull moves the layers that the node has not got, evicts the least recently used templates
when the disk is short (Anka does so on a start or pull), and takes the place of the template's other tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from anka_ci.server.faults import FOREVER, SILENT_AT
from anka_ci.server.nodes import FULL
from anka_ci.server.orders import Copy, Era, Model, Order
from anka_ci.wire.distribution import CANCELLED, NodeShare

REMOVAL = 1.0
"""Seconds that a node needs to delete a template."""

Span = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A node's part of a request: begun (again after each restart) at ``begun``, it needs ``seconds`` of work.

    The work stops at ``ended`` and gets no further than ``top``; the controller hears of it at ``reported``, as done or
    with its ``error``.
    """

    begun: tuple[float, ...]
    seconds: float
    bytes: int
    outages: Sequence[Span]
    ended: float
    reported: float
    done: bool
    error: str = ""
    top: float = 1.0

    def progress(self, now: float) -> float:
        now = min(now, self.reported)
        begun = max((start for start in self.begun if start <= now), default=None)
        if begun is None:
            return 0.0
        worked = now - begun - sum(max(0.0, min(now, end) - max(begun, start)) for start, end in self.outages)
        return min(self.top, worked / self.seconds if self.seconds else 1.0)

    def share(self, now: float) -> NodeShare:
        if now >= self.reported and self.done:
            return NodeShare(done=True, progress=1.0)
        # 1 beside `status` false has confused clients; only the fault that is just that shows it
        shown = self.progress(now) if self.top == 1.0 and not self.done else min(0.99, self.progress(now))
        return NodeShare(progress=shown, error=self.error if now >= self.reported else "")


class Life:
    """The node ``name`` under the ``eras``; ``ends`` tells when a request or instance was cancelled."""

    def __init__(self, name: str, eras: Sequence[Era], ends: Mapping[str, float]) -> None:
        self.parts: dict[str, Part] = {}
        self.outages = _spans(name, "offline", eras)
        self._name, self._eras, self._ends = name, eras, ends
        self._restarts = [start for start, _ in _spans(name, "restart", eras)]
        self._faults = {does: _spans(name, does, eras) for does in ("full", "evict", "stuck", "silent")}
        self._placed: dict[str, str] = {}
        self._disks: dict[Model, int] = {}
        self._copies: dict[str, Copy] = {}
        self._moments: list[tuple[float, tuple[Copy, ...]]] = []
        self._followed = 0
        self._idle = 0.0

    # reading

    def copies(self, now: float) -> tuple[Copy, ...]:
        """What it holds."""
        return next((copies for at, copies in reversed(self._moments) if at <= now), ())

    def disk(self, now: float) -> int:
        model = self._era(now).model
        if model not in self._disks:
            self._disks[model] = int(model.of(self._name, "disk", model.disk))
        return self._disks[model]

    def used(self, now: float) -> int:
        """Bytes of what it holds and of what it is pulling."""
        pulled = (part for part in self.parts.values() if part.begun and part.begun[0] <= now < part.ended)
        return _bytes(self.copies(now)) + sum(int(part.bytes * part.progress(now)) for part in pulled)

    def running(self, now: float) -> int:
        """How many instances run on it."""
        return sum(
            self.parts[subject].share(now).done and now < self._ends.get(subject, FOREVER) for subject in self._placed
        )

    # folding

    def follow(self, orders: Sequence[Order]) -> None:
        """Take in the orders that were given since."""
        for order in orders[self._followed :]:
            start = max(order.at, self._idle)
            if order.does == "remove":
                self._idle = self._worked(start, REMOVAL)
                self._drop(self._idle, order.id.lower())
            elif order.copy is not None:
                self.parts[order.subject] = self._pull(order, order.copy, start)
        self._followed = len(orders)

    def _pull(self, order: Order, copy: Copy, start: float) -> Part:
        cancelled = self._ends.get(order.subject, FOREVER)
        if order.does == "place":
            self._placed[order.subject] = copy.key
        if cancelled < start:
            return Part(
                begun=(),
                seconds=0,
                bytes=0,
                outages=(),
                ended=cancelled,
                reported=cancelled,
                done=False,
                error=CANCELLED,
            )
        model = self._era(start).model
        there = self._copies.get(copy.key)
        same = there is not None and (there.tag, there.layers) == (copy.tag, copy.layers)
        needed, free = (0, 0) if same else self._make_room(start, copy, order.subject)
        failed = needed > free
        error = f"{FULL}: {needed} bytes are needed, {free} are free" if failed else ""
        pace = min(model.of(self._name, "bandwidth", model.bandwidth), model.registry / len(order.nodes))
        seconds = 0.0 if same else model.setup + needed / pace
        silent = not same and self._meets("silent", start)
        stuck = not (same or failed or silent) and self._meets("stuck", start)
        top = SILENT_AT if silent else 0.5 if failed else 1.0
        begun, end = [start], self._worked(start, seconds * top)
        for restart in self._restarts:
            if begun[-1] < restart < end:
                begun.append(restart)
                end = self._worked(restart, seconds * top)
        self._idle = min(end, cancelled)
        whole = end <= cancelled and not failed and not silent
        reported = FOREVER if silent or stuck else end
        if cancelled < reported:
            reported, error = cancelled, CANCELLED
        if whole:
            self._copies[copy.key] = replace(copy, used=end)
            self._moment(end)
        return Part(
            begun=tuple(begun),
            seconds=seconds,
            bytes=min(needed, free),
            outages=self.outages,
            ended=self._idle,
            reported=reported,
            done=whole and not stuck,
            error=error,
            top=top,
        )

    def _make_room(self, at: float, copy: Copy, subject: str) -> tuple[int, int]:
        """Evict the least recently used templates that no instance uses: as many as need be, none if that is no use.

        Bytes that have then to be moved, and bytes that are free: a copy may have shared layers with one that went.
        """
        in_use = {
            template
            for placed, template in self._placed.items()
            if placed != subject and at < self._ends.get(placed, FOREVER)
        }
        others = sorted(self._copies.values(), key=lambda each: each.used)
        others = [each for each in others if each.key != copy.key and each.key not in in_use]
        for count in range(len(others) if self._meets("evict", at) else 0, len(others) + 1):
            needed, free = self._room(copy, others[:count], at)
            if needed <= free:
                for each in others[:count]:
                    self._drop(at, each.key)
                return needed, free
        return self._room(copy, (), at)

    def _room(self, copy: Copy, without: Sequence[Copy], at: float) -> tuple[int, int]:
        """Bytes that a copy needs beside those of the node that stay, and the bytes that are free then."""
        stay = [each for each in self._copies.values() if each not in without]
        held = {digest for each in stay for digest in each.layers}
        needed = sum(size for digest, size in copy.layers.items() if digest not in held)
        return needed, 0 if self._meets("full", at) else max(0, self.disk(at) - _bytes(stay))

    def _drop(self, at: float, key: str) -> None:
        if self._copies.pop(key, None) is not None:
            self._moment(at)

    def _moment(self, at: float) -> None:
        self._moments.append((at, tuple(self._copies.values())))

    def _worked(self, start: float, seconds: float) -> float:
        """When ``seconds`` of work are done that begin at ``start``; while the node is offline it does none."""
        end = start + seconds
        for down, up in self.outages:
            if up > start and down < end:
                end += up - max(start, down)
        return end

    def _meets(self, does: str, at: float) -> bool:
        return any(start <= at < end for start, end in self._faults[does])

    def _era(self, at: float) -> Era:
        for era in reversed(self._eras):
            if era.at <= at:
                return era
        return self._eras[0]


def _spans(name: str, does: str, eras: Sequence[Era]) -> list[Span]:
    """When a fault befalls a node, in order; it ends with its era at the latest, and what overlaps is one."""
    found: list[Span] = []
    for number, era in enumerate(eras):
        limit = eras[number + 1].at if number + 1 < len(eras) else FOREVER
        for fault in era.faults:
            if fault.befalls(name, does) and fault.at < limit:
                found.append((fault.at, min(fault.until, limit)))
    whole: list[Span] = []
    for start, end in sorted(found):
        if whole and start <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(end, whole[-1][1]))
        else:
            whole.append((start, end))
    return whole


def _bytes(copies: Iterable[Copy]) -> int:
    """Bytes of all layers, each counted once."""
    layers: dict[str, int] = {}
    for copy in copies:
        layers.update(copy.layers)
    return sum(layers.values())
