"""Inputs that are wrong, nasty or huge, in real workflows: they arrive as they are, or are refused in clear words."""

from __future__ import annotations

import json

import pytest

from integration import acting
from integration.conftest import serve

NASTY = {
    "quotes": 'it\'s a "quote" \\ back\\',
    "newlines": "first\nsecond\n\nlast",
    "expression": "${{ github.token }} ${{ inputs.x }} and ${HOME}",
    "shell": "`touch pwned` $(touch pwned) ; touch pwned | & > pwned",
    "emoji": "🐜 naïve ünïcode \u202e rtl",
    "command": "::error::x\n::add-mask::sonoma\n::set-output name=a::b\n##[error]y",
    "output": "a=b\nname<<EOF\nvalue\nEOF",
    "percent": "100% %0A %25",
    "tab": "a\tb",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("served"), *acting.SERVED) as served:
        yield served


@pytest.fixture
def run(machine, served):
    """Run steps in one job that is connected to the server."""

    def start(*steps, inputs=None, secrets=None, env=None):
        job = acting.job(steps, acting.connected(served) | (env or {}))
        words = [word for name, value in (secrets or {}).items() for word in ("--secret", f"{name}={value}")]
        return machine.run(acting.workflow({"job": job}, *(inputs or {})), *words, inputs=inputs, here=True)

    return start


def lists(id_="list", **values):
    return {"id": id_, "uses": "./actions/list", "continue-on-error": True, "with": values}


def test_nasty_texts_arrive_as_they_are_and_are_obeyed_by_nobody(run, machine):
    ran = run(*(lists(name, template=f"${{{{ inputs.{name} }}}}") for name in NASTY), inputs=NASTY)
    for name, text in NASTY.items():
        step = ran.job[name]
        error = json.loads(step.outputs["result"])["error"]
        assert f"no template {text!r}" in error["message"], ran.shown()
        assert 1 == len(step.annotations), step.annotations
    assert [] == list(machine.folder.rglob("pwned"))


def test_ninety_six_kibibytes_of_nasty_text_arrive(run):
    text = ("".join(NASTY.values()) * 1000).encode()[: 96 << 10].decode(errors="ignore")
    step = run(lists(template="${{ inputs.text }}"), inputs={"text": text}).job["list"]
    assert f"no template {text!r}" in json.loads(step.outputs["result"])["error"]["message"]
    assert len(step.summary.encode()) < 256 << 10


def test_a_mebibyte_comes_by_a_file(run):
    part = "".join(value for value in NASTY.values() if "${{" not in value)
    text = (part * 10000)[: 1 << 20]
    write = {"shell": "python3 {0}", "run": WRITE, "env": {"PART": part}}
    step = run(write, {**lists(), "with": {"inputs-file": "inputs.json"}}).job["list"]
    assert f"no template {text!r}" in json.loads(step.outputs["result"])["error"]["message"], step.log[:2000]
    assert len(step.summary.encode()) < 256 << 10


WRITE = """\
import json, os
text = (os.environ["PART"] * 10000)[:1 << 20]
with open("inputs.json", "w") as file:
    json.dump({"template": text}, file)
"""
WRONG = {
    "missing": ("show", {}, "template: is given but empty"),
    "empty": ("show", {"template": ""}, "template: is given but empty"),
    "no-number": ("show", {"template": "sonoma", "version": "one"}, "version"),
    "no-choice": ("pull", {"template": "sonoma", "if-unreachable": "hope"}, "if-unreachable"),
    "no-flag": ("pull", {"template": "sonoma", "shrink": "maybe"}, "shrink"),
    "no-duration": ("list", {"timeout": "soon"}, "timeout"),
    "no-url": ("list", {"controller-url": "anka.internal", "registry-url": "anka.internal"}, "anka.internal"),
    "no-file": ("list", {"inputs-file": "nowhere.json"}, "nowhere.json"),
    "unknown": ("list", {"inputs-file": "unknown.json"}, "did you mean"),
    "twice": ("list", {"inputs-file": "twice.json", "template": "sonoma"}, "twice.json"),
    "a-secret": ("list", {"inputs-file": "secret.json"}, "token"),
}
"""Action, inputs, and what the annotation has to name."""
FILES = """\
echo '{"templat": "sonoma"}' >unknown.json
echo '{"template": "sonoma"}' >twice.json
echo '{"token": "hush hush"}' >secret.json
"""


def test_wrong_inputs_are_refused_in_one_annotation_that_names_them(run):
    steps = [
        {"id": name, "uses": f"./actions/{action}", "continue-on-error": True, "with": values}
        for name, (action, values, _) in WRONG.items()
    ]
    ran = run({"run": FILES}, *steps)
    assert "success" == ran.job.result
    for name, (_, _, words) in WRONG.items():
        step = ran.job[name]
        assert "failure" == step.outcome, name
        (annotation,) = step.annotations
        assert "usage" in annotation.place["title"], (name, annotation)
        assert words in annotation.message
        assert 2 == json.loads(step.outputs["result"])["code"]
        assert words in step.summary.replace("\\", "")
    assert "hush hush" not in ran.shown()


def test_a_secret_in_an_address_or_an_error_is_shown_nowhere(run):
    secrets = {"ADDRESS": "http://someone:hush-hush@127.0.0.1:9", "TOKEN": "token-of-this-test"}
    address = lists("address", **{"controller-url": "${{ secrets.ADDRESS }}", "registry-url": "${{ secrets.ADDRESS }}"})
    named = lists("named", token="${{ secrets.TOKEN }}", template="see token-of-this-test")
    ran = run(address, named, secrets=secrets)
    for name, code in (("address", 6), ("named", 4)):
        step = ran.job[name]
        assert code == json.loads(step.outputs["result"])["code"], ran.shown()
        told = [step.log, step.summary, *step.outputs.values(), *(each.message for each in step.annotations)]
        assert "hush-hush" not in "".join(told)
        assert "token-of-this-test" not in "".join(told)


@pytest.mark.parametrize("command", ["serve", "list", "", "run --json"])
def test_the_root_action_takes_no_other_command(run, command):
    step = {"id": "run", "uses": "./", "continue-on-error": True, "with": {"command": command}}
    step = run(step).job["run"]
    assert "failure" == step.outcome
    (annotation,) = step.annotations
    assert "usage" in annotation.place["title"]
    assert "one of run, plan, check" in annotation.message


def test_without_the_secrets_that_a_fork_does_not_get_the_error_names_the_variable(machine, tmp_path):
    """The workflow of a pull request from a fork has an empty text for each secret."""
    with serve(tmp_path, "--sample", "--sample-size", "1MiB", "--auth", "token") as served:
        env = acting.connected(served) | {"ANKA_CI_TOKEN": "${{ secrets.ANKA_TOKEN }}"}
        by_input = {**lists("by-input", token="${{ secrets.ANKA_TOKEN }}"), "env": {"ANKA_CI_TOKEN": ""}}
        ran = machine.run(acting.workflow({"job": acting.job([lists("by-variable"), by_input], env)}), here=True)
    for name in ("by-variable", "by-input"):
        (annotation,) = ran.job[name].annotations
        assert 5 == json.loads(ran.job[name].outputs["result"])["code"], ran.shown()
        assert "not-authorised" in annotation.place["title"]
        assert "ANKA_CI_TOKEN" in annotation.message
        assert "fork" in annotation.message
