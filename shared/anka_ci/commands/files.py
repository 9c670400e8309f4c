"""What ``plan`` and ``run`` of a pipeline file have in common.

Decides nothing about the file; ``pipeline`` does.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path

from anka_ci import account, inputs, pipeline
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import add_input, add_junit, add_output, ci, finish, outcome
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.errors import UsageError
from anka_ci.pipeline import setting
from anka_ci.progress import Progress
from anka_ci.result import Result

Go = Callable[..., Result]
"""``pipeline.plan`` or ``pipeline.run``."""
OWN = inputs.fields(pipeline.FileInputs)
SHARED = tuple(
    field
    for field in inputs.fields(inputs.SharedInputs)
    if not field.secret and field.key != "confirm"  # a confirmation belongs to one step, and stands in the file
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both commands."""
    parser.usage = f"{parser.prog} [FILE] [--set NAME=VALUE …] [options]"
    mine = parser.add_argument_group("inputs")
    mine.add_argument("first", nargs="?", metavar="FILE", help=f"the pipeline file [{setting.DEFAULT_FILE}]")
    for field in OWN:
        if field.key != "file":
            add_input(mine, field)
    shared = parser.add_argument_group("the connection; an option wins over the file's context")
    for field in SHARED:
        add_input(shared, field)
    add_output(parser)
    add_junit(parser)
    parser.epilog = "Secrets come from the environment: ANKA_CI_TOKEN, and each one that the file names."


def main(name: str, go: Go, options: argparse.Namespace, console: Console) -> int:
    """Plan or run the file; the exit code of its first failure."""
    result = outcome(name, lambda clock: _result(name, go, options, console, clock))
    return finish(result, account.of_course(result) if result.steps else "", options, console)


def _result(name: str, go: Go, options: argparse.Namespace, console: Console, clock: Clock) -> Result:
    keys = [field.key for field in (*OWN, *SHARED) if field.key != "file"]
    values = {key: getattr(options, key) for key in keys if getattr(options, key) is not None}
    if options.first is not None:
        values["file"] = options.first
    handed = given(options, console, values, (*OWN, *inputs.fields(inputs.SharedInputs)))
    mine, common = inputs.split_shared(handed.values)
    if common.pop("confirm", None) is not None:
        raise UsageError(
            f"{name}: a confirmation belongs to one step", hint="write `confirm:` in the step, in the file"
        )
    bound = inputs.bind(pipeline.FileInputs, mine, what=name, where=handed.where)
    shared = inputs.bind(inputs.SharedInputs, common, what=name, where=handed.where)
    found = pipeline.load(Path(bound.file))
    params = setting.from_file(Path(bound.param_file)) if bound.param_file else {}
    prepared = pipeline.prepare(found, {**params, **setting.pairs(bound.set)}, console.env, clock)
    for secret in prepared.secrets.values():
        console.redactor.add(secret)
    # The time that is given here is the whole run's; the context's own is each step's.
    context = console.context(dataclasses.replace(shared, timeout=None), found.context)
    cancelled, progress = Cancelled(), Progress(console, clock, quiet=options.quiet, verbose=options.verbose)
    anka = Anka(
        context,
        clock=clock,
        deadline=Deadline(clock, shared.timeout),
        cancelled=cancelled,
        tell=progress,
        runners_by=ci.runners(console),
    )
    with console.interrupts(cancelled):
        result = go(found, anka, prepared, connect=lambda own: console.context(own, found.context))
    result.said = progress.said
    return result
