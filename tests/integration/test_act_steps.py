"""Every action once, by its example, in real workflows against a real server."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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
    asked = {"id": "asked", "uses": f"./actions/{name}", "continue-on-error": True}
    asked |= {"with": dict(loaded.EXAMPLE)} if loaded.EXAMPLE else {}
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


def told(name):
    """A step that takes every output of the action."""
    outputs = {key.upper(): f"${{{{ steps.asked.outputs.{key} }}}}" for key in golden.declared(f"actions/{name}")}
    return {"run": "env", "env": outputs}


def actionlint(machine, jobs):
    program = Path(sys.executable).with_name("actionlint")
    if not program.exists():
        pytest.skip("actionlint is not installed: .ci/venv lint")
    place = machine.checkout / ".github" / "workflows" / "all.yml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump(acting.workflow(jobs), sort_keys=False))
    words = [str(program), "-config-file", str(acting.ROOT / ".github" / "actionlint.yaml"), "-shellcheck=", str(place)]
    done = subprocess.run(words, cwd=machine.checkout, capture_output=True, text=True, check=False)
    place.unlink()
    return done.stdout + done.stderr


def test_actionlint_takes_the_inputs_and_outputs_of_every_action(machine):
    """It reads an action's metadata only for a workflow of the same repository that uses it."""
    jobs = {name: acting.job([*steps(name), told(name)]) for name in catalog.BUILT}
    jobs["root"] = acting.job([{"uses": "./", "with": {"file": "ci/refresh.yml", "command": "plan"}}])
    assert "" == actionlint(machine, jobs)
    wrong = [{"id": "asked", "uses": "./actions/show", "with": {"templat": "sonoma"}}, {"run": "env"}]
    wrong[1]["env"] = {"NOPE": "${{ steps.asked.outputs.nope }}"}
    found = actionlint(machine, {"wrong": acting.job(wrong)})
    for words in ('missing input "template"', 'input "templat" is not defined', 'property "nope" is not defined'):
        assert words in found
