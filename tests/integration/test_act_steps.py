"""Every action once, by its example, in real workflows against a real server."""

from __future__ import annotations

import contextlib
import json

import pytest

from anka_ci.steps import catalog
from hosted import github
from integration import acting, golden
from integration.conftest import serve

DIGEST = "${{ fromJSON(steps.asked.outputs.result).error.facts.digest }}"
"""How a workflow confirms the plan that a step before it was refused for."""


def steps(name):
    """The example of a step as steps of a workflow: what comes before it, it, and it again where it wants a digest."""
    loaded = catalog.load(name)
    before = [{"uses": f"./actions/{each}", "with": dict(values)} for each, values in catalog.before_example(loaded)]
    asked = {"id": "asked", "uses": f"./actions/{name}", "with": dict(loaded.EXAMPLE), "continue-on-error": True}
    refused = "steps.asked.outcome == 'failure'"
    done = {"id": "done", "if": refused, "uses": f"./actions/{name}", "with": {**loaded.EXAMPLE, "confirm": DIGEST}}
    return [*before, asked, done]


@pytest.mark.parametrize("name", catalog.BUILT)
def test_an_action_runs_by_its_example(name, machine, tmp_path):
    with serve(tmp_path, *acting.SERVED) as served, contextlib.ExitStack() as opened:
        env = acting.connected(served)
        if "sonoma-runner" in str(steps(name)):
            env |= opened.enter_context(github(served.url))
        job = acting.job(steps(name), env)
        ran = machine.run(acting.workflow({"job": job}), here=True)
    assert "success" == ran.job.result, ran.shown()
    last = ran.job.steps.get("done", ran.job["asked"])
    document = json.loads(last.outputs["result"])
    assert ("anka-ci/result/1", 0) == (document["schema"], document["code"])
    outputs = golden.declared(f"actions/{name}")
    parts = [golden.told(each, outputs) for each in (ran.job.steps.get(key) for key in ("asked", "done")) if each]
    golden.check(name, "\n".join(parts), {str(tmp_path): "<folder>"})
