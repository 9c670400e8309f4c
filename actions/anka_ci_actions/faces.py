"""The faces for GitHub Actions: the root ``action.yml``, and one per step below ``actions/``.

Writes no file; ``anka-ci render`` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anka_ci import adapter, inputs
from anka_ci.inputs import Field, arg
from anka_ci.pipeline.setting import FileInputs
from anka_ci.render import Faces, render
from anka_ci_actions import commit_status
from anka_ci_actions.report import COMMANDS, DOCUMENT, DOCUMENT_FILE, OUTPUTS, STATUS

COMMAND = "command"
"""The input of the root action that is no input of the command itself: it names the command."""
RESULT: Mapping[str, str] = {
    DOCUMENT: "The result document (anka-ci/result/1) as JSON.",
    DOCUMENT_FILE: "Path of a file with the same document, below the runner's folder for temporary files.",
}
FIRST = {"file", COMMAND}
CALL = inputs.fields(inputs.CallInputs)
STATUS_STEPS = {"distribute", "distribution"}
"""The steps whose action can set a commit status, beside the root action."""
FROM_THE_JOB = {"job-status": "${{ job.status }}", "status-token": "${{ github.token }}"}
"""What an input that is left out has from the job; a default of an action may ask the context ``job``, see
https://github.com/actions/runner/blob/main/src/Runner.Worker/action_yaml.json (``input-default-context``)."""
NO_CONFIRM = {"confirm"}
"""What the root action lacks: a confirmation belongs to one step, and stands in the pipeline file."""


@dataclass(frozen=True, kw_only=True)
class RootInputs(FileInputs):
    """The inputs of the root action."""

    command: str = arg(
        "What to do with the file: run it, plan (only tell what it would do and lose), or check (ask no server).",
        default="run",
        choices=COMMANDS,
    )


@dataclass(frozen=True)
class Input:
    """An input as ``action.yml`` declares it; ``default`` is None for a required one."""

    key: str
    help: str
    default: str | None


def faces() -> Faces:
    """Every ``action.yml``, by its path below the checkout."""
    found = {"action.yml": _root()}
    status = inputs.fields(commit_status.Inputs)
    for step in adapter.facts():
        more = status if step.name in STATUS_STEPS else ()
        declared = [*step.inputs, *adapter.SHARED, *CALL, *more]
        outputs = {field.key: f"{field.help}{_form(field)}" for field in step.outputs} | {**RESULT}
        found[f"actions/{step.name}/action.yml"] = _action(
            name=f"anka-ci {step.name}",
            description=step.summary,
            source=step.module,
            declared=declared,
            outputs=outputs,
            run=f'exec "$GITHUB_ACTION_PATH/../run.sh" {step.name}',
            variables=[field.key for field in more],
        )
    return found


def _root() -> str:
    shared = [field for field in adapter.SHARED if field.key not in NO_CONFIRM]
    own, status = inputs.fields(RootInputs), inputs.fields(commit_status.Inputs)
    outputs = {
        STATUS: "How it ended: done, planned, failed, interrupted.",
        OUTPUTS: "The outputs of every step as one JSON mapping: step id to output to value.",
        **RESULT,
    }
    return _action(
        name="anka-ci",
        description="Run a pipeline of steps for the Anka Registry and Controller, or plan or check it.",
        source="shared/anka_ci/pipeline/setting.py",
        declared=[
            *sorted(own, key=lambda field: field.key not in FIRST),
            *shared,
            *CALL,
            *status,
        ],
        outputs=outputs,
        run=f'exec "$GITHUB_ACTION_PATH/actions/run.sh" "${_variable(COMMAND)}"',
        variables=(COMMAND, *(field.key for field in status)),
    )


def _action(
    *,
    name: str,
    description: str,
    source: str,
    declared: Sequence[Field],
    outputs: Mapping[str, str],
    run: str,
    variables: Sequence[str] = (),
) -> str:
    """``variables`` are the inputs beside the secret ones that get a variable of their own."""
    secrets = {field.key: adapter.secret_variable(field) for field in declared if field.secret}
    values = {
        "name": name,
        "description": description,
        "source": source,
        "inputs": [_input(field) for field in declared],
        "outputs": outputs,
        "plain": [field.key for field in declared if not field.secret and field.key not in variables],
        "secrets": secrets,
        "variables": {key: _variable(key) for key in variables},
        "run": run,
    }
    return render("anka_ci_actions", "action.yml.j2", values)


def _input(field: Field) -> Input:
    """A secret that is left out is empty, as its variable is; any other input says so."""
    if field.required:
        return Input(field.key, _help(field), None)
    default = "" if field.secret else inputs.show_default(field) or adapter.LEFT_OUT
    default = FROM_THE_JOB.get(field.key, default)
    return Input(field.key, _help(field), default)


def _help(field: Field) -> str:
    words = field.help
    if field.choices:
        words += f" One of {', '.join(field.choices)}."
    if field.secret:
        words += f" The variable {adapter.secret_variable(field)} of the job when left out."
    return words


def _form(field: Field) -> str:
    return " A JSON array." if field.many else " A JSON mapping." if field.type is dict else ""


def _variable(key: str) -> str:
    return "ANKA_CI_" + inputs.python_name(key).upper()
