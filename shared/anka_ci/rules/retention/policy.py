"""Retention policies: rules that keep and rules that delete, from a file or from a step's inputs.

Read strictly, with line and column of what is wrong; rules that can never act are an error, not a surprise. What the
rules say of a registry is not asked here. A file looks like this::

    version: 1
    keep:                              # beats delete
      - name: releases
        tags: ["release-*"]
      - name: in use
        pulled-within: 30d
    delete:
      - name: old nightly builds
        templates: ["nightly-*"]
        not-pulled-for: 30d            # all conditions of a rule have to hold
        beyond-newest-templates: 5
      - name: experiments              # one rule that matches is enough
        templates: ["try-*"]
        older-than: 14d
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anka_ci import document
from anka_ci.document import Node, Place
from anka_ci.errors import UsageError
from anka_ci.inputs import PARSERS, duration
from anka_ci.rules.retention.rule import LIMITS, TIMES, Rule

NAMES = ("templates", "tags")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Rules in the order in which they are asked."""

    keep: tuple[Rule, ...] = ()
    delete: tuple[Rule, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (*self.keep, *self.delete)

    def __add__(self, other: Policy) -> Policy:
        return Policy(keep=self.keep + other.keep, delete=self.delete + other.delete)


def read(path: str) -> Policy:
    """The policy of a file; ``UsageError`` with the place of what is wrong."""
    return parse(document.read(Path(path)))


def parse(root: Node) -> Policy:
    """The same of a document that was read."""
    found = root.first_version({"keep", "delete"}, "the policy")
    rules = {key: _rules(key, found[key]) if key in found else () for key in ("keep", "delete")}
    return Policy(**rules)


def check(policy: Policy) -> None:
    """``UsageError`` for a policy that deletes nothing whatever the registry holds, and for rules named alike."""
    if not policy.delete:
        raise UsageError("the policy has no rule that deletes", hint="give one under `delete:`, or as inputs")
    named: dict[str, Rule] = {}
    for rule in policy.rules:
        if rule.name in named:
            raise _wrong(rule, "is not the only rule of that name", "an explanation has to say which one decided")
        named[rule.name] = rule
    for rule in policy.delete:
        for keep in policy.keep:
            if _covers(keep, rule):
                text = f"can never delete anything: the {keep.title} keeps all that it names, and keep beats delete"
                raise _wrong(rule, text, "make one of the two narrower, or leave one out")


def _covers(keep: Rule, delete: Rule) -> bool:
    """Whether a rule keeps, for its names alone, whatever another could delete."""
    return not keep.limits and all(
        not mine or "*" in mine or (theirs and set(theirs) <= set(mine))
        for mine, theirs in ((keep.templates, delete.templates), (keep.tags, delete.tags))
    )


def kept(names: Sequence[str]) -> tuple[Rule, ...]:
    """Rules that keep what each ``TEMPLATE`` or ``TEMPLATE:TAG`` names, both of them patterns."""
    return tuple(
        Rule(name=name, keeps=True, templates=(template,), tags=(tag,) if tag else ())
        for name in names
        for template, _, tag in [name.partition(":")]
    )


def made(
    name: str, templates: Sequence[str] | None, tags: Sequence[str] | None, limits: dict[str, float | None]
) -> Policy:
    """One rule that deletes, of a step's inputs; none when nothing is given. ``ValueError`` for a limit of 0."""
    given = {limit: value for limit, value in limits.items() if value is not None}
    if not (templates or tags or given):
        return Policy()
    for limit, value in given.items():
        if value <= 0:
            raise ValueError(f"{LIMITS[limit][1]} has to be more than 0")
    return Policy(
        delete=(Rule(name=name, keeps=False, templates=tuple(templates or ()), tags=tuple(tags or ()), limits=given),)
    )


def _rules(kind: str, node: Node) -> tuple[Rule, ...]:
    return tuple(_rule(kind, item, number) for number, item in enumerate(node.items(kind), 1))


def _rule(kind: str, node: Node, number: int) -> Rule:
    keeps = kind == "keep"
    words = {spelled[0 if keeps else 1]: limit for limit, spelled in LIMITS.items()}
    others = {spelled[1 if keeps else 0]: spelled[0 if keeps else 1] for spelled in LIMITS.values()}
    for key in node.mapping(f"a rule of {kind}"):
        if key in others:
            hint = f"here it is {others[key]}"
            raise node.keys[key].wrong(f"{key} belongs to a rule of {'delete' if keeps else 'keep'}", hint)
    found = node.only({"name", *NAMES, *words}, f"a rule of {kind}")
    conditions = {key: each for key, each in found.items() if key != "name"}
    if not conditions:
        raise node.place.wrong(f"a rule of {kind} without a condition would mean everything", "name what it is about")
    name = found["name"].text("name") if "name" in found else f"{kind} {number}"
    patterns = {key: found[key].texts(key) for key in NAMES if key in found}
    limits = {limit: _limit(limit, word, found[word]) for word, limit in words.items() if word in found}
    return Rule(name=name, keeps=keeps, limits=limits, place=node.place, **patterns)


def _limit(limit: str, word: str, node: Node) -> float:
    text = node.text(word)
    try:
        value = float(duration(text)) if limit in TIMES else int(str(PARSERS[int](text)))
    except ValueError as error:
        raise node.place.wrong(f"{word}: {error}") from None
    if value <= 0:
        raise node.place.wrong(f"{word} has to be more than 0", "leave it out if you do not mean to choose")
    return value


def _wrong(rule: Rule, text: str, hint: str) -> UsageError:
    place: Place | None = rule.place
    said = f"the {rule.title} {text}"
    return place.wrong(said, hint) if place else UsageError(said, hint=hint)
