"""``anka-ci job dispatch --ci github``: start a workflow, know which run it became, wait, cancel."""

from __future__ import annotations

import json

import pytest

from actions.github_double import workflows
from actions.github_double.server import TOKEN, Answer, Double, Token
from anka_ci import cli
from anka_ci.adapter import builds
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.console import Console
from anka_ci.errors import (
    FellShortError,
    InterruptError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.settings import Context
from anka_ci_actions.dispatch import Inputs, builder

STATES = ("queued", "in_progress", "completed")


@pytest.fixture(scope="module")
def running():
    with Double() as double:
        yield double


@pytest.fixture
def github(running):
    running.repos, running.tokens, running.faults, running.seen = {}, {TOKEN: Token()}, [], []
    running.run_details, running.lists_runs_after = True, 0
    repo = running.add("octo/there", {"README.md": "hello\n"})
    repo.workflows = {"refresh.yml": True, "push.yml": False}
    return running


class Going(ManualClock):
    """A clock by which runs go on: with every sleep each run takes its next state."""

    def __init__(self, repo, conclusion="success"):
        super().__init__()
        self.repo, self.conclusion, self.each = repo, conclusion, lambda: None

    def sleep(self, seconds, cancelled=None):
        super().sleep(seconds)
        self.each()
        for run in self.repo.runs:
            if run["status"] != "completed":
                run["status"] = STATES[STATES.index(run["status"]) + 1]
                run["conclusion"] = self.conclusion if run["status"] == "completed" else None


@pytest.fixture
def go(github):
    """Dispatch; the result, and what was told."""

    def run(conclusion="success", timeout=3600, during=None, ref=None, name="refresh.yml", **more):
        clock, cancelled, said = Going(repo(github), conclusion), Cancelled(), []
        if during:
            clock.each = lambda: during(clock, cancelled)
        tell = lambda event: said.append(event.text)  # noqa: E731
        anka = Anka(Context(), clock=clock, deadline=Deadline(clock, timeout), cancelled=cancelled, tell=tell)
        made = builder(name, Inputs(ref=ref), github.env, anka, Console(github.env).redactor)
        return builds.dispatch(made, anka, more.pop("inputs", {}), **more), said

    return run


def repo(github):
    return github.repos["octo/there"]


@pytest.mark.parametrize("run_details", [True, False])
@pytest.mark.parametrize(
    ("conclusion", "code", "status"),
    [
        ("success", 0, "done"),
        ("neutral", 0, "done"),
        ("failure", 7, "failed"),
        ("cancelled", 7, "failed"),
        ("timed_out", 7, "failed"),
        ("skipped", 7, "failed"),
        (None, 7, "failed"),
    ],
)
def test_the_end_of_the_run_is_the_code(github, go, run_details, conclusion, code, status):
    github.run_details = run_details
    result, said = go(conclusion, inputs={"tag": "v2"})
    assert (code, status) == (result.code, result.status)
    (run,) = repo(github).runs
    assert {"tag": "v2"} == run["inputs"]
    url = f"https://github.example/octo/there/actions/runs/{run['id']}"
    assert f"refresh.yml is started: {url}" == said[0]
    outputs = {"id": str(run["id"]), "url": url, "state": "completed", "outcome": conclusion or "no conclusion"}
    assert outputs == result.steps[0].outputs
    if code:
        assert (f"refresh.yml ended with {conclusion or 'no conclusion'}", f"see {url}") == (
            result.error["message"],
            result.error["hint"],
        )


JOBS = [
    {"id": 1, "name": "lint", "conclusion": "success", "steps": [("Set up job", "success")]},
    {"id": 2, "name": "push", "conclusion": "failure", "steps": [("Set up job", "success"), ("Push", "failure")]},
    {"id": 3, "name": "report", "conclusion": "skipped", "steps": []},
    {"id": 4, "name": "hung", "conclusion": "timed_out", "steps": []},
]


@pytest.mark.parametrize("may", [True, False])
def test_what_failed_in_the_run_is_told_where_it_can_be(github, go, may):
    def during(clock, cancelled):
        if repo(github).runs:
            repo(github).runs[0]["jobs"] = JOBS
            if not may:
                github.fail(403, on="/jobs", message="Resource not accessible")

    result, _ = go("failure", during=during)
    why = ": job 'push' in step 'Push', job 'hung'" if may else ""
    assert (7, f"refresh.yml ended with failure{why}") == (result.code, result.error["message"])


def test_an_older_server_lists_the_run_later_and_it_is_found(github, go):
    github.run_details, github.lists_runs_after = False, 3
    other = workflows.start(repo(github), "refresh.yml", "main")
    result, _ = go()
    assert 0 == result.code
    assert str(other["id"]) != result.steps[0].outputs["id"] == str(repo(github).runs[-1]["id"])
    assert [{"ref": "main", "inputs": {}, "return_run_details": True}, {"ref": "main", "inputs": {}}] == [
        each.body for each in github.seen if each.path.endswith("dispatches")
    ]


def test_a_server_that_only_ignores_the_question_is_the_same(github, go):
    def silent(request):
        if request.path.endswith("/dispatches"):
            request.body.pop("return_run_details")

    github.faults.append(silent)
    assert 0 == go()[0].code
    assert 1 == len(repo(github).runs)


def test_two_new_runs_are_not_guessed_between(github, go):
    github.run_details, github.lists_runs_after = False, 1
    with pytest.raises(FellShortError, match="started more than once") as raised:
        go(during=lambda clock, cancelled: repo(github).runs or workflows.start(repo(github), "refresh.yml", "main"))
    assert 2 == len(raised.value.facts["runs"])
    assert {"completed", "queued", "in_progress"} >= {each["status"] for each in repo(github).runs}
    assert [] == [each for each in github.calls("POST") if each.endswith("/cancel")]


def test_a_run_that_is_never_listed_is_told(github, go):
    github.run_details, github.lists_runs_after = False, 999
    with pytest.raises(FellShortError, match=r"no run of it was listed within 60 s"):
        go()


@pytest.mark.parametrize("was_done", [True, False])
def test_a_lost_answer_is_looked_after_and_never_asked_again(github, go, was_done):
    def lost(request):
        if not request.path.endswith("/dispatches"):
            return None
        github.faults.clear()
        if was_done:
            github.answer(request)
        return Answer(0)

    github.faults.append(lost)
    if was_done:
        assert 0 == go()[0].code
        assert 1 == len(repo(github).runs)
    else:
        with pytest.raises(UnreachableError, match="no answer") as raised:
            go()
        assert "probably not started" in raised.value.hint
        assert [] == repo(github).runs


@pytest.mark.parametrize(
    ("keep", "conclusion", "said"), [(False, "cancelled", "it was cancelled: "), (True, None, "it goes on: ")]
)
def test_an_interruption_cancels_what_was_started(github, go, keep, conclusion, said):
    result, _ = go(during=lambda clock, cancelled: cancelled.set("SIGTERM"), keep=keep)
    assert (130, "interrupted") == (result.code, result.status)
    assert conclusion == repo(github).runs[0]["conclusion"]
    assert result.error["hint"].startswith(said)
    assert result.steps[0].outputs["url"] in result.error["hint"]


def test_the_end_of_the_time_cancels_too(github, go):
    result, _ = go(during=lambda clock, cancelled: clock.advance(1000), timeout=900)
    assert (7, "failed") == (result.code, result.status)
    assert "cancelled" == repo(github).runs[0]["conclusion"]


def test_what_has_ended_meanwhile_is_not_said_to_be_cancelled(github, go):
    def both(clock, cancelled):
        repo(github).runs[0] |= {"status": "completed", "conclusion": "success"}
        cancelled.set("SIGINT")

    assert "it had ended already" == go(during=both)[0].error["hint"]


def test_an_end_that_is_seen_stands_also_when_an_interruption_comes_with_it(github, go):
    flag = []

    def ending(request):
        if flag and "/actions/runs/" in request.path:
            repo(github).runs[0] |= {"status": "completed", "conclusion": "success"}
            flag[0].set("SIGINT")

    github.faults.append(ending)
    result, _ = go(during=lambda clock, cancelled: flag.append(cancelled))
    assert (0, "success") == (result.code, result.steps[0].outputs["outcome"])


def test_an_interruption_before_the_run_is_known_finds_and_cancels_it(github, go):
    github.run_details, github.lists_runs_after = False, 1
    result, _ = go(during=lambda clock, cancelled: repo(github).runs and cancelled.set("SIGTERM"))
    assert (130, "cancelled") == (result.code, repo(github).runs[0]["conclusion"])
    repo(github).runs.clear()
    github.lists_runs_after = 9
    with pytest.raises(InterruptError, match="before its run was known"):
        go(during=lambda clock, cancelled: repo(github).runs and cancelled.set("SIGTERM"))


def test_nothing_is_started_after_an_interruption(github, go):
    github.run_details = False
    with pytest.raises(InterruptError):
        go(during=lambda clock, cancelled: cancelled.set("SIGTERM"))
    assert [] == repo(github).runs


def test_a_cancellation_that_is_refused_is_told(github, go):
    github.tokens[TOKEN] = Token({"contents": "write", "actions": "write"})

    def during(clock, cancelled):
        github.fail(403, on="/cancel", message="Resource not accessible by integration")
        cancelled.set("SIGTERM")

    error = go(during=during)[0].error
    assert "could not be cancelled" in error["hint"]
    assert "it may go on: https://" in error["hint"]


def test_what_stands_in_the_way_while_waiting_names_the_run(github, go):
    def revoked(clock, cancelled):
        github.tokens.clear()

    result, _ = go(during=revoked)
    assert (5, str(repo(github).runs[0]["id"])) == (result.code, result.steps[0].outputs["id"])
    assert result.error["facts"]["url"] == result.steps[0].outputs["url"]


def test_it_can_be_started_only(github, go):
    result, said = go(wait=False)
    assert (0, "queued", 1) == (result.code, repo(github).runs[0]["status"], len(said))


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"name": "gone.yml"}, NotFoundError, "must be on the default branch"),
        ({"name": "push.yml"}, RefusedError, "does not have 'workflow_dispatch' trigger"),
        ({"ref": "nowhere"}, RefusedError, "No ref found for: nowhere"),
    ],
)
def test_what_cannot_be_started(go, more, error, said):
    with pytest.raises(error) as raised:
        go(**more)
    assert said in str(raised.value)


def test_a_token_that_may_only_read_is_told_what_it_takes(github, go):
    github.tokens[TOKEN] = Token({"actions": "read"})
    with pytest.raises(NotAuthorisedError, match="GitHub says that it takes actions: write"):
        go()


def test_the_command_prints_where_the_run_is_and_the_result(github, capsys, monkeypatch):
    code, out, err = call(capsys, monkeypatch, github.env, "--no-wait", "refresh.yml", "--set", "tag=v2", "--json")
    assert 0 == code, err
    document = json.loads(out)
    assert ("dispatch", "done") == (document["name"], document["status"])
    assert {"tag": "v2"} == repo(github).runs[0]["inputs"]
    assert document["steps"][0]["outputs"]["url"] in err
    assert TOKEN not in out + err


def test_the_options_may_be_in_a_file(github, capsys, monkeypatch, tmp_path):
    file = tmp_path / "inputs.yml"
    file.write_text("set:\n  - tag=v2\nno-wait: true\n")
    code, _, err = call(capsys, monkeypatch, github.env, "refresh.yml", "--inputs-file", str(file))
    assert 0 == code, err
    assert {"tag": "v2"} == repo(github).runs[0]["inputs"]
    file.write_text("reff: main\n")
    code, _, err = call(capsys, monkeypatch, github.env, "refresh.yml", "--inputs-file", str(file))
    assert 2 == code
    assert "unknown input 'reff'" in err


@pytest.mark.parametrize(
    ("env", "words", "code", "said"),
    [
        ({"ANKA_CI_GITHUB_TOKEN": ""}, ("refresh.yml",), 2, "ANKA_CI_GITHUB_TOKEN is empty"),
        ({}, ("refresh.yml", "--repo", "x"), 2, "is no repository"),
        ({}, ("refresh.yml", "--set", "x"), 2, "has no value"),
        ({}, ("refresh.yml", "--timeout", "soon"), 2, "is not a duration"),
        ({}, ("refresh.yml", "--repo", "octo/none"), 4, "answered 404"),
        ({}, (), 2, "JOB"),
        ({}, ("refresh.yml", "--rep", "octo/none"), 2, "did you mean '--repo'?"),
    ],
)
def test_bad_calls_of_the_command(github, capsys, monkeypatch, env, words, code, said):
    found, out, err = call(capsys, monkeypatch, github.env | env, *words)
    assert (code, "") == (found, out)
    assert said in err


def call(capsys, monkeypatch, env, *words):
    monkeypatch.setattr("os.environ", env)
    code = cli.main(["job", "dispatch", "--ci", "github", *words])
    return (code, *capsys.readouterr())
