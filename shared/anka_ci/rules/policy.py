"""Policy: when a distribution is good enough: how many nodes have to have the tag, and which of them surely.

Pure decisions on what is known of each node; nothing here asks anybody, or knows how a tag gets there. Nodes that are
offline, inactive, draining or of a foreign architecture are kinds of their own, and a policy says what each kind means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from anka_ci.rules import selection
from anka_ci.wire.node import DRAINING, OFFLINE, Node

if TYPE_CHECKING:
    from anka_ci.wire.template import Template

KINDS = ("offline", "inactive", "draining", "wrong-arch")
EXCLUDE, TOLERATE, FAIL = WAYS = ("exclude", "tolerate", "fail")
"""What becomes of a kind of node. ``exclude``: it gets nothing and does not count. ``tolerate``: it counts, gets the
tag where it can take it, and may go without. ``fail``: one of it that goes without is one too many."""


@dataclass(frozen=True, kw_only=True)
class Quota:
    """How many of the nodes that count: ``number`` of them, a ``share`` of 100, or all when neither is given."""

    number: int | None = None
    share: Fraction | None = None

    @classmethod
    def read(cls, text: str) -> Quota:
        """``all``, a number such as ``3``, or a percentage such as ``80%``; ``ValueError`` for anything else."""
        word = text.strip()
        if word == "all":
            return cls()
        if re.fullmatch(r"[0-9]{1,9}", word):
            if int(word) == 0:
                raise ValueError(f"at-least: {word} would be content with no node at all; give 1 or more")
            return cls(number=int(word))
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})? ?%", word):
            raise ValueError(f"at-least: {text!r} is no number of nodes; write all, 3 or 80%")
        share = Fraction(word.rstrip(" %"))
        if not 0 < share <= 100:
            raise ValueError(f"at-least: {word} of the nodes is not possible; give more than 0% and at most 100%")
        return cls(share=share if share < 100 else None)

    @property
    def all(self) -> bool:
        return self.number is None and self.share is None

    def of(self, counted: int) -> int:
        """Of ``counted`` nodes so many; never none."""
        if self.number is not None:
            return self.number
        return max(1, counted if self.share is None else ceil(self.share * counted / 100))

    def __str__(self) -> str:
        if self.share is not None:
            return f"{float(self.share):g}%"
        return "all" if self.number is None else str(self.number)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """``must_have`` are ids of nodes. ``ways`` say what each kind means; a kind that is not named there is excluded
    when it is a foreign architecture, else failing where all nodes have to have the tag, and tolerated where not."""

    quota: Quota = Quota()
    must_have: frozenset[str] = frozenset()
    ways: Mapping[str, str] = field(default_factory=dict)

    def way(self, kind: str) -> str:
        """What a kind means; empty for a node of none."""
        if not kind or kind in self.ways:
            return self.ways.get(kind, "")
        if kind == "wrong-arch":
            return EXCLUDE
        return FAIL if self.quota.all else TOLERATE

    @property
    def demanding(self) -> bool:
        """Whether it says more than the usual: how many, which, or that a kind must not be there."""
        return not self.quota.all or bool(self.must_have) or FAIL in self.ways.values()

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Policy:
        """What ``emit`` gave."""
        quota = Quota.read(found["at-least"])
        return cls(quota=quota, must_have=frozenset(found["must-have"]), ways=dict(found["ways"]))

    def emit(self) -> dict[str, object]:
        return {"at-least": str(self.quota), "must-have": sorted(self.must_have), "ways": dict(self.ways)}


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What came of a node, or will as far as is known. ``reason`` says why it does not have the tag.

    ``named``: it reported a tag of that name before and is to get it all the same, so that its report proves nothing.
    """

    id: str
    name: str
    has: bool = False
    kind: str = ""
    reason: str = ""
    named: bool = False

    @property
    def sends(self) -> bool:
        """Whether a node of this kind can be sent anything."""
        return self.kind in ("", "draining")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether it is good enough: ``short`` says why not, a sentence each, and is empty when it is.

    Of the nodes that count, ``has`` of them have the tag and ``needed`` of them have to. ``lacking`` are those of them
    that have it not, tolerated or not; ``excluded`` do not count.
    """

    needed: int
    has: int
    lacking: tuple[Fate, ...]
    excluded: tuple[Fate, ...]
    short: tuple[str, ...]


def kind_of(node: Node, template: Template) -> tuple[str, str]:
    """The kind that a node is of for a template, and why it is; both empty for a node like any other.

    A state or an architecture that is not known is none.
    """
    if template.arch and node.arch and template.arch != node.arch:
        return "wrong-arch", f"the node is {node.arch}, the template is {template.arch}"
    if reason := selection.out_of_reach(node):
        return ("offline" if node.state.lower() == OFFLINE.lower() else "inactive"), reason
    return ("draining", "the node is in drain mode") if node.state.lower() == DRAINING.lower() else ("", "")


def excluded(policy: Policy, fate: Fate) -> bool:
    """Whether a node does not count; one that has the tag does, and so does one that must have it."""
    return not fate.has and fate.id not in policy.must_have and policy.way(fate.kind) == EXCLUDE


def judge(policy: Policy, fates: Sequence[Fate]) -> Verdict:
    """What a policy says of all the nodes that were chosen."""
    out = tuple(fate for fate in fates if excluded(policy, fate))
    lacking = tuple(fate for fate in fates if not fate.has and not excluded(policy, fate))
    has = sum(fate.has for fate in fates)
    allowed = [fate for fate in lacking if policy.way(fate.kind) == TOLERATE and fate.id not in policy.must_have]
    counted = has + len(lacking)
    needed = policy.quota.of(counted - len(allowed) if policy.quota.all else counted)
    short = []
    if not counted:
        short.append("no node counts")
    elif has < needed:
        of = "" if policy.quota.all else f" (at-least: {policy.quota})"
        short.append(f"{needed} of {counted} nodes have to have it{of}, and {has} do")
    if missed := [fate.name for fate in lacking if fate.id in policy.must_have]:
        short.append(f"{selection.listed(missed)} must have it")
    for kind in KINDS:
        wrong = [fate.name for fate in lacking if fate.kind == kind and policy.ways.get(kind) == FAIL]
        if wrong:
            short.append(f"{kind}: fail, and of {selection.listed(wrong)} that is true")
    return Verdict(needed=needed, has=has, lacking=lacking, excluded=out, short=tuple(short))


def at_best(fates: Sequence[Fate], *, later: bool) -> list[Fate]:
    """The fates if all goes well: every node that can be sent something has the tag then.

    ``later``: those that are out of reach are tried again, and may have come back.
    """
    return [
        fate
        if fate.has or not (fate.sends or (later and fate.kind != "wrong-arch"))
        else Fate(id=fate.id, name=fate.name, has=True, kind=fate.kind)
        for fate in fates
    ]


def fates(nodes: Sequence[Node], template: Template, tag: str, *, again: bool = False) -> list[Fate]:
    """How nodes stand before anything is sent. With ``again`` no node has the tag yet, whatever it reports."""
    found = []
    for node in nodes:
        named = node.tag_of(template.id) == tag
        if named and not again:
            found.append(Fate(id=node.id, name=node.name, has=True))
        else:
            kind, reason = kind_of(node, template)
            found.append(Fate(id=node.id, name=node.name, kind=kind, reason=reason, named=named))
    return found
