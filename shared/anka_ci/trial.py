"""``anka-ci try``: a pipeline file on an embedded registry, controller and fleet, with no Mac and nothing to set up.

The file runs as it would against any other Anka: over HTTP, with the ``anka`` command of the embedded host. Works in a
temporary folder and leaves nothing behind, unless it is to be kept.
"""

from __future__ import annotations

import argparse
import importlib.resources
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from anka_ci import account, pipeline
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, SystemClock
from anka_ci.commands import add_output, finish
from anka_ci.console import Console
from anka_ci.errors import UsageError
from anka_ci.inputs import show_size, size
from anka_ci.pipeline import setting
from anka_ci.progress import Progress
from anka_ci.result import Result
from anka_ci.settings import Context

NODES, GROUPS = 3, {"ios": ("node-1", "node-2")}
ACTS = ("refresh-template.yml", "undo.yml")
"""What runs when no file is named: the main job, then the way back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``try``."""
    parser.usage = f"{parser.prog} [FILE] [--set NAME=VALUE …] [options]"
    parser.description = (
        "Run a pipeline file against an embedded registry, controller and fleet: three nodes, two of them in the group"
        " ios, and the sample template sonoma with the tags base and v1. Guests are folders of this machine, and their"
        " commands run on it, as you. Without FILE: push, distribute and verify a new tag, then take it back."
    )
    parser.add_argument("first", nargs="?", metavar="FILE", help="the pipeline file; the two examples when left out")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the file")
    parser.add_argument("--sample-size", default="256MiB", metavar="SIZE", help="size of the sample [256MiB]")
    parser.add_argument("--keep", action="store_true", help="keep the data, and tell how to serve it again")
    add_output(parser)


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the file, or the acts; the exit code of the first that fails."""
    if options.first is None and options.set:
        raise UsageError(
            "try: --set goes with a file", hint=f"for example: anka-ci try {_example(ACTS[0])} --set tag=v3"
        )
    paths = [Path(options.first)] if options.first else [_example(name) for name in ACTS]
    files = [pipeline.load(path) for path in paths]
    try:
        sample = int(size(options.sample_size))
    except ValueError as error:
        raise UsageError(f"--sample-size: {error}") from None
    from anka_ci.server.app import Server

    folder = Path(tempfile.mkdtemp(prefix="anka-ci-try-"))
    cancelled = Cancelled()
    try:
        with console.interrupts(cancelled):
            console.err(f"making the sample template, {show_size(sample)} in three layers …\n")
            server = Server(folder, nodes=NODES, groups=GROUPS, sample=True, sample_bytes=sample, run_guests=True)
            with server:
                console.err(
                    f"an embedded registry and controller answer at {server.controller_url};"
                    f" nodes: {', '.join(server.node_names)}; group ios: {', '.join(GROUPS['ios'])}\n"
                )
                context = Context(
                    name="try",
                    controller_url=server.controller_url,
                    registry_urls=(server.registry_url,),
                    anka=(server.anka,),
                )
                code = 0
                for found in files:
                    code = _act(found, context, options, console, cancelled)
                    if code:
                        break
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    if options.keep:
        groups = " ".join(f"--group {name}={','.join(nodes)}" for name, nodes in GROUPS.items())
        words = f"anka-ci serve --data {shlex.quote(str(folder))} --nodes {NODES} {groups} --run-guests"
        console.err(f"\nkept: {folder}\nserve it again: {words}\n")
    else:
        console.err("\nstopped; nothing is left behind\n")
    return code


def _act(
    found: pipeline.Pipeline, context: Context, options: argparse.Namespace, console: Console, cancelled: Cancelled
) -> int:
    """One file, with its account."""
    clock = SystemClock()
    console.err(f"\n$ anka-ci run {found.file}\n")
    prepared = pipeline.prepare(found, setting.pairs(tuple(options.set)), console.env, clock)
    for secret in prepared.secrets.values():
        console.redactor.add(secret)
    tell = Progress(console, clock, quiet=options.quiet)
    anka = Anka(context, clock=clock, cancelled=cancelled, tell=tell)
    result = pipeline.run(found, anka, prepared)
    return finish(result, "\n" + account.of_course(result) + _moved(result), options, console)


def _moved(result: Result) -> str:
    """What was sent, what was shared, and where it is now."""
    lines = []
    for step in result.steps:
        outputs: Mapping[str, object] = step.outputs
        sent, shared = outputs.get("bytes-sent"), outputs.get("bytes-shared")
        if isinstance(sent, int) and isinstance(shared, int):
            total = sent + shared
            share = f", {100 * shared / total:.0f} % of {show_size(total)} were there" if total else ""
            lines.append(f"sent to the registry: {show_size(sent)}{share}\n")
        rows = outputs.get("nodes")
        if isinstance(rows, (list, tuple)) and rows and step.step == "nodes":
            lines.append("\n" + account.table([{k: row[k] for k in ("name", "state", "templates")} for row in rows]))
    return "".join(lines)


def _example(name: str) -> Path:
    """An example: of the checkout, or the copy that is installed."""
    package = importlib.resources.files("anka_ci")
    for place in (Path(str(package)).parent / "examples" / name, Path(str(package)) / "examples" / name):
        if place.is_file():
            return place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
    raise UsageError(f"the example {name} is not installed", hint="run it from a checkout, or name a file")
