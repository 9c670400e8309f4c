"""``anka-ci job dispatch``: start a job on its CI system and wait for it, its end as exit code.

The adapter is imported when it is named. Decides nothing; ``adapter.builds`` does.
"""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass

from anka_ci import account, inputs
from anka_ci.adapter import builds
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import add_option, add_output, check_only, finish, outcome
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.inputs import Duration, Field, arg
from anka_ci.pipeline import setting
from anka_ci.progress import Progress
from anka_ci.result import Result
from anka_ci.settings import Context

SYSTEMS = {"github": "anka_ci_actions.dispatch", "jenkins": "anka_ci_jenkins.dispatch"}
"""What ``--ci`` may name, and the adapter's module with its ``Inputs`` and ``builder``."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The options for every CI system."""

    set: tuple[str, ...] = arg("Inputs of the job, each as name=value.", default=())
    no_wait: bool = arg("Only start it; the exit code says no more than that it was started.", default=False)
    keep: bool = arg("Leave it running when the waiting is interrupted or takes longer than `timeout`.", default=False)
    timeout: Duration | None = arg("Give up, and cancel it, after this long; no limit when left out.", default=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.usage = f"{parser.prog} --ci {'|'.join(SYSTEMS)} JOB [--set NAME=VALUE …] [options]"
    what = "the workflow (the name of its file, or its id), or the full name of the Jenkins job"
    parser.add_argument("job", metavar="JOB", help=what)
    parser.add_argument("--ci", choices=SYSTEMS, required=True, help="the CI system that the job is on")
    group = parser.add_argument_group("inputs")
    for field in inputs.fields(Inputs):
        add_option(group, field)
    for ci in SYSTEMS:
        group = parser.add_argument_group(f"--ci {ci}")
        for field in _theirs(ci):
            add_option(group, field)
    add_output(parser)
    parser.epilog = (
        "The token comes from the environment: ANKA_CI_GITHUB_TOKEN (or ANKA_CI_GITHUB_TOKEN_FILE), GITHUB_TOKEN or "
        "GH_TOKEN; for Jenkins ANKA_CI_JENKINS_USER and ANKA_CI_JENKINS_TOKEN. "
        "For example: anka-ci job dispatch --ci github refresh.yml --set tag=v2 --timeout 2h"
    )


def main(options: argparse.Namespace, console: Console) -> int:
    """Start it, and wait; 0 when it ended well, 7 when not, 130 when interrupted, or the class of the failure."""
    result = outcome(builds.STEP, lambda clock: _result(options, console, clock))
    return finish(result, account.of_result(result.steps[0]) if result.steps else "", options, console)


def _result(options: argparse.Namespace, console: Console, clock: Clock) -> Result:
    module = importlib.import_module(SYSTEMS[options.ci])
    check_only(options, options.ci, {ci: _theirs(ci) for ci in SYSTEMS})
    known = (*_theirs(options.ci), *inputs.fields(Inputs))
    line = {field.key: getattr(options, field.key) for field in known if getattr(options, field.key) is not None}
    found = given(options, console, line, known)
    mine = {field.key for field in inputs.fields(Inputs)}
    parts = [{k: v for k, v in found.values.items() if (inputs.dashed(k) in mine) is own} for own in (True, False)]
    own = inputs.bind(Inputs, parts[0], what="job dispatch", where=found.where)
    theirs = inputs.bind(module.Inputs, parts[1], what="job dispatch", where=found.where)
    cancelled = Cancelled()
    tell = Progress(console, clock, quiet=options.quiet)
    deadline = Deadline(clock, own.timeout)
    anka = Anka(Context(), clock=clock, deadline=deadline, cancelled=cancelled, tell=tell)
    builder = module.builder(options.job, theirs, console.env, anka, console.redactor)
    with console.interrupts(cancelled):
        return builds.dispatch(builder, anka, setting.pairs(own.set), wait=not own.no_wait, keep=own.keep)


def _theirs(ci: str) -> tuple[Field, ...]:
    return inputs.fields(importlib.import_module(SYSTEMS[ci]).Inputs)
