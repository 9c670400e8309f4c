"""``anka-ci job dispatch``: start a job on its CI system and wait for it, its end as exit code.

The adapter is imported when it is named. Decides nothing; ``adapter.builds`` does.
"""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass
from typing import Any

from anka_ci import account, inputs
from anka_ci.adapter import builds
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import add_input, add_output, finish, outcome
from anka_ci.console import Console
from anka_ci.inputs import Duration, arg
from anka_ci.pipeline import setting
from anka_ci.progress import Progress
from anka_ci.result import Result
from anka_ci.settings import Context

SYSTEMS = {"github": "anka_ci_actions.dispatch"}
"""What ``--ci`` may name, and the adapter's module with its ``Inputs`` and ``builder``."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The options for every CI system."""

    set: tuple[str, ...] = arg("Inputs of the job, each as name=value.", default=())
    wait: bool = arg("Wait for its end; with false the exit code only says that it was started.", default=True)
    keep: bool = arg("Leave it running when the waiting is interrupted or takes longer than `timeout`.", default=False)
    timeout: Duration | None = arg("Give up, and cancel it, after this long; no limit when left out.", default=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.usage = f"{parser.prog} --ci github JOB [--set NAME=VALUE …] [options]"
    parser.add_argument("job", metavar="JOB", help="the workflow: the name of its file, or its id")
    parser.add_argument("--ci", choices=SYSTEMS, required=True, help="the CI system that the job is on")
    group = parser.add_argument_group("inputs")
    for field in _fields(SYSTEMS["github"]):
        add_input(group, field)
    add_output(parser)
    parser.epilog = (
        "The token comes from the environment: ANKA_CI_GITHUB_TOKEN (or ANKA_CI_GITHUB_TOKEN_FILE), GITHUB_TOKEN or "
        "GH_TOKEN. For example: anka-ci job dispatch --ci github refresh.yml --set tag=v2 --timeout 2h"
    )


def main(options: argparse.Namespace, console: Console) -> int:
    """Start it, and wait; 0 when it ended well, 7 when not, 130 when interrupted, or the class of the failure."""
    result = outcome(builds.STEP, lambda clock: _result(options, console, clock))
    return finish(result, account.of_result(result.steps[0]) if result.steps else "", options, console)


def _result(options: argparse.Namespace, console: Console, clock: Clock) -> Result:
    module = importlib.import_module(SYSTEMS[options.ci])
    values = {field.key: getattr(options, field.key) for field in _fields(SYSTEMS[options.ci])}
    mine = {field.key for field in inputs.fields(Inputs)}
    own = inputs.bind(Inputs, {key: value for key, value in values.items() if key in mine}, what="job dispatch")
    theirs = inputs.bind(module.Inputs, {k: v for k, v in values.items() if k not in mine}, what="job dispatch")
    cancelled = Cancelled()
    tell = Progress(console, clock, quiet=options.quiet)
    deadline = Deadline(clock, own.timeout)
    anka = Anka(Context(), clock=clock, deadline=deadline, cancelled=cancelled, tell=tell)
    builder = module.builder(options.job, theirs, console.env, anka, console.redactor)
    with console.interrupts(cancelled):
        return builds.dispatch(builder, anka, setting.pairs(own.set), wait=own.wait, keep=own.keep)


def _fields(module: str) -> list[Any]:
    return [*inputs.fields(importlib.import_module(module).Inputs), *inputs.fields(Inputs)]
