"""Workflows run by `act` on this machine, as a self-hosted runner runs them; what it has of each step afterwards.

Knows nothing of what a step does, and judges nothing: what has to hold is the test's.
See https://github.com/nektos/act; without containers it runs a job's steps as processes of this machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from integration.conftest import Served, tool

ROOT = Path(__file__).parents[2]
PARTS = ("action.yml", "pyproject.toml", "README.md", "LICENSE", "shared", "actions", "jenkins")
"""What a runner checks out of this repository, as far as an action needs it."""
PATH = os.environ.get("PATH", os.defpath)
LABELS = ("self-hosted", "macOS", "anka", "ubuntu-latest")
"""Labels of ``runs-on`` that mean this machine."""
SERVED = ("--sample", "--sample-size", "3MiB", "--nodes", "3", "--group", "ios=node-1,node-2", "--run-guests")
"""Options of ``serve`` with which the examples work."""
LEVELS = ("error", "warning", "notice")
NOWHERE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1"} | {
    "HTTPS_PROXY": "http://127.0.0.1:9"
}
"""An index and a proxy that nobody serves: whoever wants to install something, or to leave this machine, fails."""


@dataclass
class Annotation:
    """What a runner shows beside a run, at a place of a file where it has one."""

    level: str
    message: str
    place: Mapping[str, str]


@dataclass
class Step:
    """What a runner has of a step: how it ended, its outputs, its summary, its annotations, and the log."""

    outcome: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    annotations: list[Annotation] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """The log as a person reads it: without the workflow commands that the runner obeyed, secrets as ``***``."""

    @property
    def log(self) -> str:
        return "\n".join(self.lines)


@dataclass
class Job:
    """A job of a workflow: its result, and its steps by id, or by number from 0 where they have none."""

    result: str = ""
    steps: dict[str, Step] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Step:
        assert name in self.steps, f"no step {name}; there is {', '.join(self.steps)}"
        return self.steps[name]


class Running:
    """A workflow that runs; ``end`` waits for it."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                words, env=env, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )

    def told(self) -> str:
        """What act has logged so far."""
        return self._log.read_text(errors="replace")

    def end(self, seconds: float = 300) -> Ran:
        """Wait for its end; it is killed when it takes longer."""
        try:
            self.process.wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        return Ran(self.process.returncode, self.told())


class Ran:
    """A workflow that ended: its jobs by id."""

    def __init__(self, code: int, log: str) -> None:
        self.code, self.log = code, log
        self.jobs: dict[str, Job] = {}
        for line in log.splitlines():
            if line.startswith("{"):
                self._read(json.loads(line))

    def shown(self) -> str:
        """The logs of all steps, for the message of a test that fails."""
        return (
            "\n".join(
                f"--- {job}.{name}: {step.outcome}\n{step.log}\n{step.annotations}"
                for job, found in self.jobs.items()
                for name, step in found.steps.items()
            )
            or self.log
        )

    @property
    def job(self) -> Job:
        """The only one."""
        (found,) = self.jobs.values()
        return found

    def _read(self, entry: Mapping[str, Any]) -> None:
        if "jobID" not in entry:
            return
        job = self.jobs.setdefault(entry["jobID"], Job())
        job.result = entry.get("jobResult", job.result)
        ids, stage = entry.get("stepID", ()), entry.get("stage")
        if not ids or stage != "Main":
            return
        step, command = job.steps.setdefault(ids[0], Step()), entry.get("command")
        own = len(ids) == 1  # the rest is of the steps inside a composite action
        if own and "stepResult" in entry:
            step.outcome = entry["stepResult"]
        elif own and command == "set-output":
            step.outputs[entry["name"]] = entry["arg"]
        elif own and command == "summary":
            step.summary = entry["content"]
        elif command in LEVELS:
            step.annotations.append(Annotation(command, entry["arg"], entry["kvPairs"] or {}))
        elif command == "ignored":
            step.lines.append(entry["raw"].rstrip("\r\n"))
        elif command in ("group", "endgroup"):
            step.lines.append(f"::{command}::{entry['arg']}")
        elif entry.get("raw_output"):
            step.lines.append(entry["msg"].rstrip("\r\n"))


@dataclass
class Machine:
    """A runner's machine: a checkout of this repository, a repository of a user, a home, and the runner's folders."""

    folder: Path
    first: Ran | None = None
    """What the jobs told that ran here first."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The environment of the runner."""

    @property
    def checkout(self) -> Path:
        return self.folder / "anka-ci"

    @property
    def repository(self) -> Path:
        """The user's repository, which ``actions/checkout`` brings into a job."""
        return self.folder / "repository"

    @property
    def runner(self) -> Path:
        return self.folder / "runner"

    @property
    def environments(self) -> list[Path]:
        """What is installed in the runner's tool cache."""
        return [each for each in self.runner.glob("tool_cache/anka-ci/*") if each.is_symlink()]

    def start(
        self,
        workflow: str | Mapping[str, object],
        *options: str,
        env: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        here: bool = False,
        on: str = "workflow_dispatch",
    ) -> Running:
        """Start a workflow that somebody dispatches with ``inputs``, or that another event starts (``on``).

        ``uses: OWNER/anka-ci…@v1`` is the checkout; with ``here`` the workflow is one of the checkout itself, which
        says ``uses: ./…``. ``env`` is the runner's own, and ``before`` are the words of a program that starts it.
        """
        number = len(list(self.folder.glob("workflow-*.yml")))
        file = self.folder / f"workflow-{number}.yml"
        file.write_text(workflow if isinstance(workflow, str) else yaml.safe_dump(workflow, sort_keys=False))
        event = self.folder / f"event-{number}.json"
        event.write_text(json.dumps({"inputs": dict(inputs or {})}))
        words = [tool("act"), on, "--json", "--workflows", str(file), "--eventpath", str(event)]
        words += ["--directory", str(self.checkout if here else self.repository), "--no-cache-server"]
        words += ["--action-cache-path", str(self.runner), "--local-repository", f"OWNER/anka-ci@v1={self.checkout}"]
        words += [word for label in LABELS for word in ("--platform", f"{label}=-self-hosted")]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        own = {"PATH": PATH, "HOME": str(home), "ANKA_CI_PYTHON": sys.executable}
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        return Running(
            [*before, *words, *options], {**kept, **own, **self.env, **(env or {})}, self.folder / f"log-{number}.json"
        )

    def run(self, workflow: str | Mapping[str, object], *options: str, **more: Any) -> Ran:
        """Start it and wait for its end."""
        return self.start(workflow, *options, **more).end()


def machine(folder: Path) -> Machine:
    """A machine below ``folder`` that has run nothing yet."""
    found = Machine(folder)
    found.checkout.mkdir(parents=True)
    for part in PARTS:
        place = ROOT / part
        if place.is_dir():
            shutil.copytree(place, found.checkout / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(place, found.checkout / part)
    # The user's pipeline files, as the README of the actions names them.
    shutil.copytree(ROOT / "shared" / "examples", found.repository / "ci")
    (found.repository / "ci" / "refresh-template.yml").rename(found.repository / "ci" / "refresh.yml")
    for place in (found.checkout, found.repository):
        for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--allow-empty", "-m", "All")):
            subprocess.run(
                ["git", "-c", "user.name=ios", "-c", "user.email=ios@ios.example", *words], cwd=place, check=True
            )
    remote = ["git", "remote", "add", "origin", "https://github.com/mobile/app.git"]
    subprocess.run(remote, cwd=found.repository, check=True)
    return found


def installed(folder: Path) -> Machine:
    """A machine on which two jobs at once have run first; whoever wants to install anything later fails."""
    found = machine(folder)
    check = {"id": "check", "uses": "OWNER/anka-ci@v1", "with": {"command": "check", "file": "ci/refresh.yml"}}
    jobs = {f"job-{number}": job([check]) for number in (1, 2)}
    found.first = found.run(workflow(jobs), "--concurrent-jobs", "2")
    found.env = NOWHERE
    return found


def workflow(jobs: Mapping[str, object], *inputs: str) -> dict[str, object]:
    """A workflow that somebody dispatches, perhaps with inputs of these names."""
    declared = {name: {"description": f"The {name}.", "type": "string"} for name in inputs}
    trigger = {"workflow_dispatch": {"inputs": declared}}
    return {"name": "Test", "on": trigger, "permissions": {}, "jobs": dict(jobs)}


def job(steps: Sequence[Mapping[str, object]], env: Mapping[str, str] | None = None) -> dict[str, object]:
    """A job on a self-hosted runner; a checkout comes before its steps."""
    checkout = {"uses": "actions/checkout@v5"}
    own = {"env": dict(env)} if env else {}
    return {"runs-on": ["self-hosted", "macOS", "anka"], **own, "steps": [checkout, *steps]}


def connected(served: Served) -> dict[str, str]:
    """The environment of a job that uses that server and its stand-in ``anka``."""
    addresses = {"ANKA_CI_CONTROLLER_URL": served.controller_url, "ANKA_CI_REGISTRY_URL": served.url}
    return {**addresses, "ANKA_CI_ANKA": served.anka}
