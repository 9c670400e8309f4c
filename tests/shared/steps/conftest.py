"""What the tests of steps share: a fleet that tells other things of its nodes, and a host that has no registry."""

from __future__ import annotations

import dataclasses
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from anka_ci.anka import Anka
from near import Near
from vmhost import VmHost


@pytest.fixture(scope="module")
def vmhost(tmp_path_factory: pytest.TempPathFactory) -> VmHost:
    """One for all tests of a module, which take VMs of different names."""
    return VmHost(tmp_path_factory.mktemp("vmhost"))


@pytest.fixture(autouse=True)
def _near(near: Near) -> None:
    """A step is tested by what it does with the answers; that they come from a real ``anka`` is the door's to test."""
    near.nodes = True


@pytest.fixture
def fleet_as(anka: Anka) -> Iterator[Callable[..., Anka]]:
    """``fleet_as(node_1={"state": "Offline"})``: doors to the same server, whose node list says so; None removes."""
    told: dict[str, dict[str, object]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = urllib.request.Request(
                f"{anka.context.controller_url}{self.path}", method=self.command, data=self.rfile.read(length) or None
            )
            try:
                with urllib.request.urlopen(request) as reply:
                    status, content = reply.status, reply.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            if self.path == "/api/v1/node":
                found = json.loads(content)
                for node in found["body"]:
                    node.update(told.get(node["node_name"], {}))
                    for key in [key for key, value in node.items() if value is None]:
                        del node[key]
                content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as front:
        threading.Thread(target=front.serve_forever, args=(0.02,), daemon=True).start()

        def doors(**nodes: dict[str, object]) -> Anka:
            told.update({name.replace("_", "-"): changes for name, changes in nodes.items()})
            url = f"http://127.0.0.1:{front.server_address[1]}"
            return Anka(dataclasses.replace(anka.context, controller_url=url))

        yield doors
        front.shutdown()
