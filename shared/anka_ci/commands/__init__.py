"""The commands of ``anka-ci``, one module each, and what they have in common.

A command's module has ``add_arguments(parser)`` and ``main(options, console) -> int``. Nothing here knows a command.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from anka_ci import account, inputs
from anka_ci.clock import Cancelled, Clock, SystemClock
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.errors import AnkaCiError, InterruptError, RefusedError, UsageError, suggestion
from anka_ci.inputs import Field
from anka_ci.result import Result, Status, StepResult

REPORTS = {"actions": "anka_ci_actions.report", "jenkins": "anka_ci_jenkins.report"}
"""What ``--report`` may name, and the module whose ``report(result, redactor, env)`` is called with the result."""


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
            known = [option for option in self._chosen(options)._option_string_actions if option.startswith("--")]
            hint = suggestion(left[0].split("=")[0], known) if left[0].startswith("-") else ""
            raise UsageError(f"{self._name}: unknown argument {left[0]!r}", hint=hint)
        return options

    def _chosen(self, options: argparse.Namespace) -> argparse.ArgumentParser:
        """The parser of the sub-command that was named, where there are any."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                chosen: argparse.ArgumentParser = action.choices[getattr(options, action.dest)]
                return chosen
        return self


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options of every command that ends with a result."""
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print the result document, and nothing else, on stdout")
    group.add_argument("--report", choices=REPORTS, metavar="|".join(REPORTS), help="also report to this CI system")
    group.add_argument(
        "--inputs-file", metavar="FILE", help="a JSON or YAML file with more inputs, none of them secret"
    )
    group.add_argument("-q", "--quiet", action="store_true", help="tell only warnings and the result")
    group.add_argument("-v", "--verbose", action="store_true", help="tell also what is asked of the servers")


def add_junit(parser: argparse.ArgumentParser) -> None:
    """The option of a command with one result, that writes it as JUnit XML too."""
    parser.add_argument("--junit", metavar="FILE", help="also write the result as JUnit XML, a test case for each step")


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


def add_option(group: argparse._ArgumentGroup, field: Field) -> None:
    """The option of one input. A flag takes no value here, which would be taken for a file."""
    if field.type is bool:
        group.add_argument(f"--{field.key}", dest=field.key, action="store_const", const="true", help=field.help)
    else:
        add_input(group, field)


def check_only(options: argparse.Namespace, ci: str, fields: Mapping[str, Iterable[Field]]) -> None:
    """``UsageError`` for an option that only another CI system than ``ci`` has; ``fields`` are those of each."""
    mine = {field.key for field in fields[ci]}
    for other, theirs in fields.items():
        for field in theirs:
            if field.key not in mine and getattr(options, field.key) is not None:
                raise UsageError(f"--{field.key} belongs to --ci {other}", hint="leave one of them out")


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def reporter(words: Sequence[str]) -> str | None:
    """The CI system that the words of a command line report to, also when nothing else of them makes sense."""
    found = [word.partition("=")[2] for word in words if word.startswith("--report=")]
    found += [after for word, after in itertools.pairwise(words) if word == "--report"]
    return next((name for name in found if name in REPORTS), None)


def begin(name: str | None, console: Console) -> None:
    """Tell the CI system that a command begins, before it does anything, where its report wants to know.

    What its ``begin(redactor, env)`` returns folds the log (``console.Groups``), or is None.
    """
    told = getattr(importlib.import_module(REPORTS[name]), "begin", None) if name else None
    if told is not None:
        console.groups = told(console.redactor, console.env)


def explain(result: Result, name: str, console: Console) -> None:
    """Add to the hint of a failure what the CI system knows about it (``explain(error, env)`` of its report)."""
    asked = getattr(importlib.import_module(REPORTS[name]), "explain", None)
    holders: list[Result | StepResult] = [result, *result.steps]
    for holder in holders:
        more = asked(holder.error, console.env) if asked is not None and holder.error is not None else ""
        if more and holder.error is not None:
            hint = f"{holder.error['hint']}; {more}" if holder.error.get("hint") else more
            holder.error = {**holder.error, "hint": hint}


def tell(name: str, result: Result, console: Console) -> int:
    """Report a result to the CI system; the exit code. When that fails, the failure of the command itself comes first.

    A result that is well but cannot be reported raises: what comes after would take its outputs for empty.
    """
    console.reported = True
    try:
        importlib.import_module(REPORTS[name]).report(result, console.redactor, console.env)
    except AnkaCiError as error:
        if not result.code:
            raise
        console.err(account.of_failure(error.emit()))
    return result.code


def wants_summary(options: argparse.Namespace, console: Console) -> bool:
    """Whether a job summary is wanted; also when the other inputs are wrong."""
    field = next(field for field in inputs.fields(inputs.SharedInputs) if field.key == "summary")
    try:
        values = given(options, console, {}, ()).values
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
    """Print a result (``text`` for people, or the document), report it, and tell its failure; the exit code.

    A signal does not cut the report short, as a later step would take its outputs for whole; one that takes longer than
    ``console.PATIENCE`` after it ends with ``InterruptError``.
    """
    if not options.report:
        return _finish(result, text, options, console)
    with console.interrupts(Cancelled()):
        return _finish(result, text, options, console)


def _finish(result: Result, text: str, options: argparse.Namespace, console: Console) -> int:
    if options.report and result.error is not None:
        explain(result, options.report, console)
    if options.json:
        document = console.redactor.tree(result.emit())
        console.out(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    else:
        console.out(text)
    if result.error is not None:
        console.err(account.of_failure(result.error))
    junit = getattr(options, "junit", None)
    try:
        if junit is not None:
            _write_junit(Path(junit), result, console)
    except RefusedError as error:
        if not result.code:
            raise
        console.err(account.of_failure(error.emit()))
    if options.report:
        result.summary = wants_summary(options, console)
        return tell(options.report, result, console)
    return result.code


def _write_junit(path: Path, result: Result, console: Console) -> None:
    """``RefusedError`` when it cannot be written; what stood there before is gone then."""
    from anka_ci import junit

    try:
        path.write_text(junit.of(console.redactor.tree(result.emit())), encoding="utf-8")  # type: ignore[arg-type]
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", hint="give --junit another path") from error
