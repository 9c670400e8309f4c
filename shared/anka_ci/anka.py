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
    from anka_ci.runners import Runners


def _silent(event: Event) -> None:
    """Tell nobody."""


class Anka:
    """The doors to one context, with the clock, the deadline, the cancellation flag and the one channel for progress.

    ``registry``, ``controller`` and ``host`` raise ``UsageError`` when the context names none; ``runners`` when no
    adapter handed one in.
    """

    def __init__(
        self,
        context: Context,
        *,
        clock: Clock | None = None,
        deadline: Deadline | None = None,
        cancelled: Cancelled | None = None,
        tell: Tell = _silent,
        runners: Runners | None = None,
        signers: Signers | None = None,
    ) -> None:
        self.context = context
        self.clock: Clock = clock or SystemClock()
        self.deadline = deadline or Deadline(self.clock, None)
        self.cancelled = cancelled if cancelled is not None else Cancelled()
        self.tell = tell
        self.signers = signers or Signers()
        self._runners = runners

    def afterwards(self, seconds: float) -> Anka:
        """The same doors for what is left to do after a cancellation or the deadline: its own flag, its own limit."""
        deadline = Deadline(self.clock, seconds)
        return Anka(
            self.context,
            clock=self.clock,
            deadline=deadline,
            tell=self.tell,
            runners=self._runners,
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

    @property
    def runners(self) -> Runners:
        """The CI system's runners."""
        from anka_ci.errors import UsageError

        if self._runners is None:
            raise UsageError("no CI system is connected that could register runners")
        return self._runners
