"""The catalog of steps, in reading order. A step without a module is not built yet and has no face.

Loading the catalog imports no step; ``load`` imports one.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import cast

from anka_ci.errors import UsageError, suggestion
from anka_ci.inputs import python_name
from anka_ci.steps import Step

BUILT = (
    "list",
    "show",
    "size",
    "pull",
    "clone",
    "run-in-vm",
    "push",
    "delete-local",
    "use-registry",
    "revert",
    "delete",
    "prune",
    "nodes",
    "groups",
    "distribute",
    "distribution",
    "evict",
    "audit",
    "reconcile",
    "promote",
    "rollback",
    "drain",
    "undrain",
    "save-image",
    "start-instance",
    "stop-instance",
    "start-runner",
    "stop-runner",
    "sweep",
)
"""The steps that are there."""

CATALOG = (
    *BUILT,
    "rollout",
)
"""Every step's name, the built ones first. Names are part of five faces and are not changed without an alias."""


def load(name: str) -> Step:
    """Import one step. ``UsageError`` with the nearest name when there is none."""
    if name in BUILT:
        return cast(Step, importlib.import_module(f"anka_ci.steps.{python_name(name)}"))
    if name in CATALOG:
        raise UsageError(f"the step {name!r} is not built yet", hint=f"there is {', '.join(BUILT)}")
    raise UsageError(f"no step {name!r}", hint=suggestion(name, BUILT))


def before_example(step: Step) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """The steps, with their inputs, that have to run before a step's ``EXAMPLE`` has something to work on."""
    return tuple(getattr(step, "EXAMPLE_AFTER", ()))


def undo(step: Step, inputs: object, outputs: Mapping[str, object]) -> Mapping[str, object] | None:
    """The inputs with which the step takes back, at the end of a run, what it changed for the run's length only."""
    found = getattr(step, "undo", None)
    return found(inputs, outputs) if found is not None else None


def summary(step: Step) -> str:
    """The first line of a step's docstring."""
    return (step.__doc__ or "").strip().split("\n", 1)[0]


def words(step: Step) -> str:
    """The longer words of a step's docstring, without its first line."""
    return "\n".join((step.__doc__ or "").strip().split("\n")[1:]).strip()
