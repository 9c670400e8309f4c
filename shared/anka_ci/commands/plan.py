"""``anka-ci plan``: what a pipeline file would do and lose; reads only.

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
    """Print the plan of every step; 0 when each can be planned or waits for an earlier one."""
    return files.main("plan", pipeline.plan, options, console)
