"""``anka-ci run``: the steps of a pipeline file, one after the other.

Everything else is in ``files``, with its twin.
"""

from __future__ import annotations

import argparse

from anka_ci import pipeline
from anka_ci.commands import files
from anka_ci.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    files.add_arguments(parser)


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the file; the exit code of its first failure."""
    return files.main("run", pipeline.run, options, console)
