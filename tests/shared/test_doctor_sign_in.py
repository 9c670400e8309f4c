"""``doctor`` on signing in: which way works, against which server, and what to change if none does."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from anka_ci.server.app import Server
from examined import nothing, of
from front import Front, certificate, serving


@pytest.fixture(scope="module")
def guarded(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server over TLS that lets in who signs in in any of Anka's ways."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, tls=True, auth=("token", "certificate", "api-key", "oidc")) as server:
        yield server


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("token", "root token from ANKA_CI_TOKEN_FILE works"),
        ("certificate", "client certificate "),
        ("api-key", "API key "),
        ("oidc", "OpenID client "),
    ],
)
def test_each_way_that_works_is_told_with_the_server_and_what_it_allows(doctor, guarded, way, words):
    examined = doctor(**of(guarded), ANKA_CI_CA=str(guarded.ca), **guarded.sign_in[way])
    assert 0 == examined.code
    for server in ("the controller", "the registry"):
        assert ("ok", True) == (examined.find("sign-in", server)["level"], words in examined.tell("sign-in", server)[1])
        assert examined.find("sign-in", server)["seen"].endswith(" works")
        assert "ok" == examined.find("tls", server)["level"]
        assert "list templates" in examined.tell("may", server)[1]
    assert "enterprise plus | " == examined.tell("licence")[1]
    if way == "certificate":
        assert "ok" == examined.find("client certificate", "the controller")["level"]


def test_a_key_that_is_unknown_there_and_a_secret_that_is_wrong(doctor, guarded):
    env = of(guarded) | {"ANKA_CI_CA": str(guarded.ca)}
    key = guarded.sign_in["api-key"]
    for wrong, words in [
        (key | {"ANKA_CI_API_KEY_ID": "another"}, "ask for a new one"),
        (
            {**guarded.sign_in["oidc"], "ANKA_CI_CLIENT_SECRET": "not-the-secret-at-all"},
            "check the client id and secret",
        ),
    ]:
        wrong.pop("ANKA_CI_CLIENT_SECRET_FILE", None)
        examined = doctor(**env, **wrong)
        assert (5, "problem") == (examined.code, examined.find("sign-in", "the registry")["level"])
        assert words in examined.tell("sign-in", "the registry")[1]
        assert "not known" == examined.find("licence", "the controller")["level"]


def test_without_any_the_ways_there_are_and_the_servers_provider_are_named(doctor, guarded):
    examined = doctor(**of(guarded), ANKA_CI_CA=str(guarded.ca))
    level, said = examined.tell("sign-in", "the controller")
    assert (5, "problem") == (examined.code, level)
    assert "HTTP 401: Authentication Required | sign in: ANKA_CI_TOKEN (root token)" in said
    assert "it also names the OpenID provider https://" in said


def test_a_certificate_beside_a_token_is_tried_alone(doctor, guarded):
    env = of(guarded) | guarded.sign_in["certificate"] | {"ANKA_CI_CA": str(guarded.ca)}
    examined = doctor(**env, ANKA_CI_TOKEN="a-token-of-last-year")
    ways = [each for each in examined.document["findings"] if each["name"] == "way"]
    assert ["warning", "ok"] * 2 == [each["level"] for each in ways]
    assert ways[0]["seen"].startswith("root token does not work alone: HTTP 401")
    said = examined.tell("sign-in", "the registry")[1]
    assert said.startswith("not let in with root token and client certificate /")
    assert said.endswith("alone, which works")


def test_a_server_that_asks_for_a_token(doctor, tmp_path, seeded):
    data = tmp_path / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, auth=("token",)) as server:
        env = of(server)
        examined = doctor(**env)
        assert (5, "problem") == (examined.code, examined.find("sign-in", "the controller")["level"])
        assert (
            "with no sign-in: HTTP 401: Authentication Required | sign in: ANKA_CI_TOKEN"
            in examined.tell("sign-in", "the registry")[1]
        )
        examined = doctor(**env, ANKA_CI_TOKEN="not-the-token-at-all")
        assert (5, "problem") == (examined.code, examined.find("sign-in", "the controller")["level"])
        assert "not known" == examined.find("permissions", "the registry")["level"]
        token = Path(server.sign_in["token"]["ANKA_CI_TOKEN_FILE"]).read_text().strip()
        examined = doctor(**env, ANKA_CI_TOKEN=token)
        assert 0 == examined.code
        assert "root token from ANKA_CI_TOKEN works | " == examined.tell("sign-in", "the registry")[1]
        # The settings have the right one, and a variable with an old one stands in front of it.
        file = tmp_path / "settings.yml"
        file.write_text(
            json.dumps(
                {"default": "a", "contexts": {"a": {"token-file": server.sign_in["token"]["ANKA_CI_TOKEN_FILE"]}}}
            )
        )
        examined = doctor(**env, ANKA_CI_SETTINGS=str(file), ANKA_CI_TOKEN="a-token-of-last-year")
        level, said = examined.tell("sign-in", "the registry")
        assert (5, "problem") == (examined.code, level)
        assert said.endswith("use root token from token-file in the settings alone, which works")
        ways = [each for each in examined.document["findings"] if each["name"] == "way"]
        assert ["warning", "ok"] * 2 == [each["level"] for each in ways], "both for both servers"
    assert token not in examined.out


def test_ways_that_the_server_does_not_offer(doctor, tmp_path, seeded):
    """An API key and an OpenID client: each tells what the server lacks, and beside a token what to leave out."""
    openid = {"ANKA_CI_CLIENT_ID": "ci", "ANKA_CI_CLIENT_SECRET": "a-client-secret"}
    with Server(tmp_path / "data", auth=("token",)) as server:
        env = {"ANKA_CI_CONTROLLER_URL": server.controller_url}
        examined = doctor(**env, **openid)
        assert 5 == examined.code
        assert "names no OpenID provider (200) | OpenID is not set up there" in examined.tell("sign-in")[1]
        assert "*** (from ANKA_CI_CLIENT_SECRET) | " == examined.tell("client-secret")[1]
        assert f"{server.controller_url} (from ANKA_CI_CONTROLLER_URL) | " == examined.tell("controller")[1]
        token = Path(server.sign_in["token"]["ANKA_CI_TOKEN_FILE"]).read_text().strip()
        both = doctor(**env, **openid, ANKA_CI_TOKEN=token)
        assert 2 == both.code, "two ways in one place are an error of every step"
        assert "more than one way to sign in" in both.tell("settings")[1]
        assert f"{server.controller_url} (from ANKA_CI_CONTROLLER_URL) | " == both.tell("controller")[1]
        assert "root token from ANKA_CI_TOKEN works | " == both.tell("sign-in", "the controller")[1]
        ways = [each for each in both.document["findings"] if each["name"] == "way"]
        assert ["ok", "warning"] * 2 == [each["level"] for each in ways], "both for both servers"
        assert "names no OpenID provider" in ways[1]["seen"]
        half = doctor(**env, ANKA_CI_CLIENT_ID="ci")
    assert (2, "ANKA_CI_CLIENT_ID is given, but no client-secret") == (half.code, half.find("settings")["seen"])
    assert "not let in with no sign-in" in half.tell("sign-in")[1]
    assert [] == [
        secret for secret in (token, "a-client-secret") for each in (examined, both, half) if secret in each.out
    ]


@pytest.mark.parametrize(
    ("days", "level", "code"), [(900, "ok", 0), (5, "warning", 0), (-1, "problem", 5), (None, "", 5)]
)
def test_a_client_certificate(doctor, served, tmp_path, days, level, code):
    file, mine = certificate(tmp_path, days=900), certificate(tmp_path, days=days or 1, name="ci")
    wanting = serving(file)
    wanting.verify_mode = ssl.CERT_REQUIRED
    wanting.load_verify_locations(f"{mine}.crt")
    with Front(served.registry_url, nothing, wanting) as front:
        env = {"ANKA_CI_REGISTRY_URL": front.url, "ANKA_CI_CA": f"{file}.crt"}
        examined = doctor(**env, **({} if days is None else {"ANKA_CI_CERTIFICATE": str(mine)}))
    assert (code, "ok") == (examined.code, examined.find("tls")["level"])
    assert ("problem" if code else "ok") == examined.find("sign-in")["level"]
    if days:
        assert level == examined.find("client certificate")["level"]
    else:
        assert (
            "it wants a client certificate (certificate required) | set ANKA_CI_CERTIFICATE"
            in examined.tell("sign-in")[1]
        )


def test_a_client_certificate_that_cannot_be_used(doctor, served, tmp_path):
    mine, other = certificate(tmp_path, days=5, name="ci"), certificate(tmp_path, days=6, name="ci")
    file = certificate(tmp_path, days=900)
    with Front(served.registry_url, nothing, serving(file)) as front:
        env = {"ANKA_CI_REGISTRY_URL": front.url, "ANKA_CI_CA": f"{file}.crt"}
        examined = doctor(**env, ANKA_CI_CERTIFICATE=f"{mine}.crt", ANKA_CI_KEY=f"{other}.key")
    assert (2, "ok") == (examined.code, examined.find("tls")["level"])
    assert "cannot be used: the client certificate (ANKA_CI_CERTIFICATE, ANKA_CI_KEY)" in examined.tell("sign-in")[1]
