"""Jenkins jobs kept in step, over real HTTP: verdicts, differences, faults, and what is never touched."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
KINDS = {
    "inline": "jenkins: {job: JOB}",
    "checkout": "jenkins: {job: JOB, scm: {url: 'https://git.example/a.git'}}\njob: {triggers: {push: main}}",
    "scm": "jenkins: {job: JOB, kind: scm, scm: {url: 'https://git.example/a.git'}}",
    "multibranch": "jenkins: {job: JOB, kind: multibranch, scm: {url: 'https://git.example/a.git'}}",
    "foldered": "jenkins: {job: team/images/JOB, folders: true, keep: {builds: 3}}\nparameters: {tag: v1, ok: false}",
}
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"


def file(folder: Path, name: str, more: str = "") -> str:
    """A pipeline file; `JOB` is its name."""
    text = (more or "jenkins: {job: JOB}").replace("JOB", name)
    (folder / f"{name}.yml").write_text(f"version: 1\n{text}\nsteps: [{{use: list}}]\n")
    return f"{name}.yml"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [file(tmp_path, name, text) for name, text in KINDS.items()]


def test_plan_after_apply_is_in_step_for_every_kind_of_job(job: Any, jenkins: Any, files: list[str]) -> None:
    planned = job("plan", *files)
    assert (9, {"create"}) == (planned.code, {*planned.verdicts.values()})
    assert {} == jenkins.jobs
    applied = job("apply", *files)
    assert (0, {"done"}) == (applied.code, {*applied.statuses.values()}), applied.err
    names = {"inline", "checkout", "scm", "multibranch", "team", "team/images", "team/images/foldered"}
    assert names == {*jenkins.jobs} == {*applied.verdicts}
    again = job("plan", *files)
    assert (0, {"in-step"}) == (again.code, {*again.verdicts.values()}), again.out
    jenkins.ran("scm")
    assert 0 == job("plan", *files).code
    before = jenkins.asked("^POST")
    assert 0 == job("apply", *files).code
    assert before == jenkins.asked("^POST")


def test_an_edit_by_hand_shows_just_that_edit_and_is_kept(job: Any, jenkins: Any, files: list[str]) -> None:
    assert 0 == job("apply", *files).code
    jenkins.edit("team/images/foldered", "<numToKeep>3<", "<numToKeep>4<")
    planned = job("plan", *files)
    assert (8, "changed-by-hand") == (planned.code, planned.verdicts["team/images/foldered"])
    (diff,) = [step["outputs"]["diff"] for step in planned.document["steps"] if step["outputs"]["diff"]]
    changed = [line for line in diff.splitlines() if re.match(r"[+-] ", line)]
    assert ["-        <numToKeep>4</numToKeep>", "+        <numToKeep>3</numToKeep>"] == changed
    refused = job("apply", *files)
    assert (8, "failed") == (refused.code, refused.statuses["team/images/foldered"])
    assert "<numToKeep>4<" in jenkins.config("team/images/foldered")
    assert 0 == job("apply", "--take-ours", *files).code
    assert "<numToKeep>3<" in jenkins.config("team/images/foldered")


def test_a_change_of_the_file_is_written_and_says_what(job: Any, jenkins: Any, tmp_path: Path) -> None:
    name = file(tmp_path, "one", "jenkins: {job: one, keep: {builds: 3}}")
    assert 0 == job("apply", name).code
    jenkins.jobs["one"].builds.append("a build")
    file(tmp_path, "one", "jenkins: {job: one, keep: {builds: 5}}")
    planned = job("plan", name, json=False)
    assert 9 == planned.code
    assert "+        <numToKeep>5</numToKeep>" in planned.out
    assert 0 == job("apply", name).code
    assert ["a build"] == jenkins.jobs["one"].builds
    assert 0 == job("plan", name).code


def test_what_is_not_ours_is_never_touched(job: Any, jenkins: Any, tmp_path: Path) -> None:
    jenkins.put("mine", "<project><description>Somebody's</description></project>")
    jenkins.put("other", "<project/>")
    before = jenkins.config("mine")
    name = file(tmp_path, "mine")
    for action, words in (("plan", ()), ("apply", ()), ("destroy", ()), ("destroy", ("--confirm", "yes"))):
        done = job(action, name, *words)
        assert (8, {"mine": "not-ours"}) == (done.code, done.verdicts)
    assert 0 == job("apply", file(tmp_path, "two")).code
    assert {"mine", "other", "two"} == {*jenkins.jobs}
    assert before == jenkins.config("mine")
    taken = job("apply", "--take-ours", name)
    assert (3, True) == (taken.code, "is there, of another kind" in taken.err)
    assert before == jenkins.config("mine")


def test_a_job_of_somebody_else_is_taken_over_only_when_that_is_said_and_never_removed(
    job: Any, jenkins: Any, tmp_path: Path
) -> None:
    jenkins.put("mine", "<flow-definition><description>Somebody's</description></flow-definition>")
    before, name = jenkins.config("mine"), file(tmp_path, "mine")
    done = job("destroy", "--take-ours", "--confirm", "yes", name)
    assert ({"mine": "not-ours"}, before) == (done.verdicts, jenkins.config("mine")), done.err
    assert (8, before) == (job("apply", name).code, jenkins.config("mine"))
    assert 0 == job("apply", "--take-ours", name).code
    assert {"mine": "in-step"} == job("plan", name).verdicts
    assert "Made from mine.yml by anka-ci" in jenkins.config("mine")


def test_what_a_folder_and_a_jenkinsfile_hold_of_others_stays(job: Any, jenkins: Any, files: list[str]) -> None:
    assert 0 == job("apply", *files).code
    root = jenkins.jobs["team"].root
    root.append(ET.fromstring("<properties><credentials>a secret of the team</credentials></properties>"))
    jenkins.ran("scm")
    jenkins.edit("team", "change that file, not this.", "change that file, not this. And more.")
    team = jenkins.config("team")
    jenkins.edit("scm", "<scriptPath>Jenkinsfile<", "<scriptPath>other<")
    assert {"scm": "changed-by-hand"} == {
        name: verdict for name, verdict in job("plan", *files).verdicts.items() if verdict != "in-step"
    }
    assert 0 == job("apply", "--take-ours", *files).code
    assert team == jenkins.config("team")
    assert "ParametersDefinitionProperty" in jenkins.config("scm")
    assert "<scriptPath>Jenkinsfile<" in jenkins.config("scm")
    assert 0 == job("plan", *files).code


def test_what_is_no_longer_wanted_goes_when_its_builds_are_confirmed(job: Any, jenkins: Any, tmp_path: Path) -> None:
    names = [file(tmp_path, "one"), file(tmp_path, "two")]
    assert 0 == job("apply", *names).code
    file(tmp_path, "one", "jenkins: {job: renamed}")
    planned = job("plan", *names)
    assert {"renamed": "create", "two": "in-step", "one": "obsolete"} == planned.verdicts
    assert 10 == job("apply", *names).code
    assert {"one", "two"} == {*jenkins.jobs}
    digest = re.findall(r"--confirm ([0-9a-f]+)", job("apply", *names).err)[0]
    assert 0 == job("apply", *names, "--confirm", digest).code
    assert {"renamed", "two"} == {*jenkins.jobs}


def test_a_folder_goes_only_when_nothing_is_left_in_it(job: Any, jenkins: Any, tmp_path: Path) -> None:
    name = file(tmp_path, "foldered", KINDS["foldered"])
    assert 0 == job("apply", name).code
    jenkins.put("team/of-others", "<project/>")

    def destroy() -> Any:
        digest = re.findall(r"--confirm ([0-9a-f]+)", job("destroy", "--all").err)[0]
        return job("destroy", "--all", "--confirm", digest)

    done = destroy()
    assert (3, {"team", "team/of-others"}) == (done.code, {*jenkins.jobs})
    assert "the folder team holds team/of-others, which would go with it" in done.err
    del jenkins.jobs["team/of-others"]
    assert (0, {}) == (destroy().code, jenkins.jobs)


def test_a_folder_that_is_there_is_anybodys_and_not_touched(job: Any, jenkins: Any, tmp_path: Path) -> None:
    jenkins.put("team", f"<{FOLDER}><description>The team's</description><properties><a>b</a></properties></{FOLDER}>")
    team = jenkins.config("team")
    name = file(tmp_path, "foldered", KINDS["foldered"])
    done = job("apply", name)
    assert (0, {"team": "unchanged", "team/images": "done", "team/images/foldered": "done"}) == (
        done.code,
        done.statuses,
    )
    assert {"in-step"} == {*job("plan", name).verdicts.values()}
    digest = re.findall(r"--confirm ([0-9a-f]+)", job("destroy", "--all").err)[0]
    assert 0 == job("destroy", "--all", "--confirm", digest).code
    assert ({"team"}, team) == ({*jenkins.jobs}, jenkins.config("team"))


@pytest.mark.parametrize("to", ["two", "team/one"])
def test_a_job_that_was_renamed_moved_or_deleted_by_hand_shows_as_that(
    to: str, job: Any, jenkins: Any, tmp_path: Path
) -> None:
    name = file(tmp_path, "one")
    assert 0 == job("apply", name).code
    jenkins.put("team", f"<{FOLDER}/>")
    jenkins.jobs[to] = jenkins.jobs.pop("one")
    done = job("plan", name)
    assert (9, {"one": "create", to: "obsolete"}) == (done.code, done.verdicts)
    assert 10 == job("apply", name).code  # its builds would go
    del jenkins.jobs[to]
    assert {"one": "create"} == job("plan", name).verdicts
    assert 0 == job("apply", name).code


def test_a_missing_folder_is_told_with_what_to_do(job: Any, jenkins: Any, tmp_path: Path) -> None:
    done = job("apply", file(tmp_path, "one", "jenkins: {job: nowhere/one}"), file(tmp_path, "two"))
    assert (4, {"nowhere/one": "failed", "two": "done"}) == (done.code, done.statuses)
    assert "no folder 'nowhere'" in done.err
    assert "`jenkins: {folders: true}`" in done.err


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        (403, 5, "needs the permission Job/ExtendedRead"),
        (500, 6, "answers 500: Oops! A problem."),
        ("html", 6, "answers something that is not Jenkins"),
    ],
)
def test_an_answer_that_is_no_use_fails_that_job_alone(
    what: Any, code: int, said: str, job: Any, jenkins: Any, tmp_path: Path
) -> None:
    names = [file(tmp_path, name) for name in ("one", "two", "three")]
    assert 0 == job("apply", *names).code
    for name in ("one", "two", "three"):
        file(tmp_path, name, "jenkins: {job: JOB, keep: {builds: 9}}")
    if what == 500:
        jenkins.fail("^POST /job/two/config.xml", what)
        done = job("apply", *names)
        assert (code, {"one": "done", "two": "failed", "three": "done"}) == (done.code, done.statuses)
    else:
        jenkins.fail("^GET /job/two/config.xml", what)
        done = job("plan", *names)
        assert code == done.code
    assert said in done.err
    assert 0 == job("apply", *names).code


def test_a_connection_that_drops_loses_nothing(job: Any, jenkins: Any, tmp_path: Path) -> None:
    names = [file(tmp_path, f"job-{number}") for number in range(12)]
    jenkins.fail("^POST /createItem", "drop", 2)
    jenkins.fail("^POST /createItem", "drop-late", 2)
    done = job("apply", *names)
    assert 2 == [*done.statuses.values()].count("failed"), done.err
    assert 10 == len(jenkins.jobs)
    assert "no usable answer from" in done.err
    again = job("apply", *names)
    assert (0, 2) == (again.code, [*again.verdicts.values()].count("create"))
    assert 12 == len(jenkins.jobs)


def test_two_applies_at_once_never_overwrite_each_other(job: Any, jenkins: Any, tmp_path: Path) -> None:
    """Somebody else changes a job between the plan of this apply and its write, once."""
    name = file(tmp_path, "one")
    assert 0 == job("apply", name).code
    file(tmp_path, "one", "jenkins: {job: one, keep: {builds: 9}}")
    config, edited = jenkins.config, []

    def read(job_name: str) -> str:
        text: str = config(job_name)
        if not edited:
            edited.append(1)
            jenkins.edit("one", "<sandbox>true<", "<sandbox>false<")
        return text

    jenkins.config = read
    done = job("apply", name)
    assert (8, {"one": "both-changed"}) == (done.code, done.verdicts)
    assert "<sandbox>false<" in jenkins.config("one")


SIGN_INS = {
    "USER": ("", 2, "ANKA_CI_JENKINS_TOKEN is set, and ANKA_CI_JENKINS_USER is not"),
    "TOKEN": ("hunter22", 5, "does not know the user or the token (401)"),
    "URL": ("http://me:hunter22@127.0.0.1:9", 2, "the address of Jenkins is none, or holds a user"),
}


@pytest.mark.parametrize("name", SIGN_INS)
def test_a_wrong_sign_in_is_said_and_holds_no_secret(
    name: str, job: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value, code, said = SIGN_INS[name]
    monkeypatch.setenv(f"ANKA_CI_JENKINS_{name}", value)
    done = job("plan", file(tmp_path, "one"))
    assert (code, True, False) == (done.code, said in done.err, "hunter22" in done.err + done.out), done.err


def test_nobody_and_somebody_without_a_permission_are_told_which(
    job: Any, jenkins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jenkins.allowed = {"read"}
    done = job("apply", file(tmp_path, "one"))
    assert (5, True) == (done.code, "the user needs the permission Job/Create" in done.err), done.err
    monkeypatch.delenv("ANKA_CI_JENKINS_USER")
    monkeypatch.delenv("ANKA_CI_JENKINS_TOKEN")
    done = job("plan", "one.yml")
    assert (5, True) == (done.code, "anonymous is missing the Overall/Read permission" in done.err), done.err


def test_the_token_may_be_in_a_file(job: Any, jenkins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = file(tmp_path, "one")
    (tmp_path / "token").write_text(f"{jenkins.users['somebody']}\n")
    monkeypatch.setenv("ANKA_CI_JENKINS_TOKEN_FILE", str(tmp_path / "token"))
    done = job("plan", name)
    assert (2, True) == (done.code, "ANKA_CI_JENKINS_TOKEN and ANKA_CI_JENKINS_TOKEN_FILE are both set" in done.err)
    monkeypatch.delenv("ANKA_CI_JENKINS_TOKEN")
    assert 0 == job("apply", name).code
    monkeypatch.setenv("ANKA_CI_JENKINS_TOKEN_FILE", str(tmp_path / "nothing"))
    assert (2, True) == ((done := job("plan", name)).code, "cannot be read" in done.err)


def test_an_expired_crumb_is_asked_for_anew(job: Any, jenkins: Any, tmp_path: Path) -> None:
    jenkins.fail("^POST /createItem", "crumb")
    assert 0 == job("apply", file(tmp_path, "one")).code
    assert 2 == jenkins.asked("crumbIssuer")


def test_a_jenkinsfile_is_only_rendered(job: Any, tmp_path: Path) -> None:
    done = job("apply", "--jenkinsfile", file(tmp_path, "one"))
    assert (2, True) == (done.code, "a Jenkinsfile is kept in its repository" in done.err)


def test_a_deep_folder_is_listed_and_a_branch_is_no_job(job: Any, jenkins: Any, tmp_path: Path) -> None:
    deep = "/".join("abcdef")
    for count in range(1, 7):
        jenkins.put("/".join("abcdef"[:count]), f"<{FOLDER}/>")
    assert 0 == job("apply", file(tmp_path, "one", f"jenkins: {{job: {deep}/one}}")).code
    assert {f"{deep}/one": "in-step"} == job("plan", "one.yml").verdicts
    jenkins.put("many", "<org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject/>")
    jenkins.put("many/main", jenkins.config(f"{deep}/one").split("?>")[1])
    done = job("destroy", "--all")
    assert {f"{deep}/one"} == {step["id"] for step in done.document["steps"]} or 10 == done.code
    assert "many/main" not in done.out + done.err
