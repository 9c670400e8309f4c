"""Two thousand virtual nodes, client and server in one process on one clock; requests are counted at a front."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, ManualClock
from anka_ci.desk import perform
from anka_ci.errors import InterruptError
from anka_ci.result import Event, NodeChanged
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context

NODES = 2000
DISTRIBUTE = "/api/v1/registry/vm/distribute"


class Sleeping(ManualClock):
    """A clock that stands still until someone sleeps on it, and counts how often that is."""

    slept = 0

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        self.slept += 1
        super().sleep(seconds, cancelled)


@pytest.fixture
def clock() -> Sleeping:
    return Sleeping()


@pytest.fixture
def server(seeded: Path, tmp_path: Path, clock: Sleeping) -> Iterator[Server]:
    data = Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True))
    with Server(data, virtual_nodes=NODES, groups={"ios": ("virtual-1*",)}, clock=clock) as server:
        yield server


@pytest.fixture
def counted(server: Server) -> Iterator[tuple[str, Counter[str]]]:
    """The URL of a front that hands on every request and counts it by method and path."""
    counts: Counter[str] = Counter()
    port = urlsplit(server.controller_url).port

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.behind = HTTPConnection("127.0.0.1", port or 0, timeout=30)

        def do_GET(self) -> None:
            counts[f"{self.command} {self.path.partition('?')[0]}"] += 1
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.behind.request(self.command, self.path, content)
            reply = self.behind.getresponse()
            body = reply.read()
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def finish(self) -> None:
            super().finish()
            self.behind.close()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as front:
        front.daemon_threads = True
        threading.Thread(target=front.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{front.server_address[1]}", counts
        front.shutdown()


def test_the_fleet_is_listed_distributed_to_waited_for_and_cancelled_with_a_request_per_poll(
    counted: tuple[str, Counter[str]], clock: Sleeping
) -> None:
    url, counts = counted
    told: Counter[str] = Counter()
    cancelled = Cancelled()

    def tell(event: Event) -> None:
        if isinstance(event, NodeChanged):
            told[event.state] += 1

    context = Context(controller_url=url, registry_urls=(url,))
    anka = Anka(context, clock=clock, tell=tell)

    assert NODES == len(perform("nodes", {}, anka).outputs["nodes"])
    assert {"GET /api/v1/node": 1} == {key: count for key, count in counts.items() if "/registry/" not in key}

    counts.clear()
    began = clock.now()
    done = perform("distribute", {"template": "sonoma", "all": "true"}, anka)
    assert (NODES, [], []) == (len(done.outputs["succeeded"]), done.outputs["failed"], done.outputs["pending"])
    assert {"queued": NODES, "pulling": NODES, "done": NODES} == told
    polls = counts[f"GET {DISTRIBUTE}"]
    assert 1 + clock.slept + 1 == polls  # the plan looks whether one of the same goes on already
    assert 3 < polls < 12
    assert {f"POST {DISTRIBUTE}": 1, f"GET {DISTRIBUTE}": polls, "GET /api/v1/node": 2} == {
        key: count for key, count in counts.items() if key.endswith(("distribute", "node"))
    }
    # The registry's 1.25 GB/s are shared by all; the slowest look comes at most five seconds late.
    assert 7 < clock.now() - began < 7.5 + 5

    counts.clear()
    waiting = Anka(context, clock=clock, cancelled=cancelled, tell=lambda event: cancelled.set("SIGTERM"))
    with pytest.raises(InterruptError, match="the request was cancelled") as caught:
        perform("distribute", {"template": "sonoma", "tag": "base", "group": "ios"}, waiting)
    members = len([number for number in range(1, NODES + 1) if str(number).startswith("1")])
    assert members == len(caught.value.outputs["failed"])  # type: ignore[arg-type]
    assert {f"POST {DISTRIBUTE}": 1, f"GET {DISTRIBUTE}": 3, f"DELETE {DISTRIBUTE}": 1} == {
        key: count for key, count in counts.items() if key.endswith("distribute")
    }

    counts.clear()
    listed = perform("distribution", {"action": "list"}, anka).outputs["distributions"]
    assert [members, NODES] == [row["nodes"] for row in listed]  # type: ignore[attr-defined]
    assert {f"GET {DISTRIBUTE}": 1} == counts

    counts.clear()
    evicted = perform("evict", {"template": ID, "group": "ios"}, anka, plan_only=True)
    assert members == len(evicted.plan["loses"])
    assert {"GET /api/v1/node": 1, "GET /api/v1/group": 1, "GET /api/v1/vm": 1} == counts  # who runs on what goes
