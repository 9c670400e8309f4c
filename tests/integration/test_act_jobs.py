"""Workflows that ``anka-ci job`` makes, run: what somebody types into the form is what the pipeline file gets."""

from __future__ import annotations

import json

import pytest

from anka_ci import cli
from integration import acting
from integration.conftest import serve

NASTY = """it's "quoted" $(touch gone) `id` ${{ github.actor }} ${HOME} \\n 🙂 ,{0} }} a=b"""
SECRET = "hush-" + "8421" * 4
PIPELINE = """\
version: 1
name: Refresh "it"
parameters:
  template: sonoma
  word: plain
  mode: {default: small, choices: [small, large]}
  loud: false
  count: {type: int, default: 3}
secrets: [CHAT_TOKEN]
job:
  runner: [self-hosted, macOS, anka]
  triggers: {schedule: ["17 3 * * *"]}
  timeout: 5m
github:
  workflow: wired.yml
  env:
    ANKA_CI_CONTROLLER_URL: ${{ vars.CONTROLLER }}
    ANKA_CI_REGISTRY_URL: ${{ vars.REGISTRY }}
    SAID: ${{ vars.SAID }}
steps:
  - id: look
    use: show
    with: {template: "${{ params.template }}"}
  - run: printf '%s|' "$WORD" "$MODE" "$LOUD" "$COUNT" "$TAG" "${#CHAT_TOKEN}" >"$SAID"
    env:
      WORD: ${{ params.word }}
      MODE: ${{ params.mode }}
      LOUD: ${{ params.loud }}
      COUNT: ${{ params.count }}
      TAG: ${{ steps.look.outputs.tag }}
      CHAT_TOKEN: ${{ secrets.CHAT_TOKEN }}
      SAID: ${{ env.SAID }}
"""


@pytest.fixture
def served(tmp_path):
    with serve(tmp_path, *acting.SERVED) as served:
        yield served


@pytest.fixture
def workflow(machine, served, monkeypatch, capsys):
    """The pipeline file in the user's repository, and its workflow as it is rendered there."""
    (machine.repository / "ci" / "wired.yml").write_text(PIPELINE)
    monkeypatch.chdir(machine.repository)
    code = cli.main(["job", "render", "--ci", "github", "--uses", "OWNER/anka-ci@v1", "ci/wired.yml"])
    said = capsys.readouterr()
    assert (0, "") == (code, said.err)
    return said.out


def run(machine, served, workflow, **more):
    """What it is run with, and what the pipeline file's script got."""
    said = machine.folder / "said"
    said.unlink(missing_ok=True)
    variables = {"CONTROLLER": served.controller_url, "REGISTRY": served.url, "SAID": str(said)}
    options = [word for name, value in variables.items() for word in ("--var", f"{name}={value}")]
    ran = machine.run(workflow, *options, "--secret", f"CHAT_TOKEN={SECRET}", **more)
    assert "success" == ran.job.result, ran.shown()
    assert SECRET not in ran.shown()
    assert not list(machine.folder.rglob("gone")), "what was typed was run as a command"
    return ran, said.read_text().split("|")[:-1]


def test_what_is_typed_into_the_form_arrives_as_it_is(machine, served, workflow):
    inputs = {"template": "sonoma", "word": NASTY, "mode": "large", "loud": "true", "count": "7"}
    ran, said = run(machine, served, workflow, inputs=inputs)
    assert [NASTY, "large", "true", "7", "v1", str(len(SECRET))] == said
    assert "v1" == json.loads(ran.job["pipeline"].outputs["outputs"])["look"]["tag"]


def test_a_scheduled_run_has_the_defaults_of_the_file(machine, served, workflow):
    _, said = run(machine, served, workflow, on="schedule")
    assert ["plain", "small", "false", "3", "v1", str(len(SECRET))] == said


def test_the_example_for_a_schedule_sweeps(machine, served, monkeypatch, capsys):
    monkeypatch.chdir(machine.repository)
    assert 0 == cli.main(["job", "render", "--ci", "github", "--uses", "OWNER/anka-ci@v1", "ci/sweep.yml"])
    text = capsys.readouterr().out
    ran = machine.run(text, on="schedule", env=acting.connected(served))
    assert "success" == ran.job.result, ran.shown()
    assert [] == json.loads(ran.job["pipeline"].outputs["outputs"])["sweep"]["ended"]
