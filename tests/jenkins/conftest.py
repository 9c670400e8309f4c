"""What the tests of Jenkins jobs share: a Jenkins on loopback, and a repository with the command in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import jenkins_double as double
from anka_ci import cli


class Run:
    """`anka-ci …` in this process: the exit code, the result document, and what it says."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def verdicts(self) -> dict[str, str]:
        return {step["id"]: step["outputs"]["verdict"] for step in self.document["steps"]}

    @property
    def statuses(self) -> dict[str, str]:
        return {step["id"]: step["status"] for step in self.document["steps"]}


Job = Callable[..., Run]


@pytest.fixture
def jenkins() -> Iterator[Any]:
    with double.serve() as state:
        yield state


@pytest.fixture
def job(jenkins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Job:
    """`anka-ci job ACTION --ci jenkins …` with that Jenkins, in a repository of its own."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in (("URL", jenkins.url), ("USER", double.USER), ("TOKEN", double.TOKEN)):
        monkeypatch.setenv(f"ANKA_CI_JENKINS_{name}", value)

    def run(action: str, *words: str, json: bool = True) -> Run:
        code = cli.main(["job", action, "--ci", "jenkins", *words, *(["--json"] if json else [])])
        return Run(code, *capsys.readouterr())

    return run
