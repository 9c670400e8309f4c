"""The names of ``anka-ci check --live``: which file names what, and at which Anka it is looked for.

Only reads. An adapter is imported only for a job of its CI system.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from anka_ci import document, inputs, pipeline
from anka_ci.adapter import calls, system
from anka_ci.adapter.calls import Called
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands.job import SYSTEMS
from anka_ci.console import Console
from anka_ci.document import Place
from anka_ci.errors import AnkaCiError, UsageError
from anka_ci.pipeline import named
from anka_ci.pipeline.live import Live
from anka_ci.pipeline.model import Pipeline
from anka_ci.pipeline.named import Connection
from anka_ci.rules import selection

CONNECTION = tuple(field for field in inputs.fields(inputs.SharedInputs) if field.key in (*named.CONNECTION, "timeout"))
"""The options of ``--live``; how to sign in is in the context and the environment."""


def job(file: str) -> Called | None:
    """What the job in a file calls; None for a pipeline file, and for what is neither."""
    path = Path(file)
    if not path.is_file():
        return None
    text = document.text(path)
    for module in SYSTEMS.values():
        found: Called | None = importlib.import_module(module).calls(file, text)
        if found is not None:
            return found
    return None


def of_job(called: Called, options: argparse.Namespace, console: Console, clock: Clock) -> str:
    """What there is to tell of a job whose names are all there; ``LostNamesError`` when some are not."""
    root = system.repository(Path(called.file).absolute().parent)
    found = calls.pipelines(called, root)
    count = f"{len(called.calls)} call{'' if len(called.calls) == 1 else 's'}"
    return f"{count}; {_told(called.file, found.pipelines, options, console, clock, found.problems, found.unknown)}"


def of_file(found: Pipeline, options: argparse.Namespace, console: Console, clock: Clock) -> str:
    """The same of a pipeline file."""
    return _told(found.file, [found], options, console, clock)


def _told(
    file: str,
    found: Sequence[Pipeline],
    options: argparse.Namespace,
    console: Console,
    clock: Clock,
    problems: Sequence[AnkaCiError] = (),
    unknown: Sequence[Place] = (),
) -> str:
    cancelled = Cancelled()
    lost, count, later = list(problems), 0, [*unknown]
    opened: dict[tuple[str | None, Connection], Live | None] = {}
    elsewhere: dict[str, int] = {}
    with console.interrupts(cancelled):
        for each in found:
            names = named.names(each)
            later += names.unknown
            for name in names.found:
                key = (each.context, name.at)
                if key not in opened:
                    opened[key] = _open(each.context, name.at, options, console, clock, cancelled)
                looking = opened[key]
                if looking is None:
                    context = dict(name.at)["context"]
                    elsewhere[context] = elsewhere.get(context, 0) + 1
                    continue
                count += 1
                lost += looking.problems(name)
    if lost:
        raise pipeline.LostNamesError(file, list(_once(lost)))
    places = [str(place) for place in dict.fromkeys(later)]
    told = [f"{count} names are there"]
    if places:
        told.append(f"{len(places)} known only when it runs ({selection.listed(places, 5)})")
    told += [
        f"{number} in the context {context}, which the settings here do not have"
        for context, number in elsewhere.items()
    ]
    return ", ".join(told)


def _once(problems: Sequence[AnkaCiError]) -> Iterator[AnkaCiError]:
    seen = set()
    for each in problems:
        if each.message not in seen:
            seen.add(each.message)
            yield each


def _open(
    context: str | None, at: Connection, options: argparse.Namespace, console: Console, clock: Clock, stop: Cancelled
) -> Live | None:
    """The Anka to ask: what a step says itself of it wins over the options, and these over the file's context.

    None for a context of a step that the settings here do not have.
    """
    own = dict(at)
    given = {field.key: getattr(options, field.key) for field in CONNECTION}
    values = {"timeout": given["timeout"], **own} if "context" in own else {**given, **own}
    try:
        found = console.context(inputs.bind(inputs.SharedInputs, values, what="check"), context)
    except UsageError:
        if "context" in own:  # a runner may have other settings than this machine
            return None
        raise
    return Live(Anka(found, clock=clock, deadline=Deadline(clock, found.timeout), cancelled=stop))
