"""`anka-ci job doctor --ci jenkins`: missing plugins, permissions and folders are named, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ALL = {
    *("workflow-job", "workflow-cps", "pipeline-groovy-lib", "workflow-basic-steps", "workflow-durable-task-step"),
    *("credentials-binding", "pipeline-model-definition", "workflow-multibranch", "git", "cloudbees-folder"),
    "lockable-resources",
}
FILE = """\
version: 1
job: {concurrency: one}
jenkins: {job: team/images, kind: multibranch, scm: {url: "https://git.example/a.git"}}
steps: [{use: list}]
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "one.yml").write_text(FILE)
    return "one.yml"


def states(done: Any) -> dict[str, str]:
    return {step["id"]: step["outputs"]["state"] for step in done.document["steps"]}


def test_a_server_that_has_everything_is_told_so(job: Any, jenkins: Any, file: str) -> None:
    jenkins.plugins = dict.fromkeys(ALL, "1.0")
    jenkins.put("team", "<com.cloudbees.hudson.plugins.folder.Folder/>")
    before = jenkins.config("team")
    done = job("doctor", file)
    assert (0, {"ok"}) == (done.code, {*states(done).values()}), done.out
    assert 2 + 11 + 1 == len(states(done))
    assert (["team"], before) == ([*jenkins.jobs], jenkins.config("team"))
    assert "plugin Git" in job("doctor", file, json=False).out


def test_what_is_missing_is_named(job: Any, jenkins: Any, file: str) -> None:
    jenkins.plugins = dict.fromkeys(ALL - {"git", "lockable-resources"}, "1.0")
    done = job("doctor", file)
    wrong = {"folder team", "plugin Git", "plugin Lockable Resources"}
    assert (4, wrong) == (done.code, {name for name, state in states(done).items() if state == "wrong"})
    assert "not known" == states(done)["permission Job/ExtendedRead"]
    text = job("doctor", file, json=False).out
    assert "install lockable-resources: Manage Jenkins › Plugins" in text
    assert "`jenkins: {folders: true}`" in text


def test_only_what_the_jobs_need_is_asked_for(job: Any, jenkins: Any, tmp_path: Path) -> None:
    jenkins.plugins = dict.fromkeys(ALL - {"git", "lockable-resources", "workflow-multibranch"}, "1.0")
    (tmp_path / "plain.yml").write_text("version: 1\nsteps: [{use: list}]\n")
    assert 0 == job("doctor", "plain.yml").code
    assert 0 == job("doctor").code


def test_missing_permissions_are_named_and_what_cannot_be_known_is_no_failure(
    job: Any, jenkins: Any, file: str
) -> None:
    jenkins.put("team", "<com.cloudbees.hudson.plugins.folder.Folder/>")
    jenkins.allowed = {"read"}
    jenkins.fail("^GET /pluginManager", 403)
    jenkins.fail("^GET /job/team/config.xml", 403)
    done = job("doctor", file)
    assert (5, "not known") == (done.code, states(done)["plugins"])
    assert "needs the permission Job/Create" in done.out
    assert "needs the permission Job/ExtendedRead" in done.out


def test_a_server_that_does_not_answer_is_all_that_is_told(job: Any, jenkins: Any, file: str) -> None:
    jenkins.allowed = set()
    done = job("doctor", file)
    assert (5, {"server": "wrong"}) == (done.code, states(done))
