"""Which GitHub, which repository, whose token: what is taken, and what is refused before anything is asked."""

from __future__ import annotations

import pytest

from anka_ci.errors import UsageError
from anka_ci_actions.service import connect
from anka_ci_actions.service.access import access, slug
from anka_ci_actions.service.permissions import OPERATIONS, accepted, table

TOKENS = {"ANKA_CI_GITHUB_TOKEN": "ghp_own", "GITHUB_TOKEN": "ghs_job", "GH_TOKEN": "github_pat_cli"}


@pytest.mark.parametrize(
    ("left_out", "source", "kind"),
    [
        ((), "ANKA_CI_GITHUB_TOKEN", "a classic token"),
        (("ANKA_CI_GITHUB_TOKEN",), "GITHUB_TOKEN", "an installation token (a job's GITHUB_TOKEN, or that of a GitHub"),
        (("ANKA_CI_GITHUB_TOKEN", "GITHUB_TOKEN"), "GH_TOKEN", "a fine-grained token"),
    ],
)
def test_the_token_is_taken_from_the_nearest_variable(left_out, source, kind):
    found = access({key: value for key, value in TOKENS.items() if key not in left_out})
    assert (source, TOKENS[source]) == (found.source, found.token.reveal())
    assert found.kind.startswith(kind)
    assert "***" == str(found.token)


def test_a_token_may_be_in_a_file(tmp_path):
    (tmp_path / "token").write_text("ghp_file\n")
    found = access({"ANKA_CI_GITHUB_TOKEN_FILE": str(tmp_path / "token")} | {"GITHUB_TOKEN": "ghs_job"})
    assert ("ANKA_CI_GITHUB_TOKEN_FILE", "ghp_file") == (found.source, found.token.reveal())


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "no token for GitHub"),
        ({"ANKA_CI_GITHUB_TOKEN": ""}, "ANKA_CI_GITHUB_TOKEN is empty"),
        ({"ANKA_CI_GITHUB_TOKEN": "a", "ANKA_CI_GITHUB_TOKEN_FILE": "b"}, "both set"),
        ({"ANKA_CI_GITHUB_TOKEN_FILE": "/nowhere/at/all"}, "cannot be read: No such file"),
        ({"GH_TOKEN": "  \n"}, "GH_TOKEN is empty"),
        ({"GH_TOKEN": "-----BEGIN RSA PRIVATE KEY-----\nabc"}, "holds a private key"),
        ({"GH_TOKEN": "ghr_abc"}, "holds a refresh token"),
        ({"GH_TOKEN": "eyJhbGciOi.x.y"}, "speaks for an App"),
        ({"GH_TOKEN": "two words"}, "which no token has"),
        ({"GH_TOKEN": "schlüssel"}, "which no token has"),
    ],
)
def test_what_is_no_token_is_refused_without_showing_it(env, said):
    with pytest.raises(UsageError) as raised:
        access(env)
    assert said in str(raised.value)
    assert "" != raised.value.hint
    assert [] == [value for value in env.values() if len(value) > 8 and "/" not in value and value in str(raised.value)]


def test_an_empty_secret_says_that_forks_get_none():
    with pytest.raises(UsageError, match="a pull request from a fork gets no secrets"):
        access({"GITHUB_TOKEN": ""})


@pytest.mark.parametrize(
    ("given", "env", "url"),
    [
        (None, {}, "https://api.github.com"),
        (None, {"GITHUB_API_URL": "https://ghe.example/api/v3"}, "https://ghe.example/api/v3"),
        (
            None,
            {"GITHUB_API_URL": "https://a.example", "ANKA_CI_GITHUB_URL": "https://b.example/api/v3/"},
            "https://b.example/api/v3",
        ),
        ("https://c.example/api/v3", {"ANKA_CI_GITHUB_URL": "https://b.example"}, "https://c.example/api/v3"),
        ("http://127.0.0.1:80", {}, "http://127.0.0.1:80"),
    ],
)
def test_the_address(given, env, url):
    assert url == access({**env, "ANKA_CI_GITHUB_TOKEN": "ghp_x"}, given).url


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "GH_TOKEN"])
@pytest.mark.parametrize(
    ("env", "url", "taken"),
    [
        ({}, None, True),
        ({}, "https://ghe.example/api/v3", False),
        ({"GITHUB_API_URL": "https://ghe.example/api/v3"}, None, True),
        ({"GITHUB_API_URL": "https://ghe.example/api/v3"}, "https://ghe.example/api/v3/", True),
        ({"GITHUB_API_URL": "https://ghe.example/api/v3"}, "https://api.github.com", False),
        ({"GITHUB_API_URL": "https://api.github.com", "ANKA_CI_GITHUB_URL": "https://ghe.example/api/v3"}, None, False),
    ],
)
def test_the_token_of_a_job_is_sent_to_no_other_server_than_its_own(name, env, url, taken):
    if taken:
        assert name == access({**env, name: "ghs_job"}, url).source
        return
    with pytest.raises(UsageError, match=f"{name} is for .*, and is not sent elsewhere"):
        access({**env, name: "ghs_job"}, url)
    both = access({**env, name: "ghs_job", "ANKA_CI_GITHUB_TOKEN": "ghp_mine"}, url)
    assert "ANKA_CI_GITHUB_TOKEN" == both.source


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("github.com", "no address"),
        ("ftp://x.example", "no address"),
        ("https://", "no address"),
        ("https://user:pass@x.example", "no address"),
        ("https://github.com", "is the site, not the API"),
        ("http://ghe.example/api/v3", "would show the token on the network"),
    ],
)
def test_what_is_no_address(url, said):
    with pytest.raises(UsageError, match=said):
        access({"GH_TOKEN": "ghp_x"}, url)


@pytest.mark.parametrize("repo", ["", "alone", "a/b/c", "https://github.com/a/b", "a b/c", "a/..", "a/b?c"])
def test_what_is_no_repository(repo):
    with pytest.raises(UsageError, match="is no repository"):
        slug({"GITHUB_REPOSITORY": "octo/there"}, repo)


def test_the_repository_is_the_one_of_the_job():
    assert "octo/there" == slug({"GITHUB_REPOSITORY": "octo/there"})
    assert "octo/else" == slug({"GITHUB_REPOSITORY": "octo/there"}, "octo/else")
    with pytest.raises(UsageError, match="no repository is named"):
        connect({"GH_TOKEN": "ghp_x"})


def test_every_operation_says_what_it_takes():
    assert [] == [each for each in OPERATIONS if not (each.what and each.fine and each.classic)]
    assert len(OPERATIONS) + 2 == len(table().splitlines())


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, ""),
        ({"x-accepted-github-permissions": "actions=write"}, "GitHub says that it takes actions: write"),
        (
            {"x-accepted-github-permissions": "contents=write; contents=write,workflows=write"},
            "GitHub says that it takes contents: write, or contents: write and workflows: write",
        ),
        (
            {"x-accepted-oauth-scopes": "repo, repo:status", "x-oauth-scopes": ""},
            "GitHub says that it takes one of the scopes repo, repo:status; this token has none",
        ),
    ],
)
def test_what_github_says_that_it_takes(headers, said):
    assert said == accepted(headers)
