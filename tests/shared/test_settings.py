"""Contexts: the file, the environment and inputs, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from anka_ci import settings
from anka_ci.errors import UsageError
from anka_ci.inputs import SharedInputs
from anka_ci.runners import RunnerPlace
from anka_ci.secret import Secret
from anka_ci.settings import Context

FILE = """
default: lab
contexts:
  lab:
    controller: http://lab:8090/
    registries: [http://one:8089, http://two:8089/]
    token-env: LAB_TOKEN
    anka: sudo -n "/usr/local/my bin/anka"
    protected: yes
    tag-pattern: v\\d+
    timeout: 1h30m
  other:
    registry: http://other:8089
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return write(tmp_path, FILE)


def write(folder: Path, text: str) -> dict[str, str]:
    file = folder / "settings.yml"
    file.write_text(text)
    return {"ANKA_CI_SETTINGS": str(file), "HOME": str(folder)}


def test_where_the_file_is() -> None:
    assert Path("/s.yml") == settings.path({"ANKA_CI_SETTINGS": "/s.yml", "HOME": "/h"})
    assert Path("/c/anka-ci/settings.yml") == settings.path({"XDG_CONFIG_HOME": "/c", "HOME": "/h"})
    assert Path("/h/.config/anka-ci/settings.yml") == settings.path({"HOME": "/h"})


def test_without_a_file_there_is_nothing(tmp_path: Path) -> None:
    assert Context() == settings.load({"HOME": str(tmp_path)})


def test_the_default_context(env: dict[str, str]) -> None:
    assert Context(
        name="lab",
        controller_url="http://lab:8090",
        registry_urls=("http://one:8089", "http://two:8089"),
        token=Secret("hush"),
        anka=("sudo", "-n", "/usr/local/my bin/anka"),
        protected=True,
        tag_pattern="v\\d+",
        timeout=5400,
    ) == settings.load(env | {"LAB_TOKEN": "hush"})


def test_the_environment_wins_over_the_file_and_an_input_over_both(env: dict[str, str]) -> None:
    env |= {"ANKA_CI_REGISTRY_URL": "http://env:8089", "ANKA_CI_CONTROLLER_URL": "http://env:8090"}
    found = settings.load(env, SharedInputs(controller_url="http://input:8090"))
    assert ("http://env:8089",) == found.registry_urls
    assert "http://input:8090" == found.controller_url


def test_where_runners_are_registered(tmp_path: Path) -> None:
    told = "runners: {scope: mobile, group: macs, url: https://ghe.example/api/v3/}"
    env = write(tmp_path, f"default: a\ncontexts:\n  a:\n    {told}\n")
    url = "https://ghe.example/api/v3"
    assert RunnerPlace(ci="github", scope="mobile", group="macs", url=url) == settings.load(env).runners
    env |= {"ANKA_CI_RUNNER_SCOPE": "mobile/app", "ANKA_CI_RUNNER_GROUP": ""}
    assert RunnerPlace(scope="mobile/app", group="macs", url=url) == settings.load(env).runners
    assert RunnerPlace(scope="mobile/app") == settings.load({"ANKA_CI_RUNNER_SCOPE": "mobile/app"}).runners


def test_which_context_is_chosen(env: dict[str, str]) -> None:
    assert "other" == settings.load(env, file_context="other").name
    assert "lab" == settings.load(env | {"ANKA_CI_CONTEXT": "lab"}, file_context="other").name
    assert "other" == settings.load(env | {"ANKA_CI_CONTEXT": "lab"}, SharedInputs(context="other")).name
    with pytest.raises(UsageError, match="no context 'labb'") as caught:
        settings.load(env, SharedInputs(context="labb"))
    assert "did you mean 'lab'?" == caught.value.hint


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("tokn-env: X", "unknown key 'tokn-env'"),
        ("token: hush", "unknown key 'token'"),
        ("controller: lab:8090", "the controller URL 'lab:8090' is none"),
        ("protected: perhaps", "neither true nor false"),
        ("tag-pattern: '['", "no regular expression"),
        ('anka: "\'"', "cannot be split"),
        ("token-file: /nowhere/token", "cannot be read"),
        ("timeout: soon", "not a duration"),
        ("{token-file: /f, token-env: X}", "token-file and token-env are both given"),
        ("{registry-sign-in: {key-env: X, key-file: /f}}", "key-file and key-env are both given"),
        ("runners: mobile", "runners has to be a mapping"),
        ("runners: {scop: mobile}", "unknown key 'scop'"),
        ("runners: {token: hush}", "unknown key 'token'"),
        ("runners: {scope: ''}", "runners: scope has to be text"),
        ("runners: {url: ghe.example}", "the URL of the CI system's API 'ghe.example' is none"),
    ],
)
def test_what_is_wrong_in_the_file(tmp_path: Path, line: str, words: str) -> None:
    env = write(tmp_path, f"default: a\ncontexts:\n  a:\n    {line}\n")
    with pytest.raises(UsageError) as caught:
        settings.load(env)
    assert words in caught.value.message


def test_a_token_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hush\n")
    env = write(tmp_path, f"default: a\ncontexts:\n  a:\n    token-file: {tmp_path / 'token'}\n")
    assert Secret("hush") == settings.load(env).token


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_token_file_that_holds_no_token_is_an_error(tmp_path: Path, content: bytes, said: str) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    file = tmp_path / "settings.yml"
    file.write_text(f"contexts:\n  lab:\n    token-file: {token}\n")
    with pytest.raises(UsageError, match=said):
        settings.load({"ANKA_CI_SETTINGS": str(file), "ANKA_CI_CONTEXT": "lab"})
