"""A front before a server, as a proxy is: passes requests on, and may change what comes back; with TLS if asked."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest


@dataclass
class Came:
    """A reply on its way through the front, to be changed in place; ``asked`` are the headers of the request."""

    path: str
    asked: dict[str, str]
    status: int = 502
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Front:
    """Listens on loopback; ``change`` is called with every reply of the server at ``url`` before it goes out."""

    def __init__(self, url: str, change: Callable[[Came], None], tls: ssl.SSLContext | None = None) -> None:
        target = urlsplit(url)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)  # a proxy is asked with the whole URL
                path = asked.path + (f"?{asked.query}" if asked.query else "")
                came = Came(path, {key.lower(): value for key, value in self.headers.items()})
                connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=30)
                signed = {"Authorization": came.asked["authorization"]} if "authorization" in came.asked else {}
                content = self.rfile.read(int(came.asked.get("content-length", 0)))
                connection.request(self.command, path, content or None, headers=signed)
                reply = connection.getresponse()
                came.status, came.body = reply.status, reply.read()
                came.headers = {key: value for key, value in reply.getheaders() if key != "Content-Length"}
                connection.close()
                change(came)
                self.send_response_only(came.status)
                for key, value in {**came.headers, "Content-Length": str(len(came.body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(came.body)

            do_POST = do_DELETE = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                """A test's output is no place for it."""

        class Listener(ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                """A handshake that a test breaks off is no news."""

            def shutdown_request(self, request: Any) -> None:
                # What the client still sends is read to its end: a reset would overtake the last word to it.
                with contextlib.suppress(OSError), socket.socket(fileno=os.dup(request.fileno())) as plain:
                    plain.settimeout(10)
                    plain.shutdown(socket.SHUT_WR)
                    while plain.recv(1 << 16):
                        pass
                self.close_request(request)

        self._server = Listener(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
        self.url = f"{scheme}://{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Front:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def certificate(folder: Path, *, days: int, name: str = "localhost") -> Path:
    """A self-signed certificate for ``name`` with its key, in one PEM file; -1 ``days`` is a day ago."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate of this test")
    file = folder / f"{name}{days}.pem"
    key, request, names = f"{file}.key", f"{file}.csr", folder / "names"
    names.write_text(f"subjectAltName=DNS:{name}\n")
    words = f"req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /O=ios/CN={name}".split()
    _openssl(*words, "-keyout", key, "-out", request)
    words = ["x509", "-req", "-in", request, "-signkey", key, "-days", str(days), "-extfile", str(names)]
    _openssl(*words, "-out", f"{file}.crt")
    file.write_bytes(Path(f"{file}.crt").read_bytes() + Path(key).read_bytes())
    return file


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)


def serving(file: Path) -> ssl.SSLContext:
    """TLS with the certificate of ``certificate``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
