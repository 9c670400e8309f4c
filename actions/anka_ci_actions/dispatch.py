"""Workflows as builds: start one, look at its run, cancel it.

Decides nothing about when to stop waiting; ``anka_ci.adapter.builds`` does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from anka_ci.adapter.builds import Build
from anka_ci.anka import Anka
from anka_ci.errors import AnkaCiError
from anka_ci.inputs import arg
from anka_ci.secret import Redactor
from anka_ci_actions.service import Repository, Run, connect

FEW = 5
"""So many jobs that failed are told."""
WELL = {"success", "neutral"}
"""Conclusions of a run that did what was asked; of one that was ``skipped``, nothing ran."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The options of ``anka-ci job dispatch --ci github`` beside those of every CI system."""

    repo: str | None = arg("The repository, as OWNER/NAME; GITHUB_REPOSITORY when left out.", default=None)
    github_url: str | None = arg(
        "Address of GitHub's API, https://HOST/api/v3 for an Enterprise Server; GITHUB_API_URL when left out.",
        default=None,
    )
    ref: str | None = arg("The branch or tag to run at; the default branch when left out.", default=None)


class Workflow:
    """One workflow of a repository (its file's name, or its id) as a ``Builder``."""

    def __init__(self, repository: Repository, name: str, ref: str | None) -> None:
        self._repository = repository
        self._name = name.rsplit("/", 1)[-1]
        self._ref = ref
        self.job = self._name

    def start(self, inputs: Mapping[str, str]) -> Build:
        return _build(self._repository.dispatch(self._name, self._ref or self._repository.default_branch(), inputs))

    def look(self, build: Build) -> Build:
        found = _build(self._repository.run(int(build.id)))
        if found.went != "wrong":
            return found
        try:
            return dataclasses.replace(found, reason=", ".join(self._repository.failed(int(build.id))[:FEW]))
        except AnkaCiError:  # how it ended is known all the same
            return found

    def cancel(self, build: Build, seconds: float) -> bool:
        return self._repository.afterwards(seconds).cancel(int(build.id))


def builder(name: str, given: Inputs, env: Mapping[str, str], anka: Anka, redactor: Redactor) -> Workflow:
    """The workflow that the options name; ``UsageError`` for a token, an address or a repository that is none."""
    repository = connect(
        env,
        repo=given.repo,
        url=given.github_url,
        clock=anka.clock,
        deadline=anka.deadline,
        cancelled=anka.cancelled,
        tell=anka.tell,
        redactor=redactor,
    )
    return Workflow(repository, name, given.ref)


def _build(run: Run) -> Build:
    went = "" if not run.ended else "well" if run.conclusion in WELL else "wrong"
    if run.conclusion == "cancelled":
        went = "cancelled"
    state = run.status + (f", which takes somebody's approval: {run.url}" if run.status == "waiting" else "")
    outcome = (run.conclusion or "no conclusion") if run.ended else ""
    return Build(id=str(run.id), url=run.url, state=state, outcome=outcome, went=went)  # type: ignore[arg-type]
