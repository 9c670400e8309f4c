"""A runner in small: what GitHub does with a composite action, so that the rendered files are what is tested."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@dataclass
class Ended:
    """What a runner has of a step: the exit code, the log, the outputs of the action, and the summary."""

    code: int
    log: str
    outputs: dict[str, str]
    summary: str

    @property
    def masks(self) -> list[str]:
        return re.findall("^::add-mask::(.*)$", self.log, re.MULTILINE)

    @property
    def errors(self) -> list[str]:
        return re.findall("^::error .*$", self.log, re.MULTILINE)


def evaluate(text: str, inputs: Mapping[str, str], env: Mapping[str, str]) -> str:
    """The expressions of a text as GitHub evaluates them: the few kinds that our files hold, and no other."""

    def value(expression: str) -> str:
        if " || " in expression:
            return next(filter(None, map(value, expression.split(" || "))), "")
        if match := re.fullmatch(r"toJSON\((.+)\)", expression):
            return json.dumps(value(match.group(1)))
        kind, _, name = expression.partition(".")
        job = {"status": env.get("JOB_STATUS", "success")}
        github = {"token": env.get("TOKEN_OF_THE_JOB", "")}
        return {"inputs": inputs, "env": env, "job": job, "github": github}[kind].get(name, "")

    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: value(match.group(1)), text)


def entries(text: str) -> dict[str, str]:
    """What a ``GITHUB_OUTPUT`` file says; the runner's own way of reading it."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if line:
            key, mark = line.split("<<", 1)
            value = []
            while (each := next(lines)) != mark:
                value.append(each)
            found[key] = "\n".join(value)
    return found


@pytest.fixture
def uses(tmp_path: Path) -> Callable[..., Ended]:
    """``uses: ./PATH`` with inputs: evaluates the ``action.yml`` and runs its script as a runner would."""
    workspace = tmp_path / "work space"
    workspace.mkdir()

    def run(
        path: str,
        with_: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        during: Callable[[subprocess.Popen[str]], None] = lambda process: None,
    ) -> Ended:
        folder = ROOT / path
        action = yaml.safe_load((folder / "action.yml").read_text())
        defaults = {key: evaluate(each.get("default", ""), {}, env or {}) for key, each in action["inputs"].items()}
        inputs = defaults | dict(with_ or {})
        assert set(inputs) == set(action["inputs"]), "a runner only warns of these"
        (step,) = action["runs"]["steps"]
        files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for file in files.values():
            file.write_text("")
        job = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(workspace),
            "RUNNER_TEMP": str(tmp_path / "temp orary"),
            "ANKA_CI_VENV": sys.prefix,
            **{name: str(file) for name, file in files.items()},
            **(env or {}),
        }
        own = {key: evaluate(value, inputs, job) for key, value in step["env"].items()}
        script = tmp_path / "script.sh"
        script.write_text(step["run"])
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            env={**job, **own, "GITHUB_ACTION_PATH": str(folder)},
            cwd=workspace,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            during(process)
            log, apart = process.communicate(timeout=120)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        assert "" == apart, "the script puts all into one stream"
        told = entries(files["GITHUB_OUTPUT"].read_text())
        steps = {f"${{{{ steps.{step['id']}.outputs.{key} }}}}": value for key, value in told.items()}
        outputs = {key: steps[each["value"]] for key, each in action["outputs"].items() if each["value"] in steps}
        return Ended(process.returncode, log, outputs, files["GITHUB_STEP_SUMMARY"].read_text())

    return run


@pytest.fixture
def connection(server) -> dict[str, str]:
    """The inputs that connect an action to the server."""
    return {
        "controller-url": server.controller_url,
        "registry-url": server.registry_url,
        "anka": server.anka,
    }
