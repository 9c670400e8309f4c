"""A distribution that is cancelled, or whose server is killed, while a node pulls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests

from anka_ci.server.seed import ID
from integration.conftest import Served, serve, wait_until

OPTIONS = ("--sample", "--sample-size", "512MiB", "--nodes", "1")


def api(served: Served, method: str, path: str, body: object = None) -> Any:
    found = requests.request(method, f"{served.url}/api/v1{path}", json=body, timeout=30).json()
    assert "OK" == found["status"], found
    return found.get("body")


def distribute(served: Served) -> str:
    body = {"template_id": ID, "tag": "v1"}
    return str(api(served, "POST", "/registry/vm/distribute", body)["request_id"])


def share(served: Served, request: str) -> dict[str, Any]:
    found = api(served, "GET", f"/registry/vm/distribute?id={request}")
    return dict(found["distribute_status"]["node-1"])


def pulling(served: Served, request: str) -> None:
    wait_until(lambda: share(served, request)["progress"] > 0)
    assert share(served, request)["progress"] < 1


def templates(served: Served) -> list[str]:
    return [template["tag"] for template in api(served, "GET", "/node?id=node-1")[0]["templates"]]


def test_cancelled_while_a_node_pulls_then_distributed_again(tmp_path: Path) -> None:
    with serve(tmp_path, *OPTIONS) as served:
        request = distribute(served)
        pulling(served, request)
        api(served, "DELETE", f"/registry/vm/distribute?id={request}")
        assert "request canceled" == share(served, request)["error"]
        again = distribute(served)
        wait_until(lambda: share(served, again)["status"])
        assert "request canceled" == share(served, request)["error"]
        assert ["v1"] == templates(served)


def test_killed_while_a_node_pulls_then_started_again(tmp_path: Path) -> None:
    with serve(tmp_path, *OPTIONS) as served:
        request = distribute(served)
        pulling(served, request)
        served.kill()
    with serve(tmp_path, *OPTIONS) as served:
        wait_until(lambda: share(served, request)["status"] or "error" in share(served, request), 120)
        assert "error" not in share(served, request)
        assert ["v1"] == templates(served)


def test_ended_while_a_node_pulls_then_started_again(tmp_path: Path) -> None:
    with serve(tmp_path, *OPTIONS) as served:
        request = distribute(served)
        pulling(served, request)
        served.child.terminate()
        assert 0 == served.child.wait(10)
    with serve(tmp_path, *OPTIONS) as served:
        wait_until(lambda: share(served, request)["status"] or "error" in share(served, request), 120)
        assert "error" not in share(served, request)
        assert ["v1"] == templates(served)
