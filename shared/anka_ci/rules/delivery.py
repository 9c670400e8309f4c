"""Delivery: a tag to nodes in rounds: send it, wait, ask the nodes what they hold, send again to those that failed.

What it comes to is for ``rules.policy``; the rounds end when that is content. Nothing is sent after the deadline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, FellShortError, NotFoundError, UnreachableError
from anka_ci.result import NodeChanged, Said
from anka_ci.rules import distribution, following, policy, selection, truth
from anka_ci.rules.policy import Fate
from anka_ci.rules.prospect import Prospect
from anka_ci.wire.distribution import NodeShare

if TYPE_CHECKING:
    from anka_ci.anka import Anka

MOST = 10
"""So many retries are enough for anything that passes."""
PAUSE, LONGEST = 10.0, 120.0
"""Seconds before the second round, and at most; each pause is twice the one before."""


class Delivery:
    """Brings a parcel to the nodes of a prospect; those that have it are left alone.

    ``fates`` are kept up to date by id; ``pending`` are the ids of nodes whose part was not ended when it was last
    seen, ``unverified`` why nothing proves that a node has it, by name, and ``request_id`` is the last request.
    """

    def __init__(self, prospect: Prospect, anka: Anka) -> None:
        self.parcel, self.rule, self._anka = prospect.parcel, prospect.rule, anka
        self.fates = {fate.id: fate for fate in prospect.fates}
        self.pending: set[str] = set()
        self.unverified: dict[str, str] = {}
        self.request_id = prospect.request_id
        self._sends = prospect.sends
        self._of = prospect.of
        self._before = {fate.id for fate in prospect.fates if fate.has}
        self._names = {fate.id: fate.name for fate in prospect.fates}
        self._told: set[str] = set()

    @property
    def verdict(self) -> policy.Verdict:
        return policy.judge(self.rule, list(self.fates.values()))

    def begin(self) -> None:
        """Only send it. ``FellShortError`` when it falls short although all of that arrives."""
        if self._sends and self.request_id is None:
            self.request_id = self.parcel.send(self._anka, self._sends)
        self.pending |= {*self._sends}
        arrived = [replace(fate, has=fate.has or fate.id in self.pending) for fate in self.fates.values()]
        self._judge(policy.judge(self.rule, arrived), None)

    def bring(self, *, retries: int = 0) -> None:
        """Send it, wait, and send it again to those that failed, at most ``retries`` times.

        ``FellShortError`` when the policy is not met; that and any other error have the outputs as far as they are.
        """
        broke: AnkaCiError | None = None
        targets: Sequence[str] = self._sends
        goes_on = self.request_id
        try:
            for left in range(retries, -1, -1):
                if targets:
                    broke, goes_on = self._round(targets, goes_on), None
                if not left or not self.verdict.short or not self._hope():
                    break
                targets = self._again(retries - left)
            self._judge(self.verdict, broke)
        except AnkaCiError as error:
            error.outputs = self.known()
            raise

    def _judge(self, verdict: policy.Verdict, broke: AnkaCiError | None) -> None:
        """``FellShortError`` when the policy is not met: ``broke`` where that is what ended the last round."""
        why = {fate.name: fate.reason for fate in verdict.lacking}
        total = verdict.has + len(verdict.lacking)
        said = f"{self.parcel.title} failed on {len(why)} of {total} nodes: {distribution.some(why, most=20)}"
        if not verdict.short:
            if why:
                self._anka.tell(Said(text=f"{said}; the policy allows that", level="warning"))
            return
        if broke is not None and not self.rule.demanding:
            raise broke
        if self.rule.demanding:
            said = f"{'; '.join(verdict.short)}; {said}" + (f" ({broke.message})" if broke else "")
        error = FellShortError(
            said,
            hint="look at these nodes, and distribute again: nodes that have the tag by now are left alone",
            nodes=why,
            **({"request-id": self.request_id} if broke else {}),
        )
        error.outputs = self.known()
        raise error

    def known(self) -> distribution.Known:
        """The outputs of the step as far as they are."""
        verdict = self.verdict
        failed = {fate.name: fate.reason for fate in verdict.lacking if fate.id not in self.pending}
        skipped = {fate.name: fate.reason for fate in verdict.excluded}
        fates = list(self.fates.values())
        parcel = self.parcel
        found: distribution.Known = {"id": parcel.id, "name": parcel.name, "tag": parcel.tag, "version": parcel.version}
        found |= {
            "succeeded": [fate.name for fate in fates if fate.has and fate.id not in self._before],
            "failed": list(failed),
            "skipped": list(skipped),
            "already": [fate.name for fate in fates if fate.has and fate.id in self._before],
            "pending": [fate.name for fate in fates if fate.id in self.pending and not fate.has],
            "reasons": distribution.reasons("skipped", skipped) + distribution.reasons("failed", failed),
        }
        if self.unverified:
            found["unverified"] = list(self.unverified)
        if self.rule.demanding:
            found["needed"] = verdict.needed
        return found | ({} if self.request_id is None else {"request-id": self.request_id})

    def _round(self, targets: Sequence[str], request_id: str | None) -> AnkaCiError | None:
        """One request from its start to its end; the error that ended the wait for it, if one did."""
        self.pending |= {*targets}
        self.request_id = request_id or self.parcel.send(self._anka, targets)
        watched = following.Watch(
            self.request_id,
            self._anka,
            self._names,
            targets,
            template=(self.parcel.id, self.parcel.tag),
            stall=self.parcel.stall,
        )
        broke: AnkaCiError | None = None
        ended = False
        try:
            watched.wait(on_interrupt=self.parcel.on_interrupt)
            ended = True
        except (FellShortError, NotFoundError) as error:
            broke = error
        finally:  # of a wait that was interrupted it is told as well how far it came
            shares = watched.last.nodes if watched.last is not None else {}
            self._take(shares, targets, ended=ended, lost=isinstance(broke, NotFoundError))
        try:
            self._verify(targets)
        except (UnreachableError, FellShortError):
            if broke is None:  # else that says more
                raise
        return broke

    def _take(self, shares: Mapping[str, NodeShare], targets: Sequence[str], *, ended: bool, lost: bool) -> None:
        """What a request tells of its nodes, when it has ended, or when it is no longer waited for."""
        for node in targets:
            share = shares.get(node)
            if share is not None and share.ended:
                reason = share.error
            elif lost:
                reason = "the controller no longer knows the request"
            elif share is not None:
                reason = following.standing(share)
            else:
                reason = "the controller has no entry for it"
            open_ = share is None or not share.ended
            if not open_ or ended or lost:
                self.pending.discard(node)
            self._set(node, has=share is not None and share.done, reason=reason)

    def _verify(self, targets: Sequence[str]) -> None:
        """Ask the nodes: one that is done has to report the tag, and one that reports it has it."""
        parcel, anka = self.parcel, self._anka
        fates = [self.fates[node] for node in targets]
        found = truth.ask(anka, parcel.id, parcel.tag, [fate.id for fate in fates if fate.has and not fate.named])
        for fate in fates:
            reports = found.of(fate.id)
            if fate.has and reports is None:
                self.unverified[fate.name] = "it reports no templates"
            elif fate.has and fate.named and reports:
                self.unverified[fate.name] = "it reported this name before"
            elif fate.has and not reports:
                reason = f"its part is done, but {found.reason(fate.id)}"
                anka.tell(NodeChanged(node=fate.name, state="failed", reason=reason))
                self._set(fate.id, has=False, reason=reason)
                self._see(fate.id, found)
            elif reports and not fate.has and not fate.named:
                anka.tell(Said(text=f"{fate.name}: {fate.reason}; but it reports {parcel.tag}: it counts as done"))
                self.pending.discard(fate.id)
                self._set(fate.id, has=True)
            elif not fate.has:
                self._see(fate.id, found)
        self._joined(found)

    def _see(self, node: str, found: truth.Truth) -> None:
        """A node that lacks it may have left, or be of another kind by now, and that explains it."""
        fate, seen = self.fates[node], found.nodes.get(node)
        kind, why = ("", found.reason(node)) if seen is None else policy.kind_of(seen, self.parcel.template)
        reason = f"{fate.reason}; {why}" if why and why not in fate.reason else fate.reason
        self.fates[node] = replace(fate, kind=kind or fate.kind, reason=reason)

    def _joined(self, found: truth.Truth) -> None:
        """Say which nodes have come to what was chosen since it was planned, once for each."""
        new = [
            node
            for node in found.nodes.values()
            if node.id not in self.fates
            and node.id not in self._told
            and (self._of == "" or self._of in [group.id for group in node.groups])
            and node.tag_of(self.parcel.id) != self.parcel.tag
            and policy.kind_of(node, self.parcel.template)[0] in ("", "draining")
        ]
        self._told |= {node.id for node in new}
        if new:
            names = selection.listed([node.name for node in new])
            text = f"{names} joined meanwhile, and nothing was sent there: distribute again"
            self._anka.tell(Said(text=text, level="notice"))

    def _hope(self) -> list[Fate]:
        """The nodes that lack it and for which another round may help: none when the deadline is over."""
        if self._anka.deadline.left() == 0:
            return []
        goes_on = self.pending if self.parcel.on_interrupt == "leave" else ()
        return [each for each in self.verdict.lacking if each.kind != "wrong-arch" and each.id not in goes_on]

    def _again(self, rounds: int) -> list[str]:
        """After a pause, the nodes that lack the tag and can be sent it now; those that report it by now have it."""
        anka, parcel, lacking = self._anka, self.parcel, self._hope()
        pause = min(LONGEST, PAUSE * 2**rounds)
        names = selection.listed([fate.name for fate in lacking], 5)
        anka.tell(Said(text=f"{parcel.title} is to be sent again in {pause:g} s, to {names}", level="notice"))
        anka.clock.sleep(anka.deadline.left(pause) or 0.0, anka.cancelled)
        anka.cancelled.check(f"sending {parcel.title} again")
        if anka.deadline.left() == 0:
            return []
        nodes = {node.id: node for node in anka.controller.nodes()}
        targets = []
        for fate in lacking:
            node = nodes.get(fate.id)
            if node is not None and not fate.named and node.tag_of(parcel.id) == parcel.tag:
                self.pending.discard(fate.id)
                self._set(fate.id, has=True)
            elif node is not None:
                kind, why = policy.kind_of(node, parcel.template)
                now = replace(fate, kind=kind, reason=why or fate.reason)
                if now.sends and not policy.excluded(self.rule, now):
                    self.fates[fate.id] = now
                    targets.append(fate.id)
        return targets

    def _set(self, node: str, *, has: bool, reason: str = "") -> None:
        fate = self.fates[node]
        self.fates[node] = replace(fate, has=has, reason="" if has else reason)
