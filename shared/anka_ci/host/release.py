"""Releases of the ``anka`` command: which one it is, and which of the generations it belongs to.

Asks nothing; what a generation spells differently is in ``host.words``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Release:
    """A release by its ``numbers``; the newest known generation stands for what comes after it.

    Generations: 2.0 to 2.2 (2019), 2.3 to 2.5, 3.0 to 3.8, and from 3.9 on.
    """

    numbers: tuple[int, ...]

    NEWEST = 3
    """The newest major version that is known."""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Release:
        """From the body of ``anka version``; a version that cannot be read is taken as 3.0."""
        match = re.match(r"\s*(\d+)((?:\.\d+)*)", str(told.get("version") or ""))
        if match is None:
            return cls(numbers=(3, 0))
        return cls(numbers=(int(match.group(1)), *(int(each) for each in match.group(2).split(".")[1:])))

    def since(self, *numbers: int) -> bool:
        """Whether this release is ``numbers`` or later."""
        return self.numbers >= numbers

    @property
    def unknown(self) -> bool:
        """Whether it is of a generation that came after this was written."""
        return self.numbers[0] > self.NEWEST

    def __str__(self) -> str:
        return ".".join(str(number) for number in self.numbers)
