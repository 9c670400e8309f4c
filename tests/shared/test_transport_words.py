"""The REST client's rules of reading and asking: words of success, statuses, parameters, retries and surroundings.

Each is a row of the REST reference: what releases since 2019 have sent, and what a client should make of it.
"""

from __future__ import annotations

import gzip
import json
import socket
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Deadline, ManualClock, SystemClock
from anka_ci.errors import (
    AnkaCiError,
    FellShortError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.secret import Secret
from anka_ci.settings import Context
from anka_ci.transport import TRIES, Transport
from foreign import OK, client, foreign, reply
from front import Front, certificate, serving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def said(status: object, **more: object) -> bytes:
    return json.dumps({"status": status, "message": "the words", **more}).encode()


@pytest.mark.parametrize("status", [200, 201, 202, 203, 400, 404, 409])
@pytest.mark.parametrize("word", ["OK", "ok", "Ok"])
def test_ok_is_success_in_any_case_and_at_any_status_below_500(word: str, status: int) -> None:
    with foreign(reply(status, said(word, body={"a": 1}))) as server:
        assert {"a": 1} == client(server.url).get("/x")


@pytest.mark.parametrize("status", [200, 400, 404, 409, 422])
@pytest.mark.parametrize("word", ["FAIL", "ERROR", "Error", "Fail", "okay", "Running", ""])
def test_every_other_word_is_a_failure_with_the_servers_own_message(word: str, status: int) -> None:
    with foreign(reply(status, said(word, body={"a": 1}))) as server:
        with pytest.raises(RefusedError, match="the words") as caught:
            client(server.url).get("/x")
    assert ("the words", status) == (caught.value.facts["said"], caught.value.facts["status"])


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b'"OK"', b"1", said(None), said(1), said(["OK"]), b"\xff\xfe", b"OK"]
)
def test_a_reply_without_a_word_is_no_anka_reply(body: bytes) -> None:
    with foreign(reply(200, body)) as server:
        with pytest.raises(UnreachableError, match="no Anka reply"):
            client(server.url).get("/x")
    assert 1 == len(server.asked)


@pytest.mark.parametrize(
    "body", [b'{"status":"OK"}', said("OK"), said("OK", body=None), b'{"status":"OK","message":null,"body":null}']
)
def test_a_body_that_is_null_or_absent_is_none(body: bytes) -> None:
    with foreign(reply(200, body)) as server:
        assert client(server.url).get("/x") is None


def test_what_a_proxy_does_to_a_body_is_undone() -> None:
    packed = gzip.compress(OK)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + b"".join(
        b"%x\r\n%b\r\n" % (len(part), part) for part in (OK[:5], OK[5:], b"")
    )
    for answer in (reply(200, packed, "Content-Encoding: gzip"), chunked, reply(200, b"\xef\xbb\xbf" + OK + b"\r\n")):
        with foreign(answer) as server:
            assert [1] == client(server.url).get("/x")


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize("token", [None, Secret("a-token-of-mine")])
def test_authentication_required_is_not_authorised_at_any_status(status: int, token: Secret | None) -> None:
    with foreign(reply(status, b'{"status":"FAIL","message":"Authentication Required"}')) as server:
        with pytest.raises(NotAuthorisedError, match="not signed in") as caught:
            client(server.url, token=token).get("/x")
    assert 1 == len(server.asked)
    assert ("ANKA_CI_TOKEN" in caught.value.hint) == (token is None)
    assert "a-token-of-mine" not in str(caught.value)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_read_outlives_every_passing_fault(status: int) -> None:
    with foreign(*[reply(status, said("FAIL"))] * (TRIES - 1), reply(200, OK)) as server:
        assert [1] == client(server.url).get("/x")
    assert TRIES == len(server.asked)


@pytest.mark.parametrize(("status", "kind"), [(500, UnreachableError), (503, UnreachableError), (408, RefusedError)])
def test_a_fault_that_stays_tells_the_servers_words(status: int, kind: type[AnkaCiError]) -> None:
    with foreign(reply(status, said("FAIL"))) as server:
        with pytest.raises(kind, match="the words"):
            client(server.url).get("/x")
    assert TRIES == len(server.asked)


@pytest.mark.parametrize("answer", [b"", reply(200, OK[:9], length=len(OK)), reply(503, said("FAIL")), reply(408, b"")])
def test_a_write_whose_answer_is_lost_is_sent_once(answer: bytes) -> None:
    for ask in (
        lambda rest: rest.post("/x", {"a": 1}),
        lambda rest: rest.delete("/x", body={"a": 1}),
        lambda rest: rest.request("PUT", "/x", body={"a": 1}),
    ):
        with foreign(answer) as server:
            with pytest.raises(UnreachableError):
                ask(client(server.url))
        assert 1 == len(server.asked)


def test_a_delete_has_a_json_body_and_a_query() -> None:
    with foreign(reply(200, OK)) as server:
        client(server.url).delete("/x", params={"id": "1", "tag": None}, body={"id": "1", "tag": "ä+b"})
    head = server.asked[0].lower()
    assert head.startswith("delete /x?id=1 http/1.1")
    assert "content-type: application/json" in head
    assert {"id": "1", "tag": "ä+b"} == json.loads(server.bodies[0])


def test_a_read_has_no_body() -> None:
    with foreign(reply(200, OK)) as server:
        client(server.url).get("/x")
    assert b"" == server.bodies[0]
    assert "content-type" not in server.asked[0].lower()
    assert "transfer-encoding" not in server.asked[0].lower()


@pytest.mark.parametrize(
    ("tag", "sent"),
    [
        ("vanilla+port-forward-22", "vanilla%2Bport-forward-22"),
        ("a b&c=d#e", "a+b%26c%3Dd%23e"),
        ("v:1/2", "v%3A1%2F2"),
        ("50%", "50%25"),
        ("ü", "%C3%BC"),
        ("../../x", "..%2F..%2Fx"),
    ],
)
def test_any_tag_travels_whole(tag: str, sent: str) -> None:
    with foreign(reply(200, OK)) as server:
        client(server.url).get("/x", tag=tag)
    assert server.asked[0].startswith(f"GET /x?tag={sent} HTTP/1.1")


def test_a_base_path_and_a_last_slash_of_the_url_are_kept_and_lost() -> None:
    with foreign(reply(200, OK)) as server:
        client(f"{server.url}/anka//").get("/api/v1/node")
    assert server.asked[0].startswith("GET /anka/api/v1/node HTTP/1.1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_told_and_never_followed(status: int) -> None:
    with foreign(reply(200, OK)) as other, foreign(reply(status, b"", f"Location: {other.url}/y")) as server:
        with pytest.raises(UnreachableError, match=f"redirected \\({status}\\)") as caught:
            client(server.url, token=Secret("hush-hush")).post("/x", {"a": 1})
    assert ("name the final address", []) == (caught.value.hint, other.asked)


@pytest.mark.parametrize(
    "answer",
    [
        reply(400, b"<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>"),  # nginx
        reply(400, b"Client sent an HTTP request to an HTTPS server.\n"),  # Go, which Anka is written in
        reply(400, b"Reason: You're speaking plain HTTP to an SSL-enabled server port."),  # Apache
        b"\x15\x03\x01\x00\x02\x02\x46",  # an alert
    ],
)
def test_plain_http_to_a_port_with_tls_says_so(answer: bytes) -> None:
    with foreign(answer) as server, pytest.raises(UnreachableError, match="the port speaks TLS") as caught:
        client(server.url).get("/x")
    assert (f"write https{server.url[4:]}", 1) == (caught.value.hint, len(server.asked))


@pytest.mark.parametrize("status", [404, 405])
def test_a_call_that_a_release_lacks_is_not_found(status: int) -> None:
    with foreign(reply(status, b"404 page not found\n")) as server:
        with pytest.raises(NotFoundError, match="no call") as caught:
            client(server.url).get("/api/v1/new")
    assert "An older release may lack the call" in caught.value.hint


def test_a_silent_server_ends_with_the_deadline() -> None:
    clock = SystemClock()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        anka = Anka(Context(controller_url=url), clock=clock, deadline=Deadline(clock, 0.4))
        with pytest.raises((FellShortError, UnreachableError), match=r"within 0\.4 s|timed out"):
            Transport(url, anka, what="the controller").get("/x")


def test_netrc_and_the_environments_bundle_override_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password of-the-netrc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none.pem"))
    with foreign(reply(200, OK)) as server:
        client(server.url).get("/x")
        client(server.url, token=Secret("of-the-context")).get("/x")
    assert "authorization:" not in server.asked[0].lower()
    assert "Authorization: Basic cm9vdDpvZi10aGUtY29udGV4dA==" in server.asked[1]
    file = certificate(tmp_path, days=5)
    with foreign(reply(200, OK)) as server, Front(server.url, lambda came: None, serving(file)) as front:
        anka = Anka(Context(controller_url=front.url, ca=f"{file}.crt"), clock=ManualClock())
        assert [1] == Transport(front.url, anka, what="the controller").get("/x")


def test_no_proxy_keeps_the_environments_proxy_out_and_not_the_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, nowhere)
    monkeypatch.delenv("no_proxy", raising=False)
    with foreign(reply(200, OK)) as server:
        for kept in ("127.0.0.1", ".example,127.0.0.0/8", "*"):
            monkeypatch.setenv("NO_PROXY", kept)
            assert [1] == client(server.url).get("/x")
        monkeypatch.setenv("NO_PROXY", "elsewhere.example")
        with pytest.raises(UnreachableError):
            client(server.url).get("/x")
        monkeypatch.setenv("NO_PROXY", "*")
        anka = Anka(Context(controller_url="http://anka.invalid", proxy=server.url), clock=ManualClock())
        assert [1] == Transport("http://anka.invalid", anka, what="the controller").get("/x")
    assert server.asked[-1].startswith("GET http://anka.invalid/x HTTP/1.1")
