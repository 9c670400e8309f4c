"""Distributions: waiting for the nodes' parts, telling how they go, and what came of each.

Starts none; what is cancelled is only the request that is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, FellShortError, InterruptError
from anka_ci.result import NodeChanged, Progress, Said
from anka_ci.rules import watch
from anka_ci.wire.distribution import Distribution

if TYPE_CHECKING:
    from anka_ci.anka import Anka

STALL = 1800.0
"""Seconds without progress on any node after which a wait gives up. Anka's own limit is undocumented, and before 1.33
a node could stay at ``progress`` 1 without ever being done."""
ENTRIES = 15.0
"""Seconds for which a request may show no nodes: the controller need not have written them when it answers."""
PARTING = 3.0
"""Seconds for cancelling a request after an interruption; the process has five until it has to be gone."""


Known = dict[str, object]
"""A step's outputs as far as they are known: dashed keys, JSON values."""


def reasons(state: str, found: Mapping[str, str]) -> list[dict[str, str]]:
    """Rows for a table of reasons."""
    return [{"node": node, "state": state, "reason": reason} for node, reason in found.items()]


def outcome(known: Known, request: Distribution, names: Mapping[str, str], expected: Sequence[str] = ()) -> Known:
    """``known`` with what came of each node of a request: succeeded, failed, pending, and the reasons.

    ``names`` maps node ids to names; a node of ``expected`` that the request does not show has failed.
    """
    shares = {names.get(node, node): share for node, share in request.nodes.items()}
    failed = {name: share.error for name, share in shares.items() if share.ended and not share.done}
    missing = [names.get(node, node) for node in expected if node not in request.nodes]
    failed |= dict.fromkeys(missing, "the controller has no entry for it")
    return known | {
        "succeeded": [name for name, share in shares.items() if share.done],
        "failed": [*_list(known.get("failed")), *failed],
        "pending": [name for name, share in shares.items() if not share.ended],
        "reasons": [*_list(known.get("reasons")), *reasons("failed", failed)],
    }


def judge(known: Known, title: str) -> None:
    """``FellShortError`` with the nodes and reasons in its facts, and ``known`` as outputs, when any node failed."""
    rows = [row for row in _list(known["reasons"]) if row["state"] == "failed"]
    if rows:
        total = len(rows) + len(_list(known["succeeded"])) + len(_list(known["pending"]))
        listed = "; ".join(f"{row['node']}: {row['reason']}" for row in rows)
        error = FellShortError(
            f"{title} failed on {len(rows)} of {total} nodes: {listed}",
            hint="look at these nodes, and distribute again: nodes that have the tag by now are left alone",
            nodes={row["node"]: row["reason"] for row in rows},
        )
        error.outputs = known
        raise error


def follow(
    known: Known,
    request_id: str,
    anka: Anka,
    names: Mapping[str, str],
    *,
    expected: Sequence[str] = (),
    on_interrupt: str,
) -> Known:
    """Wait for a request to end; ``known`` with what came of it. An error that ends the wait carries that as outputs.

    ``FellShortError`` at the deadline and after a stall, ``InterruptError`` when cancelled; both cancel the request
    unless ``on_interrupt`` is ``leave``, and say what became of it.
    """
    watched = Watch(request_id, anka, names, expected)
    try:
        return outcome(known, watched.wait(on_interrupt=on_interrupt), names, expected)
    except AnkaCiError as error:
        error.outputs = known if watched.last is None else outcome(known, watched.last, names)
        raise


class Watch:
    """One request that is waited for. ``last`` is the request as it was last seen, None before the first look."""

    def __init__(self, request_id: str, anka: Anka, names: Mapping[str, str], expected: Sequence[str] = ()) -> None:
        self.request_id = request_id
        self.last: Distribution | None = None
        self._anka = anka
        self._names = names
        self._expected = expected
        self._told: dict[str, tuple[str, float]] = {}
        self._began = anka.clock.monotonic()

    def wait(self, *, on_interrupt: str) -> Distribution:
        """The request when every node's part has ended, well or not."""
        try:
            return watch.poll(self._look, self._anka, what=f"distribution {self.request_id}", stall=STALL)
        except (InterruptError, FellShortError) as error:
            error.facts["request-id"] = self.request_id
            said = self._cancel() if on_interrupt == "cancel" else "the request goes on"
            raise type(error)(f"{error.message}; {said}", hint=error.hint, **error.facts) from error

    def look(self) -> Distribution:
        """One look, told as progress."""
        self.last = self._anka.controller.distribution(self.request_id)
        for node, share in self.last.nodes.items():
            name = self._names.get(node, node)
            state, progress = self._told.get(node, ("", 0.0))
            if share.state != state:
                self._anka.tell(NodeChanged(node=name, state=share.state, reason=share.error))
            if share.progress != progress:
                self._anka.tell(Progress(subject=self.last.tag, done=share.progress, total=1.0, node=name))
            self._told[node] = (share.state, share.progress)
        return self.last

    def _look(self) -> watch.Seen[Distribution]:
        request = self.look()
        whole = bool(request.nodes) and all(node in request.nodes for node in self._expected)
        if not whole:  # entries that never come are for the caller to judge
            whole = self._anka.clock.monotonic() - self._began >= ENTRIES
        return watch.Seen(value=request, ended=whole and request.ended, mark=dict(self._told))

    def _cancel(self) -> str:
        """Cancel the request although everything else is over; what became of it, as a sentence."""
        anka = self._anka.afterwards(PARTING)
        try:
            anka.controller.cancel_distribution(self.request_id)
            self.last = anka.controller.distribution(self.request_id)
        except AnkaCiError as error:
            self._anka.tell(Said(text=f"cancelling {self.request_id}: {error.message}", level="warning"))
            return f"cancelling the request failed ({error.message}): it may go on"
        return "the request was cancelled"


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []
