"""Pull requests from forks, and secrets that are empty: what the failure says, and where."""

from __future__ import annotations

import json
import os

import pytest

from anka_ci import cli
from anka_ci.auth import SignIn
from anka_ci_actions import event


def pull_request(head: str | None, base: str = "mobile/app") -> dict[str, object]:
    repo = {"full_name": head} if head else None
    return {"pull_request": {"head": {"repo": repo, "sha": "a" * 40}, "base": {"repo": {"full_name": base}}}}


@pytest.mark.parametrize(
    ("name", "text", "fork"),
    [
        ("pull_request", json.dumps(pull_request("someone/app")), "someone/app"),
        ("pull_request", json.dumps(pull_request("mobile/app")), ""),
        ("pull_request", json.dumps(pull_request(None)), ""),
        ("pull_request_target", json.dumps(pull_request("someone/app")), ""),
        ("push", "{}", ""),
        ("pull_request", "[]", ""),
        ("pull_request", "not JSON", ""),
        ("pull_request", None, ""),
    ],
)
def test_which_fork_a_run_is_of(tmp_path, name, text, fork):
    file = tmp_path / "event.json"
    if text is not None:
        file.write_text(text)
    assert fork == event.fork({"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(file)})


NEEDS = """\
version: 1
secrets: [CHAT_TOKEN]
steps:
  - {id: say, run: "true"}
"""


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """What a runner shows of a command in this process: the exit code, and the lines."""

    def run(*words: str, **env: str) -> tuple[int, str]:
        for name in [name for name in os.environ if name.startswith(("ANKA", "GITHUB_", "RUNNER_"))]:
            monkeypatch.delenv(name)
        for name, value in ({"GITHUB_ACTIONS": "true", "HOME": str(tmp_path)} | env).items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        code = cli.main([*words, "--report", "actions"])
        return code, "".join(capsys.readouterr())

    return run


def test_a_secret_that_a_file_names_and_a_fork_does_not_get(told, tmp_path):
    (tmp_path / "anka-ci.yml").write_text(NEEDS)
    (tmp_path / "event.json").write_text(json.dumps(pull_request("someone/app")))
    where = {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": str(tmp_path / "event.json")}
    code, shown = told("run", CHAT_TOKEN="", **where)
    why = "CHAT_TOKEN is empty: this run is of a pull request from the fork someone/app, and GitHub gives such a run no"
    assert 2 == code
    assert 2 == shown.count(why), "in the log and in the annotation"
    code, shown = told("run", CHAT_TOKEN="")
    assert 2 == shown.count(
        "CHAT_TOKEN is empty: a secret that does not exist is empty, and so is every secret in a pull"
    )


def test_a_sign_in_that_is_empty_is_named_and_one_that_is_wrong_is_not_explained_away():
    error = {"class": "not-authorised", "code": 5, "message": "not signed in", "hint": SignIn().hint()}
    said = event.explain(error, {"ANKA_CI_TOKEN": "", "ANKA_CI_KEY": ""})
    assert said.startswith("ANKA_CI_TOKEN, ANKA_CI_KEY are empty: a secret that does not exist is empty")
    assert "" == event.explain({**error, "hint": "check the token (ANKA_CI_TOKEN)"}, {"ANKA_CI_KEY": ""})
    assert "" == event.explain({**error, "class": "unreachable"}, {"ANKA_CI_TOKEN": ""})
