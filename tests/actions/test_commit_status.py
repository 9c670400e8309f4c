"""The commit status of a command: pending, then how it ended; once by name and commit, and never in the way."""

from __future__ import annotations

import json

import pytest

from actions.github_double.server import TOKEN, Double, Token
from anka_ci.clock import ManualClock
from anka_ci.errors import FellShortError, InterruptError, RefusedError, UsageError
from anka_ci.result import Result, StepResult
from anka_ci.secret import Redactor, Secret
from anka_ci_actions import commit_status, report


@pytest.fixture(scope="module")
def running():
    with Double() as double:
        yield double


@pytest.fixture
def github(running):
    running.repos, running.tokens, running.faults, running.seen = {}, {TOKEN: Token()}, [], []
    running.add("octo/there", {"README.md": "hello\n"})
    return running


@pytest.fixture
def job(github, tmp_path):
    """The environment of a job that asks for a status."""
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": github.url,
        "GITHUB_REPOSITORY": "octo/there",
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_RUN_ID": "42",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_SHA": head(github),
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "ANKA_CI_COMMIT_STATUS": "anka / sonoma",
        "ANKA_CI_STATUS_TOKEN": TOKEN,
    }


def head(github):
    return github.repos["octo/there"].refs["main"]


def statuses(github, sha=None):
    return github.repos["octo/there"].statuses.get(sha or head(github), [])


def ended(error=None, status="done", steps=1, **outputs):
    told = error.emit() if error else None
    found = [StepResult(id=f"step{n}", step="distribute", status=status, outputs=outputs) for n in range(steps)]
    if error and found:
        found[-1].error = told
    return Result(name="distribute", status=status, code=error.code if error else 0, steps=found, error=told)


def test_a_run_is_pending_and_then_how_it_ended(github, job):
    report.begin(Redactor(), job)
    report.report(ended(name="sonoma", tag="v1", succeeded=["node-1", "node-2"]), Redactor(), job)
    first, last = statuses(github)
    url = "https://github.example/octo/there/actions/runs/42/attempts/2"
    assert ("pending", "running", "anka / sonoma", url) == shown(first)
    assert ("success", "sonoma:v1, done on node-1 node-2", "anka / sonoma", url) == shown(last)


def shown(status):
    return tuple(status[key] for key in ("state", "description", "context", "target_url"))


@pytest.mark.parametrize(
    ("result", "state", "text"),
    [
        (ended(steps=3), "success", "3 steps, done"),
        (ended(status="planned"), "success", "planned"),
        (ended(status="unchanged"), "success", "nothing to do"),
        (ended(FellShortError("1 of 3 nodes failed:\n- node-1"), "failed"), "error", "1 of 3 nodes failed"),
        (ended(RefusedError("no"), "failed", steps=2), "failure", "step1: no"),
        (ended(UsageError("wrong"), "failed", steps=0), "failure", "wrong"),
        (ended(InterruptError("interrupted (SIGTERM)"), "interrupted"), "error", "interrupted (SIGTERM)"),
    ],
)
def test_an_end_in_a_word_and_few_words(result, state, text):
    assert (state, text) == (commit_status.state(result), commit_status.description(result))


def test_the_same_end_twice_is_said_once(github, job):
    for _ in range(2):
        commit_status.end(ended(), job, Redactor(), pytest.fail)
    assert 1 == len(statuses(github))


def test_a_pull_request_is_about_its_own_commit(github, job, tmp_path):
    theirs = github.repos["octo/there"].push({"README.md": "new\n"}, branch="theirs")
    (tmp_path / "event").write_text(json.dumps({"pull_request": {"head": {"sha": theirs}}}))
    commit_status.end(ended(), job | {"GITHUB_EVENT_PATH": str(tmp_path / "event")}, Redactor(), pytest.fail)
    assert (1, 0) == (len(statuses(github, theirs)), len(statuses(github)))


def test_no_name_asks_nobody(github, job):
    for name in (None, "(left out)"):
        env = {key: value for key, value in job.items() if key != "ANKA_CI_COMMIT_STATUS"}
        env |= {} if name is None else {"ANKA_CI_COMMIT_STATUS": name}
        report.begin(Redactor(), env)
        report.report(ended(), Redactor(), env)
    assert [] == github.seen


def test_an_empty_name_is_refused_before_anything_runs(job):
    with pytest.raises(UsageError, match="commit-status: is given, but empty"):
        report.begin(Redactor(), job | {"ANKA_CI_COMMIT_STATUS": ""})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ANKA_CI_STATUS_TOKEN": ""}, "no token for GitHub; ANKA_CI_STATUS_TOKEN is empty"),
        ({"ANKA_CI_STATUS_TOKEN": "ghs_unknown"}, "the token of ANKA_CI_STATUS_TOKEN is wrong, expired or revoked"),
        ({"GITHUB_SHA": ""}, "not known which commit"),
        ({"GITHUB_SHA": "0" * 40}, "GitHub answered 404"),
        ({"GITHUB_REPOSITORY": "octo/secret"}, "may not see it"),
    ],
)
def test_what_cannot_be_said_is_a_warning_and_changes_no_end(github, job, capsys, change, said):
    report.report(ended(name="sonoma"), Redactor(), job | change)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("::warning")]
    assert 1 == len(lines)
    assert "the commit status 'anka / sonoma' could not be set to success" in lines[0]
    assert said in lines[0]
    assert "sonoma" in (open(job["GITHUB_OUTPUT"])).read()  # noqa: PTH123, SIM115


def test_a_github_that_does_not_answer_is_given_up_in_time(github, job):
    clock, said = ManualClock(), []
    began = clock.monotonic()
    commit_status.end(ended(), job | {"GITHUB_API_URL": "http://127.0.0.1:9"}, Redactor(), said.append, clock)
    assert "no answer" in said[0]
    assert commit_status.PATIENCE >= clock.monotonic() - began


def test_a_token_that_may_not_is_told_what_it_takes(github, job, capsys):
    github.tokens[TOKEN] = Token({"statuses": "read"}, kind="integration")
    redactor = Redactor()
    report.begin(redactor, job)
    report.report(ended(), redactor, job)
    log = capsys.readouterr().err.splitlines()
    (line,) = [line for line in log if line.startswith("::warning")]
    assert "`statuses: write` for a job's GITHUB_TOKEN" in line
    assert 1 == len([line for line in log if "could not be set to success" in line]), "a line of the log, once"


def test_no_secret_gets_into_a_status(github, job):
    redactor = Redactor([Secret("hunter2hunter2")])
    commit_status.end(ended(RefusedError("no hunter2hunter2"), "failed"), job, redactor, pytest.fail)
    assert "no ***" == statuses(github)[0]["description"]


def test_an_action_sets_it(github, job, uses, connection):
    with_ = {**connection, "template": "sonoma", "tag": "v1", "group": "ios", "commit-status": "anka"}
    env = {key: value for key, value in job.items() if key.startswith("GITHUB_") and key != "GITHUB_OUTPUT"}
    done = uses("actions/distribute", with_, env | {"TOKEN_OF_THE_JOB": TOKEN})
    assert 0 == done.code, done.log
    assert ["pending", "success"] == [each["state"] for each in statuses(github)]
    assert TOKEN in done.masks
    assert TOKEN not in done.log.replace(f"::add-mask::{TOKEN}", "")
