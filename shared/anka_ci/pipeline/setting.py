"""What a run of a pipeline file is given: parameters, secrets, the environment, and facts of the run.

Everything that is missing or wrong is one error, before anything runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anka_ci import document
from anka_ci.clock import Clock
from anka_ci.errors import UsageError, suggestion
from anka_ci.inputs import arg
from anka_ci.pipeline.model import Pipeline
from anka_ci.pipeline.scope import Moment
from anka_ci.secret import Secret

DEFAULT_FILE = "anka-ci.yml"
FACTS: Mapping[str, tuple[str, ...]] = {
    "id": ("GITHUB_RUN_ID", "BUILD_TAG"),
    "number": ("GITHUB_RUN_NUMBER", "BUILD_NUMBER"),
    "attempt": ("GITHUB_RUN_ATTEMPT",),
    "sha": ("GITHUB_SHA", "GIT_COMMIT"),
    "ref": ("GITHUB_REF", "BRANCH_NAME", "GIT_BRANCH"),
}
"""Where GitHub Actions and Jenkins tell the facts of a run; the first variable that is set counts."""


@dataclass(frozen=True, kw_only=True)
class FileInputs:
    """The inputs of a whole pipeline file, in every face; the connection's are in ``inputs.SharedInputs``."""

    file: str = arg("Path of the pipeline file.", default=DEFAULT_FILE)
    set: tuple[str, ...] = arg("Parameters of the file, each as name=value, one per line.", default=())
    param_file: str | None = arg("A YAML or JSON file with parameters; those of `set` win.", default=None)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What expressions see beside the steps, and what the ``run`` steps get as their environment."""

    params: Mapping[str, str | bool | int]
    secrets: Mapping[str, Secret]
    env: Mapping[str, str]
    run: Mapping[str, str]
    now: Moment


def prepare(pipeline: Pipeline, given: Mapping[str, str], env: Mapping[str, str], clock: Clock) -> Setting:
    """Bind parameters (texts by name) and find the secrets in the environment.

    Raises ``UsageError`` for an unknown parameter (with the nearest name), one that is missing or has no fitting value,
    and for secrets whose variables are not set or empty.
    """
    now = Moment.of(clock.now())
    return Setting(
        params=_parameters(pipeline, given),
        secrets=_secrets(pipeline, env),
        env=dict(env),
        run=facts(env, now),
        now=now,
    )


def facts(env: Mapping[str, str], now: Moment) -> dict[str, str]:
    """The facts of the run from the CI system, made up where there is none."""
    made_up = {
        "id": f"local-{now.compact}-{os.getpid()}",
        "number": "1",
        "attempt": "1",
        "sha": "0" * 40,
        "ref": "local",
    }
    found = {key: next((env[name] for name in FACTS[key] if env.get(name)), "") for key in FACTS}
    return {key: found[key] or made_up[key] for key in FACTS}


def pairs(texts: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` texts as a mapping; ``UsageError`` for one that is none, or a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"the parameter {text!r} has no value", hint="write it like --set tag=v2")
        if name.strip() in found:
            raise UsageError(f"the parameter {name.strip()!r} is given twice")
        found[name.strip()] = value
    return found


def from_file(path: Path) -> dict[str, str]:
    """A file of parameters; ``UsageError`` when it is no mapping of names to texts."""
    return {key: node.value if node.value == "" else node.text(key) for key, node in _nodes(path).items()}


def _nodes(path: Path) -> dict[str, document.Node]:
    return document.read(path).mapping("the parameters")


def _parameters(pipeline: Pipeline, given: Mapping[str, str]) -> dict[str, str | bool | int]:
    problems, found = [], {}
    for name in given:
        if name not in pipeline.parameters:
            near = suggestion(name, pipeline.parameters) or "the file has no parameters"
            problems.append(f"no parameter {name!r}: {near}")
    for name, parameter in pipeline.parameters.items():
        text = given.get(name, parameter.default)
        if text is None and parameter.required:
            problems.append(f"the parameter {name!r} is required" + (f": {parameter.help}" if parameter.help else ""))
            continue
        try:
            found[name] = parameter.parse(text if text is not None else "")
        except ValueError as error:
            problems.append(f"the parameter {name!r}: {error}")
    if problems:
        raise UsageError(f"{pipeline.file}: " + "\n".join(problems), hint="give a parameter with --set name=value")
    return found


def _secrets(pipeline: Pipeline, env: Mapping[str, str]) -> dict[str, Secret]:
    missing = [name for name in pipeline.secrets if not env.get(name)]
    if missing:
        raise UsageError(
            f"{pipeline.file}: no secret {', '.join(missing)} in the environment",
            hint="each secret of the file is read from the environment variable of its name",
            secrets=missing,
        )
    return {name: Secret(env[name]) for name in pipeline.secrets}
