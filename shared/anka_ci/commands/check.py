"""``anka-ci check``: every problem of a pipeline file, and with ``--live`` every name in it that is not there.

Without ``--live`` it asks no server and reads no environment but for the inputs that a CI system hands in, so it says
the same everywhere. With it, a file may also be a job: a workflow, a Jenkinsfile, or a Jenkins job's ``config.xml``.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from anka_ci import inputs, pipeline
from anka_ci.adapter.system import Source
from anka_ci.clock import Clock
from anka_ci.commands import add_input, add_output, finish, job, lookup, outcome
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.pipeline.model import Pipeline
from anka_ci.pipeline.setting import DEFAULT_FILE
from anka_ci.result import Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.usage = f"{parser.prog} [FILE …]"
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"the pipeline files [{DEFAULT_FILE}]")
    parser.add_argument(
        "--live",
        action="store_true",
        help="also look for every template, tag, group, node and channel that a file names, where it has to be; "
        "the files may be workflows, Jenkinsfiles and jobs' config.xml too",
    )
    connection = parser.add_argument_group("the connection, for --live; an option wins over the file's context")
    for field in lookup.CONNECTION:
        add_input(connection, field)
    add_output(parser)


def main(options: argparse.Namespace, console: Console) -> int:
    """Print each file that is right on stdout, and the problems of the others on stderr.

    2 when there are any, 4 when names are not there.
    """
    code = 0
    for file in options.files or [None]:
        said: list[str] = []

        def work(clock: Clock, file: str | None = file, said: list[str] = said) -> Result:
            name = file or _given(options, console)
            called = lookup.job(name) if options.live else None
            if called is not None:
                said.append(f"{name}: {lookup.of_job(called, options, console, clock)}\n")
                return Result(name="check", status="done")
            found = pipeline.load(Path(name))
            _sections(found, name)
            more = f"; {lookup.of_file(found, options, console, clock)}" if options.live else ""
            said.append(f"{file or found.file}: {found.name}: {len(found.steps)} steps, nothing wrong{more}\n")
            return Result(name="check", status="done")

        code = finish(outcome("check", work), "".join(said), options, console) or code
    return code


def _sections(found: Pipeline, file: str) -> None:
    """``UsageError`` for what a CI system that has a section in the file cannot do."""
    sections = {"github": found.github, "jenkins": found.jenkins}
    for ci, module in job.SYSTEMS.items():
        if sections[ci] is not None:
            importlib.import_module(module).check(Source(path=file, pipeline=found))


def _given(options: argparse.Namespace, console: Console) -> str:
    """The file that a CI system names, or the usual one. Other inputs are those of a run, and are not looked at."""
    if not options.report and not options.inputs_file:
        return DEFAULT_FILE
    found = given(options, console, {}, (*inputs.fields(pipeline.FileInputs), *inputs.fields(inputs.SharedInputs)))
    mine, _ = inputs.split_shared(found.values)
    return inputs.bind(pipeline.FileInputs, mine, what="check", where=found.where).file
