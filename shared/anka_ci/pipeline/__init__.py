"""Pipeline files: steps and shell texts in one YAML file, checked, planned and run.

Nothing here prints, asks a terminal or reads the process's environment. A file looks like this::

    version: 1
    name: Refresh the template
    context: lab                         # of the settings file; optional
    parameters:
      template: sonoma                   # short form: a default
      tag:
        help: The tag to push.           # no default: it has to be given, --set tag=v2
      mode:
        help: How much to change.
        default: small
        choices: [small, large]
      notify: false                      # a plain true or false makes it a truth value; `type: int` a number
    secrets: [CHAT_TOKEN]                # read from the environment, masked everywhere
    job:
      runner: [self-hosted, macOS, anka]
      triggers: {manual: true, schedule: ["17 3 * * 1"], push: [main]}
      timeout: 2h
      concurrency: refresh-sonoma
    steps:
      - id: before
        use: show                        # a step of the catalog, and its inputs
        with: {template: "${{ params.template }}"}
      - id: change
        run: |                           # sh -euc; `anka` is the context's command, values come by env
          anka run "$TEMPLATE" touch "changed-$MODE"
        env:
          TEMPLATE: ${{ params.template }}
          MODE: ${{ params.mode }}
        timeout: 10m
      - use: revert                      # its id is `revert`
        if: ${{ steps.before.outputs.version > 0 and not params.notify }}
        with: {template: "${{ steps.before.outputs.id }}", latest: true}
        confirm: yes
      - run: curl -sS --oauth2-bearer "$TOKEN" https://chat.internal/done
        env: {TOKEN: "${{ secrets.CHAT_TOKEN }}"}
        always: true                     # also after a failure or an interruption

``load`` reads and checks a file, ``prepare`` binds its parameters, ``plan`` and ``run`` go through its steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from anka_ci import document
from anka_ci.errors import AnkaCiError, NotFoundError, UsageError
from anka_ci.pipeline import checks
from anka_ci.pipeline.course import plan, run
from anka_ci.pipeline.model import Job, Parameter, Pipeline, Step, Triggers
from anka_ci.pipeline.reader import Reader
from anka_ci.pipeline.setting import FileInputs, Setting, prepare

__all__ = [
    "FileInputs",
    "Job",
    "LostNamesError",
    "Parameter",
    "Pipeline",
    "PipelineError",
    "Setting",
    "Step",
    "Triggers",
    "check",
    "load",
    "parse",
    "plan",
    "prepare",
    "read",
    "run",
]


class PipelineError(UsageError):
    """A pipeline file that cannot be run; ``problems`` are all that it has, in the order of the file."""

    def __init__(self, file: str, problems: Sequence[AnkaCiError]) -> None:
        first = problems[0]
        super().__init__(_told(file, problems), hint=first.hint if len(problems) == 1 else "", **_facts(file, problems))
        self.problems = tuple(problems)


class LostNamesError(NotFoundError):
    """A pipeline file with names that are not there, or mean two things; ``problems`` are all of them."""

    def __init__(self, file: str, problems: Sequence[AnkaCiError]) -> None:
        first = problems[0]
        hint = first.hint if len(problems) == 1 else ""
        super().__init__("name", file, hint=hint)
        self.facts |= _facts(file, problems)
        self.message = _told(file, problems)
        self.problems = tuple(problems)


def _told(file: str, problems: Sequence[AnkaCiError]) -> str:
    if len(problems) == 1:
        return problems[0].message
    lines = [f"{each.message}\n  {each.hint}" if each.hint else each.message for each in problems]
    return f"{file}: {len(problems)} problems\n" + "\n".join(lines)


def _facts(file: str, problems: Sequence[AnkaCiError]) -> dict[str, object]:
    if len(problems) == 1:
        return problems[0].facts
    return {"file": file, "problems": [each.emit() for each in problems]}


def read(root: document.Node, file: str) -> tuple[Pipeline, list[UsageError]]:
    """A document as a pipeline, and every problem it has, in the order of the file."""
    reader = Reader(file)
    pipeline = reader.pipeline(root)
    problems = [*reader.problems, *checks.check(pipeline)]
    problems.sort(key=lambda each: (each.facts.get("line", 0), each.facts.get("column", 0)))
    return pipeline, problems


def check(path: Path) -> list[UsageError]:
    """Every problem of a file; none when it can be run. ``UsageError`` when it cannot be read at all."""
    return read(document.read(path), str(path))[1]


def load(path: Path) -> Pipeline:
    """Read and check a file; ``PipelineError`` with all its problems."""
    return _whole(document.read(path), str(path))


def parse(text: str, file: str = "anka-ci.yml") -> Pipeline:
    """The same from a text."""
    return _whole(document.parse(text, file), file)


def _whole(root: document.Node, file: str) -> Pipeline:
    pipeline, problems = read(root, file)
    if problems:
        raise PipelineError(file, problems)
    return pipeline
