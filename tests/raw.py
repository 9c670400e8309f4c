"""One raw call of the controller, for the tests that look at the wire."""

from __future__ import annotations

import http.client
import json
from typing import Any, Protocol
from urllib.parse import urlsplit


class Answering(Protocol):
    """A server in this process, or one of its own."""

    controller_url: str


def ask(server: Answering, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    """One raw request, with the Content-Type that curl and AA send."""
    address = urlsplit(server.controller_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def ok(server: Answering, method: str, path: str, body: object = None) -> Any:
    status, found = ask(server, method, path, body)
    assert (200, "OK", "") == (status, found["status"], found["message"])
    return found.get("body")
