"""``anka-ci try``: the embedded registry and the steps, shown in one command.

Works in a temporary folder and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from anka_ci import account
from anka_ci.anka import Anka
from anka_ci.console import Console
from anka_ci.desk import perform
from anka_ci.settings import Context

ACTS: tuple[tuple[str, Mapping[str, object], bool], ...] = (
    ("list", {}, False),
    ("show", {"template": "sonoma"}, False),
    ("revert", {"template": "sonoma", "tag": "v1"}, True),
    ("revert", {"template": "sonoma", "tag": "v1"}, False),
    ("show", {"template": "sonoma"}, False),
)
"""Step, inputs, and whether it is only planned."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options."""


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the acts, and tell them on stdout."""
    return show(console.out)


def show(say: Callable[[str], None], sample_bytes: int = 256 << 20) -> int:
    """Run the acts against an embedded registry with the sample template."""
    from anka_ci.server.app import Server

    with tempfile.TemporaryDirectory(prefix="anka-ci-try-") as folder:
        with Server(Path(folder), sample=True, sample_bytes=sample_bytes) as server:
            anka = Anka(Context(registry_urls=(server.registry_url,)))
            say(f"an embedded registry answers at {server.registry_url}\n")
            for step, values, plan_only in ACTS:
                words = " ".join([step, *(f"--{key} {value}" for key, value in values.items())])
                say(f"\n$ anka-ci {words}{' --plan' if plan_only else ''}\n")
                say(account.of_result(perform(step, values, anka, confirm="yes", plan_only=plan_only)))
    say("\nstopped; nothing is left behind\n")
    return 0
