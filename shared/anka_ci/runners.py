"""The runners door: what an adapter offers to register, find and remove ephemeral CI runners.

Only the Protocol is here, and what a context says of it; each CI adapter implements it, and the roof hands it in. No CI
system is known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.anka import Anka

GITHUB = "github"
SCOPE, GROUP = "ANKA_CI_RUNNER_SCOPE", "ANKA_CI_RUNNER_GROUP"
"""The variables that win over what a context says of runners."""


@dataclass(frozen=True, kw_only=True)
class RunnerPlace:
    """Where a context's runners are registered. ``scope`` is what may use them, such as ``OWNER/NAME`` or ``ORG``;
    ``group`` the runner group, by name or number; ``url`` the CI system's API, the adapter's own when left out."""

    ci: str = GITHUB
    scope: str | None = None
    group: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Runner:
    """A runner as its CI system lists it. ``busy``: it runs a job now."""

    id: str
    name: str
    online: bool
    busy: bool
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A runner that was registered, and ``start``: shell text that starts its agent in the folder of the agent, in the
    background. The text holds what the agent signs in with, so it is a secret."""

    runner: Runner
    start: Secret


class Runners(Protocol):
    """What every CI system can do with the runners of one scope. Every call may raise ``NotAuthorisedError`` (with the
    permission that is missing) and ``UnreachableError``."""

    @property
    def where(self) -> str:
        """The scope, spelled alike whoever asks: the URL of its runners."""

    def register(self, name: str, labels: Sequence[str], *, group: str | None = None) -> Registered:
        """Make a runner that takes one job and is gone afterwards. Sent once, and never again.

        ``UnreachableError`` when no usable answer came: it may have been made. ``NotFoundError`` for an unknown group,
        ``RefusedError`` for a name that is taken.
        """

    def get(self, runner_id: str) -> Runner:
        """One runner; ``NotFoundError`` when it is gone."""

    def list(self, name: str | None = None) -> Sequence[Runner]:
        """The runners there are, or those of a name. A long list that changes meanwhile may lack one that is there."""

    def remove(self, runner_id: str) -> None:
        """Remove a runner; ``NotFoundError`` when it is gone already, ``BusyError`` while it runs a job."""


Opener = Callable[["Anka", "str | None", "Secret | None"], Runners]
"""Opens the door to the runners of a scope (the context's when None) with a token (the environment's when None), and
with the clock and deadline of the doors that it is handed. ``NotConnectedError`` when there is nothing to sign in
with."""


def runner_place(told: RunnerPlace, env: Mapping[str, str]) -> RunnerPlace:
    """What the environment says of runners, and otherwise a context."""
    return replace(told, scope=env.get(SCOPE) or told.scope, group=env.get(GROUP) or told.group)
