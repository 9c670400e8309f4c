"""What a runner is told of a result: masks, outputs, one annotation, and the job summary.

Decides nothing, and writes nothing that did not go through the redactor, but for the masks themselves.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from anka_ci.result import Result, StepResult
from anka_ci.secret import Redactor
from anka_ci_actions import summary

DOCUMENT, OUTPUTS, STATUS = "result", "outputs", "status"
"""Outputs beside those of the step: the result document, the outputs by step id, and how it ended."""


class Runner:
    """The workflow commands of one run of a command, as lines on stderr.

    While the command runs, the runner obeys no line that it prints: a template's description may begin with ``::``.
    What comes up as a secret meanwhile is masked at once.
    See https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
    """

    def __init__(self) -> None:
        self._stopped = ""

    def mask(self, values: Iterable[str]) -> None:
        """Have the runner mask these texts in every later line of the job."""
        was_stopped = bool(self._stopped)
        self.resume()
        for value in values:
            if "\n" not in value and "\r" not in value:  # its lines are among the values, one by one
                self._say(f"::add-mask::{escape(value)}")
        if was_stopped:
            self.stop()

    def stop(self) -> None:
        """Have the runner take no line for a command."""
        self._stopped = secrets.token_hex(16)
        self._say(f"::stop-commands::{self._stopped}")

    def resume(self) -> None:
        """Undo ``stop``."""
        if self._stopped:
            self._say(f"::{self._stopped}::")
            self._stopped = ""

    def error(self, title: str, message: str, place: Mapping[str, object]) -> None:
        """Annotate the run with a failure, at a place of a file where there is one."""
        facts = {"title": title, **place}
        properties = ",".join(f"{key}={escape(str(value), property=True)}" for key, value in facts.items())
        self._say(f"::error {properties}::{escape(message)}")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def begin(redactor: Redactor, env: Mapping[str, str]) -> None:
    """Before a command does anything: mask its secrets, now and as they come up, and obey nothing that it prints.

    Only on a runner: elsewhere the masks would show the secrets.
    """
    if env.get("GITHUB_ACTIONS") == "true":
        runner = Runner()
        runner.mask(redactor.values)
        runner.stop()
        redactor.listener = runner.mask


def report(result: Result, redactor: Redactor, env: Mapping[str, str]) -> None:
    """Write the outputs, the summary and, for a failure, one annotation."""
    shown = redacted(result, redactor)
    if env.get("GITHUB_OUTPUT"):
        _append(Path(env["GITHUB_OUTPUT"]), "".join(entry(key, value) for key, value in outputs(shown).items()))
    if env.get("GITHUB_STEP_SUMMARY") and result.summary:
        _append(Path(env["GITHUB_STEP_SUMMARY"]), summary.of(shown))
    if env.get("GITHUB_ACTIONS") == "true":
        runner = getattr(redactor.listener, "__self__", None) or Runner()
        runner.resume()
        if shown.error is not None:
            _annotate(runner, shown, shown.error, env)


def redacted(result: Result, redactor: Redactor) -> Result:
    """The same result without any secret."""

    def clean(value: Mapping[str, object] | None) -> Mapping[str, object] | None:
        found = redactor.tree(json.loads(json.dumps(value)))
        return found if isinstance(found, dict) else None

    steps = [
        StepResult(
            id=redactor(step.id),
            step=step.step,
            status=step.status,
            outputs=clean(step.outputs) or {},
            plan=clean(step.plan),
            error=clean(step.error),
            seconds=step.seconds,
            notes=tuple(redactor(note) for note in step.notes),
        )
        for step in result.steps
    ]
    return Result(
        name=redactor(result.name),
        status=result.status,
        code=result.code,
        context=redactor(result.context),
        started=result.started,
        seconds=result.seconds,
        steps=steps,
        error=clean(result.error),
        summary=result.summary,
    )


def outputs(result: Result) -> dict[str, object]:
    """The outputs by name; those of the step too, when the command was one step."""
    found: dict[str, object] = {STATUS: result.status, OUTPUTS: {step.id: dict(step.outputs) for step in result.steps}}
    if len(result.steps) == 1 and result.steps[0].step == result.name:
        found |= result.steps[0].outputs
    return found | {DOCUMENT: result.emit()}


def entry(key: str, value: object) -> str:
    """An output as the runner's file holds it; its end is marked by a text that is in no value."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    mark = f"anka_ci_{secrets.token_hex(16)}"
    return f"{key}<<{mark}\n{text}\n{mark}\n" if value is not None else ""


def escape(text: str, *, property: bool = False) -> str:
    """A text as it stands in a workflow command."""
    for char, escaped in {"%": "%25", "\r": "%0D", "\n": "%0A"}.items():
        text = text.replace(char, escaped)
    return text.replace(":", "%3A").replace(",", "%2C") if property else text


def _annotate(runner: Runner, result: Result, error: Mapping[str, object], env: Mapping[str, str]) -> None:
    whose = " (infrastructure)" if error.get("fault") == "infrastructure" else ""
    message = "\n".join(str(error[key]) for key in ("message", "hint") if error.get(key))
    runner.error(f"anka-ci {result.name}: {error['class']}{whose}", message, place(error, env))


def place(error: Mapping[str, object], env: Mapping[str, str]) -> dict[str, object]:
    """Where in a file of the checkout the failure was written, as an annotation tells it; empty when nowhere."""
    facts = error.get("facts")
    if not isinstance(facts, Mapping) or "file" not in facts:
        return {}
    problems = facts.get("problems")
    if "line" not in facts and isinstance(problems, list) and problems:
        facts = {**facts, **problems[0].get("facts", {})}
    file, root = str(facts["file"]), env.get("GITHUB_WORKSPACE", "")
    if root and Path(file).is_absolute():
        file = os.path.relpath(file, root)
    found = {"file": file, "line": facts.get("line"), "col": facts.get("column")}
    return {key: value for key, value in found.items() if value is not None}


def _append(file: Path, text: str) -> None:
    with file.open("a", encoding="utf-8", errors="replace", newline="\n") as stream:
        stream.write(text)
