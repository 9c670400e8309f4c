"""Signing in to OCI registries: what they ask for, who we say we are, and where that never goes."""

from __future__ import annotations

import base64
import email
import hashlib
import http.client
import json
from pathlib import Path

import pytest

from anka_ci import settings
from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.errors import NotAuthorisedError, UnreachableError, UsageError
from anka_ci.oci import Oci
from anka_ci.oci.challenge import Challenge, Scope
from anka_ci.oci.docker import credentials
from anka_ci.server.app import Server
from registries import Manners, front

ME = "Basic " + base64.b64encode(b"me:secret").decode()
ONE = "sha256:" + hashlib.sha256(b"one").hexdigest()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory):
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server.registry_url


def client(manners: Manners, clock: ManualClock | None = None, home: Path = Path("/nowhere"), **env: str) -> Oci:
    address = manners.url.replace("http://", "oci+http://") + "/team"
    context = settings.load({"HOME": str(home), "ANKA_CI_REGISTRY_URL": address, **env})
    return Oci(manners.url, Anka(context, clock=clock or ManualClock()), foreign=True)


def docker(folder: Path, content: object) -> Path:
    (folder / ".docker").mkdir()
    (folder / ".docker" / "config.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "env",
    [
        {"ANKA_CI_REGISTRY_USER": "me:secret"},
        {"ANKA_REGISTRY_USER": "me:secret"},
        {"ANKA_CI_USER": "me:secret"},
        {"ANKA_CI_REGISTRY_USER": "me:secret", "ANKA_REGISTRY_USER": "other:x"},
    ],
)
@pytest.mark.parametrize("way", ["bearer", "basic"])
def test_who_we_are_by_the_environment(embedded: str, way: str, env: dict[str, str]) -> None:
    with front(embedded, sign_in=way) as there:
        oci = client(there, **env)
        assert ONE == oci.put_content("team/one", b"one")
        assert b"one" == oci.content("team/one", ONE)
        assert "" == there.asked[0][2]
        signed = [said for _, path, said in there.asked[1:] if not path.startswith("/token")]
        assert (True, True) == (
            bool(signed),
            all(said.startswith("Bearer token-" if way == "bearer" else ME) for said in signed),
        )


def test_one_token_for_each_repository_and_need_until_it_ends(embedded: str) -> None:
    clock = ManualClock()
    with front(embedded, sign_in="bearer") as there:
        oci = client(there, clock, ANKA_REGISTRY_USER="me:secret")
        for _ in range(3):
            oci.put_content("team/tokens", b"of tokens")
        assert ["repository:team/tokens:pull", "repository:team/tokens:pull,push"] == [
            form["scope"][0] for form in there.forms[:2]
        ]
        assert ["the, registry"] == there.forms[0]["service"]
        asked = len(there.forms)
        assert 2 == asked
        oci.blob_size("team/two", ONE)
        assert asked + 1 == len(there.forms)
        clock.advance(301)
        oci.blob_size("team/two", ONE)
        assert asked + 2 == len(there.forms)
        assert {ME} == {said for _, path, said in there.asked if path.startswith("/token")}
        there.tokens.clear()  # the registry forgets: the token is renewed at once, not after a pause
        before = clock.now()
        oci.blob_size("team/two", ONE)
        assert (asked + 3, before) == (len(there.forms), clock.now())


def test_everybody_may_read_what_is_public(embedded: str) -> None:
    with front(embedded, sign_in="bearer") as there:
        oci = client(there)
        assert oci.blob_size("team/public", "sha256:" + "0" * 64) is None
        with pytest.raises(NotAuthorisedError, match="authentication required") as caught:
            oci.put_content("team/public", b"public")
        assert "docker login 127.0.0.1" in caught.value.hint


def test_a_wrong_password_is_told_once_and_never_shown(embedded: str) -> None:
    for way in ("bearer", "basic"):
        with front(embedded, sign_in=way) as there:
            with pytest.raises(NotAuthorisedError) as caught:
                client(there, ANKA_REGISTRY_USER="me:wrong-one").manifest("team/one", "v1")
            assert "ANKA_REGISTRY_USER" in caught.value.hint
            assert "wrong-one" not in str(caught.value)
            assert 2 == len(there.asked)


def test_a_token_that_is_given_is_sent_as_it_is(embedded: str) -> None:
    with front(embedded, sign_in="bearer", tokens={"mine": "repository:x:pull,push"}) as there:
        client(there, ANKA_REGISTRY_AUTH_TOKEN="mine").put_content("team/one", b"one")
        assert {"Bearer mine"} == {said for _, _, said in there.asked}
        with pytest.raises(NotAuthorisedError) as caught:
            client(there, ANKA_REGISTRY_AUTH_TOKEN="over").put_content("team/one", b"one")
        assert "ANKA_REGISTRY_AUTH_TOKEN" in caught.value.hint


@pytest.mark.parametrize("realm", ["http://realm.invalid/token", "ftp://127.0.0.1/x", ""])
def test_credentials_go_to_no_realm_that_anyone_could_listen_to(embedded: str, realm: str) -> None:
    with front(embedded, sign_in="bearer", realm=realm or "nothing") as there:
        with pytest.raises(
            (NotAuthorisedError, UnreachableError), match=r"anyone on the way could read|names no realm"
        ):
            client(there, ANKA_REGISTRY_USER="me:secret").manifest("team/one", "v1")
        assert 0 == len(there.forms)


def test_a_controllers_sign_in_is_not_for_an_oci_registry(embedded: str) -> None:
    with front(embedded) as there:
        env = {
            "ANKA_CI_CONTROLLER_URL": "http://127.0.0.1:9",
            "ANKA_CI_TOKEN": "root",
            "ANKA_CI_HEADERS": "X-Gate: hush",
        }
        client(there, **env).blob_size("team/one", ONE)
        assert [""] == [said for _, _, said in there.asked]
        with pytest.raises(UsageError, match="ANKA_CI_REGISTRY_TOKEN is a way to sign in to Anka"):
            client(there, **env, ANKA_CI_REGISTRY_TOKEN="x")
    with pytest.raises(UsageError, match="ANKA_REGISTRY_USER is not USER:PASSWORD"):
        client(there, ANKA_REGISTRY_USER="me")
    with pytest.raises(UsageError, match="more than one way"):
        client(there, ANKA_REGISTRY_USER="me:x", ANKA_REGISTRY_AUTH_TOKEN="y")


def test_blobs_on_another_host_are_fetched_without_our_sign_in(embedded: str, tmp_path: Path) -> None:
    with front(embedded) as storage, front(embedded, sign_in="basic", elsewhere=storage.url) as there:
        oci = client(there, ANKA_REGISTRY_USER="me:secret", ANKA_CI_REGISTRY_HEADERS="X-Gate: opens")
        content = bytes(range(256)) * 1000
        digest = oci.put_content("team/far", content)
        assert len(content) == oci.pull("team/far", digest, len(content), tmp_path / "part")
        assert content == (tmp_path / "part").read_bytes() == oci.content("team/far", digest)
        assert {""} == {said for _, _, said in storage.asked}
        assert 3 <= len(storage.asked)
    with front(embedded, sign_in="basic", elsewhere="http://storage.invalid") as there:
        with pytest.raises(UnreachableError, match=r"http://storage\.invalid") as caught:
            client(there, ANKA_REGISTRY_USER="me:secret").content("team/far", digest)
        assert "hush" not in str(caught.value)


def test_what_docker_login_left(embedded: str, tmp_path: Path) -> None:
    with front(embedded, sign_in="bearer") as there:
        host = there.url.removeprefix("http://")
        auth = base64.b64encode(b"me:secret").decode()
        client(there, home=docker(tmp_path, {"auths": {host: {"auth": auth}}})).put_content("team/docker", b"one")
        assert {ME} == {said for _, path, said in there.asked if path.startswith("/token")}
        (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {host: {"identitytoken": "refresh-me"}}}))
        client(there, home=tmp_path).put_content("team/docker", b"two")
        assert ["refresh_token"] == there.forms[-1]["grant_type"]
        assert ["anka-ci"] == there.forms[-1]["client_id"]
    with front(embedded, sign_in="basic") as there:
        host = there.url.removeprefix("http://")
        (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {host: {"identitytoken": "refresh-me"}}}))
        with pytest.raises(NotAuthorisedError):
            client(there, home=tmp_path).put_content("team/docker", b"three")
        assert [""] == [said for _, _, said in there.asked]


@pytest.mark.parametrize(
    ("content", "host", "user"),
    [
        ({}, "oci.example", None),
        ({"auths": {"oci.example": {}}}, "oci.example", None),
        ({"auths": {"https://oci.example/v2/": {"username": "a", "password": "b"}}}, "oci.example", "a"),
        ({"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}}}, "registry-1.docker.io", "a"),
        ({"auths": {"other:5000": {"auth": "YTpi"}}}, "other", None),
    ],
)
def test_the_docker_configuration(tmp_path: Path, content: object, host: str, user: str | None) -> None:
    found = credentials(docker(tmp_path, content) / ".docker/config.json", host)
    assert user == (found.user if found else None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON object"),
        ('{"auths": {"h": {"auth": "???"}}}', "no base64"),
        ('{"credsStore": "../evil"}', "which is none"),
        ('{"credsStore": "not-there-at-all"}', "not on the PATH"),
    ],
)
def test_a_docker_configuration_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=said) as caught:
        credentials(tmp_path / "config.json", "h")
    assert caught.value.hint


def test_a_credential_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-made"
    helper.write_text(
        "#!/bin/sh\nread -r server\n"
        '[ "$1 $server" = "get known" ] && echo \'{"Username":"<token>","Secret":"s"}\' && exit\n'
        '[ "$server" = broken ] && echo nonsense && exit\n'
        '[ "$server" = failing ] && echo locked && exit 2\necho credentials not found in native keychain; exit 1\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    file = tmp_path / "config.json"
    file.write_text('{"credHelpers": {"known": "made"}, "credsStore": "made", "auths": {"plain": {"auth": "YTpi"}}}')
    known, plain = credentials(file, "known"), credentials(file, "plain")
    assert known
    assert plain
    assert ("<token>", "s", True) == (known.user, known.password.reveal(), known.identity)
    assert ("a", False) == (plain.user, plain.identity)
    assert credentials(file, "nobody") is None
    for server, said in (("broken", "no JSON"), ("failing", "locked")):
        with pytest.raises(UsageError, match=said):
            credentials(file, server)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], None),
        (["Negotiate"], None),
        (['Basic realm="x"'], ("basic", "x", "", "")),
        (['basic realm=x, Bearer realm="https://r/t",service="a, b"'], ("bearer", "https://r/t", "a, b", "")),
        (['Basic realm="x"', 'BEARER Realm="r\\"t", scope="a b"'], ("bearer", 'r"t', "", "a b")),
    ],
)
def test_challenges_in_every_spelling(lines: list[str], expected: tuple[str, ...] | None) -> None:
    headers = email.message_from_string(
        "".join(f"WWW-Authenticate: {line}\n" for line in lines), _class=http.client.HTTPMessage
    )
    found = Challenge.read(headers)
    assert expected == (found and (found.scheme, found.realm, found.service, found.scope))


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v2/", ""),
        ("HEAD", "/v2/a/b/manifests/v1", "repository:a/b:pull"),
        ("GET", "/v2/a/tags/list?n=1", "repository:a:pull"),
        ("POST", "/v2/a/b/blobs/uploads/", "repository:a/b:pull,push"),
        ("PATCH", "/prefix/v2/a/blobs/uploads/1?x=/v2/", "repository:a:pull,push"),
    ],
)
def test_the_scope_of_a_request(method: str, path: str, expected: str) -> None:
    assert expected == str(Scope.of(method, path))
