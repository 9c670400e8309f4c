"""The ``action.yml`` files as they are rendered: what they declare, and what of it goes where."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from anka_ci import adapter, inputs
from anka_ci.steps import catalog
from anka_ci_actions import commit_status
from anka_ci_actions.faces import STATUS_STEPS, faces

ROOT = Path(__file__).parents[2]
FACES = faces()


def test_there_is_one_for_every_step_and_one_for_a_file():
    assert {"action.yml", *(f"actions/{name}/action.yml" for name in catalog.BUILT)} == set(FACES)


@pytest.mark.parametrize("path", FACES)
def test_it_is_a_composite_action_whose_script_holds_no_expression(path):
    action = yaml.safe_load(FACES[path])
    assert {"name", "description", "author", "branding", "inputs", "outputs", "runs"} == set(action)
    assert "composite" == action["runs"]["using"]
    (step,) = action["runs"]["steps"]
    assert {"id", "shell", "run", "env"} == set(step)
    assert "${{" not in step["run"]
    assert (ROOT / path).parent.joinpath(re.findall(r'"\$GITHUB_ACTION_PATH/(.*?)"', step["run"])[0]).exists()
    assert [] == [key for key, each in action["inputs"].items() if each["required"] is ("default" in each)]
    assert [] == [key for key, each in action["inputs"].items() if not each["description"]]
    assert {f"${{{{ steps.run.outputs.{key} }}}}" for key in action["outputs"]} == {
        each["value"] for each in action["outputs"].values()
    }
    assert re.match(r"# Made from shared/anka_ci/\S+\.py by `anka-ci render`; do not edit\.\n", FACES[path])


@pytest.mark.parametrize("facts", adapter.facts(), ids=lambda facts: facts.name)
def test_an_action_declares_the_inputs_and_outputs_of_its_step(facts):
    action = yaml.safe_load(FACES[f"actions/{facts.name}/action.yml"])
    fields = {field.key: field for field in (*facts.inputs, *adapter.SHARED, *inputs.fields(inputs.CallInputs))}
    if facts.name in STATUS_STEPS:
        fields |= {field.key: field for field in inputs.fields(commit_status.Inputs)}
    assert facts.summary == action["description"]
    assert list(fields) == list(action["inputs"])
    assert [*(field.key for field in facts.outputs), "result", "result-file"] == list(action["outputs"])
    assert len(facts.outputs) + 2 == len(set(action["outputs"])), "no output of a step hides the document"
    for key, field in fields.items():
        wanted = None if field.required else "" if field.secret else inputs.show_default(field) or "(left out)"
        wanted = {"job-status": "${{ job.status }}", "status-token": "${{ github.token }}"}.get(key, wanted)
        assert wanted == action["inputs"][key].get("default")
        assert action["inputs"][key]["description"].startswith(field.help)


@pytest.mark.parametrize("path", FACES)
def test_secrets_go_by_their_own_variable_and_all_others_by_one_text(path):
    action = yaml.safe_load(FACES[path])
    env = action["runs"]["steps"][0]["env"]
    plain = re.findall(r'"([\w-]+)": \$\{\{ toJSON\(inputs\.([\w-]+)\) \}\}', env.pop("ANKA_CI_INPUTS"))
    assert [] == [pair for pair in plain if pair[0] != pair[1]]
    assert "${{ inputs.token || env.ANKA_CI_TOKEN }}" == env["ANKA_CI_TOKEN"]
    others = re.findall(r"inputs\.([\w-]+)", " ".join(env.values()))
    assert sorted(action["inputs"]) == sorted([key for key, _ in plain] + others)
    secret = {field.key for facts in adapter.facts() for field in (*facts.inputs, *adapter.SHARED) if field.secret}
    assert set() == secret & {key for key, _ in plain}
