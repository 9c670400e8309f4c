"""The doors, opened: what every step is handed.

A door is made when it is first used, so a step that needs only the registry starts no ``anka`` command.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from anka_ci.auth.signers import Signers
from anka_ci.clock import Cancelled, Clock, Deadline, SystemClock
from anka_ci.result import Event, Tell
from anka_ci.settings import Context

if TYPE_CHECKING:
    from anka_ci.controller import Controller
    from anka_ci.host import Host
    from anka_ci.registry import Registry
    from anka_ci.runners import Opener, Runners
    from anka_ci.secret import Secret

HURRIED = 0.5
"""Seconds for a last call when a signal's time is nearly over, so that the process ends within five."""


def _silent(event: Event) -> None:
    """Tell nobody."""


class Anka:
    """The doors to one context, with the clock, the deadline, the cancellation flag and the one channel for progress.

    ``registry``, ``controller`` and ``host`` raise ``UsageError`` when the context names none. ``runners_by`` opens the
    runners of a CI system; an adapter brings it, and the roof hands it in.
    """

    def __init__(
        self,
        context: Context,
        *,
        clock: Clock | None = None,
        deadline: Deadline | None = None,
        cancelled: Cancelled | None = None,
        tell: Tell = _silent,
        runners_by: Opener | None = None,
        signers: Signers | None = None,
    ) -> None:
        self.context = context
        self.clock: Clock = clock or SystemClock()
        self.deadline = deadline or Deadline(self.clock, None)
        self.cancelled = cancelled if cancelled is not None else Cancelled()
        self.tell = tell
        self.signers = signers or Signers()
        self.runners_by = runners_by
        self._runners: dict[tuple[str | None, Secret | None], tuple[Deadline, Cancelled, Runners]] = {}

    def afterwards(self, seconds: float) -> Anka:
        """The same doors for what is left to do after a cancellation or the deadline: its own flag, its own limit.

        ``HURRIED`` seconds is the limit when the time after a signal is nearly over.
        """
        deadline = Deadline(self.clock, min(seconds, HURRIED) if self.cancelled.hurried else seconds)
        return Anka(
            self.context,
            clock=self.clock,
            deadline=deadline,
            tell=self.tell,
            runners_by=self.runners_by,
            signers=self.signers,
        )

    @cached_property
    def registry(self) -> Registry:
        """The registry: templates and versions."""
        from anka_ci.registry import Registry

        return Registry.open(self)

    @cached_property
    def controller(self) -> Controller:
        """The controller: nodes, groups and distributions."""
        from anka_ci.controller import Controller

        return Controller.open(self)

    @cached_property
    def host(self) -> Host:
        """The local ``anka`` command."""
        from anka_ci.host import Host

        return Host.open(self)

    def runners(self, scope: str | None = None, token: Secret | None = None) -> Runners:
        """The CI system's runners of a scope (the context's when None), by a token (the environment's when None).

        ``NotConnectedError`` when there is no way to them.
        """
        from anka_ci.errors import NotConnectedError

        if self.runners_by is None:
            raise NotConnectedError("no CI system is connected that could register runners")
        held = self._runners.get((scope, token))
        if held is None or held[0] is not self.deadline or held[1] is not self.cancelled:  # each step has its own
            held = self.deadline, self.cancelled, self.runners_by(self, scope, token)
            self._runners[scope, token] = held
        return held[2]
