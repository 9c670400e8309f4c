"""Signing in to the embedded server: who is let in, what the others are told, and what is kept out of every log."""

from __future__ import annotations

import base64
import logging
import shutil
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.errors import NotAuthorisedError, UsageError
from anka_ci.secret import Secret
from anka_ci.serve import exports
from anka_ci.server.app import Server
from anka_ci.settings import Context

TOKEN = "a root token of the tests"
REFUSED = (401, b'{"status":"FAIL","message":"Authentication Required"}\n')
PROTECTED = ("/api/v1/status", "/registry/status", "/api/v1/node", "/registry/v2/vm", "/nothing", "/livez/", "/tap/v1")


@pytest.fixture(scope="module")
def guarded(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants the root token; nothing but a tag is added to it, so the tests of this file share it."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, nodes=1, run_guests=True, auth=["token"], token=Secret(TOKEN)) as server:
        yield server


def doors(server: Server, token: str | None = TOKEN) -> Anka:
    return Anka(
        Context(
            controller_url=server.controller_url,
            registry_urls=(server.registry_url,),
            anka=(server.anka,),
            token=None if token is None else Secret(token),
        )
    )


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask(server: Server, path: str, *authorization: str, method: str = "GET") -> tuple[int, bytes]:
    headers = {"Authorization": authorization[0]} if authorization else {}
    with requests.Session() as session:
        session.trust_env = False
        reply = session.request(method, server.registry_url + path, headers=headers, timeout=10)
    return reply.status_code, reply.content


@pytest.mark.parametrize("path", PROTECTED)
def test_without_a_sign_in_there_is_one_answer(guarded: Server, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        assert REFUSED == ask(guarded, path, method=method)
    reply = requests.get(guarded.registry_url + path, timeout=10)
    assert ("application/json", None) == (reply.headers["Content-Type"], reply.headers.get("WWW-Authenticate"))


def test_no_operation_is_open_but_those_that_are_described_so(guarded: Server) -> None:
    with requests.Session() as session:
        session.auth = ("root", TOKEN)
        paths = session.get(guarded.controller_url + "/openapi.json", timeout=10).json()["paths"]
        session.auth, session.trust_env = None, False
        for path, operations in paths.items():
            for method, operation in operations.items():
                reply = session.request(method, guarded.controller_url + path, json={}, timeout=10)
                opened = operation.get("security") == []
                assert opened != ((reply.status_code, reply.content) == REFUSED) or path.startswith("/tap/"), path


def test_health_is_open(guarded: Server) -> None:
    assert [(200, b"ok\n")] * 2 == [ask(guarded, path) for path in ("/livez", "//readyz")]


@pytest.mark.parametrize(
    "given",
    [
        basic("root", TOKEN),
        basic("", TOKEN),
        basic("root", TOKEN).replace("Basic", "bAsIc"),
        basic("root", TOKEN).rstrip("="),
        basic("root", TOKEN).replace("Basic ", "Basic   "),
    ],
)
def test_the_root_token_opens_every_part(guarded: Server, given: str) -> None:
    for path in ("/api/v1/status", "/registry/status", "/v2/"):
        assert 200 == ask(guarded, path, given)[0]


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Basic",
        "Basic ",
        basic("root", ""),
        basic("root", TOKEN[:-1]),
        basic("root", TOKEN + "x"),
        basic("root", TOKEN.upper()),
        basic("admin", TOKEN),
        basic("ROOT", TOKEN),
        basic("root", "é" * 20),
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\x00").decode(),
        "Basic not*base64",
        "Basic " + "A" * 5000,
        f"Bearer {TOKEN}",
        TOKEN,
        "Digest " + basic("root", TOKEN)[6:],
    ],
)
def test_anything_else_is_refused_and_never_logged(
    guarded: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], given: str
) -> None:
    caplog.set_level(logging.DEBUG)
    assert REFUSED == ask(guarded, "/api/v1/status", given)
    told = "".join(capfd.readouterr()) + "".join(r.getMessage() for r in caplog.records if r.name.startswith("anka"))
    assert "" == told


@pytest.mark.parametrize("bad", ["Authorization: {}\x01", "Authoriz ation: {}", "X: y\r\n {}\r\nHost: again"])
def test_credentials_in_what_is_no_http_are_not_logged_either(
    guarded: Server, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], bad: str
) -> None:
    caplog.set_level(logging.DEBUG)
    host, _, port = guarded.controller_url.partition("//")[2].partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\n{bad.format(basic('root', TOKEN))}\r\n\r\n"
        connection.sendall(head.encode())
        assert b"400" == connection.recv(65536)[9:12]
    assert basic("root", TOKEN)[6:] not in "".join(capfd.readouterr()) + caplog.text


def test_two_headers_are_refused(guarded: Server) -> None:
    import http.client

    port = int(guarded.controller_url.rsplit(":", 1)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("GET", "/api/v1/status")
    for _ in range(2):
        connection.putheader("Authorization", basic("root", TOKEN))
    connection.endheaders()
    assert 401 == connection.getresponse().status
    connection.close()


def test_the_data_plane_says_it_in_its_own_words(guarded: Server) -> None:
    reply = requests.get(guarded.registry_url + "/v2/", timeout=10)
    assert (401, 'Basic realm="anka-ci"') == (reply.status_code, reply.headers["WWW-Authenticate"])
    assert {"errors": [{"code": "UNAUTHORIZED", "message": "Authentication Required"}]} == reply.json()
    for method, path in (("POST", "/v2/x/blobs/uploads/"), ("PUT", "/v2/x/manifests/y"), ("GET", "/v2/x/tags/list")):
        assert 401 == ask(guarded, path, method=method)[0]


def test_a_page_elsewhere_is_refused_before_its_credentials_are_looked_at(guarded: Server) -> None:
    headers = {"Origin": "http://evil.example", "Authorization": basic("root", TOKEN)}
    assert 403 == requests.get(guarded.registry_url + "/api/v1/status", headers=headers, timeout=10).status_code


def test_without_sign_in_an_authorization_is_not_looked_at(server: Server) -> None:
    for given in (basic("root", ""), basic("root", "wrong"), "Bearer x", "?"):
        assert 200 == ask(server, "/api/v1/status", given)[0]


def test_the_steps_say_what_to_do_without_it(guarded: Server) -> None:
    anka = doors(guarded)
    assert 1 == perform("list", {"template": "sonoma"}, anka).outputs["count"]
    before = anka.registry.template("sonoma").versions
    calls = [
        ("list", {"template": "sonoma"}),
        ("pull", {"template": "sonoma", "tag": "v1"}),
        ("distribute", {"template": "sonoma", "all": "true"}),
        ("revert", {"template": "sonoma", "latest": "true"}),
    ]
    for token, hint in ((None, "ANKA_CI_TOKEN"), ("a wrong one", "token")):
        for step, inputs in calls:
            with pytest.raises(NotAuthorisedError, match="Authentication Required") as caught:
                perform(step, inputs, doors(guarded, token), confirm="yes")
            assert (5, True) == (caught.value.code, hint in caught.value.hint)
            assert TOKEN not in str(caught.value.emit())
    assert before == anka.registry.template("sonoma").versions


def test_the_anka_command_without_it(guarded: Server) -> None:
    anka = doors(guarded)
    there = Anka(replace(anka.context, token=None))
    with pytest.raises(NotAuthorisedError, match="Authentication Required"):
        there.host.pull("sonoma", "v1", registry_url=guarded.registry_url)


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        (["--auth", "tokens"], {}, "'tokens' is no way to sign in"),
        (["--auth", ""], {}, "'' is no way to sign in"),
        (["--token-file", "x"], {}, "goes with --auth token"),
        (["--auth", "token", "--token-file", "x"], {"ANKA_CI_SERVE_TOKEN": "y"}, "both give the root token"),
        (["--auth", "token", "--token-file", "/nowhere/token"], {}, "cannot be read"),
        (["--auth", "token"], {"ANKA_CI_SERVE_TOKEN": "short"}, "ANKA_CI_SERVE_TOKEN cannot be used"),
        (["--listen", "0.0.0.0"], {}, "listening on 0.0.0.0 needs TLS and sign-in"),
        (["--listen", "0.0.0.0", "--auth", "token"], {}, "needs TLS and sign-in"),
        (["--listen", "192.0.2.1", "--tls"], {}, "needs TLS and sign-in"),
        (["--auth", "certificate"], {}, "client certificates need TLS"),
        (["--tls", "--cert", "x"], {}, "--cert and --key go together"),
    ],
)
def test_what_serve_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str], env: dict[str, str], said: str
) -> None:
    from anka_ci.cli import main

    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert 2 == main(["serve", *args])
    assert said in capsys.readouterr().err


def test_a_token_is_kept_over_a_restart_and_a_bad_one_is_refused(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with Server(tmp_path, auth=["token"]) as server:
            file = Path(server.sign_in["token"]["ANKA_CI_TOKEN_FILE"])
            found.append(file.read_text())
            assert {"ANKA_CI_TOKEN_FILE": str(file)}.items() <= exports(server).items()
            assert {"ANKA_CI_TOKEN": found[-1].strip()}.items() <= exports(server, show_token=True).items()
    assert found[0] == found[1]
    file.write_text("short\n")
    with pytest.raises(UsageError, match=r"the root token in .* cannot be used"):
        Server(tmp_path, auth=["token"]).start()
    for text in ("short", " with a space in front", "two\nlines of it", ""):
        with pytest.raises(UsageError, match="cannot be used"):
            Server(tmp_path, auth=["token"], token=Secret(text))
