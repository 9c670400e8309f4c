"""What a step is: one pipeline verb in one module.

A step's module has, in this order: a docstring whose first line is its summary in every face; ``RUNS`` (where it can
run); ``READS`` (it only reads); ``EXAMPLE`` (inputs that work against ``serve --sample``, for runners with a CI system
and a template beside) and, where that needs it, ``EXAMPLE_AFTER`` (pairs of a step and its inputs to run first); frozen
``Inputs`` and ``Outputs``; ``plan(inputs, anka) -> Plan``, which only reads; and ``run(plan, anka) -> Outputs``, which
does what the plan says and nothing else. One that changes something for the length of a pipeline file's run has
``undo(inputs, outputs)`` too: the inputs with which the same step takes it back, or None; ``outputs`` are what is
known, also of a failure. A step prints nothing, reads no environment and knows no URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from anka_ci.plan import Plan

if TYPE_CHECKING:
    from anka_ci.anka import Anka


class Runs(Enum):
    """Where a step can run."""

    ANYWHERE = "anywhere"
    HOST = "on a host with the anka command"


class Step(Protocol):
    """A step's module, as the faces and the desk see it."""

    __name__: str
    __doc__: str | None
    RUNS: Runs
    READS: bool
    EXAMPLE: Mapping[str, str]
    Inputs: type[Any]
    Outputs: type[Any]

    def plan(self, inputs: Any, anka: Anka) -> Plan:
        """What would be done; reads only."""

    def run(self, plan: Plan, anka: Anka) -> Any:
        """Do what the plan says; the ``Outputs``."""
