"""``anka-ci check``: every problem of a pipeline file.

Asks no server and reads no environment but for the inputs that a CI system hands in, so it says the same everywhere.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from anka_ci import inputs, pipeline
from anka_ci.adapter.system import Source
from anka_ci.clock import Clock
from anka_ci.commands import add_output, finish, job, outcome
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.pipeline.model import Pipeline
from anka_ci.pipeline.setting import DEFAULT_FILE
from anka_ci.result import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.usage = f"{parser.prog} [FILE …]"
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"the pipeline files [{DEFAULT_FILE}]")
    add_output(parser)


def main(options: argparse.Namespace, console: Console) -> int:
    """Print each file that is right on stdout, and the problems of the others on stderr; 2 when there are any."""
    code = 0
    for file in options.files or [None]:
        said: list[str] = []

        def work(clock: Clock, file: str | None = file, said: list[str] = said) -> Result:
            name = file or _given(options, console)
            found = pipeline.load(Path(name))
            _sections(found, name)
            said.append(f"{file or found.file}: {found.name}: {len(found.steps)} steps, nothing wrong\n")
            return Result(name="check", status="done")

        code = finish(outcome("check", work), "".join(said), options, console) or code
    return code


def _sections(found: Pipeline, file: str) -> None:
    """``UsageError`` for what a CI system does not know in its own section of the file."""
    sections = {"github": found.github, "jenkins": found.jenkins}
    for ci, module in job.SYSTEMS.items():
        if sections[ci] is not None:
            adapter = importlib.import_module(module)
            adapter.names([Source(path=file, pipeline=found)], adapter.Inputs())


def _given(options: argparse.Namespace, console: Console) -> str:
    """The file that a CI system names, or the usual one. Other inputs are those of a run, and are not looked at."""
    if not options.report and not options.inputs_file:
        return DEFAULT_FILE
    found = given(options, console, {}, (*inputs.fields(pipeline.FileInputs), *inputs.fields(inputs.SharedInputs)))
    mine, _ = inputs.split_shared(found.values)
    return inputs.bind(pipeline.FileInputs, mine, what="check", where=found.where).file
