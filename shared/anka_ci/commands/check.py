"""``anka-ci check``: every problem of a pipeline file.

Asks no server and reads no environment, so it says the same everywhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from anka_ci import account, pipeline
from anka_ci.console import Console
from anka_ci.pipeline.setting import DEFAULT_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.usage = f"{parser.prog} [FILE …]"
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"the pipeline files [{DEFAULT_FILE}]")


def main(options: argparse.Namespace, console: Console) -> int:
    """Print each file that is right on stdout, and the problems of the others on stderr; 2 when there are any."""
    code = 0
    for file in options.files or [DEFAULT_FILE]:
        try:
            found = pipeline.load(Path(file))
        except pipeline.PipelineError as error:
            console.err(account.of_failure(error.emit()))
            code = error.code
        else:
            console.out(f"{file}: {found.name}: {len(found.steps)} steps, nothing wrong\n")
    return code
