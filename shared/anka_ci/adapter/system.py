"""A CI system as ``anka-ci job`` sees it, and the pipeline files that its jobs are made from.

A module of an adapter *is* the implementation of ``System``. Pipeline files are named by their path in the repository
they are in, because that is where a job finds them; no git command is run, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from anka_ci import pipeline
from anka_ci.adapter.calls import Called
from anka_ci.adapter.jobs import Job, Keeper
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.errors import UsageError
from anka_ci.inputs import Duration, arg
from anka_ci.pipeline.model import Parameter, Pipeline
from anka_ci.pipeline.parts import parts
from anka_ci.result import Tell
from anka_ci.secret import Redactor


@dataclass(frozen=True, kw_only=True)
class Source:
    """A pipeline file that was read and checked: its ``path`` in the repository (with ``/``), and what it says."""

    path: str
    pipeline: Pipeline


@dataclass(frozen=True, kw_only=True)
class JobInputs:
    """The options of ``anka-ci job`` for every CI system; a system's own ``Inputs`` are a sub-class."""

    templates: str | None = arg(
        "A folder of templates of your own; one with the name of ours wins, and may extend it as `anka-ci/NAME`.",
        default=None,
    )
    timeout: Duration | None = arg("Give up after this long, retries included; no limit when left out.", default=None)


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a keeper works with: the environment, the redactor that learns its tokens, time, the one for progress."""

    env: Mapping[str, str]
    redactor: Redactor
    clock: Clock
    deadline: Deadline
    cancelled: Cancelled
    tell: Tell


class System(Protocol):
    """What a CI system's module offers. ``Inputs`` are its options, bound like a step's."""

    Inputs: type[Any]

    def check(self, source: Source) -> None:
        """``UsageError`` for what a pipeline file asks for and the system cannot do, as far as no option tells."""

    def names(self, sources: Sequence[Source], given: Any) -> Sequence[str]:
        """The names of the jobs of these pipeline files, in their order."""

    def jobs(self, sources: Sequence[Source], given: Any, env: Mapping[str, str]) -> Sequence[Job]:
        """The jobs, rendered. ``UsageError`` for what a pipeline file asks for and the system cannot do."""

    def written(self, job: Job) -> str:
        """A job as it stands there, with its mark."""

    def calls(self, file: str, text: str) -> Called | None:
        """What the job in a file calls, as far as its text tells; None when it is no job of this system."""

    def keeper(self, given: Any, means: Means) -> Keeper:
        """The place that the options name, ready to read and write."""


def read(files: Sequence[str]) -> tuple[Source, ...]:
    """The pipeline files, checked. ``UsageError`` with everything that is wrong with the first that has something."""
    return tuple(Source(path=path, pipeline=pipeline.load(Path(file))) for file, path in paths(files).items())


def paths(files: Sequence[str]) -> dict[str, str]:
    """The path in the repository of each file, which need not be there; ``UsageError`` for files of two."""
    found: dict[str, str] = {}
    roots: dict[Path, str] = {}
    for file in files:
        place = Path(file).absolute()
        place = Path(place.parent.resolve(), place.name)
        root = repository(place.parent)
        roots.setdefault(root, file)
        if not place.is_relative_to(root):
            raise UsageError(f"{file} is not below {root}", hint="run this in the repository that holds the file")
        path = place.relative_to(root).as_posix()
        if not path.isprintable():
            raise UsageError(f"the path {path!r} holds a character that no job can name", hint="rename the file")
        found[file] = path
    if len(roots) > 1:
        first, second = list(roots)[:2]
        said = f"{roots[first]} is in {first}, and {roots[second]} in {second}"
        raise UsageError(said, hint="keep the jobs of one repository at a time")
    return found


def repository(folder: Path) -> Path:
    """The repository that a folder is in: the nearest one above with a ``.git``; without one, the current folder."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), Path.cwd().resolve())


def params(text: str, pipeline: Pipeline, what: str) -> list[str | Parameter]:
    """A text of ``job:`` in its parts: plain text, and the parameters that ``${{ params.NAME }}`` names.

    ``UsageError`` for any other expression, and for a parameter that there is not.
    """
    try:
        return parts(text, pipeline.parameters)
    except UsageError as error:
        raise UsageError(f"{pipeline.file}: {what}: {error.message}", hint=error.hint, file=pipeline.file) from None
