"""The roof: the command ``anka-ci``.

The one place that catches errors and reads the process's environment. A command is one line of ``COMMANDS``, its module
is imported when it is run; a step's command is made from its ``Inputs``, so a command loads the one step it runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from anka_ci import __version__, account
from anka_ci.clock import Cancelled
from anka_ci.commands import Command, Parser, begin, reporter, tell, wants_summary
from anka_ci.console import Console
from anka_ci.errors import AnkaCiError, InterruptError, UsageError, suggestion, surprise
from anka_ci.result import Result, Status
from anka_ci.steps import catalog


@dataclass(frozen=True)
class Entry:
    """A command that is no step: the module with its ``add_arguments`` and ``main``, and its line in the help."""

    module: str
    summary: str


COMMANDS = {
    "check": Entry("anka_ci.commands.check", "tell every problem of a pipeline file, without any server"),
    "plan": Entry("anka_ci.commands.plan", "tell what a pipeline file would do and lose, step by step"),
    "run": Entry("anka_ci.commands.run", "run a pipeline file"),
    "job": Entry("anka_ci.commands.job", "render jobs of a CI system from pipeline files, and keep them in step"),
    "doctor": Entry("anka_ci.commands.doctor", "tell what stands between this host and its Anka, and what to do"),
    "steps": Entry("anka_ci.commands.steps", "list the steps"),
    "render": Entry("anka_ci.commands.render", "write the files that are rendered from the steps, or check them"),
    "serve": Entry("anka_ci.serve", "run the embedded registry, controller and fleet"),
    "try": Entry("anka_ci.trial", "run a pipeline file on an embedded Anka, made and removed again"),
}
EXTRAS = {"aiohttp": "server", "cryptography": "signin", "github": "github", "jenkins": "jenkins"}
"""Packages that are not in a core install, and the extra that brings them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code (see ``errors``)."""
    console, words = Console(os.environ), list(sys.argv[1:] if argv is None else argv)
    try:
        begin(reporter(words), console)
        return _dispatch(words, console)
    except AnkaCiError as error:
        console.err(account.of_failure(error.emit()))
        return _failed(words, error.emit(), console)
    except KeyboardInterrupt:
        console.err("anka-ci: interrupted\n")
        return _failed(words, InterruptError("interrupted").emit(), console)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        console.err(traceback.format_exc())
        console.err("anka-ci: this is a fault of anka-ci; please report the lines above\n")
        return _failed(words, surprise(error, words[0] if words else "anka-ci"), console)


def _failed(words: Sequence[str], error: Mapping[str, object], console: Console) -> int:
    """The exit code of a failure; the CI system is told of it too, unless it was told of a result already."""
    code, name = int(str(error["code"])), reporter(words)
    if name is None or console.reported:
        return code
    status: Status = "interrupted" if code == InterruptError.code else "failed"
    result = Result(name=words[0], status=status, code=code, error=error)
    result.summary = wants_summary(argparse.Namespace(report=name, inputs_file=None), console)
    with console.interrupts(Cancelled()):
        return tell(name, result, console)


def _dispatch(arguments: list[str], console: Console) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        console.out(_help())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        console.out(f"anka-ci {__version__}\n")
        return 0
    parser = Parser(prog=f"anka-ci {name}")
    try:
        command = _load(name, parser)
        command.add_arguments(parser)
        options = parser.read(rest)
        if getattr(options, "verbose", False):
            console.verbose()
        return command.main(options, console)
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        raise UsageError(f"{name} needs {error.name}", hint=f"pip install 'anka-ci[{extra}]'") from error


def _load(name: str, parser: Parser) -> Command:
    if name in COMMANDS:
        parser.description = COMMANDS[name].summary
        return cast(Command, importlib.import_module(COMMANDS[name].module))
    if name not in catalog.CATALOG:
        raise UsageError(f"no command {name!r}", hint=suggestion(name, [*catalog.BUILT, *COMMANDS]))
    from anka_ci.commands.step import StepCommand

    return StepCommand(name)


def _help() -> str:
    lines = ["usage: anka-ci COMMAND [options]", "", "steps:"]
    lines += [f"  {name:15} {catalog.summary(catalog.load(name))}" for name in catalog.BUILT]
    lines += ["", "more:", *(f"  {name:15} {entry.summary}" for name, entry in COMMANDS.items())]
    return "\n".join([*lines, "", "`anka-ci COMMAND --help` tells a command's options.", ""])


if __name__ == "__main__":
    raise SystemExit(main())
