"""API keys, their sessions and OpenID clients: the server's side in raw HTTP, the client's against it, on one clock."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from anka_ci import settings
from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.errors import NotAuthorisedError, UsageError
from anka_ci.secret import Secret
from anka_ci.server.app import Server

TOKEN = "a root token of the tests"
REFUSED = (401, {"status": "FAIL", "message": "Authentication Required"})


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def keyed(seeded: Path, tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[Server]:
    """A server that takes the root token, API keys and an OpenID client."""
    data = tmp_path_factory.mktemp("keyed") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, auth=["token", "api-key", "oidc"], token=Secret(TOKEN), clock=clock) as server:
        yield server


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An RSA key of 2048 bits as PKCS#1, made once."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def ask(
    server: Server, method: str, path: str, body: Any = None, sign_in: str = "token", **more: Any
) -> tuple[int, Any]:
    """A request as raw as requests makes one; the status, and the JSON or text that came back."""
    headers = (
        {"Authorization": "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode()} if sign_in == "token" else {}
    )
    if sign_in not in ("token", ""):
        headers = {"Authorization": sign_in}
    with requests.Session() as session:
        session.trust_env = False
        reply = session.request(method, server.controller_url + path, json=body, headers=headers, timeout=30, **more)
    try:
        return reply.status_code, reply.json()
    except ValueError:
        return reply.status_code, reply.text


def public(pem: str) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pem.encode(), None).public_key()
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(key.public_bytes(serialization.Encoding.DER, spki)).decode()


def unseal(pem: str, sealed: str) -> str:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding

    key = serialization.load_pem_private_key(pem.encode(), None)
    way = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    return key.decrypt(base64.b64decode(sealed, validate=True), way).decode()  # type: ignore[union-attr]


def hand(server: Server, identity: str = "mine") -> str:
    status, sealed = ask(server, "POST", "/tap/v1/hand", {"id": identity}, "")
    assert 200 == status, sealed
    return str(sealed)


def shake(server: Server, secret: str, identity: str = "mine") -> tuple[int, Any]:
    return ask(server, "POST", "/tap/v1/shake", {"id": identity, "secret": secret}, "")


def bearer(data: dict[str, str], **how: Any) -> str:
    return "Bearer " + base64.b64encode(json.dumps(data, **how).encode()).decode()


@pytest.fixture
def mine(keyed: Server, pem: str) -> Iterator[str]:
    """The API key ``mine`` with its public half given, good for a day."""
    body = {"id": "mine", "ttl": 86400, "groups": ["ios"], "publicKey": public(pem)}
    assert (200, None) == (lambda found: (found[0], found[1]["body"]))(ask(keyed, "POST", "/api/v1/apikey", body))
    yield pem
    ask(keyed, "DELETE", "/v1/apikey", {"id": "mine"})


@pytest.mark.parametrize("path", ["/api/v1/apikey", "/v1/apikey"])
def test_a_key_from_its_making_to_its_end(keyed: Server, clock: ManualClock, path: str) -> None:
    status, made = ask(keyed, "POST", path, {"id": "k", "ttl": 60, "groups": "ios,mac"})
    assert (200, "OK") == (status, made["status"])
    der = base64.b64decode(made["body"], validate=True)
    from cryptography.hazmat.primitives import serialization

    assert 2048 == serialization.load_der_private_key(der, None).key_size  # type: ignore[union-attr]
    assert b"\x02\x01\x00\x02\x82\x01\x01" == der[4:11]  # PKCS#1: a version, then the modulus
    (shown,) = ask(keyed, "GET", f"{path}?id=k")[1]["body"]
    assert ("k", ["ios", "mac"]) == (shown["id"], shown["groups"])
    assert {"id", "groups", "expiration", "created"} == set(shown)
    assert ["anka-ci", "k"] == sorted(key["id"] for key in ask(keyed, "GET", path)[1]["body"])
    assert (200, {"status": "OK", "message": ""}) == ask(keyed, "PUT", f"{path}?id=k&ttl=120", {"groups": ["x"]})
    assert ["x"] == ask(keyed, "GET", f"{path}?id=k")[1]["body"][0]["groups"]
    assert (200, {"status": "OK", "message": ""}) == ask(keyed, "DELETE", path, {"id": "k"})
    assert (400, "FAIL") == (lambda found: (found[0], found[1]["status"]))(ask(keyed, "GET", f"{path}?id=k"))


@pytest.mark.parametrize(
    ("method", "body", "said"),
    [
        ("POST", {"id": "k"}, "ttl is missing"),
        ("POST", {"id": "k", "ttl": 60}, "groups is missing"),
        ("POST", {"ttl": 60, "groups": ["a"]}, "id is missing"),
        ("POST", {"id": "anka-ci", "ttl": 60, "groups": ["a"]}, "already"),
        ("POST", {"id": "k", "ttl": 0, "groups": ["a"]}, "ttl"),
        ("POST", {"id": "k", "ttl": -1, "groups": ["a"]}, "ttl"),
        ("POST", {"id": "k", "ttl": 1.5, "groups": ["a"]}, "ttl"),
        ("POST", {"id": "k", "ttl": 10**30, "groups": ["a"]}, "ttl"),
        ("POST", {"id": "k", "ttl": 60, "groups": ["", "a"]}, "groups"),
        ("POST", {"id": "k" * 300, "ttl": 60, "groups": ["a"]}, "id has to be"),
        ("POST", {"id": "k\n", "ttl": 60, "groups": ["a"]}, "id has to be"),
        ("POST", {"id": "k", "ttl": 60, "groups": ["a"], "publicKey": "x"}, "publicKey has to be"),
        ("PUT", {"id": "anka-ci", "groups": ["a"], "publicKey": "x"}, "cannot be changed"),
        ("PUT", {"id": "nobody", "groups": ["a"]}, "Not found"),
        ("PUT", {"id": "anka-ci"}, "groups is missing"),
        ("DELETE", {"id": "nobody"}, "Not found"),
        ("DELETE", {}, "id is missing"),
    ],
)
def test_a_key_that_makes_no_sense(keyed: Server, method: str, body: dict[str, Any], said: str) -> None:
    before = ask(keyed, "GET", "/api/v1/apikey")
    status, found = ask(keyed, method, "/api/v1/apikey", body)
    assert (400, "FAIL", True) == (status, found["status"], said in found["message"]), found
    assert before == ask(keyed, "GET", "/api/v1/apikey")


def test_the_calls_need_a_sign_in_themselves(keyed: Server) -> None:
    for path in ("/api/v1/apikey", "/v1/apikey"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert REFUSED == ask(keyed, method, path, {"id": "anka-ci"} if method != "GET" else None, "")


def test_hand_and_shake_and_what_they_give(keyed: Server, mine: str) -> None:
    sealed = hand(keyed)
    assert (344, "") == (len(sealed), sealed.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
    secret = unseal(mine, sealed)
    assert "" == secret.strip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    status, found = shake(keyed, secret)
    assert (200, "mine", {"userName", "token", "sessionId"}) == (status, found["id"], set(found["data"]))
    data = found["data"]
    forms = [
        bearer(data),
        bearer(data, indent=2),
        bearer(dict(reversed(data.items())), separators=(",", ":")),
        bearer({"sessionId": data["sessionId"], "token": data["token"]}),
        bearer(data).rstrip("="),
        bearer(data).replace("+", "-").replace("/", "_"),
        bearer(data).replace("Bearer", "bearer"),
    ]
    for form in forms:
        for path in ("/api/v1/status", "/registry/status", "/v2/"):
            assert 200 == ask(keyed, "GET", path, sign_in=form)[0]
    wrong = [
        bearer({**data, "token": data["token"][:-1]}),
        bearer({**data, "sessionId": "x"}),
        bearer({**data, "token": 7}),  # type: ignore[dict-item]
        bearer({"token": data["token"]}),
        bearer(data)[:-8],
        "Bearer " + data["token"],
        "Bearer " + base64.b64encode(b"[1]").decode(),
        "Bearer " + base64.b64encode(b"{" * 3000).decode(),
        "Bearer ",
        "Basic " + bearer(data)[7:],
    ]
    for form in wrong:
        assert REFUSED == ask(keyed, "GET", "/api/v1/status", sign_in=form)


def test_a_secret_is_good_once_and_not_for_ever(keyed: Server, mine: str, clock: ManualClock) -> None:
    first, second = unseal(mine, hand(keyed)), unseal(mine, hand(keyed))
    assert [200, 200] == [shake(keyed, second)[0], shake(keyed, first)[0]], "several may be outstanding"
    for secret in (first, second, first[:-1], "", "x" * 27):
        assert 200 != shake(keyed, secret)[0]
    assert REFUSED == shake(keyed, first)
    third = unseal(mine, hand(keyed))
    clock.advance(10)
    fourth = unseal(mine, hand(keyed))
    assert REFUSED == shake(keyed, third, "anka-ci")
    assert 200 == shake(keyed, third)[0]
    clock.advance(61)
    assert REFUSED == shake(keyed, fourth)
    assert REFUSED == ask(keyed, "POST", "/tap/v1/hand", {"id": "nobody"}, "")


def test_a_session_ends_by_the_clock_with_its_key_and_with_the_keys_life(
    keyed: Server, mine: str, clock: ManualClock
) -> None:
    def session() -> str:
        return bearer(shake(keyed, unseal(mine, hand(keyed)))[1]["data"])

    def there(form: str) -> int:
        return ask(keyed, "GET", "/api/v1/status", sign_in=form)[0]

    one = session()
    clock.advance(299)
    assert 200 == there(one)
    clock.advance(2)
    assert 401 == there(one)
    two = session()
    ask(keyed, "PUT", "/api/v1/apikey", {"id": "mine", "groups": ["a"], "ttl": 20})
    clock.advance(21)
    assert 401 == there(two)
    assert REFUSED == ask(keyed, "POST", "/tap/v1/hand", {"id": "mine"}, "")
    ask(keyed, "PUT", "/api/v1/apikey", {"id": "mine", "groups": ["a"], "ttl": 86400})
    three = session()
    ask(keyed, "DELETE", "/api/v1/apikey", {"id": "mine"})
    assert 401 == there(three)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is the other side of this test")
def test_the_hand_is_what_openssl_unseals(keyed: Server, mine: str, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(mine)
    (tmp_path / "sealed").write_bytes(base64.b64decode(hand(keyed)))
    options = "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256"
    words = f"openssl pkeyutl -decrypt -inkey key.pem -in sealed {options}".split()
    secret = subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert 200 == shake(keyed, secret)[0]


# the client


def doors(server: Server, clock: ManualClock, **env: str) -> Anka:
    address = {"ANKA_CI_CONTROLLER_URL": server.controller_url, "ANKA_CI_REGISTRY_URL": server.registry_url}
    context = settings.load({"HOME": "/nowhere", "NO_PROXY": "*", "ANKA_CI_ANKA": server.anka, **address, **env})
    return Anka(context, clock=clock)


def spellings(pem: str) -> list[str]:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pem.encode(), None)
    nothing, der = serialization.NoEncryption(), serialization.Encoding.DER
    pkcs1, pkcs8 = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8
    lines = [base64.b64encode(key.private_bytes(der, form, nothing)).decode() for form in (pkcs1, pkcs8)]
    return [pem, key.private_bytes(serialization.Encoding.PEM, pkcs8, nothing).decode(), *lines, pem.replace("\n", " ")]


def test_the_client_takes_a_key_in_every_spelling(keyed: Server, mine: str, clock: ManualClock) -> None:
    for text in spellings(mine):
        anka = doors(keyed, clock, ANKA_CI_API_KEY_ID="mine", ANKA_CI_API_KEY=text)
        assert ["sonoma"] == [row.name for row in anka.registry.templates()]
    template = anka.registry.template("sonoma")
    assert "sonoma" == anka.registry.config(template, template.newest)["name"]  # over the data plane
    assert 0 < anka.host.download_size(template.id, "v1", keyed.registry_url).download


def test_one_handshake_serves_until_the_session_ends(
    keyed: Server, mine: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    send = requests.Session.request

    def note(self: requests.Session, method: str, url: str, **more: Any) -> requests.Response:
        asked.append(url.rsplit("/", 1)[1])
        return send(self, method, url, **more)

    monkeypatch.setattr(requests.Session, "request", note)
    anka = doors(keyed, clock, ANKA_CI_API_KEY_ID="mine", ANKA_CI_API_KEY=mine)
    for _ in range(3):
        anka.controller.status()
    assert ["hand", "shake", "status", "status", "status"] == asked
    clock.advance(280)  # before the server ends it
    anka.controller.status()
    assert ["hand", "shake", "status"] == asked[5:]
    ask(keyed, "PUT", "/api/v1/apikey", {"id": "mine", "groups": ["a"], "ttl": 1})
    clock.advance(2)  # the server ends it before the client expects that
    ask(keyed, "PUT", "/api/v1/apikey", {"id": "mine", "groups": ["a"], "ttl": 86400})
    anka.controller.status()
    del asked[:]
    threads = [threading.Thread(target=anka.controller.status) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert ["status"] * 4 == asked


def test_a_session_that_the_server_has_forgotten_is_made_anew(
    seeded: Path, tmp_path: Path, clock: ManualClock, pem: str
) -> None:
    shutil.copytree(seeded, tmp_path / "data", symlinks=True)
    port, anka = 0, None
    for _ in range(2):  # sessions are in memory only, keys are kept
        with Server(tmp_path / "data", port=port, auth=["api-key"], clock=clock) as server:
            port = int(server.controller_url.rsplit(":", 1)[1])
            mine = server.sign_in["api-key"]
            assert 0o600 == Path(mine["ANKA_CI_API_KEY"]).stat().st_mode & 0o777
            anka = anka or doors(server, clock, **mine)
            template = anka.registry.template("sonoma")
            assert "sonoma" == anka.registry.config(template, template.newest)["name"]
            anka.controller.status()


@pytest.mark.parametrize(
    ("env", "error", "said", "hint"),
    [
        ({"ANKA_CI_API_KEY_ID": "nobody"}, NotAuthorisedError, "refused (Authentication Required)", "has expired"),
        ({"ANKA_CI_API_KEY_ID": "anka-ci"}, NotAuthorisedError, "does not fit", "belongs to another"),
        ({"ANKA_CI_API_KEY": base64.b64encode(b"x" * 99).decode()}, UsageError, "cannot be read", "ANKA_CI_PASSPHRASE"),
    ],
)
def test_a_key_that_does_not_sign_in(
    keyed: Server, mine: str, clock: ManualClock, env: dict[str, str], error: type[Exception], said: str, hint: str
) -> None:
    given = {"ANKA_CI_API_KEY_ID": "mine", "ANKA_CI_API_KEY": mine, **env}
    for door in ("controller", "registry"):
        with pytest.raises(error) as caught:
            getattr(doors(keyed, clock, **given), door).status()
        told = str(caught.value)
        assert (True, True, False) == (said in told, hint in told, mine.splitlines()[1] in told), told


def test_a_server_without_api_keys_says_so(server: Server, pem: str) -> None:
    with Server(server.data.parent / "token", auth=["token"]) as other:
        anka = doors(other, ManualClock(), ANKA_CI_API_KEY_ID="mine", ANKA_CI_API_KEY=pem)
        with pytest.raises(NotAuthorisedError, match="refused"):
            anka.controller.status()


def test_an_openid_client(keyed: Server, clock: ManualClock) -> None:
    mine = keyed.sign_in["oidc"]
    assert 0o600 == Path(mine["ANKA_CI_CLIENT_SECRET_FILE"]).stat().st_mode & 0o777
    status, told = ask(keyed, "GET", "/config/v1/auth", sign_in="")
    assert (200, {"provider_url", "user_name_field", "groups_field", "display_name"}) == (
        status,
        set(told["body"]["oidc"]),
    )
    anka = doors(keyed, clock, **mine)
    assert "Running" == anka.controller.status().status
    assert ["sonoma"] == [row.name for row in anka.registry.templates()]
    for seconds in (280, 301, 3000):  # renewed ahead, by the refresh token, and from the beginning
        clock.advance(seconds)
        assert "Running" == anka.controller.status().status
    wrong = doors(keyed, clock, ANKA_CI_CLIENT_ID="anka-ci", ANKA_CI_CLIENT_SECRET="not this one")
    with pytest.raises(NotAuthorisedError, match="refused: invalid_client"):
        wrong.controller.status()


def test_the_provider_refuses_what_it_should(keyed: Server, clock: ManualClock) -> None:
    secret = Path(keyed.sign_in["oidc"]["ANKA_CI_CLIENT_SECRET_FILE"]).read_text().strip()

    def token(**form: str) -> tuple[int, Any]:
        with requests.Session() as session:
            session.trust_env = False
            reply = session.post(keyed.controller_url + "/oidc/token", data=form, timeout=10)
        return reply.status_code, reply.json()

    whole = {"client_id": "anka-ci", "client_secret": secret, "grant_type": "client_credentials"}
    assert (401, {"error": "invalid_client"}) == token(**{**whole, "client_secret": secret[:-1]})
    assert (401, {"error": "invalid_client"}) == token(**{**whole, "client_id": "other"})
    assert (400, {"error": "unsupported_grant_type"}) == token(**{**whole, "grant_type": "password"})
    assert (400, {"error": "invalid_grant"}) == token(**{**whole, "grant_type": "refresh_token", "refresh_token": "x"})
    status, found = token(**whole)
    assert (200, 200) == (status, ask(keyed, "GET", "/api/v1/status", sign_in=f"Bearer {found['access_token']}")[0])
    assert REFUSED == ask(keyed, "GET", "/api/v1/status", sign_in=f"Bearer {found['access_token'][:-1]}")
    assert REFUSED == ask(keyed, "GET", "/api/v1/status", sign_in=f"Bearer {found['refresh_token']}")
    clock.advance(301)
    assert REFUSED == ask(keyed, "GET", "/api/v1/status", sign_in=f"Bearer {found['access_token']}")
    again = {**whole, "grant_type": "refresh_token", "refresh_token": found["refresh_token"]}
    assert [200, 400] == [token(**again)[0], token(**again)[0]], "a refresh token is good once"


def test_no_openid_there(server: Server) -> None:
    assert (200, {"status": "OK", "message": "", "body": {}}) == ask(server, "GET", "/config/v1/auth", sign_in="")
    assert 404 == ask(server, "POST", "/oidc/token", sign_in="")[0]
    anka = doors(server, ManualClock(), ANKA_CI_CLIENT_ID="a", ANKA_CI_CLIENT_SECRET="b")
    with pytest.raises(NotAuthorisedError, match="names no OpenID provider"):
        anka.controller.status()
