"""Jenkins jobs of pipeline files: the golden ones, what Jenkins cannot do, and the canonical form.

``tests/pipelines/NAME.xml`` and ``NAME.Jenkinsfile`` are what ``anka-ci job render --ci jenkins`` prints for
``NAME.yml`` beside them. After a change that is meant: ``ANKA_CI_GOLDEN=write``.
"""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest

from anka_ci import cli
from anka_ci.adapter.jobs import Job
from anka_ci_jenkins import config

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests" / "pipelines"
GOLDEN = sorted(file.name for ending in ("xml", "Jenkinsfile") for file in FILES.glob(f"*.{ending}"))
EXAMPLES = [file for file in sorted((ROOT / "shared" / "examples").glob("*.yml")) if "\nsteps:" in file.read_text()]
Render = Callable[..., str]


@pytest.fixture
def rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Render:
    """What the command prints for a pipeline file below ``ci`` of a repository, or says of it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "ci").mkdir()
    monkeypatch.chdir(tmp_path)

    def render(name: str, text: str | None = None, *more: str, code: int = 0) -> str:
        file = tmp_path / "ci" / f"{name}.yml"
        if text is not None:
            file.write_text(text)
        else:
            places = (FILES / f"{name}.yml", ROOT / "shared" / "examples" / f"{name}.yml")
            shutil.copy(next(place for place in places if place.exists()), file)
        assert code == cli.main(["job", "render", "--ci", "jenkins", f"ci/{name}.yml", *more])
        said = capsys.readouterr()
        return said.err if code else said.out

    return render


@pytest.mark.parametrize("file", GOLDEN)
def test_a_golden_job(file: str, rendered: Render) -> None:
    name, _, ending = file.rpartition(".")
    text = rendered(name, None, *(["--jenkinsfile"] if ending == "Jenkinsfile" else []))
    if os.environ.get("ANKA_CI_GOLDEN") == "write":
        (FILES / file).write_text(text)
    assert (FILES / file).read_text() == text


def test_there_is_a_golden_job_of_every_kind() -> None:
    names = {f"jenkins-{kind}" for kind in ("everything", "least", "inline", "scm", "multibranch")}
    files = {f"jenkins-{kind}.Jenkinsfile" for kind in ("everything", "inline", "scm", "multibranch")}
    assert {f"{name}.xml" for name in names} | files == {*GOLDEN}


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_can_be_a_job(file: Path, rendered: Render) -> None:
    job = ET.fromstring(rendered(file.stem).split("---\n")[-1])
    script = job.findtext("definition/script") or ""
    assert f"ankaPipeline(file: 'ci/{file.name}'" in script


def test_what_the_jenkinsfile_declares_is_not_in_the_job(rendered: Render) -> None:
    job, file = rendered("jenkins-scm"), rendered("jenkins-scm", None, "--jenkinsfile")
    assert [] == re.findall("TimerTrigger|SCMTrigger|ParameterDefinition|LogRotator|DisableConcurrent", job)
    for word in ("cron(", "pollSCM(", "string(name: 'tag'", "buildDiscarder(", "disableConcurrentBuilds()"):
        assert word in file
    inline = rendered("jenkins-inline")
    for word in ("TimerTrigger", "SCMTrigger", "ParameterDefinition", "LogRotator", "DisableConcurrent"):
        assert word in inline
    script = ET.fromstring(inline.split("---\n")[-1]).findtext("definition/script") or ""
    assert [] == re.findall(r"properties\(|parameters \{|triggers \{|options \{", script)


def test_the_section_in_the_readme_is_taken_as_it_is(rendered: Render) -> None:
    (block,) = re.findall(r"```yaml\n(jenkins:\n.*?)```", (ROOT / "jenkins" / "README.md").read_text(), re.DOTALL)
    text = f"version: 1\nsecrets: [CHAT_TOKEN]\nsteps: [{{use: list}}]\n{block}"
    job = rendered("readme", text).split("---\n")[-1]
    for word in (
        "Makes our images",
        "anka-ci@v1",
        "git-reader",
        "&apos;chat&apos;",
        "<numToKeep>30<",
        "<daysToKeep>14<",
    ):
        assert word.replace("&apos;", "'") in job


HEAD = "version: 1\nsteps: [{use: list}]\n"
REFUSED = {
    "jenkins: {jobb: x}": ["unknown key 'jobb'", "did you mean 'job'?"],
    "jenkins: {kind: freestyle}": ["no kind 'freestyle'", "there is inline, scm, multibranch"],
    "jenkins: {kind: scm}": ["a job of kind scm needs a repository"],
    "jenkins: {scm: {branch: main}}": ["scm has no url"],
    "jenkins: {scm: {url: 'https://me:pw@git.example/a'}}": ["the url holds a password"],
    "jenkins: {job: 'a?b'}": ["'a?b' is no name of a job"],
    "jenkins: {job: 'a//b'}": ["'a//b' is no name of a job"],
    "jenkins: {job: ' a'}": ["' a' is no name of a job"],
    'jenkins: {library: "x\') _; evil"}': ["is no library"],
    "jenkins: {keep: {builds: 0}}": ["'0' is no number of builds or days"],
    "jenkins: {keep: {months: 3}}": ["unknown key 'months'"],
    "jenkins: {credentials: {TOKEN: x}}": ["TOKEN is no secret of the file"],
    "jenkins: {poll: now}": ["poll 'now' has not five fields"],
    "jenkins: {folders: maybe}": ["'maybe' is neither true nor false"],
    'jenkins: {description: "a\\u0007b"}': ["the character '\\x07' cannot be written"],
    "job: {triggers: {push: main}}": ["a push needs a repository"],
    "job: {runner: 'a\"b'}": ["holds a quotation mark"],
    "job: {concurrency: '${{ steps.a }}'}": ["'steps.a' cannot be used here"],
    "parameters: {PATH: x}": ["Jenkins makes it a variable of the build"],
    "parameters: {anka_ci_token: x}": ["Jenkins makes it a variable of the build"],
    "parameters: {tag: {required: true}}\njob: {triggers: {schedule: '1 2 * * *'}}": ["nobody gives tag"],
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_jenkins_cannot_do_is_said_with_what_to_do(text: str, rendered: Render) -> None:
    said = rendered("wrong", f"{HEAD}{text}\n", code=2)
    assert [] == [word for word in REFUSED[text] if word not in said], said


def test_a_pipeline_file_that_no_script_can_hold_is_refused(rendered: Render) -> None:
    said = rendered("large", f"{HEAD}# {'x' * 60_000}\n", code=2)
    assert "ci/large.yml: larger than 60000 bytes" in said
    assert "name its repository" in said


def test_a_template_of_ones_own_wins_and_may_extend_ours(rendered: Render, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    text = '[% extends "anka-ci/script.groovy.j2" %]\n[% block fetch %]\n    unstash("<files>")\n[% endblock %]\n'
    (folder / "script.groovy.j2").write_text(text)
    job = rendered("jenkins-inline", None, "--templates", str(folder)).split("---\n")[-1]
    script = ET.fromstring(job).findtext("definition/script") or ""
    assert (True, False) == ('    unstash("<files>")\n' in script, "GitSCM" in script)
    (folder / "job.xml.j2").write_text("<flow-definition>[[ nope ]]</flow-definition>\n")
    assert "'nope' is undefined" in rendered("jenkins-inline", None, "--templates", str(folder), code=2)
    (folder / "job.xml.j2").write_text("<flow-definition>\n")
    assert "job.xml.j2: what it gives for team/images/refresh: the configuration of the job is no XML" in rendered(
        "jenkins-inline", None, "--templates", str(folder), code=2
    )


def test_the_mark_comes_back_and_nothing_of_it_is_in_the_text() -> None:
    job = Job(
        name="a",
        text="<flow-definition>\n  <description>Made of &lt;b&gt;</description>\n</flow-definition>\n",
        source="ci/a b.yml",
    )
    written = config.written(job)
    assert (job.text, job.mark) == config.canonical(written)
    assert job.mark == config.mark_of(ET.fromstring(written.split("?>")[1]).findtext("description"))
    assert config.mark_of("Made from x by somebody") is None


NOISE = [
    ("<a/>", "<a plugin='x@1.2'/>"),
    (f"<{config.FOLDER}/>", f"<{config.FOLDER}>\n  <icon/>\n</{config.FOLDER}>"),
    ("<a/>", "<?xml version='1.1' encoding='UTF-8'?>\n<a>\n  <actions><b plugin='c'/></actions>\n</a>"),
    ("<a><b>x\ny</b></a>", "<a>\r\n<b>x\r\ny</b>\r\n</a>"),
    ("<a/>", "<a><keepDependencies>false</keepDependencies><disabled>false</disabled><description></description></a>"),
    ("<a><s>{encrypted}</s></a>", "<a><s>{AQAAABAAAAAwTWVhbiB0aGUgc2VjcmV0IG9mIGEgam9i}</s></a>"),
    ("<r><b/><c/></r>", "<r><c/><b/></r>"),
    ("<a><submoduleCfg class='empty-list'/></a>", "<a><submoduleCfg class='list'/></a>"),
]


@pytest.mark.parametrize(("plain", "noisy"), NOISE)
def test_noise_of_jenkins_is_no_difference(plain: str, noisy: str) -> None:
    assert config.canonical(plain) == config.canonical(noisy)


DIFFERENT = [
    ("<a><disabled>true</disabled></a>", "<a/>"),
    ("<a><b><properties class='empty-list'/></b></a>", "<a><b/></a>"),
    ("<a><b>1</b><b>2</b></a>", "<a><b>2</b><b>1</b></a>"),
    ("<parameterDefinitions><b/><c/></parameterDefinitions>", "<parameterDefinitions><c/><b/></parameterDefinitions>"),
    ("<a><b>x </b></a>", "<a><b>x</b></a>"),
    ("<a><b class='c'/></a>", "<a><b class='d'/></a>"),
    ("<flow-definition><properties><b/></properties></flow-definition>", "<flow-definition/>"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_a_person_would_call_a_difference_is_one(one: str, other: str) -> None:
    assert config.canonical(one) != config.canonical(other)


def test_what_is_not_ours_stays_when_a_job_is_written() -> None:
    folder = f"<{config.FOLDER}><properties><credentials>kept</credentials></properties><icon/></{config.FOLDER}>"
    text, _ = config.canonical(folder)
    assert f"<{config.FOLDER} />\n" == text
    job = Job(name="a", text=text, source="b")
    written = config.written(job, folder)
    assert "<credentials>kept</credentials>" in written
    described = config.written(job, written.replace("<description>", "<description>Of the team. "))
    assert 1 == described.count("Made from b by anka-ci")
    assert "<description>Of the team." in described
