"""The CI system whose runners a step works on: the adapter that opens the door to them.

An adapter, and the package that it needs, is imported when a step asks for the first runner, and never before.
"""

from __future__ import annotations

import importlib

from anka_ci.anka import Anka
from anka_ci.console import Console
from anka_ci.errors import UsageError, suggestion
from anka_ci.runners import GITHUB, Opener, Runners
from anka_ci.secret import Secret

ADAPTERS = {GITHUB: "anka_ci_actions.service.runners"}
"""The CI systems that have runners, and the module whose ``open(anka, scope, token, env=, redactor=)`` opens a door."""


def runners(console: Console) -> Opener:
    """Opens the runners of the context's CI system; what it learns of secrets is masked at once.

    Raises ``UsageError`` for a CI system that is not known.
    """

    def open(anka: Anka, scope: str | None, token: Secret | None) -> Runners:
        name = anka.context.runners.ci
        if name not in ADAPTERS:
            raise UsageError(f"no CI system {name!r} that has runners", hint=suggestion(name, ADAPTERS))
        found: Runners = importlib.import_module(ADAPTERS[name]).open(
            anka, scope, token, env=console.env, redactor=console.redactor
        )
        return found

    return open
