"""The root action as a workflow: it checks, plans and runs the example pipelines against a real server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from integration import acting, golden
from integration.conftest import serve


def root(command, **values):
    """A step that uses the root action on a file of the user's repository."""
    return {"id": command, "uses": "OWNER/anka-ci@v1", "with": {"command": command, **values}}


@pytest.fixture
def served(tmp_path):
    with serve(tmp_path, *acting.SERVED) as served:
        yield served


@pytest.fixture
def run(machine, served):
    """Run steps in one job that is connected to the server, with its ``anka`` on the PATH of the machine."""

    def start(*steps, options=(), **more):
        path = f"{Path(served.anka).parent}:{acting.PATH}"
        job = acting.job(steps, acting.connected(served))
        return machine.run(acting.workflow({"job": job}), *options, env={"PATH": path}, **more)

    return start


@pytest.mark.parametrize("name", ["refresh", "change-in-vm"])
def test_an_example_is_checked_planned_and_run(name, run, tmp_path):
    file = {"file": f"ci/{name}.yml"}
    ran = run(root("check", **file), root("plan", **file), root("run", set="tag=v3", **file))
    assert "success" == ran.job.result, ran.shown()
    for command, status in (("check", "done"), ("plan", "planned"), ("run", "done")):
        step = ran.job[command]
        assert status == step.outputs["status"]
        golden.check(f"{name}-{command}", golden.told(step, golden.declared(".")), {str(tmp_path): "<folder>"})
    assert "v3" == json.loads(ran.job["run"].outputs["outputs"])["push"]["tag"]


def test_a_second_run_sends_and_distributes_nothing(run):
    again = {**root("run", file="ci/change-in-vm.yml"), "id": "again"}
    ran = run(root("run", file="ci/change-in-vm.yml"), again)
    assert "success" == ran.job.result, ran.shown()
    found = json.loads(ran.job["again"].outputs["outputs"])
    assert ("skipped", ["node-1", "node-2"]) == (found["push"]["outcome"], found["distribute"]["already"])


def test_a_wrong_file_is_annotated_where_it_is_wrong(run, machine):
    (machine.repository / "ci" / "wrong.yml").write_text("version: 1\nname: Wrong\nsteps:\n  - use: pul\n")
    ran = run(root("check", file="ci/wrong.yml"))
    assert "failure" == ran.job.result
    (annotation,) = ran.job["check"].annotations
    assert ("ci/wrong.yml", "4") == (annotation.place["file"], annotation.place["line"])
    golden.check("wrong-file", golden.told(ran.job["check"], golden.declared(".")))


def test_a_failure_in_the_middle_is_one_annotation_and_the_steps_before_it_have_outputs(run, tmp_path):
    ran = run(root("run", file="ci/refresh.yml", set="group=none such"))
    assert "failure" == ran.job.result
    assert "v2" == json.loads(ran.job["run"].outputs["outputs"])["push"]["tag"]
    assert 1 == len(ran.job["run"].annotations), ran.shown()
    golden.check("failure", golden.told(ran.job["run"], golden.declared(".")), {str(tmp_path): "<folder>"})


def test_the_result_document_is_a_file_for_later_steps_also_of_a_failure(run):
    read = {
        "id": "read",
        "if": "always()",
        "run": 'cat "$FILE"',
        "env": {"FILE": "${{ steps.run.outputs.result-file }}"},
    }
    ran = run(root("run", file="ci/undo.yml", set="tag=v9"), read)
    document = json.loads(ran.job["read"].log)
    assert ("anka-ci/result/1", "failed") == (document["schema"], document["status"])
    assert json.loads(ran.job["run"].outputs["result"]) == document


def test_a_debug_run_tells_what_is_asked_of_the_servers(run):
    quiet = run(root("plan", file="ci/undo.yml", set="tag=v1")).job["plan"]
    loud = run(root("plan", file="ci/undo.yml", set="tag=v1"), options=["--env", "RUNNER_DEBUG=1"]).job["plan"]
    assert "GET /api/v1/" not in quiet.log
    assert "/api/v1/registry/" in loud.log
    assert quiet.outputs["outputs"] == loud.outputs["outputs"]
