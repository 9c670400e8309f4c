"""Prospect: how a delivery would go with the nodes as they are: who gets the tag, who counts, what surely falls short.

Decides on what was read and sends nothing; that is ``rules.delivery``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import RefusedError, UsageError
from anka_ci.rules import distribution, policy, selection
from anka_ci.rules.policy import Fate, Policy, Quota
from anka_ci.wire.template import Template

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.node import Node


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """What is sent, and how. ``again``: also nodes that report the tag by now have to get it, so no report proves it.

    ``stall`` in seconds without progress on any node.
    """

    id: str
    name: str
    arch: str
    tag: str
    version: int
    again: bool
    permission_group: str | None
    on_interrupt: str
    stall: float

    @property
    def title(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def template(self) -> Template:
        """What of the template matters for a node."""
        return Template(id=self.id, name=self.name, arch=self.arch)

    def send(self, anka: Anka, node_ids: Sequence[str]) -> str:
        """Start a distribution; its id."""
        return distribution.begin(
            anka,
            template_id=self.id,
            tag=self.tag,
            version=self.version,
            node_ids=node_ids,
            permission_group=self.permission_group,
        )


@dataclass(frozen=True, kw_only=True)
class Prospect:
    """A parcel, the policy, and all nodes that were chosen as they stand; ``sends`` are the ids of those that get it.

    ``request_id`` is a distribution of the same that goes on already. ``of`` is the id of the group that was chosen,
    empty for all nodes, None where nodes were named.
    """

    parcel: Parcel
    rule: Policy
    fates: tuple[Fate, ...]
    sends: tuple[str, ...]
    of: str | None = None
    request_id: str | None = None

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Prospect:
        """What ``emit`` gave."""
        return cls(
            parcel=Parcel(**found["parcel"]),
            rule=Policy.read(found["policy"]),
            fates=tuple(Fate(**fate) for fate in found["fates"]),
            sends=tuple(found["sends"]),
            of=found["of"],
            request_id=found["request-id"],
        )

    def emit(self) -> dict[str, object]:
        return {
            "parcel": asdict(self.parcel),
            "policy": self.rule.emit(),
            "fates": [asdict(fate) for fate in self.fates],
            "sends": list(self.sends),
            "of": self.of,
            "request-id": self.request_id,
        }

    @property
    def names(self) -> list[str]:
        """The nodes that get it."""
        sends = {*self.sends}
        return [fate.name for fate in self.fates if fate.id in sends]

    @property
    def already(self) -> list[str]:
        """The nodes that have it."""
        return [fate.name for fate in self.fates if fate.has]

    @property
    def short(self) -> bool:
        """Whether it falls short although all that is sent arrives."""
        return bool(policy.judge(self.rule, self._sent()).short)

    def attached(self, anka: Anka) -> tuple[Prospect, list[str]]:
        """The same with a distribution that brings it to these nodes already, if one surely does; and notes on that.

        Its nodes are that request's to tell of, also when one is done or out of reach by now.
        """
        if not self.sends or self.parcel.again:
            return self, []
        goes_on, notes = distribution.running(
            anka,
            template_id=self.parcel.id,
            tag=self.parcel.tag,
            version=self.parcel.version,
            wanted=self.sends,
            chosen=[fate.id for fate in self.fates],
        )
        if goes_on is None:
            return self, notes
        fates = tuple(replace(fate, has=False) if fate.id in goes_on.nodes else fate for fate in self.fates)
        sends = tuple(fate.id for fate in fates if fate.id in goes_on.nodes)
        return replace(self, fates=fates, sends=sends, request_id=goes_on.id), notes

    def check(self, *, later: bool, refuse: bool, unfit: Mapping[str, str] | None = None) -> None:
        """``RefusedError`` when no node counts, and with ``refuse`` when the policy is not met even if all goes well.

        ``later``: nodes that are out of reach are tried again. ``unfit`` are nodes that surely do not get it, and why.
        """
        wont = unfit or {}
        hoped = [
            replace(fate, has=False, reason=wont[fate.id]) if fate.id in wont else fate
            for fate in policy.at_best(self._sent(), later=later)
        ]
        best = policy.judge(self.rule, hoped)
        why = distribution.some({fate.name: fate.reason for fate in (*best.lacking, *best.excluded)}, most=20)
        if not best.has and not best.lacking:
            raise RefusedError(
                f"no node that was chosen can take {self.parcel.title}: {why}", hint="choose other nodes"
            )
        if refuse and best.short:
            raise RefusedError(
                f"{self.parcel.title} cannot get as far as it has to, so nothing is sent: {'; '.join(best.short)}, at "
                f"best; {why}",
                hint="see to these nodes, or ask for less; preflight: warn sends it all the same",
            )

    def expects(self, *, wait: bool) -> dict[str, object]:
        """The outputs if all goes well."""
        out, unable = self._left()
        parcel, names = self.parcel, self.names
        found: dict[str, object] = {"id": parcel.id, "name": parcel.name, "tag": parcel.tag, "version": parcel.version}
        found |= {
            "succeeded": names if wait else [],
            "failed": [fate.name for fate in unable],
            "skipped": [fate.name for fate in out],
            "already": self.already,
            "pending": [] if wait else names,
            "reasons": distribution.reasons("skipped", {fate.name: fate.reason for fate in out})
            + distribution.reasons("failed", {fate.name: fate.reason for fate in unable}),
        }
        if self.request_id is not None:
            found["request-id"] = self.request_id
        return found | ({"needed": policy.judge(self.rule, self._sent()).needed} if self.rule.demanding else {})

    def notes(self, single: Mapping[str, str]) -> list[str]:
        """What a person should know of the nodes that get nothing; ``single`` is what there is to say of others."""
        out, unable = self._left()
        said = {**single, **{fate.name: f"is skipped: {fate.reason}" for fate in out}}
        for fate in unable:
            allowed = fate.id not in self.rule.must_have and self.rule.way(fate.kind) == policy.TOLERATE
            what = "which is tolerated" if allowed else "so the step will fall short"
            said[fate.name] = f"will get nothing, {what}: {fate.reason}"
        there = dict.fromkeys(self.already, f"already reports {self.parcel.title}")
        return selection.notes(said) + selection.notes(there)

    def _left(self) -> tuple[list[Fate], list[Fate]]:
        """The nodes that are excluded, and the others that get nothing and do not have it."""
        sends = {*self.sends}
        left = [fate for fate in self.fates if not fate.has and fate.id not in sends]
        out = [fate for fate in left if policy.excluded(self.rule, fate)]
        return out, [fate for fate in left if not policy.excluded(self.rule, fate)]

    def _sent(self) -> list[Fate]:
        sends = {*self.sends}
        return [replace(fate, has=fate.has or fate.id in sends) for fate in self.fates]


def foresee(parcel: Parcel, rule: Policy, nodes: Sequence[Node], *, of: str | None) -> Prospect:
    """The prospect of sending a parcel to nodes as they are told to be."""
    fates = tuple(policy.fates(nodes, parcel.template, parcel.tag, again=parcel.again))
    sends = tuple(fate.id for fate in fates if not fate.has and fate.sends and not policy.excluded(rule, fate))
    return Prospect(parcel=parcel, rule=rule, fates=fates, sends=sends, of=of)


def rule_of(
    at_least: str | None,
    must_have: Sequence[str] | None,
    ways: Mapping[str, str | None],
    anka: Anka,
    *,
    chosen: Sequence[Node],
    among: Sequence[Node],
) -> Policy:
    """The policy as inputs give it; ``UsageError`` when these nodes could never meet it, whatever becomes of them.

    ``NotFoundError`` for a must-have node that does not exist.
    """
    quota = Quota.read(at_least or "all")
    if quota.number is not None and quota.number > len(chosen):
        raise UsageError(f"at-least: {quota} is more than the {len(chosen)} nodes that were chosen")
    must = selection.choose(anka, names=must_have, among=among) if must_have else []
    ids = {node.id for node in chosen}
    if outside := [node.name for node in must if node.id not in ids]:
        raise UsageError(
            f"must-have: {selection.listed(outside)} must have it, but nothing is sent there",
            hint="name nodes that are among those chosen by all, group or nodes",
        )
    given = {kind: way for kind, way in ways.items() if way is not None}
    return Policy(quota=quota, must_have=frozenset(node.id for node in must), ways=given)
