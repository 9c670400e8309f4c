"""Jobs that are killed outright, by act's way of cancelling (SIGKILL): the next run goes on, or a sweep clears."""

from __future__ import annotations

import json
import signal

import pytest
import requests

from integration import acting
from integration.conftest import serve, wait_until

PACE = "virtual: {bandwidth: 120KiB, registry: 1MiB, setup: 1s}\n"
"""A distribution of the sample to virtual nodes takes half a minute."""


@pytest.fixture
def served(tmp_path):
    (tmp_path / "pace.yml").write_text(PACE)
    options = ["--sample", "--sample-size", "3MiB", "--nodes", "1", "--virtual-nodes", "3", "--run-guests"]
    with serve(tmp_path, *options, "--faults", str(tmp_path / "pace.yml")) as served:
        yield served


@pytest.fixture
def start(machine, served):
    """Start a job of one step that is connected to the server."""

    def begin(action, **values):
        step = {"id": "step", "uses": f"./actions/{action}"}
        step["with"] = {key.replace("_", "-"): value for key, value in values.items()}
        job = acting.job([step], acting.connected(served))
        return machine.start(acting.workflow({"job": job}), here=True)

    return begin


def kill(running):
    """Have act cancel the job. It may tell nothing more, so nothing was cleaned up."""
    running.process.send_signal(signal.SIGINT)
    ran = running.end(30)
    step = ran.job["step"]
    assert ("failure", "", []) == (step.outcome, step.outputs.get("result", ""), step.annotations), ran.shown()


def api(served, path):
    return requests.get(f"{served.url}/api/v1{path}", timeout=30).json()["body"]


def test_a_distribution_whose_job_was_killed_is_followed_by_the_next_run(start, served):
    values = {"template": "sonoma", "tag": "v1", "nodes": "virtual-1\nvirtual-2\nvirtual-3"}
    first = start("distribute", **values)
    wait_until(lambda: api(served, "/registry/vm/distribute") or first.process.poll() is not None)
    kill(first)
    (left,) = api(served, "/registry/vm/distribute")
    assert {False} == {share["status"] for share in left["distribute_status"].values()}
    ran = start("distribute", **values).end()
    step = ran.job["step"]
    assert "success" == step.outcome, ran.shown()
    assert left["request"]["request_id"] == step.outputs["request-id"]
    assert ["virtual-1", "virtual-2", "virtual-3"] == json.loads(step.outputs["succeeded"])
    assert 1 == len(api(served, "/registry/vm/distribute"))
    assert "goes on since an earlier run" in step.log


def test_an_instance_whose_job_was_killed_ends_with_its_lease_by_a_sweep(start, served, tmp_path):
    begun = tmp_path / "begun"
    values = {"template": "sonoma", "node": "node-1", "owner": "build-7", "lease": "1s"}
    first = start("start-instance", script=f"touch '{begun}'; sleep 600", script_timeout="20m", **values)
    wait_until(lambda: begun.exists() or first.process.poll() is not None)
    kill(first)
    (left,) = api(served, "/vm")
    assert "Terminated" != left["vm"]["instance_state"]
    assert left["external_id"].startswith("anka-ci/build-7/")
    kept = start("start-instance", template="sonoma", node="node-1", owner="build-8", lease="2h").end()
    ran = start("sweep").end()
    step = ran.job["step"]
    assert "success" == step.outcome, ran.shown()
    assert [left["instance_id"]] == json.loads(step.outputs["ended"])
    assert [kept.job["step"].outputs["instance-id"]] == json.loads(step.outputs["left"])
    wait_until(lambda: {"Started", "Terminated"} == {each["vm"]["instance_state"] for each in api(served, "/vm")})
