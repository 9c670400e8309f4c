"""One rule of a retention policy: what it says of a tag, from what the registry tells of its template.

All conditions of a rule have to hold. What the registry does not tell makes a rule that keeps match and a rule that
deletes not match. Reads no clock and asks nobody.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from anka_ci.document import Place
from anka_ci.inputs import show_duration
from anka_ci.wire.template import Template, Version

LIMITS: Mapping[str, tuple[str, str]] = {
    "pulled": ("pulled-within", "not-pulled-for"),
    "pushed": ("pushed-within", "not-pushed-for"),
    "age": ("younger-than", "older-than"),
    "newest_tags": ("newest-tags", "beyond-newest-tags"),
    "oldest_tags": ("oldest-tags", "beyond-oldest-tags"),
    "newest_templates": ("newest-templates", "beyond-newest-templates"),
}
"""The limits that a rule may set: how a rule that keeps calls what is within, one that deletes what is beyond it."""
TIMES = ("pulled", "pushed", "age")
"""Those that are seconds; the others are counts."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """A tag as the limits see it; seconds ago, and None for what the registry does not tell.

    A push counts as a pull. Where no creation date is told (before 1.46) the last push is taken, which is no older.
    """

    template: Template
    version: Version
    pulled: float | None
    pushed: float | None
    age: float | None
    newest_tags: int
    """How many tags of its template are as new or newer."""
    oldest_tags: int
    """How many are as old or older."""

    @property
    def title(self) -> str:
        return f"{self.template.name}:{self.version.tag}"


def facts(template: Template, now: float, *, pulls_told: bool) -> Iterator[Facts]:
    """Each tag of a template, oldest first. ``pulls_told``: whether the registry tells of pulls at all."""
    versions = template.versions or ()
    own = any(version.last_pull for version in versions)
    for index, version in enumerate(versions):
        pull = version.last_pull if own else template.last_pull  # which of its tags it was is not told
        times = [time for time in (pull, version.last_push) if time] if pulls_told else []
        created = version.creation_date or version.last_push
        yield Facts(
            template=template,
            version=version,
            pulled=max(0.0, now - max(times)) if times else None,
            pushed=max(0.0, now - version.last_push) if version.last_push else None,
            age=max(0.0, now - created) if created else None,
            newest_tags=len(versions) - index,
            oldest_tags=index + 1,
        )


@dataclass(frozen=True, kw_only=True)
class Rule:
    """``templates`` and ``tags`` are patterns (``*``, ``?``, ``[…]``), empty: any; a template's may be its id.

    ``limits`` as in ``LIMITS``: seconds, or a count. ``newest_templates`` counts those that the patterns match, those
    that were pushed last first.
    """

    name: str
    keeps: bool
    templates: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    place: Place | None = None

    @property
    def title(self) -> str:
        return f"{'keep' if self.keeps else 'delete'} rule {self.name!r}"

    def word(self, limit: str) -> str:
        """A limit as the policy calls it."""
        return LIMITS[limit][0 if self.keeps else 1]

    def names(self, template: Template) -> bool:
        """Whether its patterns match a template."""
        own = template.id.lower()
        return not self.templates or any(
            matches(pattern, template.name) or pattern.lower() == own for pattern in self.templates
        )

    def ranks(self, templates: Iterable[Template]) -> dict[str, int]:
        """For ``newest_templates``: how many of the templates that it names are as new or newer, by id.

        One that tells no time has no rank, and none counts it.
        """
        if "newest_templates" not in self.limits:
            return {}
        found = [(time, each.id) for each in templates if self.names(each) and (time := _pushed(each))]
        return {id: rank for rank, (_, id) in enumerate(sorted(found, reverse=True), 1)}

    def says(self, about: Facts, ranks: Mapping[str, int]) -> bool | None:
        """Whether it matches a tag; None when the registry does not tell enough."""
        if not self.names(about.template) or not self.tagged(about.version):
            return False
        answers = {self._holds(limit, about, ranks) for limit in self.limits}
        return False if False in answers else None if None in answers else True

    def tagged(self, version: Version) -> bool:
        """Whether its patterns match the tag of a version."""
        return not self.tags or any(matches(pattern, version.tag) for pattern in self.tags)

    def matched(self, said: bool | None) -> bool:
        """What counts of an answer: what cannot be told is kept."""
        return self.keeps if said is None else said

    def why(self, about: Facts, ranks: Mapping[str, int]) -> str:
        """The answer in words."""
        if not self.names(about.template):
            return "the template's name does not match"
        if not self.tagged(about.version):
            return "the tag does not match"
        told = [self._told(limit, about, ranks) for limit in self.limits]
        return "; ".join(told) or "the names match"

    def _value(self, limit: str, about: Facts, ranks: Mapping[str, int]) -> float | None:
        return ranks.get(about.template.id) if limit == "newest_templates" else getattr(about, limit)

    def _holds(self, limit: str, about: Facts, ranks: Mapping[str, int]) -> bool | None:
        value = self._value(limit, about, ranks)
        return None if value is None else (value <= self.limits[limit]) is self.keeps

    def _told(self, limit: str, about: Facts, ranks: Mapping[str, int]) -> str:
        value, most, word = self._value(limit, about, ranks), self.limits[limit], self.word(limit)
        if value is None:
            return f"{word}: the registry does not tell"
        if limit in TIMES:
            said = {"pulled": "pulled or pushed", "pushed": "pushed", "age": "made"}[limit]
            return f"{word} {show_duration(most)}: it was {said} {show_duration(value)} ago"
        what = "template" if limit == "newest_templates" else "tag"
        side = "oldest" if limit == "oldest_tags" else "newest"
        return f"{word} {most:.0f}: it is {what} {value:.0f}, the {side} first"


@lru_cache(maxsize=1000)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a name as a whole, capitals told apart."""
    return _pattern(pattern).match(name) is not None


def _pushed(template: Template) -> int:
    """When something of it was last pushed or made; 0 where that is not told."""
    versions = template.versions or ()
    return max((each.last_push or each.creation_date or 0 for each in versions), default=0) or template.last_push or 0
