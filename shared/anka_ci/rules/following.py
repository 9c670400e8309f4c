"""Waiting for a distribution: telling how the nodes' parts go, and where they stood when it cannot end well.

Starts none; what is cancelled is only the request that is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, FellShortError, InterruptError, NotFoundError, UnreachableError
from anka_ci.result import NodeChanged, Progress, Said
from anka_ci.rules import distribution, selection, truth, watch
from anka_ci.wire.distribution import CANCELLED, Distribution, NodeShare

if TYPE_CHECKING:
    from anka_ci.anka import Anka

STALL = 1800.0
"""Seconds without progress on any node after which a wait gives up. Anka's own limit is undocumented, and before 1.33
a node could stay at ``progress`` 1 without ever being done."""
LINGER = 60.0
"""Seconds for which a node may stay at ``progress`` 1 until it is asked itself what it holds."""
ENTRIES = 15.0
"""Seconds for which a request may show no nodes: the controller need not have written them when it answers."""
PARTING = 3.0
"""Seconds for cancelling a request after an interruption; the process has five until it has to be gone."""


def follow(
    known: distribution.Known,
    request_id: str,
    anka: Anka,
    names: Mapping[str, str],
    *,
    expected: Sequence[str] = (),
    on_interrupt: str,
) -> distribution.Known:
    """Wait for a request to end; ``known`` with what came of it. An error that ends the wait carries that as outputs.

    Where the tag is known, nodes that are done are asked themselves whether they hold it.
    ``FellShortError`` at the deadline and after a stall, ``InterruptError`` when cancelled; both cancel the request
    unless ``on_interrupt`` is ``leave``, and say what became of it, and where each node stood.
    """
    watched = Watch(request_id, anka, names, expected, template=(str(known["id"]), str(known.get("tag") or "")))
    try:
        ended = distribution.outcome(known, watched.wait(on_interrupt=on_interrupt), names, expected)
        return truth.checked(ended, anka, names) if known.get("tag") else ended
    except AnkaCiError as error:
        error.outputs = known if watched.last is None else distribution.outcome(known, watched.last, names)
        raise


class Watch:
    """One request that is waited for. ``last`` is the request as it was last seen, None before the first look.

    ``template`` is its id and tag, where they are known; ``stall`` in seconds without progress on any node.
    """

    def __init__(
        self,
        request_id: str,
        anka: Anka,
        names: Mapping[str, str],
        expected: Sequence[str] = (),
        template: tuple[str, str] = ("", ""),
        stall: float = STALL,
    ) -> None:
        self.request_id = request_id
        self.last: Distribution | None = None
        self._anka = anka
        self._names = names
        self._expected = expected
        self._template = template
        self._stall = stall
        self._told: dict[str, tuple[str, float]] = {}
        self._settled: set[str] = set()
        self._whole: dict[str, float] = {}
        self._began = anka.clock.monotonic()

    def wait(self, *, on_interrupt: str) -> Distribution:
        """The request when every node's part has ended, well or not."""
        try:
            return watch.poll(self._look, self._anka, what=f"distribution {self.request_id}", stall=self._stall)
        except UnreachableError as error:
            if isinstance(error.__cause__, NotFoundError):
                raise error.__cause__ from None
            raise
        except (InterruptError, FellShortError) as error:
            error.facts["request-id"] = self.request_id
            left = self._left()
            said = self._cancel() if on_interrupt == "cancel" else "the request goes on"
            if left and isinstance(error, FellShortError):
                left = self._explain(left)
                error.facts["nodes"] = left
                said = f"{distribution.some(left)}; {said}"
            raise type(error)(f"{error.message}; {said}", hint=error.hint, **error.facts) from error

    def look(self) -> Distribution:
        """One look, told as progress."""
        self.last = self._settle(self._anka.controller.distribution(self.request_id))
        if not self._told and self.last.nodes:
            self._tell_all(0)
        for node, share in self.last.nodes.items():
            name = self._names.get(node, node)
            state, progress = self._told.get(node, ("", 0.0))
            if share.state != state:
                self._anka.tell(NodeChanged(node=name, state=share.state, reason=share.error))
            if share.progress != progress:
                self._anka.tell(Progress(subject=self.last.tag, done=share.progress, total=1.0, node=name))
            self._told[node] = (share.state, share.progress)
        self._tell_all(sum(share.ended for share in self.last.nodes.values()))
        return self.last

    def _tell_all(self, ended: int) -> None:
        """Tell how many of the nodes have ended, of how many."""
        if self.last is not None and self.last.nodes:
            total = len(self.last.nodes)
            self._anka.tell(Progress(subject=self.last.tag, done=ended, total=total, unit="nodes"))

    def _look(self) -> watch.Seen[Distribution]:
        try:
            request = self.look()
        except NotFoundError as error:  # before 1.33 a controller could answer with nothing, and know it the next time
            raise UnreachableError(f"{error.message} just now") from error
        whole = bool(request.nodes) and all(node in request.nodes for node in self._expected)
        if not whole:  # entries that never come are for the caller to judge
            whole = self._anka.clock.monotonic() - self._began >= ENTRIES
        return watch.Seen(value=request, ended=whole and request.ended, mark=dict(self._told))

    def _settle(self, request: Distribution) -> Distribution:
        """The request, with those parts done whose nodes stay at progress 1 for long and report the tag themselves."""
        now = self._anka.clock.monotonic()
        open_ = [node for node, share in request.nodes.items() if share.progress >= 1 and not share.ended]
        self._whole = {node: self._whole.get(node, now) for node in open_}
        template, tag = self._template
        due = [node for node in open_ if node not in self._settled and now - self._whole[node] >= LINGER]
        if due and tag:
            for node in self._anka.controller.nodes():
                if node.id in due and node.tag_of(template) == tag:
                    self._settled.add(node.id)
                    text = f"{node.name} is never told as done but reports {tag}: it counts as done"
                    self._anka.tell(Said(text=text, level="warning"))
            self._whole |= dict.fromkeys(due, now)  # those who do not report it yet are asked again as much later
        done = {node: NodeShare(done=True, progress=1.0) for node in open_ if node in self._settled}
        return replace(request, nodes={**request.nodes, **done}) if done else request

    def _left(self) -> dict[str, str]:
        """Where the parts stand that have not ended, by node id."""
        shares = self.last.nodes if self.last is not None else {}
        return {node: standing(share) for node, share in shares.items() if not share.ended}

    def _explain(self, left: Mapping[str, str]) -> dict[str, str]:
        """Where the parts stand, by the nodes' names; of nodes that are out of reach, that."""
        try:
            nodes = self._anka.afterwards(PARTING).controller.nodes()
        except AnkaCiError:
            nodes = []
        why = {node.id: reason for node in nodes if (reason := selection.out_of_reach(node))}
        reached = {node: f"{said}; {why[node]}" if node in why else said for node, said in left.items()}
        if self.last is not None:  # what was cancelled because of that says so
            cut = {
                node: replace(share, error=f"{share.error} ({reached[node]})")
                for node, share in self.last.nodes.items()
                if node in reached and share.error == CANCELLED
            }
            self.last = replace(self.last, nodes={**self.last.nodes, **cut})
        return {self._names.get(node, node): said for node, said in reached.items()}

    def _cancel(self) -> str:
        """Cancel the request although everything else is over; what became of it, as a sentence."""
        anka = self._anka.afterwards(PARTING)
        try:
            anka.controller.cancel_distribution(self.request_id)
            self.last = self._settle(anka.controller.distribution(self.request_id))
        except AnkaCiError as error:
            self._anka.tell(Said(text=f"cancelling {self.request_id}: {error.message}", level="warning"))
            return f"cancelling the request failed ({error.message}): it may go on"
        return "the request was cancelled"


def standing(share: NodeShare) -> str:
    """Where a part stands that has not ended."""
    if share.progress >= 1:
        return "it stays at progress 1 and is never told as done, as controllers before 1.33 can leave it"
    if share.progress > 0:
        return f"it stands at {share.progress:.0%} and tells no error"
    return "it has not begun"
