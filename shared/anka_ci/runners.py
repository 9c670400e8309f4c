"""The runners door: what an adapter offers to register, list and remove ephemeral CI runners.

Only the Protocol is here; each CI adapter implements it and hands it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A runner as its CI system lists it."""

    id: str
    name: str
    online: bool
    busy: bool
    labels: tuple[str, ...] = ()


class Runners(Protocol):
    """What every CI system can do with its runners."""

    def register(self, name: str, labels: Sequence[str]) -> str:
        """Make a runner that takes one job; what its agent has to be started with (a secret)."""

    def list(self) -> Sequence[Runner]:
        """The runners there are."""

    def remove(self, runner_id: str) -> None:
        """Remove a runner; ``NotFoundError`` when it is gone already."""
