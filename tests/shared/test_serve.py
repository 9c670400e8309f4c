"""``anka-ci serve`` as a process of its own: ready file, clean end, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from anka_ci.clock import SystemClock
from anka_ci.errors import UsageError
from anka_ci.serve import groups, number
from anka_ci.server.app import Server


def serve(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-Im", "anka_ci.cli", "serve", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_and_ends_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    ready = tmp_path / "ready.json"
    (tmp_path / "faults.yml").write_text("release: 1.42")
    args = ("--data", str(tmp_path / "data"), "--nodes", "2", "--group", "ios=node-1,virtual-*")
    more = (
        "--legacy-fail-200",
        "--virtual-nodes",
        "12",
        "--faults",
        str(tmp_path / "faults.yml"),
        "--ready-file",
        str(ready),
    )
    child = serve(*args, *more)
    clock = SystemClock()
    while not ready.exists():
        assert child.poll() is None, child.communicate()
        clock.sleep(0.02)
    found = json.loads(ready.read_text())
    assert {"controller_url", "registry_url", "anka", "data", "nodes", "virtual_nodes"} == set(found)
    assert (["node-1", "node-2"], 12) == (found["nodes"], found["virtual_nodes"])
    status, nodes = (
        requests.get(f"{found['controller_url']}/api/v1/{call}", timeout=5).json()["body"]
        for call in ("status", "node")
    )
    assert ("1.42.0", 14, 13) == (status["version"], len(nodes), sum("groups" in node for node in nodes))
    unknown = requests.get(f"{found['controller_url']}/api/v1/vm?id=unknown", timeout=5)
    assert (200, "FAIL") == (unknown.status_code, unknown.json()["status"])
    child.send_signal(number)
    out, err = child.communicate(timeout=5)
    assert (0, "") == (child.returncode, err)
    assert f"export ANKA_CI_CONTROLLER_URL={found['controller_url']}" in out.splitlines()


def test_a_data_folder_and_a_port_in_use_are_refused(server: Server, tmp_path: Path) -> None:
    out, err = serve("--data", str(server.data)).communicate(timeout=20)
    assert "another server uses" in err
    port = server.controller_url.rsplit(":", 1)[1]
    child = serve("--data", str(tmp_path / "other"), "--port", port)
    out, err = child.communicate(timeout=20)
    assert (2, "") == (child.returncode, out)
    assert f"port {port} cannot be used" in err


def test_groups_as_they_are_written() -> None:
    assert {"ios": ("node-1", "node-2")} == groups(["ios=node-1, node-2"])


@pytest.mark.parametrize("texts", [["ios"], ["=node-1"], ["ios="], ["ios=node-1,,node-2"], ["a=node-1", "a=node-2"]])
def test_groups_that_make_no_sense(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        groups(texts)


@pytest.mark.parametrize("text", ["-1", "", "x", "70000", "1.5"])
def test_numbers_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError):
        number("--port", text, 65535)
