"""How far a server is reached: the layers one by one, on real sockets. TLS is in ``test_doctor``."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from pathlib import Path

import pytest

from anka_ci.auth import SignIn
from anka_ci.clock import SystemClock
from anka_ci.reach import Proxy, Reach, reach
from anka_ci.wire.certificate import Certificate
from front import certificate


def go(url: str, proxy: str = "") -> Reach:
    return reach(url, found=SignIn(), proxy=Proxy(url=proxy), authorities="", clock=SystemClock(), limit=5.0)


def test_a_name_that_does_not_resolve_and_one_that_is_none():
    for url in ("http://anka.invalid", "http://" + "a" * 70 + ".example"):
        found = go(url)
        assert ("name", ()) == (found.failed, found.addresses)
        assert "" != found.failure


def test_a_tunnel_through_a_proxy_greets_it_and_tells_its_refusal():
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 407 Who are you\r\n\r\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        found = go("https://anka.internal:8443", f"http://me:p%40ss@127.0.0.1:{listener.getsockname()[1]}")
        thread.join(10)
    assert ("connection", True) == (found.failed, "407 Who are you" in found.failure)
    assert asked[0].startswith(b"CONNECT anka.internal:8443 ")
    assert b"Basic " + base64.b64encode(b"me:p@ss") in asked[0]


def test_a_certificate_tells_whom_it_names_and_how_long(tmp_path):
    (found,) = Certificate.read_pem(certificate(tmp_path, days=900).read_bytes())
    assert ("O=ios, CN=localhost", "O=ios, CN=localhost") == (found.subject, found.issuer)
    assert 900 * 86400 == found.not_after - found.not_before
    # Times from 2050 on are written in another way.
    (late,) = Certificate.read_pem(certificate(tmp_path, days=20000).read_bytes())
    assert 20000 * 86400 == late.not_after - late.not_before


@pytest.mark.parametrize("text", [b"", b"hello", b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----"])
def test_a_file_that_is_no_certificate_is_told(text):
    with pytest.raises(ValueError, match=r"no PEM certificate|base64 is broken"):
        Certificate.read_pem(text)


def test_a_certificate_that_was_cut_or_changed_anywhere_never_surprises(tmp_path):
    file = certificate(tmp_path, days=5)
    der = ssl.PEM_cert_to_DER_cert(Path(f"{file}.crt").read_text())
    for cut in range(len(der)):
        with pytest.raises(ValueError):
            Certificate.read(der[:cut])
    for at in range(len(der)):
        try:
            Certificate.read(der[:at] + bytes([der[at] ^ 0xFF]) + der[at + 1 :])
        except ValueError:
            continue
