"""Jobs on a whole Jenkins that runs already: made, kept in step, started, removed.

``ANKA_CI_JENKINS_URL``, ``_USER`` and ``_TOKEN`` name it; everything happens in a folder of its own. It needs the
plugins Pipeline, Git and Folders. Skipped without one, with what was tried to get one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anka_ci.adapter.system import Means
from anka_ci.clock import Cancelled, Deadline, SystemClock
from anka_ci.secret import Redactor
from anka_ci_jenkins.service.server import Server, connect

VARIABLES = ("ANKA_CI_JENKINS_URL", "ANKA_CI_JENKINS_USER", "ANKA_CI_JENKINS_TOKEN")
KINDS = {
    "inline": "parameters: {tag: v1, ok: false, size: {choices: [a, b]}}\njenkins: {keep: {builds: 3}, MORE}",
    "checkout": "job: {triggers: {push: main, schedule: '17 3 * * 1'}, timeout: 1h}\njenkins: {SCM, MORE}",
    "scm": "jenkins: {kind: scm, SCM, MORE}",
    "multibranch": "jenkins: {kind: multibranch, poll: '@daily', SCM, MORE}",
}
Run = Callable[..., "tuple[int, dict[str, Any], str]"]


@pytest.fixture(scope="module")
def server() -> Server:
    if not os.environ.get(VARIABLES[0]):
        pytest.skip(
            "no whole Jenkins was tried: set ANKA_CI_JENKINS_URL, _USER and _TOKEN. None could be installed: Maven has "
            "no org.jenkins-ci.main:jenkins-war or jenkins-core, Debian, npm and PyPI have no package with one, and "
            "the Hudsons that Maven has (hudson-war of org.jvnet.hudson.main, org.eclipse.hudson) refuse Java 17"
        )
    clock = SystemClock()
    means = Means(
        env=os.environ,
        redactor=Redactor(),
        clock=clock,
        deadline=Deadline(clock, None),
        cancelled=Cancelled(),
        tell=lambda event: None,
    )
    return connect(None, means)


@pytest.fixture(scope="module")
def folder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with a pipeline file of every kind; its name is that of the folder in Jenkins."""
    place = tmp_path_factory.mktemp("repository") / f"anka-ci-{uuid.uuid4()}"
    place.mkdir()
    (place / ".git").mkdir()
    for name, text in KINDS.items():
        more = text.replace("MORE", f"job: {place.name}/{name}, folders: true")
        more = more.replace("SCM", "scm: {url: 'https://git.example/a.git'}")
        (place / f"{name}.yml").write_text(f"version: 1\n{more}\nsteps: [{{use: list}}]\n")
    yield place
    if place.name in [each.name for each in server.listing()]:
        server.remove(place.name)


@pytest.fixture
def run(folder: Path) -> Run:
    """`anka-ci job …`: the exit code, the document, what it says."""

    def command(action: str, *words: str) -> tuple[int, dict[str, Any], str]:
        env = {name: os.environ[name] for name in (*VARIABLES, "PATH") if name in os.environ} | {"HOME": str(folder)}
        done = subprocess.run(
            [sys.executable, "-Im", "anka_ci.cli", "job", action, "--ci", "jenkins", "--json", *words],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, json.loads(done.stdout), done.stderr

    return command


def verdicts(document: dict[str, Any]) -> dict[str, str]:
    return {step["id"].rpartition("/")[2]: step["outputs"]["verdict"] for step in document["steps"]}


FILES = [f"{name}.yml" for name in KINDS]


def test_plan_after_apply_is_in_step_for_every_kind(run: Run, folder: Path) -> None:
    code, document, said = run("apply", *FILES)
    assert (0, {"create"}) == (code, {*verdicts(document).values()}), said
    code, document, said = run("plan", *FILES)
    assert (0, {"in-step"}) == (code, {*verdicts(document).values()}), json.dumps(document, indent=1)


def test_an_edit_shows_just_that_edit(run: Run, folder: Path, server: Server) -> None:
    name = f"{folder.name}/inline"
    text = server.config(name)
    assert text is not None
    server.replace(name, re.sub(r"^<\?xml[^>]*\?>", "", text).replace("<numToKeep>3<", "<numToKeep>4<"))
    code, document, _ = run("plan", *FILES)
    assert (8, "changed-by-hand") == (code, verdicts(document)["inline"])
    (diff,) = [step["outputs"]["diff"] for step in document["steps"] if step["outputs"]["diff"]]
    changed = [line.split() for line in diff.splitlines() if re.match(r"[+-] ", line)]
    assert [["-", "<numToKeep>4</numToKeep>"], ["+", "<numToKeep>3</numToKeep>"]] == changed
    assert 0 == run("apply", "--take-ours", *FILES)[0]


def test_a_build_is_followed_to_its_end(run: Run, folder: Path) -> None:
    """How it ends depends on the server: whether it has the library and an agent."""
    code, document, said = run("dispatch", f"{folder.name}/inline", "--set", "tag=it's $HOME", "--timeout", "120s")
    (step,) = document["steps"]
    assert code in (0, 7), said
    assert step["outputs"]["url"].startswith(os.environ[VARIABLES[0]].rstrip("/"))


def test_all_of_it_goes_when_that_is_confirmed(run: Run, folder: Path, server: Server) -> None:
    code, _, said = run("destroy", *FILES)
    assert 10 == code
    code, _, said = run("destroy", *FILES, "--confirm", re.findall(r"--confirm ([0-9a-f]+)", said)[0])
    assert 0 == code, said
    assert [] == [each.name for each in server.listing() if each.name.startswith(f"{folder.name}/")]
