"""One step as a command: options from its ``Inputs``, and its result.

Decides nothing about the step; what is given is bound by ``inputs.bind`` as in every face.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from anka_ci import account, inputs, settings
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, SystemClock
from anka_ci.commands import add_output, finish, given
from anka_ci.console import Console
from anka_ci.desk import perform
from anka_ci.errors import AnkaCiError, InterruptError, UsageError
from anka_ci.inputs import Field
from anka_ci.result import Event, Result, Said, StepResult
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
        self.first = next((field for field in self.own if field.required), None)

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.description = f"{catalog.summary(self.step)}\n\n{catalog.words(self.step)}".strip()
        parser.epilog = self._epilog()
        mine = parser.add_argument_group("inputs")
        if self.first:
            word = self.first.key.upper()
            parser.usage = f"{parser.prog} [{word}] [options]"
            mine.add_argument(POSITION, nargs="?", metavar=word, help=f"the same as --{self.first.key} {word}")
        for field in self.own:
            _add(mine, field)
        shared = parser.add_argument_group("inputs of every step")
        for field in SHARED:
            if not field.secret:
                _add(shared, field)
        parser.add_argument("--plan", action="store_true", help="only tell what would be done and lost")
        add_output(parser)

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
        result = self._result(options, console)
        text = "".join(account.of_result(each) for each in result.steps if each.error is None)
        return finish(result, text, options, console)

    def _result(self, options: argparse.Namespace, console: Console) -> Result:
        clock, cancelled = SystemClock(), Cancelled()
        result = Result(name=self.name, status="failed", started=clock.now())
        started = clock.monotonic()
        try:
            mine, common = inputs.split_shared(given(options, console, self._values(options)))
            mine.update({field.key: console.env[variable(field)] for field in self.own if _in_env(field, console.env)})
            shared = inputs.bind(inputs.SharedInputs, common, what=self.name)
            context = settings.load(console.env, shared)
            if context.token:
                console.redactor.add(context.token)
            result.context = context.name
            deadline = Deadline(clock, context.timeout)

            def tell(event: Event) -> None:
                if isinstance(event, Said):
                    console.err(event.text + "\n")

            anka = Anka(context, clock=clock, deadline=deadline, cancelled=cancelled, tell=tell)
            with console.interrupts(cancelled):
                done = perform(self.name, mine, anka, confirm=shared.confirm, plan_only=options.plan)
            result.status, result.steps = done.status, [done]
        except AnkaCiError as error:
            result.error, result.code = error.emit(), error.code
            result.status = "interrupted" if isinstance(error, InterruptError) else "failed"
            failed = StepResult(id=self.name, step=self.name, status=result.status, error=result.error)
            failed.outputs = error.outputs
            result.steps = [failed]
        result.seconds = clock.monotonic() - started
        return result

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


def _in_env(field: Field, env: Mapping[str, str]) -> bool:
    return field.secret and bool(env.get(variable(field)))


def _add(group: argparse._ArgumentGroup, field: Field) -> None:
    default = inputs.show_default(field)
    text = _escaped(field.help + (" Required." if field.required else "") + (f" [{default}]" if default else ""))
    if field.type is bool:
        group.add_argument(f"--{field.key}", dest=field.key, nargs="?", const="true", metavar="BOOL", help=text)
    else:
        metavar = "|".join(field.choices) or {"str": "TEXT", "int": "N"}.get(
            field.type.__name__, field.type.__name__.upper()
        )
        action = "append" if field.many else "store"
        group.add_argument(f"--{field.key}", dest=field.key, action=action, metavar=metavar, help=text)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
