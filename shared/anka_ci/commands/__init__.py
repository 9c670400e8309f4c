"""The commands of ``anka-ci``, one module each, and what they have in common.

A command's module has ``add_arguments(parser)`` and ``main(options, console) -> int``. Nothing here knows a command.
"""

from __future__ import annotations

import argparse
import importlib
import json
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, Protocol

from anka_ci import account, adapter, inputs
from anka_ci.clock import Clock, SystemClock
from anka_ci.console import Console
from anka_ci.errors import AnkaCiError, InterruptError, UsageError, suggestion
from anka_ci.inputs import Field
from anka_ci.result import Result, Status

REPORTS = {"actions": "anka_ci_actions.report", "jenkins": "anka_ci_jenkins.report"}
"""What ``--report`` may name, and the module whose ``report(result, redactor, env)`` is called with the result."""
INPUTS, INPUTS_FILE = "ANKA_CI_INPUTS", "ANKA_CI_INPUTS_FILE"
"""Variables that hold the inputs as one JSON object, or the path of a file that does: how a CI system hands them in."""


class Command(Protocol):
    """What the roof needs of a command."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare its options; may set ``parser.description`` and ``parser.epilog``."""

    def main(self, options: argparse.Namespace, console: Console) -> int:
        """Run it; the exit code. Failures are raised."""


class Parser(argparse.ArgumentParser):
    """Options of one command; what is wrong with them is raised, with the nearest name."""

    def __init__(self, prog: str, description: str = "") -> None:
        formatter = argparse.RawDescriptionHelpFormatter
        usage = f"{prog} [options]"
        self._name = prog.removeprefix("anka-ci ")
        super().__init__(prog=prog, usage=usage, description=description, formatter_class=formatter, allow_abbrev=False)

    def format_help(self) -> str:
        if self.description and "\n" not in self.description:  # one long line; a docstring is wrapped already
            self.description = textwrap.fill(self.description, 100)
        return super().format_help()

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self._name}: {message}", hint=f"`{self.prog} --help` tells the options")

    def read(self, words: list[str]) -> argparse.Namespace:
        """The options; ``UsageError`` for a word that is none."""
        options, left = self.parse_known_args(words)
        if left:
            known = [option for option in self._option_string_actions if option.startswith("--")]
            hint = suggestion(left[0].split("=")[0], known) if left[0].startswith("-") else ""
            raise UsageError(f"{self._name}: unknown argument {left[0]!r}", hint=hint)
        return options


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options of every command that ends with a result."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print the result document, and nothing else, on stdout")
    group.add_argument("--report", choices=REPORTS, metavar="|".join(REPORTS), help="also report to this CI system")
    group.add_argument("--inputs-file", metavar="FILE", help=f"read the inputs from a JSON file; see also {INPUTS}")
    group.add_argument("-q", "--quiet", action="store_true", help="tell only warnings and the result")
    group.add_argument("-v", "--verbose", action="store_true", help="tell also what is asked of the servers")


def add_input(group: argparse._ArgumentGroup, field: Field) -> None:
    """The option of one input."""
    default = inputs.show_default(field)
    text = _escaped(field.help + (" Required." if field.required else "") + (f" [{default}]" if default else ""))
    if field.type is bool:
        group.add_argument(f"--{field.key}", dest=field.key, nargs="?", const="true", metavar="BOOL", help=text)
    else:
        metavar = "|".join(field.choices) or {"str": "TEXT", "int": "N"}.get(
            field.type.__name__, "NAME=VALUE" if field.type is dict else field.type.__name__.upper()
        )
        action = "append" if field.many or field.type is dict else "store"
        group.add_argument(f"--{field.key}", dest=field.key, action=action, metavar=metavar, help=text)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def given(options: argparse.Namespace, console: Console, values: Mapping[str, object]) -> dict[str, object]:
    """The inputs: those of the command line, and those that a CI system handed in as one JSON object.

    The object is read when the options ask for it, or when the command line holds no input at all; an input of the
    command line wins over one of the object.
    """
    file = options.inputs_file or console.env.get(INPUTS_FILE)
    text, where = console.env.get(INPUTS), INPUTS
    if values and not (options.report or options.inputs_file):
        return dict(values)
    if text and file and not options.inputs_file:
        raise UsageError(f"{INPUTS} and {INPUTS_FILE} are both set", hint="leave one of them out")
    if file:
        where = str(file)
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the inputs file {file} cannot be read: {error}") from None
    if not text:
        return dict(values)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"{where} has to be one JSON object of inputs")
    if options.report:
        found = adapter.given(found)
    return {**found, **values}


def begin(options: argparse.Namespace, console: Console) -> None:
    """Tell the CI system that a command begins, before it does anything, where its report wants to know."""
    name = getattr(options, "report", None)
    told = getattr(importlib.import_module(REPORTS[name]), "begin", None) if name else None
    if told is not None:
        told(console.redactor, console.env)


def wants_summary(options: argparse.Namespace, console: Console) -> bool:
    """Whether a job summary is wanted; also when the other inputs are wrong."""
    field = next(field for field in inputs.fields(inputs.SharedInputs) if field.key == "summary")
    try:
        values = given(options, console, {})
        asked = options.summary if getattr(options, "summary", None) is not None else values.get("summary")
        return asked is None or bool(inputs.parse(field, asked))
    except (UsageError, ValueError):
        return True


def outcome(name: str, work: Callable[[Clock], Result]) -> Result:
    """What ``work`` gives, or its failure as a result; with the time it took."""
    clock = SystemClock()
    now, started = clock.now(), clock.monotonic()
    try:
        result = work(clock)
    except AnkaCiError as error:
        result = Result(name=name, status=failed_as(error), code=error.code, error=error.emit())
    result.started, result.seconds = now, clock.monotonic() - started
    return result


def failed_as(error: AnkaCiError) -> Status:
    """The status of what ended with the error."""
    return "interrupted" if isinstance(error, InterruptError) else "failed"


def finish(result: Result, text: str, options: argparse.Namespace, console: Console) -> int:
    """Print a result (``text`` for people, or the document), report it, and tell its failure; the exit code."""
    if options.json:
        document = console.redactor.tree(result.emit())
        console.out(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        console.out(text)
    if result.error is not None:
        console.err(account.of_failure(result.error))
    if options.report:
        result.summary = wants_summary(options, console)
        importlib.import_module(REPORTS[options.report]).report(result, console.redactor, console.env)
    return result.code
