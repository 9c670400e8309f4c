"""Layers: how many bytes come free when versions go, as far as the sizes of whole versions determine it.

The REST API tells no layer's size, only the files of each version, its size and that of its template. So a sum over
layers is a range, and a point where the versions of a template are a chain. Asks nobody and guesses nothing: what the
sizes leave open stays open. A VM's configuration and nvram are no layers, and are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from anka_ci.inputs import show_size
from anka_ci.wire.template import Template, Version

ROUNDS = 8
"""How often the bounds of all layers are drawn closer; a chain needs one round, and each is true without the next."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """Bytes: at least ``least``, at most ``most``, which is None where the registry tells no sizes."""

    least: int
    most: int | None

    def __str__(self) -> str:
        if self.most is None:
            return f"{show_size(self.least)} or more" if self.least else "an unknown number of bytes"
        low, high = show_size(self.least), show_size(self.most)
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True, kw_only=True)
class Sum:
    """``total`` bytes in all for the ``parts``; told by the registry, or a difference of two that are told."""

    parts: frozenset[int]
    total: int


class Layers:
    """The layers of ``templates``, which have to be all of a registry: another one may share a layer.

    Layers that the same versions have are one part here. Layers are told apart by their file names, as Anka does.
    """

    def __init__(self, templates: Sequence[Template]) -> None:
        holders: dict[str, list[int]] = {}
        files: list[tuple[str, ...]] = []
        self._number: dict[tuple[str, int], int] = {}
        for template in templates:
            for version in template.versions or ():
                number = self._number[template.id, version.number] = len(files)
                files.append(_files(template, version))
                for file in files[number]:
                    holders.setdefault(file, []).append(number)
        parts: dict[tuple[int, ...], int] = {}
        part = {file: parts.setdefault(tuple(held), len(parts)) for file, held in holders.items()}
        self._parts = [frozenset(part[file] for file in each) for each in files]
        """By a version's number here."""
        self._uses = [len(held) for held in parts]
        self._sums = [told for template in templates for told in self._told(template)]
        self._of: list[list[int]] = [[] for _ in parts]
        """The sums that a part is in."""
        for index, told in enumerate(self._sums):
            for each in told.parts:
                self._of[each].append(index)
        self._low: list[int] = [0] * len(parts)
        self._high: list[float] = [inf] * len(parts)
        self._bound()

    def uses(self, versions: Iterable[tuple[Template, Version]]) -> Counter[int]:
        """How often versions use each part: what ``freed`` takes as ``beside``."""
        numbers = {self._number[template.id, version.number] for template, version in versions}
        return Counter(part for number in numbers for part in self._parts[number])

    def freed(self, going: Mapping[int, int], beside: Mapping[int, int] | None = None) -> Range:
        """What comes free when the versions of ``going`` go (see ``uses``), where those of ``beside`` are gone."""
        return self._told_as(self._free(going, beside or {}))

    def kept(self, going: Mapping[int, int]) -> Range:
        """What stays of the layers of versions that go, because others have them too."""
        return self._told_as(set(going) - self._free(going, {}))

    def moved(self, wanted: tuple[Template, Version], there: Iterable[tuple[Template, Version]]) -> Range:
        """What has to be moved for a version to where others are already. That needs only the templates named here."""
        held = self.uses(there)
        return self._told_as({part for part in self.uses([wanted]) if part not in held})

    def _free(self, going: Mapping[int, int], gone: Mapping[int, int]) -> set[int]:
        return {part for part, count in going.items() if count + gone.get(part, 0) == self._uses[part]}

    def _told_as(self, parts: set[int]) -> Range:
        low, high = self._range(parts)
        return Range(least=low, most=None if high == inf else int(high))

    def _told(self, template: Template) -> Iterator[Sum]:
        """The sums that the registry tells of a template, and what follows where one is within another."""
        versions = [
            (self._parts[self._number[template.id, each.number]], each.size) for each in template.versions or ()
        ]
        known = [Sum(parts=parts, total=size) for parts, size in versions if size is not None]
        yield from known
        for older, newer in pairwise(known):
            if older.parts <= newer.parts:
                yield Sum(parts=newer.parts - older.parts, total=newer.total - older.total)
        every = [parts for parts, _ in versions]
        if template.size is not None and every:
            whole = Sum(parts=frozenset[int]().union(*every), total=template.size)
            yield whole
            chain = all(older <= newer for older, newer in pairwise(every))
            for each in known[-1:] if chain else known:
                yield Sum(parts=whole.parts - each.parts, total=whole.total - each.total)

    def _bound(self) -> None:
        """Draw the bounds of each part as close as the sums allow, and let go of sums that contradict each other."""
        dirty: Collection[int] = sorted(range(len(self._sums)), key=lambda index: len(self._sums[index].parts))
        for _ in range(ROUNDS):
            changed = {part for index in dirty for part in self._tighten(self._sums[index])}
            dirty = sorted({index for part in changed for index in self._of[part]})
            if not dirty:
                break
        wrong = {part for part in range(len(self._low)) if self._low[part] > self._high[part]}
        contradicted = [each for each in self._sums if not self._possible(each)]
        self._give_up(wrong.union(*(each.parts for each in contradicted)))

    def _tighten(self, told: Sum) -> list[int]:
        """Bound the parts of one sum by what the others leave; those whose bounds are new."""
        low = sum(self._low[part] for part in told.parts)
        open_ = sum(self._high[part] == inf for part in told.parts)
        high = sum(self._high[part] for part in told.parts if self._high[part] != inf)
        found: list[tuple[int, int, float]] = []
        for part in told.parts:
            mine = self._high[part]
            most = told.total - (low - self._low[part])
            others = high if mine == inf else high - mine
            closed = open_ == (1 if mine == inf else 0)  # the others have upper bounds, all of them
            least = told.total - int(others) if closed else 0
            if most < mine or least > self._low[part]:
                found.append((part, max(self._low[part], least), min(mine, most)))
        for part, closer, lower in found:
            self._low[part], self._high[part] = closer, lower
        return [part for part, _, _ in found]

    def _possible(self, told: Sum) -> bool:
        low, high = self._plain(told.parts)
        return low <= told.total <= high

    def _give_up(self, wrong: set[int]) -> None:
        """Of parts whose sums contradict each other, and of all that depends on them, believe the whole sizes only."""
        waiting = list(wrong)
        while waiting:
            for index in self._of[waiting.pop()]:
                waiting += self._sums[index].parts - wrong
                wrong |= self._sums[index].parts
        for part in wrong:
            told = [self._sums[index].total for index in self._of[part] if self._sums[index].total >= 0]
            self._low[part], self._high[part] = 0, max(told, default=inf)
        self._untold = wrong

    def _plain(self, parts: Collection[int]) -> tuple[int, float]:
        return sum(self._low[part] for part in parts), sum(self._high[part] for part in parts)

    def _range(self, wanted: set[int]) -> tuple[int, float]:
        """The bounds of a sum over parts: the sum of theirs, drawn closer by the told sums that lie within it."""
        exact = sum(self._low[part] for part in wanted if self._low[part] == self._high[part])
        left = {part for part in wanted if self._low[part] != self._high[part]}
        plain = self._plain(left)
        least, most, rest = 0, 0.0, set(left)
        near = {index for part in left - self._untold for index in self._of[part]}
        for told in sorted((self._sums[index] for index in sorted(near)), key=lambda each: -len(each.parts & left)):
            inside = told.parts & left
            if inside <= rest:
                out, mine = self._plain(told.parts - inside), self._plain(inside)
                least += mine[0] if out[1] == inf else max(mine[0], told.total - int(out[1]))
                most += min(mine[1], told.total - out[0])
                rest -= inside
        others = self._plain(rest)
        return exact + max(plain[0], least + others[0]), exact + min(plain[1], most + others[1])


def _files(template: Template, version: Version) -> tuple[str, ...]:
    """The layers of a version; one of its own that stands for all where the registry names none."""
    named = dict.fromkeys((*version.images, *version.state_files))
    return tuple(named) or (f"{template.id}/{version.number}",)
