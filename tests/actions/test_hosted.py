"""``anka-ci job`` over a repository on GitHub, against the double over real HTTP: commits, pull requests, refusals."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import threading
from pathlib import Path

import pytest

from actions.github_double.git import Entry
from actions.github_double.server import TOKEN, Double, Token
from anka_ci import cli
from anka_ci.adapter import keeping
from anka_ci.adapter.jobs import Job
from anka_ci.adapter.keeping import Aim
from anka_ci.clock import ManualClock
from anka_ci_actions import mark
from anka_ci_actions.hosted import Hosted
from anka_ci_actions.service import connect

ROOT = Path(__file__).parents[2]
FOLDER = ".github/workflows"
A, B = f"{FOLDER}/a.yml", f"{FOLDER}/b.yml"
TEXT = "version: 1\njob: {runner: mac}\nsteps: [{use: list}]\n"


@pytest.fixture(scope="module")
def running():
    with Double("/api/v3") as double:
        yield double


@pytest.fixture
def github(running, tmp_path, monkeypatch):
    """The double with one repository, and a working copy of it with two pipeline files."""
    running.repos, running.tokens = {}, {TOKEN: Token()}
    running.faults, running.seen = [], []
    running.add("octo/there", {"README.md": "hello\n"})
    (tmp_path / ".git").mkdir()
    (tmp_path / "ci").mkdir()
    for name in "ab":
        (tmp_path / "ci" / f"{name}.yml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    for name, value in {**running.env, "ANKA_CI_USES": "octo/anka-ci@v1", "ANKA_CI_SETTINGS": "none.yml"}.items():
        monkeypatch.setenv(name, value)
    # Between two writes there is a second, which passes only by this clock.
    monkeypatch.setattr("anka_ci.commands.SystemClock", ManualClock)
    return running


@pytest.fixture
def job(github, capsys):
    """One ``anka-ci job``; its exit code, what it says to people, and its result document."""

    def run(action, *words):
        code = cli.main(["job", action, "--ci", "github", "--json", *words])
        said = capsys.readouterr()
        return code, said.err, json.loads(said.out or "{}")

    return run


def repo(github):
    return github.repos["octo/there"]


def outputs(document):
    return {step["id"]: step["outputs"] for step in document["steps"]}


def test_a_plan_after_an_apply_says_in_step_and_one_commit_holds_all(github, job):
    code, said, document = job("plan", "ci/a.yml", "ci/b.yml")
    assert (9, {A, B}) == (code, {*outputs(document)})
    assert "2 of 2 jobs in octo/there (main) are not in step" in said
    assert [] == [call for call in github.calls() if not call.startswith("GET ")]
    before = repo(github).refs["main"]
    code, _, document = job("apply", "ci/a.yml", "ci/b.yml")
    head = repo(github).refs["main"]
    assert (0, {head}) == (code, {each["commit"] for each in outputs(document).values()})
    assert (before,) == repo(github).commits[head].parents
    message = repo(github).commits[head].message
    assert f"- make {A}, from ci/a.yml\n- make {B}, from ci/b.yml\n" in message
    assert 0 == job("plan", "ci/a.yml", "ci/b.yml")[0]
    assert (0, head) == (job("apply", "ci/a.yml", "ci/b.yml")[0], repo(github).refs["main"])
    assert repo(github).text(A).startswith("# Made from ci/a.yml by `anka-ci job`")


def test_a_hand_edit_is_refused_and_taken_over_when_asked(github, job):
    job("apply", "ci/a.yml")
    repo(github).push({A: repo(github).text(A) + "# mine\n"})
    code, _, document = job("plan", "ci/a.yml")
    assert (8, "changed-by-hand") == (code, outputs(document)[A]["verdict"])
    assert "-# mine\n" in outputs(document)[A]["diff"]
    head = repo(github).refs["main"]
    assert (8, head) == (job("apply", "ci/a.yml")[0], repo(github).refs["main"])
    assert 0 == job("apply", "ci/a.yml", "--take-ours")[0]
    assert "# mine" not in repo(github).text(A)


def put(github, path, entry):
    """Somebody commits something that is no plain file."""
    made = repo(github)
    head = made.refs["main"]
    made.refs["main"] = made.commit(made.changed(made.commits[head].tree, path, entry), (head,), "by hand")


def test_a_link_is_not_ours(github, job):
    job("apply", "ci/a.yml")
    ours = repo(github).text(A)
    repo(github).push({"elsewhere.yml": ours, A: None})
    put(github, A, Entry("120000", "blob", repo(github).blob(b"../../elsewhere.yml")))
    head = repo(github).refs["main"]
    code, _, document = job("apply", "ci/a.yml")
    assert (8, "not-ours", head) == (code, outputs(document)[A]["verdict"], repo(github).refs["main"])
    assert "-../../elsewhere.yml\n" in outputs(document)[A]["diff"]
    assert (0, ours) == (job("apply", "ci/a.yml", "--take-ours")[0], repo(github).text(A))


@pytest.mark.parametrize(
    ("path", "mode", "said"),
    [
        (A, "tree", f"{A} of octo/there is a folder, which a write would replace"),
        (A, "160000", f"{A} of octo/there is a submodule"),
        (FOLDER, "100644", f"{FOLDER} of octo/there is a file"),
        (FOLDER, "120000", f"{FOLDER} of octo/there is a link"),
        (".github", "160000", ".github of octo/there is a submodule"),
    ],
)
def test_what_a_write_would_replace_is_refused(path, mode, said, github, job):
    kind = "commit" if mode == "160000" else "blob"
    if mode == "tree":
        put(github, f"{path}/mine.txt", Entry("100644", "blob", repo(github).blob(b"mine")))
    else:
        put(github, path, Entry(mode, kind, "1" * 40 if kind == "commit" else repo(github).blob(b"docs")))
    head = repo(github).refs["main"]
    for words in (["plan"], ["apply"], ["apply", "--take-ours"]):
        code, told, _ = job(*words, "ci/a.yml")
        assert (3, head) == (code, repo(github).refs["main"])
        assert said in told


def test_destroy_removes_only_what_carries_our_mark(github, job):
    repo(github).push({f"{FOLDER}/c.yml": "on: push\n"})
    job("apply", "ci/a.yml", "ci/b.yml")
    assert 0 == job("destroy", "--all")[0]
    assert [None, None, "on: push\n"] == [repo(github).text(path) for path in (A, B, f"{FOLDER}/c.yml")]
    assert 0 == job("destroy", "--all")[0]


def test_a_pull_request_is_opened_and_then_updated(github, job):
    code, _, document = job("apply", "--pull-request", "ci/a.yml")
    first = outputs(document)[A]
    assert (0, True, "anka-ci/a", None) == (code, first["opened"], first["branch"], repo(github).text(A))
    assert repo(github).text(A, "anka-ci/a").startswith("# Made from ci/a.yml")
    code, said, _ = job("plan", "--pull-request", "ci/a.yml")
    assert 9 == code
    assert f"pull request {first['pull-request']} of an earlier apply is open: {first['url']}" in said
    assert "pull request" not in job("plan", "--pull-request", "ci/a.yml", "ci/b.yml")[1]
    code, _, document = job("apply", "--pull-request", "ci/a.yml")
    again = outputs(document)[A]
    assert (0, False, first["pull-request"]) == (code, again["opened"], again["pull-request"])
    code, _, document = job("apply", "--pull-request", "ci/a.yml", "ci/b.yml")
    both = outputs(document)[B]
    assert (True, "anka-ci/workflows") == (both["opened"], both["branch"])


def test_two_applies_at_once_lose_nothing(github):
    names = "abcd"
    results = {}

    def apply(name):
        keeper = Hosted(connect(github.env, clock=ManualClock()), None, propose=False)
        wanted = Job(name=f"{FOLDER}/{name}.yml", text=f"on: push # {name}\n", source=f"ci/{name}.yml")
        results[name] = keeping.apply(keeper, Aim(jobs=[wanted], sources={wanted.source}))

    threads = [threading.Thread(target=apply, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert dict.fromkeys(names, 0) == {name: result.code for name, result in results.items()}
    for name in names:
        assert f"on: push # {name}\n" == mark.take(repo(github).text(f"{FOLDER}/{name}.yml"))[0]


def test_somebody_else_who_pushes_meanwhile_is_not_overwritten(github, job):
    job("apply", "ci/a.yml")
    pushed = []

    def meddle(request):
        if request.verb == "PATCH" and not pushed:
            pushed.append(repo(github).push({A: "on: push # theirs\n"}))

    github.faults.append(meddle)
    Path("ci/a.yml").write_text(TEXT.replace("mac", "linux"))
    code, _, document = job("apply", "ci/a.yml")
    assert (8, "not-ours") == (code, outputs(document)[A]["verdict"])
    assert "on: push # theirs\n" == repo(github).text(A)


def test_a_conflict_is_read_and_judged_again(github, job):
    github.fail(409, on="PATCH", message="Git Repository is busy")
    assert 0 == job("apply", "ci/a.yml")[0]
    assert repo(github).text(A) is not None
    github.fail(409, on="PATCH", times=9, message="Git Repository is busy")
    code, said, _ = job("apply", "ci/b.yml")
    assert 3 == code
    assert "Git Repository is busy" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--branch", "nowhere"], 4, "no branch 'nowhere' in octo/there\n  name a branch with --branch"),
        (["--repo", "octo/nowhere"], 4, "either it is not there, or the token of ANKA_CI_GITHUB_TOKEN"),
        (["--repo", "nowhere"], 2, "'nowhere' is no repository"),
        (["--github-url", "https://github.com"], 2, "is the site, not the API"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(words, code, said, github, job):
    found = job("plan", "ci/a.yml", *words)
    assert code == found[0]
    assert said in found[1]


def test_a_permission_that_is_missing_is_named_and_nothing_is_lost(github, job):
    github.tokens[TOKEN] = Token({"contents": "read"})
    code, said, document = job("apply", "ci/a.yml", "ci/b.yml")
    assert (5, ["failed", "failed"]) == (code, [step["status"] for step in document["steps"]])
    assert "Workflows: write" in said
    github.tokens.clear()
    assert 5 == job("plan", "ci/a.yml")[0]


def test_without_a_token_it_says_which_variable_is_empty(github, job, monkeypatch):
    monkeypatch.setenv("ANKA_CI_GITHUB_TOKEN", "")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.delenv("GH_TOKEN", raising=False)
    code, said, _ = job("plan", "ci/a.yml")
    assert 2 == code
    assert "ANKA_CI_GITHUB_TOKEN is empty" in said
    assert "a pull request from a fork gets no secrets" in said


def test_a_rate_limit_is_waited_for(github, job):
    github.fail(
        403, on="POST", times=2, headers={"retry-after": "30"}, message="You have exceeded a secondary rate limit"
    )
    code, said, _ = job("apply", "ci/a.yml")
    assert 0 == code
    assert "GitHub's rate limit is reached; going on in 30 s" in said
    github.fail(
        403, on="POST", times=9, headers={"retry-after": "300"}, message="You have exceeded a secondary rate limit"
    )
    code, said, document = job("apply", "--timeout", "1m", "ci/b.yml")
    assert (6, "failed") == (code, document["steps"][0]["status"])
    assert "which is too late" in said


def test_an_interruption_writes_nothing_and_is_told_as_such(github, job):
    before = repo(github).refs["main"]

    def interrupt(request):
        if request.path.endswith("/git/commits") and request.verb == "POST":
            signal.raise_signal(signal.SIGTERM)

    github.faults.append(interrupt)
    code, said, document = job("apply", "ci/a.yml")
    assert (130, "interrupted", before) == (code, document["status"], repo(github).refs["main"])
    assert "interrupted (SIGTERM)" in said


def test_a_branch_that_is_protected_is_proposed_to(github, job):
    github.fail(
        422, on="PATCH", message="Repository rule violations found: Changes must be made through a pull request."
    )
    code, said, _ = job("apply", "ci/a.yml")
    assert 3 == code
    assert "propose a pull request instead" in said
    assert 0 == job("apply", "--pull-request", "ci/a.yml")[0]


def test_an_empty_repository_is_told(github, job):
    github.add("octo/empty")
    code, said, _ = job("plan", "--repo", "octo/empty", "ci/a.yml")
    assert 4 == code
    assert "an empty repository needs a first commit" in said


def test_a_job_that_was_applied_can_be_dispatched(github, job, capsys):
    assert 0 == job("apply", "ci/a.yml")[0]
    repo(github).workflows = {"a.yml": "\n  workflow_dispatch:\n" in repo(github).text(A)}
    assert 0 == cli.main(["job", "dispatch", "--ci", "github", "--no-wait", "a.yml"]), capsys.readouterr().err


def section(title):
    return (ROOT / "actions" / "README.md").read_text().split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_commands_of_the_readme(github, monkeypatch, capsys):
    shutil.copy(ROOT / "shared" / "examples" / "refresh-template.yml", "ci/refresh.yml")
    lines = section("Workflows from pipeline files").split("```sh\n")[1].split("```")[0].splitlines()
    codes = []
    for words in (shlex.split(line, comments=True) for line in lines):
        if words[0] == "export":
            name, _, value = words[1].partition("=")
            monkeypatch.setenv(name, {"ANKA_CI_GITHUB_TOKEN": TOKEN}.get(name, value))
            continue
        assert "anka-ci" == words[0]
        codes.append(cli.main([word.replace("OWNER/NAME", "octo/there") for word in words[1:]]))
    assert [0, 0, 9, 0, 0] == codes, capsys.readouterr().err
    assert Path(".github/workflows/refresh.yml").read_text() == repo(github).text(
        f"{FOLDER}/refresh.yml", "anka-ci/refresh"
    )


def test_the_sections_of_the_readme(github, capsys):
    parts = section("Workflows from pipeline files").split("```")
    only, settings = [part.removeprefix("yaml\n") for part in parts if part.startswith("yaml\n")]
    (template,) = [part.removeprefix("jinja\n") for part in parts if part.startswith("jinja\n")]
    Path("ci/a.yml").write_text(TEXT.replace("{runner: mac}", "{runner: mac, triggers: {push: [main]}}") + only)
    Path("none.yml").write_text(settings)
    Path("mine").mkdir()
    Path("mine/workflow.yml.j2").write_text(template)
    assert 0 == cli.main(["job", "render", "--ci", "github", "--templates", "mine", "ci/a.yml"]), (
        capsys.readouterr().err
    )
    text = capsys.readouterr().out
    assert "uses: OWNER/checkout@0123456789abcdef0123456789abcdef01234567 # v4\n" in text
    assert text.endswith('      - run: echo "::notice::refreshed"\n')
