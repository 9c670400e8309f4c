"""Retention: which tags of a registry a policy lets go, where tags are a stack and keep beats delete.

Removing a tag removes the newer ones, so only a suffix of a template's tags can go, or all of it with the template.
Pure: what is in use is handed in, and so is the time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from anka_ci.rules.retention.policy import Policy
from anka_ci.rules.retention.rule import Facts, Rule, facts
from anka_ci.wire.template import Template, Version

Verdict = Literal["delete", "keep", "pinned"]
NO_RULE = "no rule lets it go"


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A tag. ``by`` is the rule or the use that decided; of one that is pinned, the rule that would let it go.

    ``pin`` is the tag that keeps it there: the next newer one that stays.
    """

    version: Version
    verdict: Verdict
    by: str
    pin: Version | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A template with its tags, oldest first."""

    template: Template
    tags: tuple[Judged, ...]

    @property
    def going(self) -> tuple[Judged, ...]:
        """What goes, oldest first."""
        return tuple(each for each in self.tags if each.verdict == "delete")

    @property
    def pinned(self) -> tuple[Judged, ...]:
        return tuple(each for each in self.tags if each.verdict == "pinned")

    @property
    def whole(self) -> bool:
        """Whether nothing of it stays."""
        return bool(self.tags) and all(each.verdict == "delete" for each in self.tags)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one rule says of a tag: yes, no or unknown, and why."""

    rule: str
    says: str
    why: str


class Retention:
    """A policy over all ``templates`` of a registry at the time ``now``.

    ``uses`` says who uses a version, by template id and number.
    """

    def __init__(
        self, templates: Sequence[Template], policy: Policy, uses: Mapping[tuple[str, int], Sequence[str]], now: float
    ) -> None:
        self._policy, self._uses, self._now = policy, uses, now
        self._ranks = {rule.name: rule.ranks(templates) for rule in policy.rules}
        self.pulls_told = any(
            template.last_pull or any(version.last_pull for version in template.versions or ())
            for template in templates
        )
        """Whether the registry tells of pulls: since 1.43, and of one that tells of none it is not known."""
        self.unknown: dict[str, int] = {}
        """By rule that deletes, how many tags it could not judge, because the registry does not tell enough."""
        self.cases = [self._case(template) for template in templates]
        self.unmatched = [rule for rule in policy.rules if not self._named(rule, templates)]
        """The rules whose patterns match no tag at all."""

    def answers(self, template: Template, version: Version) -> Iterator[Answer]:
        """What every rule says of a tag, those that keep first."""
        about = next(each for each in self._facts(template) if each.version == version)
        for use in self._uses.get((template.id, version.number), ()):
            yield Answer(rule="always kept", says="yes", why=use)
        for rule in self._policy.rules:
            said = rule.says(about, self._ranks[rule.name])
            word = "unknown" if said is None else "yes" if said else "no"
            yield Answer(rule=rule.title, says=word, why=rule.why(about, self._ranks[rule.name]))

    def _named(self, rule: Rule, templates: Sequence[Template]) -> bool:
        return any(
            rule.tagged(version)
            for template in templates
            if rule.names(template)
            for version in template.versions or ()
        )

    def _facts(self, template: Template) -> Iterator[Facts]:
        return facts(template, self._now, pulls_told=self.pulls_told)

    def _case(self, template: Template) -> Case:
        found: list[Judged] = []
        pin: Version | None = None
        for about in reversed(list(self._facts(template))):
            version = about.version
            by = self._kept(about)
            let_go = "" if by else self._let_go(about)
            if by or not let_go:
                pin = version
                found.append(Judged(version=version, verdict="keep", by=by or NO_RULE))
            else:
                found.append(Judged(version=version, verdict="pinned" if pin else "delete", by=let_go, pin=pin))
        return Case(template=template, tags=tuple(reversed(found)))

    def _kept(self, about: Facts) -> str:
        """Who or what keeps a tag by itself; empty when nothing does."""
        used = self._uses.get((about.template.id, about.version.number))
        if used:
            return "; ".join(used)
        for rule in self._policy.keep:
            said = rule.says(about, self._ranks[rule.name])
            if rule.matched(said):
                return rule.title if said else f"{rule.title}, as far as the registry tells"
        return ""

    def _let_go(self, about: Facts) -> str:
        for rule in self._policy.delete:
            said = rule.says(about, self._ranks[rule.name])
            if said is None:
                self.unknown[rule.name] = self.unknown.get(rule.name, 0) + 1
            if rule.matched(said):
                return rule.title
        return ""
