"""``anka-ci steps``: the steps that are there.

Asks no server.
"""

from __future__ import annotations

import argparse

from anka_ci import account
from anka_ci.console import Console
from anka_ci.steps import catalog


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(options: argparse.Namespace, console: Console) -> int:
    """Print a table of the steps."""
    steps = [(name, catalog.load(name)) for name in catalog.BUILT]
    console.out(account.table([{"step": name, "what it does": catalog.summary(step)} for name, step in steps]))
    return 0
