"""What a runner is told of a result: masks, outputs, the document as a file, annotations, and the job summary.

Decides nothing, and writes nothing that did not go through the redactor, but for the masks themselves.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from anka_ci.errors import RefusedError, UsageError
from anka_ci.result import Result, StepResult
from anka_ci.secret import Redactor
from anka_ci_actions import commit_status, event, summary
from anka_ci_actions.runner import Runner

DOCUMENT, DOCUMENT_FILE, OUTPUTS, STATUS = "result", "result-file", "outputs", "status"
"""Outputs beside those of the step: the result document, its file, the outputs by step id, and how it ended."""

COMMAND, COMMANDS = "ANKA_CI_COMMAND", ("run", "plan", "check")
"""The variable by which the root action names a command, and what it may name."""
FEW, MOST = 4, 4000
"""Annotations of one level other than errors (a runner takes ten of a level from a step), and characters of one."""


def begin(redactor: Redactor, env: Mapping[str, str]) -> Runner | None:
    """Before a command does anything: mask its secrets, now and as they come up, and obey nothing that it prints.

    Only on a runner: elsewhere the masks would show the secrets. The runner folds the log.
    """
    if env.get("GITHUB_ACTIONS") != "true":
        return None
    runner = Runner()
    runner.mask(redactor.values)
    redactor.listener = runner.mask
    if (command := env.get(COMMAND, COMMANDS[0])) not in COMMANDS:
        raise UsageError(f"the input command is one of {', '.join(COMMANDS)}, not {command!r}")
    commit_status.begin(env, redactor, _warner(runner))
    runner.stop()
    return runner


def explain(error: Mapping[str, object], env: Mapping[str, str]) -> str:
    """What a run can add to the hint of a failure; empty when nothing."""
    return event.explain(error, env) if env.get("GITHUB_ACTIONS") == "true" else ""


def report(result: Result, redactor: Redactor, env: Mapping[str, str]) -> None:
    """Write the outputs, the document, the summary and, for failures, annotations.

    ``RefusedError`` when the outputs cannot be written, as a later step would take them for empty; what else cannot be
    written, on a full disk say, is only told.
    """
    shown, lost = redacted(result, redactor), []
    runner = None
    if env.get("GITHUB_ACTIONS") == "true":
        runner = getattr(redactor.listener, "__self__", None) or Runner()
        runner.resume()
        _annotate(runner, shown, env)
    found = outputs(shown)
    if env.get("RUNNER_TEMP"):
        try:
            found[DOCUMENT_FILE] = str(document_file(Path(env["RUNNER_TEMP"]), shown))
        except OSError as error:
            lost.append(f"the result document cannot be written below {env['RUNNER_TEMP']}: {error.strerror}")
    if env.get("GITHUB_STEP_SUMMARY") and result.summary:
        try:
            _append(Path(env["GITHUB_STEP_SUMMARY"]), summary.of(shown))
        except OSError as error:
            lost.append(f"the job summary cannot be written: {error.strerror}")
    if runner is not None and lost:
        runner.tell("warning", f"anka-ci {shown.name}", "; ".join(lost))
    try:
        _tell_outputs(found, env)
    finally:
        if runner is not None:
            commit_status.end(shown, env, redactor, _warner(runner))


def _warner(runner: Runner) -> commit_status.Warn:
    return lambda text: runner.once("warning", "anka-ci: commit status", text)


def _tell_outputs(found: Mapping[str, object], env: Mapping[str, str]) -> None:
    if env.get("GITHUB_OUTPUT"):
        try:
            _append(Path(env["GITHUB_OUTPUT"]), "".join(entry(key, value) for key, value in found.items()))
        except OSError as error:
            hint = "a later step would take them for empty; is the runner's disk full?"
            raise RefusedError(f"the outputs cannot be written: {error.strerror}", hint=hint) from error


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
        said=[each for each in map(clean, result.said) if each is not None],
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


def document_file(folder: Path, result: Result) -> Path:
    """The result document as a file of its own below the folder; ``OSError`` when it cannot be written."""
    place = folder / "anka-ci"
    place.mkdir(parents=True, exist_ok=True)
    name = re.sub("[^A-Za-z0-9]+", "-", result.name).strip("-")[:40] or "result"
    file = place / f"{name}-{secrets.token_hex(4)}.json"
    text = json.dumps(result.emit(), indent=2, ensure_ascii=False) + "\n"
    file.write_bytes(text.encode("utf-8", "replace"))
    return file


def _annotate(runner: Runner, result: Result, env: Mapping[str, str]) -> None:
    """One annotation for each class of failure: the first of it, and how many more there are; few of what was said."""
    found: dict[str, list[Mapping[str, object]]] = {}
    for error in failures(result):
        found.setdefault(str(error["class"]), []).append(error)
    for kind, errors in found.items():
        error, more = errors[0], len(errors) - 1
        whose = " (infrastructure)" if error.get("fault") == "infrastructure" else ""
        words = [str(error[key]) for key in ("message", "hint") if error.get(key)]
        words += [f"{more} more of this kind; see the summary"] if more else []
        text = "\n".join(words)
        text = f"{text[:MOST]} … ({len(text) - MOST} more characters; see the log)" if len(text) > MOST else text
        runner.tell("error", f"anka-ci {result.name}: {kind}{whose}", text, place(error, env))
    for level in ("warning", "notice"):
        said = [each for each in result.said if each["level"] == level]
        for each in said[:FEW]:
            step = f": {each['step']}" if each["step"] else ""
            runner.tell(level, f"anka-ci {result.name}{step}", str(each["text"]))
        if len(said) > FEW:
            runner.tell(
                level, f"anka-ci {result.name}", f"{len(said) - FEW} more {level}s; see the log and the summary"
            )


def failures(result: Result) -> list[Mapping[str, object]]:
    """The failures of a result, each once: its own first, then those of its steps."""
    found: list[Mapping[str, object]] = []
    for error in [result.error, *(step.error for step in result.steps)]:
        if error is not None and error not in found:
            found.append(error)
    return found


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
