"""GitHub's runners over real HTTP against the double: register, find, remove, and what GitHub refuses."""

from __future__ import annotations

import logging
import sys

import pytest

from actions.github_double import runners as github_runners
from actions.github_double.server import TOKEN, Answer, Double, Token
from anka_ci.anka import Anka
from anka_ci.clock import Deadline, ManualClock
from anka_ci.errors import (
    BusyError,
    NotAuthorisedError,
    NotConnectedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.runners import RunnerPlace
from anka_ci.secret import Redactor
from anka_ci.settings import Context
from anka_ci_actions.service import runners

REPO = "mobile/app"


@pytest.fixture(scope="module")
def running():
    with Double("/api/v3") as double:
        double.add(REPO)
        yield double
        github_runners.of(double).close()


@pytest.fixture
def github(running):
    running.tokens, running.faults, running.seen, running.told = {TOKEN: Token()}, [], [], []
    github_runners.of(running).held.clear()
    return running


@pytest.fixture
def opened(github):
    """``opened(scope)``: GitHub's side of the door, on a clock that stands still, with ten minutes to go."""
    clock, redactor = ManualClock(), Redactor()

    def open(scope=REPO, env=None, place=RunnerPlace()):  # noqa: B008
        anka = Anka(Context(runners=place), clock=clock, deadline=Deadline(clock, 600))
        found = runners.open(anka, scope, env=github.env if env is None else env, redactor=redactor)
        open.redactor = redactor
        return found

    return open


@pytest.mark.parametrize(("scope", "below"), [(REPO, f"/repos/{REPO}"), ("mobile", "/orgs/mobile")])
def test_a_runner_is_registered_found_and_removed(github, opened, scope, below):
    door = opened(scope)
    assert (f"{github.url}{below}", []) == (door.where, door.list())
    made = door.register("one", ["one", "big"]).runner
    assert ("one", False, False, ("one", "big")) == (made.name, made.online, made.busy, made.labels)
    github_runners.of(github).connect("one")
    assert (True, [door.get(made.id)]) == (door.get(made.id).online, door.list())
    door.remove(made.id)
    assert [] == door.list()
    for call in (door.get, door.remove):
        with pytest.raises(NotFoundError, match="GitHub answered 404"):
            call(made.id)


def test_a_long_list_comes_in_pages(github, opened):
    for number in range(230):
        github_runners.of(github).put(f"repos/{REPO}", f"mac-{number}")
    assert [f"mac-{number}" for number in range(230)] == [each.name for each in opened().list()]
    assert ["1", "2", "3"] == [each.query["page"] for each in github.seen]
    assert (["mac-7"], []) == ([each.name for each in opened().list("mac-7")], opened().list("mac-x"))
    github.faults.append(lambda request: request.query.pop("name", None) and None)  # an older server
    assert ["mac-7"] == [each.name for each in opened().list("mac-7")]


def test_one_that_runs_a_job_is_not_removed_and_any_other_refusal_is_no_busy_runner(github, opened):
    door = opened()
    made = door.register("one", ["one"]).runner
    github_runners.of(github).begin_job("one")
    with pytest.raises(BusyError, match='Runner "one" is still running a job'):
        door.remove(made.id)
    github_runners.of(github).named("one").busy = False
    github.fail(422, on="DELETE", message="no")
    with pytest.raises(RefusedError, match=r"GitHub answered 422 \(no\)") as caught:
        door.remove(made.id)
    assert RefusedError is type(caught.value)


def test_a_removal_is_repeated_and_a_registration_is_not(github, opened):
    door = opened()
    github.fail(502, on="generate-jitconfig")
    with pytest.raises(UnreachableError, match="GitHub answered 502"):
        door.register("one", ["one"])
    made = door.register("two", ["two"]).runner
    github.fail(502, on="DELETE", times=2)
    door.remove(made.id)
    assert ["POST", "POST", "DELETE", "DELETE", "DELETE"] == [each.verb for each in github.seen]


def test_what_it_signs_in_with_is_a_secret_that_no_log_holds(github, opened, caplog):
    with caplog.at_level(logging.DEBUG):
        made = opened().register("one", ["one"])
    config = next(answer.body["encoded_jit_config"] for _, answer in github.told if answer.status == 201)
    assert (False, True) == (config in caplog.text, "generate-jitconfig" in caplog.text)
    assert (True, "***", "***") == (config in made.start.reveal(), str(made.start), opened.redactor(config))


@pytest.mark.parametrize("body", [{}, {"encoded_jit_config": ""}, [], {"encoded_jit_config": "x", "runner": {"id": 1}}])
def test_an_answer_that_is_no_runner(github, opened, body):
    github.faults.append(lambda request: Answer(201, body) if request.verb == "POST" else None)
    with pytest.raises(UnreachableError, match=r"did not say how it is started|cannot be read"):
        opened().register("one", ["one"])


def test_which_scope_is_meant_and_what_opens_it(github, opened, monkeypatch):
    assert opened(None).where.endswith("/repos/mobile/app")
    assert opened(None, place=RunnerPlace(scope="mobile")).where.endswith("/orgs/mobile")
    assert opened("other/one", place=RunnerPlace(scope="mobile")).where.endswith("/repos/other/one")
    place = RunnerPlace(scope="mobile", url="https://ghe.example/api/v3")
    assert "https://ghe.example/api/v3/orgs/mobile" == opened(None, place=place).where
    with pytest.raises(NotConnectedError, match="no repository or organisation is named"):
        opened(None, env={"GH_TOKEN": "x"})
    with pytest.raises(NotConnectedError, match="no token for GitHub"):
        opened(env={})
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "github", None)
        with pytest.raises(NotConnectedError, match="need PyGithub"):
            opened()
    with pytest.raises(UsageError, match="private key") as caught:
        opened(env={"GH_TOKEN": "-----BEGIN RSA PRIVATE KEY-----"})
    assert UsageError is type(caught.value)
    for wrong in ("a b", "-mobile", "a/b/c", "https://github.com/mobile"):
        with pytest.raises(UsageError):
            opened(wrong)


@pytest.mark.parametrize(
    ("scope", "lacks", "said"),
    [
        (REPO, "administration", "Administration: write"),
        ("mobile", "self_hosted_runners", "Self-hosted runners: write"),
    ],
)
def test_a_refusal_names_the_permission(github, opened, scope, lacks, said):
    github.tokens[TOKEN].permissions.pop(lacks)
    with pytest.raises(NotAuthorisedError) as caught:
        opened(scope).list()
    assert (True, True) == (said in caught.value.hint, "a job's GITHUB_TOKEN can not do it" in caught.value.hint)
