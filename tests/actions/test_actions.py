"""Actions as a runner runs them: inputs of any text, outputs, summary, masks and annotations."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

NASTY = {
    "quotes": 'it\'s a "quote" \\ back',
    "newlines": "first\nsecond\n\nlast",
    "expression": "${{ github.token }} and ${HOME}",
    "shell": "`id` $(touch pwned) ; | & > file",
    "emoji": "🐜 naïve ünïcode",
    "command": "::error::x\n::add-mask::sonoma\n::set-output name=a::b",
    "markdown": "<img src=x onerror=1> | **bold** [a](http://b)",
    "percent": "100% %0A",
}


def test_distribute_tells_outputs_and_a_table_of_nodes(uses, connection):
    done = uses("actions/distribute", {**connection, "template": "sonoma", "tag": "v1", "group": "ios"})
    assert 0 == done.code, done.log
    assert ["node-1", "node-2"] == json.loads(done.outputs["succeeded"])
    assert "sonoma" == done.outputs["name"]
    assert "1" == done.outputs["version"]
    assert "[]" == done.outputs["failed"]
    assert "anka-ci/result/1" == json.loads(done.outputs["result"])["schema"]
    assert json.loads(done.outputs["result"]) == json.loads(Path(done.outputs["result-file"]).read_text())
    assert done.summary.startswith("### ✅ anka-ci distribute: done in ")
    assert "| ✅ | node-1 | succeeded |" in done.summary
    assert "**distribute sonoma:v1 to node-1, node-2**: " in done.summary
    assert "<details><summary>Plan " in done.summary
    assert [] == done.errors
    lines = done.log.splitlines()
    begins, ends = lines.index("::group::anka-ci distribute"), lines.index("::endgroup::")
    assert lines[begins - 1].strip(":") in lines[0]
    assert lines[begins + 1].startswith("::stop-commands::")
    told = [line.split() for line in lines].index(["id", done.outputs["id"]])
    assert begins < lines.index("  node-1: queued") < ends < told


def test_a_list_and_what_is_not_given_stay_apart(uses, connection):
    done = uses("actions/list", connection)
    assert 0 == done.code, done.log
    assert ["sonoma"] == [row["name"] for row in json.loads(done.outputs["templates"])]
    assert "| sonoma |" in done.summary
    empty = uses("actions/list", {**connection, "template": ""})
    assert 2 == empty.code
    assert ["::error title=anka-ci list%3A usage::"] == [line[:37] for line in empty.errors]
    assert "template: is given but empty" in empty.errors[0]
    assert "given but empty" in empty.summary


@pytest.mark.parametrize("name", ["newlines", "command", "markdown", "all"])
def test_any_text_arrives_as_it_is_and_is_obeyed_by_nobody(uses, connection, name, tmp_path):
    text = NASTY.get(name) or " ".join(NASTY.values())
    done = uses("actions/list", {**connection, "template": text})
    assert 4 == done.code, done.log
    error = json.loads(done.outputs["result"])["error"]
    assert f"no template {text!r}" in error["message"]
    assert [] == list(tmp_path.rglob("pwned"))
    assert 1 == len(done.errors)
    first, last = done.log.splitlines()[0], done.log.splitlines()[-2]
    token = first.removeprefix("::stop-commands::")
    assert 32 == len(token)
    assert [f"::{token}::", done.errors[0]] == [last, done.log.splitlines()[-1]]
    if name == "markdown":
        assert "<img" not in done.summary


def test_a_step_that_falls_short_tells_outputs_error_and_node(uses, connection, server):
    (server.data / "nodes" / "node-1" / "img_lib").write_text("in the way")
    done = uses("actions/distribute", {**connection, "template": "sonoma", "nodes": "node-1\nnode-3"})
    assert 7 == done.code, done.log
    assert ["node-1"] == json.loads(done.outputs["failed"])
    assert "❌ anka-ci distribute: failed" in done.summary
    assert "| ✅ | node-3 | succeeded |" in done.summary
    assert "| ❌ | node-1 | failed | " in done.summary
    assert "fell-short" in done.errors[0]


def test_a_secret_is_masked_first_and_shown_nowhere(uses, connection):
    secret = "hush hush%1\nsecond line of it"
    done = uses("actions/list", {**connection, "template": "see hush hush%1", "token": secret})
    assert 4 == done.code
    assert {"hush hush%251", "second line of it", "hush%2520hush%25251"} <= set(done.masks)
    lines = done.log.splitlines()
    assert [] == [line for line in lines if "hush" in line and not line.startswith("::add-mask::")]
    assert lines[0].startswith("::add-mask::")
    shown = json.dumps(done.outputs) + done.summary
    assert "hush" not in shown
    assert "see ***" in shown
    assert set(done.masks) == set(uses("actions/list", connection, env={"ANKA_CI_TOKEN": secret}).masks)


def test_the_summary_can_be_switched_off_also_for_a_failure(uses, connection):
    assert "" == uses("actions/list", {**connection, "summary": "false"}).summary
    wrong = uses("actions/list", {**connection, "summary": "false", "template": ""})
    assert (2, "") == (wrong.code, wrong.summary)


def test_a_template_is_pulled_and_pushed_with_a_description_of_any_text(uses, connection):
    pulled = uses("actions/pull", {**connection, "template": "sonoma", "tag": "v1"})
    assert 0 == pulled.code, pulled.log
    assert "1" == pulled.outputs["version"]
    text = "\n".join(NASTY.values())
    pushed = uses("actions/push", {**connection, "template": "sonoma", "tag": "v2", "description": text})
    assert 0 == pushed.code, pushed.log
    assert "2" == pushed.outputs["version"]
    shown = uses("actions/show", {**connection, "template": "sonoma", "tag": "v2"})
    assert text == shown.outputs["description"]
    assert [] == shown.errors


def test_a_cancelled_job_cancels_what_it_started_and_ends_in_time(uses, connection, server, anka):
    """The runner signals the process that it started, and that one has become the command."""
    took: list[float] = []

    def cancel(process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 60
        while not anka.controller.distributions():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        took.append(time.monotonic())
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        took.append(time.monotonic())

    place = server.data / "nodes" / "node-1" / "vm_lib" / ".locks" / "library"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # another command holds the node's library, so that its pull waits
        done = uses("actions/distribute", {**connection, "template": "sonoma", "nodes": "node-1"}, during=cancel)
    assert 130 == done.code, done.log
    assert took[1] - took[0] < 7.5  # then the runner would send SIGTERM
    (request,) = anka.controller.distributions()
    assert request.ended
    assert done.summary.startswith("### 🛑 anka-ci distribute: interrupted")
    assert "interrupted" in done.errors[0]


PIPELINE = """\
version: 1
name: Look around
parameters:
  template: {help: The template.}
steps:
  - use: show
    with: {template: "${{ params.template }}"}
  - id: twice
    run: echo '::warning::not obeyed'
"""


def test_the_root_action_runs_plans_and_checks_a_file(uses, connection, tmp_path):
    file = tmp_path / "work space" / "a file.yml"
    file.write_text(PIPELINE)
    done = uses(".", {**connection, "file": "a file.yml", "set": "template=sonoma"})
    assert 0 == done.code, done.log
    assert "done" == done.outputs["status"]
    assert "v1" == json.loads(done.outputs["outputs"])["show"]["tag"]
    assert "### ✅ anka-ci Look around: done" in done.summary
    assert "| ✅ | show | done |" in done.summary
    lines = done.log.splitlines()
    assert lines.index("::warning::not obeyed") > lines.index(next(x for x in lines if x.startswith("::stop-commands")))
    planned = uses(".", {**connection, "file": "a file.yml", "set": "template=sonoma", "command": "plan"})
    assert (0, "planned") == (planned.code, planned.outputs["status"])
    checked = uses(".", {"file": "a file.yml", "command": "check"})
    assert (0, "done") == (checked.code, checked.outputs["status"])


def test_a_wrong_file_is_annotated_where_it_is_wrong(uses, tmp_path):
    file = tmp_path / "work space" / "anka-ci.yml"
    file.write_text(PIPELINE.replace("use: show", "use: shew"))
    assert yaml.safe_load(file.read_text())
    for command in ("check", "run"):
        done = uses(".", {"command": command})
        assert 2 == done.code, done.log
        assert 1 == len(done.errors)
        assert "file=anka-ci.yml,line=6," in done.errors[0]


def test_no_other_command_is_let_in_and_what_never_began_is_annotated_too(uses):
    for command in ("serve", ""):
        done = uses(".", {"command": command})
        assert 2 == done.code, done.log
        assert 1 == len(done.errors)
        assert f"usage::the input command is one of run, plan, check, not {command!r}" in done.errors[0]
        assert "failed" == json.loads(Path(done.outputs["result-file"]).read_text())["status"]
        assert done.summary
    assert "" == uses(".", {"command": "serve", "summary": "false"}).summary


def test_a_file_of_inputs_brings_what_is_too_long_for_the_environment(uses, connection, tmp_path):
    text = "".join(NASTY.values()) * (1 << 20 >> 8)
    (tmp_path / "work space" / "more.json").write_text(json.dumps({"template": text}))
    done = uses("actions/list", {**connection, "inputs-file": "more.json"})
    assert 4 == done.code, done.log[-2000:]
    assert len(done.errors[0]) < 6000
    assert "more characters; see the log" in done.errors[0]
    assert repr(text) in json.loads(Path(done.outputs["result-file"]).read_text())["error"]["message"]
    assert len(done.summary) < 1 << 20


def test_an_image_is_saved_only_by_a_job_that_went_well(uses, connection):
    inputs = {**connection, "instance": "nobody", "tag": "v2"}
    skipped = uses("actions/save-image", inputs, env={"JOB_STATUS": "failure"})
    assert (0, "skipped") == (skipped.code, skipped.outputs["outcome"]), skipped.log
    assert 4 == uses("actions/save-image", inputs).code
