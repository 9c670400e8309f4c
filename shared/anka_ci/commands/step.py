"""One step as a command: options from its ``Inputs``, and its result.

Decides nothing about the step; what is given is bound by ``inputs.bind`` as in every face.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from anka_ci import account, inputs
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import add_input, add_junit, add_output, ci, failed_as, finish, outcome
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.desk import perform
from anka_ci.errors import AnkaCiError, UsageError
from anka_ci.inputs import Field
from anka_ci.progress import Progress
from anka_ci.result import Result, StepResult
from anka_ci.secret import Secret
from anka_ci.steps import catalog

POSITION = "first"
"""The option that holds the first required input when it is given by position."""
SHARED = inputs.fields(inputs.SharedInputs)


class StepCommand:
    """The command of one step; the step's module is imported here, so a command loads the one step that it runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.step = catalog.load(name)
        self.own = inputs.fields(self.step.Inputs)
        optional = next((field for field in self.own if field.key == "template"), None)  # or a channel
        self.first = next((field for field in self.own if field.required), optional)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.description = f"{catalog.summary(self.step)}\n\n{catalog.words(self.step)}".strip()
        parser.epilog = self._epilog()
        mine = parser.add_argument_group("inputs")
        if self.first:
            word = self.first.key.upper()
            parser.usage = f"{parser.prog} [{word}] [options]"
            mine.add_argument(POSITION, nargs="?", metavar=word, help=f"the same as --{self.first.key} {word}")
        for field in self.own:
            if not field.secret:
                add_input(mine, field)
        shared = parser.add_argument_group("inputs of every step")
        for field in SHARED:
            if not field.secret:
                add_input(shared, field)
        parser.add_argument("--plan", action="store_true", help="only tell what would be done and lost")
        add_output(parser)
        add_junit(parser)

    def _epilog(self) -> str:
        outputs = [f"  {field.key:18} {field.help}" for field in inputs.fields(self.step.Outputs)]
        words = " ".join(f"--{key} {value}" for key, value in self.step.EXAMPLE.items())
        secrets = [f"  {variable(field):18} {field.help}" for field in (*self.own, *SHARED) if field.secret]
        return "\n".join(
            [
                "outputs:",
                *outputs,
                "",
                "secrets, from the environment only:",
                *secrets,
                "",
                f"Runs {self.step.RUNS.value}. For example: anka-ci {self.name} {words}".rstrip(),
            ]
        )

    def main(self, options: argparse.Namespace, console: Console) -> int:
        result = outcome(self.name, lambda clock: self._result(options, console, clock))
        if result.error is not None and not result.steps:
            result.steps = [StepResult(id=self.name, step=self.name, status=result.status, error=result.error)]
        text = "".join(account.of_result(each) for each in result.steps if each.outputs or each.error is None)
        return finish(result, text, options, console)

    def _result(self, options: argparse.Namespace, console: Console, clock: Clock) -> Result:
        found = given(options, console, self._values(options), (*self.own, *SHARED))
        mine, common = inputs.split_shared(found.values)
        mine.update({field.key: console.env[variable(field)] for field in self.own if _in_env(field, console.env)})
        for field in self.own:
            for secret in _secrets(field, mine.get(field.key)):
                console.redactor.add(secret)
        shared = inputs.bind(inputs.SharedInputs, common, what=self.name, where=found.where)
        if found.places:  # what is wrong in a file is told with its place, before anything is asked
            inputs.bind(self.step.Inputs, mine, what=self.name, where=found.where)
        context = console.context(shared)
        cancelled, progress = Cancelled(), Progress(console, clock, quiet=options.quiet, verbose=options.verbose)
        anka = Anka(
            context,
            clock=clock,
            deadline=Deadline(clock, context.timeout),
            cancelled=cancelled,
            tell=progress,
            runners_by=ci.runners(console),
        )
        code, failure = 0, None
        console.group(f"anka-ci {self.name}")
        try:
            with console.interrupts(cancelled):
                done = perform(self.name, mine, anka, confirm=shared.confirm, plan_only=options.plan)
        except AnkaCiError as error:
            if options.report:  # an option is no way to say it there
                error.hint = error.hint.replace(": --confirm ", " with the input confirm: ")
            code, failure, status = error.code, error.emit(), failed_as(error)
            done = StepResult(id=self.name, step=self.name, status=status, outputs=error.outputs, error=failure)
        finally:
            console.end_group()
        return Result(
            name=self.name,
            status=done.status,
            code=code,
            context=context.name,
            steps=[done],
            error=failure,
            said=progress.said,
        )

    def _values(self, options: argparse.Namespace) -> dict[str, object]:
        """The inputs of the command line."""
        keys = [field.key for field in (*self.own, *SHARED) if not field.secret]
        found = {key: getattr(options, key) for key in keys if getattr(options, key) is not None}
        given_first = getattr(options, POSITION, None)
        if given_first is not None and self.first is not None:
            if self.first.key in found:
                key = self.first.key
                raise UsageError(f"{self.name}: {key} is given twice: by position and by --{key}")
            found[self.first.key] = given_first
        return found


def variable(field: Field) -> str:
    """The environment variable that a secret input is read from."""
    return "ANKA_CI_" + field.name.rstrip("_").upper()


def _secrets(field: Field, value: object) -> list[Secret]:
    """What must be told nowhere of an input that was given: the values of a mapping, or the whole text."""
    if not field.secret or value is None:
        return []
    try:
        found = inputs.mapping(value) if field.type is dict else value
    except ValueError:
        found = value
    return [Secret(str(each)) for each in (found.values() if isinstance(found, dict) else [found])]


def _in_env(field: Field, env: Mapping[str, str]) -> bool:
    return field.secret and bool(env.get(variable(field)))
