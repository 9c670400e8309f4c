"""A server that is not ours, scripted byte by byte on a raw socket, and the REST client that asks it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.secret import Secret
from anka_ci.settings import Context
from anka_ci.transport import Transport

OK = b'{"status":"OK","message":"","body":[1]}'
"""The reply of a server that is content."""


def reply(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {size}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


class Foreign:
    """Sends the scripted replies in turn, the last one for ever, and keeps what was asked: heads and bodies."""

    def __init__(self, *script: bytes) -> None:
        self.script = list(script)
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection, contextlib.suppress(OSError):
                asked = self._read(connection)
                if asked == "stop":
                    return
                self.asked.append(asked)
                connection.sendall(self.script[min(len(self.asked), len(self.script)) - 1])

    def _read(self, connection: socket.socket) -> str:
        raw = b""
        while b"\r\n\r\n" not in raw:
            chunk = connection.recv(65536)
            if not chunk:
                return "stop"
            raw += chunk
        head, _, body = raw.partition(b"\r\n\r\n")
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += connection.recv(65536)
        self.bodies.append(body)
        return head.decode()


@contextlib.contextmanager
def foreign(*script: bytes) -> Iterator[Foreign]:
    server = Foreign(*script)
    server.thread.start()
    try:
        yield server
    finally:
        socket.create_connection(server.socket.getsockname()).close()
        server.thread.join(10)
        server.socket.close()


def client(url: str, clock: ManualClock | None = None, token: Secret | None = None) -> Transport:
    anka = Anka(Context(controller_url=url, token=token), clock=clock or ManualClock())
    return Transport(url, anka, what="the controller")
