"""``anka-ci job doctor``: whether a CI system has what the jobs of the pipeline files need. Reads only.

The adapter is imported when it is named. What is looked at is the adapter's.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from anka_ci import account, inputs
from anka_ci.adapter import checkup, system
from anka_ci.adapter.system import Means
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import add_input, add_output, finish, outcome
from anka_ci.console import Console
from anka_ci.pipeline.setting import DEFAULT_FILE
from anka_ci.progress import Progress
from anka_ci.result import Result

SYSTEMS = {"jenkins": "anka_ci_jenkins.doctor"}
"""What ``--ci`` may name, and the adapter's module with its ``Inputs`` and ``examine``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.usage = f"{parser.prog} --ci {'|'.join(SYSTEMS)} [FILE …] [options]"
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"the pipeline files [{DEFAULT_FILE}, if it is there]")
    parser.add_argument("--ci", choices=SYSTEMS, required=True, metavar="|".join(SYSTEMS), help="the CI system")
    group = parser.add_argument_group("inputs")
    for ci in SYSTEMS:
        for field in inputs.fields(_module(ci).Inputs):
            add_input(group, field)
    add_output(parser)


def main(options: argparse.Namespace, console: Console) -> int:
    """Look; 0 when nothing stands in the way, else the class of what does."""
    found = outcome("job doctor", lambda clock: _result(options, console, clock))
    rows = [{"what": step.id, "state": step.outputs["state"], "said": step.outputs["said"]} for step in found.steps]
    return finish(found, account.table(rows) if rows else "", options, console)


def _result(options: argparse.Namespace, console: Console, clock: Clock) -> Result:
    module = _module(options.ci)
    values = {field.key: getattr(options, field.key) for field in inputs.fields(module.Inputs)}
    bound = inputs.bind(module.Inputs, values, what="job doctor")
    files = list(options.files) or ([DEFAULT_FILE] if Path(DEFAULT_FILE).exists() else [])
    sources = system.read(files)
    cancelled = Cancelled()
    means = Means(
        env=console.env,
        redactor=console.redactor,
        clock=clock,
        deadline=Deadline(clock, bound.timeout),
        cancelled=cancelled,
        tell=Progress(console, clock, quiet=options.quiet),
    )
    with console.interrupts(cancelled):
        return checkup.result(module.examine(bound, sources, means))


def _module(ci: str) -> Any:
    return importlib.import_module(SYSTEMS[ci])
