"""Steps that a runner cancels in the middle: they end in time, and leave nothing running, here or on the controller."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import requests

from anka_ci.process_table import table
from anka_ci.server.seed import ID
from gate import Gate
from integration.acting import connected
from integration.cancelling import Step, adopting
from integration.conftest import serve, wait_until

__all__ = ["adopting"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OPTIONS = ("--sample", "--sample-size", "3MiB", "--nodes", "1", "--virtual-nodes", "3", "--run-guests")
SLOW = "virtual: {bandwidth: 10KiB, registry: 10KiB}\n"
"""A distribution to the virtual nodes takes minutes."""

pytestmark = pytest.mark.usefixtures("adopting")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    (folder / "faults.yml").write_text(SLOW)
    with serve(folder, *OPTIONS, "--faults", str(folder / "faults.yml")) as served:
        yield served


@pytest.fixture
def start(served, tmp_path):
    """Start an action that is connected to the server; whatever it has left running is ended with the test."""
    steps = []

    def begin(path, inputs, **env):
        steps.append(Step(path, inputs, connected(served) | env, tmp_path / f"step {len(steps)}"))
        return steps[-1]

    yield begin
    for step in steps:
        step.end()


def gone(ended, number):
    """What holds of every step that was cancelled."""
    assert [] == ended.left
    assert (130, number) == (ended.code, ended.last), ended.log
    assert ended.seconds < 5
    assert 1 == len(ended.errors), ended.log
    assert "interrupted" in ended.errors[0]
    assert ended.summary.startswith("### 🛑 anka-ci ")
    assert '"status": "interrupted"' in ended.output


def api(served, path):
    return requests.get(f"{served.url}/api/v1{path}", timeout=30).json()["body"]


def requests_of(served):
    return {each["request"]["request_id"] for each in api(served, "/registry/vm/distribute")}


def states(served):
    return {each["vm"]["instance_state"] for each in api(served, "/vm")}


def host(served, *words):
    done = subprocess.run([served.anka, "-j", *words], capture_output=True, text=True, check=False, timeout=60)
    return json.loads(done.stdout)["body"]


@pytest.mark.parametrize("number", SIGNALS)
def test_pull(start, served, number):
    with Gate(served.url) as gate:
        gate.hold("down", 1 << 20)
        step = start("actions/pull", {"template": "sonoma", "registry-url": gate.url})
        step.until(gate.held.is_set)
        gone(step.cancel(number), number)
    assert [] == host(served, "list")


@pytest.mark.parametrize("number", SIGNALS)
def test_push(start, served, number):
    subprocess.run([served.anka, "registry", "pull", "sonoma"], check=True, capture_output=True)
    words = ["run", "sonoma", "sh", "-c", "head -c 3000000 /dev/urandom >more"]
    subprocess.run([served.anka, *words], check=True, capture_output=True)
    subprocess.run([served.anka, "stop", "sonoma"], check=True, capture_output=True)
    with Gate(served.url) as gate:
        gate.hold("up", 1 << 20)
        step = start("actions/push", {"template": "sonoma", "tag": "v2", "registry-url": gate.url})
        step.until(gate.held.is_set)
        gone(step.cancel(number), number)
    assert ["base", "v1"] == [each["tag"] for each in api(served, f"/registry/vm?id={ID}")["versions"]]
    subprocess.run([served.anka, "delete", "--yes", "sonoma"], check=True, capture_output=True)


@pytest.mark.parametrize("number", SIGNALS)
def test_distribute(start, served, number):
    before = requests_of(served)
    step = start("actions/distribute", {"template": "sonoma", "nodes": "virtual-1\nvirtual-2"})
    step.until(lambda: requests_of(served) - before)
    gone(step.cancel(number), number)
    (request,) = requests_of(served) - before
    shares = api(served, f"/registry/vm/distribute?id={request}")["distribute_status"]
    assert {"request canceled"} == {share.get("error") for share in shares.values()}


@pytest.mark.parametrize("number", SIGNALS)
def test_start_instance(start, served, number, tmp_path):
    begun = tmp_path / "begun"
    inputs = {"template": "sonoma", "node": "node-1", "script": f"touch '{begun}'; sleep 612", "script-timeout": "20m"}
    step = start("actions/start-instance", inputs)
    step.until(begun.exists)
    gone(step.cancel(number), number)
    assert states(served) <= {"Terminating", "Terminated"}
    wait_until(lambda: states(served) == {"Terminated"})  # which the controller does by itself
    assert [] == [each for each in table() if each.words == ("sleep", "612")]


@pytest.mark.parametrize("number", SIGNALS)
def test_run_in_vm(start, served, number, tmp_path):
    subprocess.run([served.anka, "registry", "pull", "sonoma"], check=True, capture_output=True)
    begun = tmp_path / "begun"
    step = start("actions/run-in-vm", {"vm": "sonoma", "script": f"touch '{begun}'; touch changed; sleep 600"})
    step.until(begun.exists)
    gone(step.cancel(number), number)
    assert "stopped" == host(served, "show", "sonoma")["status"]
    subprocess.run([served.anka, "delete", "--yes", "sonoma"], check=True, capture_output=True)


PIPELINE = """\
version: 1
steps:
  - {use: use-registry, with: {action: add, name: ours, temporary: true}}
  - id: wait
    run: |
      trap '' INT TERM
      (trap '' INT TERM; sleep 600) &
      touch begun
      sleep 600
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_a_pipeline_with_a_stubborn_command(start, served, number, tmp_path):
    file = tmp_path / "anka-ci.yml"
    file.write_text(PIPELINE)
    step = start(".", {"file": str(file)})
    folder = tmp_path / "step 0"
    step.until((folder / "begun").exists)
    assert ["ours"] == [each["name"] for each in host(served, "registry", "list-repos")]
    gone(step.cancel(number), number)
    assert [] == host(served, "registry", "list-repos")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_first_install(start, number, tmp_path):
    """An index that never answers keeps pip waiting."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        nowhere = {"PIP_INDEX_URL": f"http://127.0.0.1:{index.getsockname()[1]}/simple", "PIP_NO_CACHE_DIR": "1"}
        step = start("actions/list", {}, ANKA_CI_VENV="", RUNNER_TOOL_CACHE=str(tmp_path / "cache"), **nowhere)
        step.until(lambda: step.runs("pip", "install"))
        ended = step.cancel(number)
    assert [] == ended.left
    assert (130, number) == (ended.code, ended.last), ended.log
    assert ended.seconds < 5
    assert [] == [each for each in Path(tmp_path, "cache", "anka-ci").iterdir() if each.is_dir()]
