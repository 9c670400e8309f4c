"""The REST client against a foreign server that misbehaves, scripted byte by byte on a raw socket."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.errors import (
    AnkaCiError,
    FellShortError,
    InterruptError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.secret import Secret
from anka_ci.settings import Context
from anka_ci.transport import TRIES, Transport
from foreign import OK, client, foreign, reply

START = ManualClock().now()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def test_an_ok_envelope_is_its_body() -> None:
    with foreign(reply(200, OK)) as server:
        assert [1] == client(server.url).get("/api/v1/node", id="a b", none=None)
    assert 1 == len(server.asked)
    assert server.asked[0].startswith("GET /api/v1/node?id=a+b HTTP/1.1")
    assert "authorization" not in server.asked[0].lower()


def test_a_token_signs_in_as_root() -> None:
    with foreign(reply(200, OK)) as server:
        client(server.url, token=Secret("hush")).get("/x")
    assert "Authorization: Basic cm9vdDpodXNo" in server.asked[0]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (reply(401, b""), NotAuthorisedError, "not signed in"),
        (reply(200, b'{"status":"FAIL","message":"Authentication Required"}'), NotAuthorisedError, "not signed in"),
        (reply(403, b"no"), NotAuthorisedError, "not permitted"),
        (reply(404, b"404 page not found"), NotFoundError, "no call"),
        (reply(200, b'{"status":"FAIL","message":"vm is busy"}'), RefusedError, "vm is busy"),
        (reply(400, b'{"status":"FAIL","message":"bad id"}'), RefusedError, "bad id"),
        (reply(404, b'{"status":"FAIL","message":"no such vm"}'), RefusedError, "no such vm"),
        (reply(200, b'{"status":"FAIL"}'), RefusedError, "without a message"),
        (reply(200, b"<!doctype html><html>Welcome</html>"), UnreachableError, "an HTML page"),
        (reply(200, b'{"status":"OK","bo'), UnreachableError, "no Anka reply"),
        (reply(302, b"", "Location: http://127.0.0.1:1/"), UnreachableError, "redirected"),
        (reply(501, b"nope"), UnreachableError, "server error 501"),
    ],
)
def test_a_wrong_answer_is_the_right_class_at_once(answer: bytes, kind: type[AnkaCiError], words: str) -> None:
    clock = ManualClock()
    with foreign(answer) as server:
        with pytest.raises(kind, match=words) as caught:
            client(server.url, clock).get("/api/v1/node")
    assert kind is caught.type
    assert 1 == len(server.asked)
    assert START == clock.now()


def test_the_controller_door_never_turns_a_failure_into_an_empty_list() -> None:
    with foreign(reply(200, b'{"status":"FAIL","message":"no licence"}')) as server:
        with pytest.raises(RefusedError, match="no licence"):
            Anka(Context(controller_url=server.url), clock=ManualClock()).controller.nodes()


def test_a_refused_connection_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match="connection refused"):
        client(f"http://127.0.0.1:{port}").get("/x")


@pytest.mark.parametrize("answer", [reply(200, OK[:12], length=len(OK)), b"", b"SSH-2.0-OpenSSH\r\n"])
def test_a_cut_or_strange_reply_is_tried_again_and_then_unreachable(answer: bytes) -> None:
    with foreign(answer) as server:
        with pytest.raises(UnreachableError, match="broke"):
            client(server.url).get("/x")
    assert TRIES == len(server.asked)


def test_a_read_is_tried_again_after_a_500() -> None:
    clock = ManualClock()
    with foreign(reply(500, b'{"status":"FAIL","message":"registry away"}'), reply(200, OK)) as server:
        assert [1] == client(server.url, clock).get("/x")
    assert 2 == len(server.asked)
    assert 0.25 <= clock.now() - START <= 0.5


def test_a_write_is_not_tried_again_after_a_500_unless_idempotent() -> None:
    with foreign(reply(500, b"oops"), reply(200, OK)) as server:
        with pytest.raises(UnreachableError, match="server error 500: oops"):
            client(server.url).post("/x", {"a": 1})
    assert 1 == len(server.asked)
    with foreign(reply(500, b"oops"), reply(200, OK)) as server:
        assert [1] == client(server.url).post("/x", {"a": 1}, idempotent=True)


def test_retry_after_is_honoured_even_for_a_write() -> None:
    clock = ManualClock()
    with foreign(reply(429, b"slow down", "Retry-After: 17"), reply(200, OK)) as server:
        assert [1] == client(server.url, clock).post("/x", {})
    assert 17 == clock.now() - START


def test_retries_end_with_the_deadline() -> None:
    clock = ManualClock()
    with foreign(reply(429, b"", "Retry-After: 60")) as server:
        anka = Anka(Context(controller_url=server.url), clock=clock, deadline=Deadline(clock, 90))
        with pytest.raises(FellShortError, match="within 90 s"):
            Transport(server.url, anka, what="the controller").get("/x")
    assert 2 == len(server.asked)
    assert 90 == clock.now() - START


def test_nothing_is_sent_once_cancelled() -> None:
    cancelled = Cancelled()
    cancelled.set("SIGTERM")
    with foreign(reply(200, OK)) as server:
        anka = Anka(Context(controller_url=server.url), clock=ManualClock(), cancelled=cancelled)
        with pytest.raises(InterruptError, match="SIGTERM"):
            Transport(server.url, anka, what="the controller").get("/x")
    assert [] == server.asked


@pytest.mark.parametrize("body", [b'{"status":"OK","message":"","body":null}', b'{"status":"ok"}'])
def test_an_ok_without_a_body_is_none_and_no_door_takes_it_for_a_template(body: bytes) -> None:
    with foreign(reply(200, body)) as server:
        assert client(server.url).get("/x") is None
        registry = Anka(Context(registry_urls=(server.url,)), clock=ManualClock()).registry
        with pytest.raises(NotFoundError, match="no template 'some-id'"):
            registry.by_id("some-id")


@pytest.mark.parametrize(("status", "times"), [(502, TRIES), (503, TRIES), (400, 1), (200, 1)])
def test_an_html_error_page_is_unreachable_at_every_status(status: int, times: int) -> None:
    with foreign(reply(status, b"<html><h1>Bad Gateway</h1></html>", "Content-Type: text/html")) as server:
        with pytest.raises(UnreachableError, match="Bad Gateway"):
            client(server.url).get("/x")
    assert times == len(server.asked)


def test_a_host_name_that_does_not_resolve_is_told_as_one() -> None:
    with pytest.raises(UnreachableError, match="unknown host name") as caught:
        client("http://registry.invalid").get("/x")
    assert "ANKA_CI_REGISTRY_URL" in caught.value.hint


@contextlib.contextmanager
def listening(context: ssl.SSLContext | None) -> Iterator[str]:
    """Something at an https address that speaks TLS with ``context``, or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    if connection.recv(5, socket.MSG_PEEK) == b"stop!":
                        return
                    if context is None:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                        connection.recv(65536)
                    else:
                        context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"https://localhost:{server.getsockname()[1]}"
        finally:
            with socket.create_connection(server.getsockname()) as last:
                last.sendall(b"stop!")
            thread.join(10)


def test_https_to_a_plain_port_says_so() -> None:
    with listening(None) as url, pytest.raises(UnreachableError, match="the port speaks no TLS") as caught:
        client(url).get("/x")
    assert f"write http{url[5:]}" == caught.value.hint


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate of this test")
def test_an_unknown_certificate_is_a_tls_failure_that_names_the_setting(tmp_path: Path) -> None:
    words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 1 -subj /CN=localhost"
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with listening(context) as url, pytest.raises(UnreachableError, match="TLS failed") as caught:
        client(url).get("/x")
    assert "ANKA_CI_CA" in caught.value.hint


def test_a_certificate_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with foreign(reply(200, OK)) as server:
        url = server.url.replace("http:", "https:")
        anka = Anka(Context(controller_url=url, ca=str(tmp_path / "none.pem")), clock=ManualClock())
        with pytest.raises(UnreachableError, match=r"none\.pem"):
            Transport(url, anka, what="the controller").get("/x")
