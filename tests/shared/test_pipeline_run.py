"""Pipeline files, planned and run: through the public functions and through the command, against a real server."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from anka_ci import account, commands, pipeline
from anka_ci.cli import main as cli_main
from anka_ci.clock import Cancelled, ManualClock
from anka_ci.console import Console
from anka_ci.progress import Progress
from anka_ci.result import NodeChanged, Printed, StepEnded, StepResult
from anka_ci.result import Progress as Far

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "name", "status", "code", "context", "started", "seconds", "steps"],
    "properties": {
        "schema": {"const": "anka-ci/result/1"},
        "name": {"type": "string"},
        "status": {"$ref": "#/$defs/status"},
        "code": {"type": "integer", "minimum": 0},
        "context": {"type": "string"},
        "started": {"type": "number"},
        "seconds": {"type": "number", "minimum": 0},
        "steps": {"type": "array", "items": {"$ref": "#/$defs/step"}},
        "error": {"$ref": "#/$defs/error"},
        "said": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["step", "level", "text"],
                "properties": {"step": {"type": "string"}, "level": {"enum": ["notice", "warning"]}, "text": {}},
            },
        },
    },
    "$defs": {
        "status": {"enum": ["done", "unchanged", "skipped", "planned", "checked-when-run", "failed", "interrupted"]},
        "step": {
            "type": "object",
            "additionalProperties": False,
            "required": ["id", "step", "status", "seconds", "outputs"],
            "properties": {
                "id": {"type": "string", "minLength": 1},
                "step": {"type": "string", "minLength": 1},
                "status": {"$ref": "#/$defs/status"},
                "seconds": {"type": "number", "minimum": 0},
                "outputs": {"type": "object"},
                "plan": {"type": "object", "required": ["step", "digest", "actions", "loses", "expects"]},
                "error": {"$ref": "#/$defs/error"},
                "notes": {"type": "array", "items": {"type": "string"}},
            },
        },
        "error": {
            "type": "object",
            "required": ["class", "code", "message", "fault"],
            "properties": {"code": {"type": "integer", "minimum": 1}, "message": {"type": "string", "minLength": 1}},
        },
    },
}


@pytest.fixture
def go(anka):
    """Run (or plan) a text through the public functions; the result, and the events."""

    def run(text, how=pipeline.run, env=None, connect=None, **params):
        found = pipeline.parse(f"version: 1\n{text}")
        events = []
        anka.tell = events.append
        full = {"PATH": os.environ["PATH"], "HOME": "/nowhere", **(env or {})}
        result = how(found, anka, pipeline.prepare(found, params, full, anka.clock), connect=connect)
        jsonschema.validate(result.emit(), SCHEMA)
        return result, events

    return run


def printed(events):
    return [event.text for event in events if isinstance(event, Printed)]


def statuses(result):
    return {step.id: step.status for step in result.steps}


def test_outputs_travel_from_step_to_step(go):
    result, events = go(
        """
parameters: {template: sonoma, undo: true}
steps:
  - {id: before, use: show, with: {template: "${{ params.template }}"}}
  - id: say
    run: |
      echo "$NAME $TAGS $FLAG"
      echo '${x} ${{ not ours }}' "$0" >&2
    env:
      NAME: ${{ steps.before.outputs.name }}:${{ steps.before.outputs.tag }}
      TAGS: ${{ steps.before.outputs.versions | map(attribute='tag') | list }}
      FLAG: ${{ params.undo }}
  - {use: revert, if: params.undo, with: {template: "${{ steps.before.outputs.id }}", latest: true}, confirm: yes}
  - {use: show, with: {template: sonoma, tag: "${{ steps.revert.outputs.remaining[0] }}"}}
  - {use: list, if: not params.undo}
"""
    )
    assert {"before": "done", "say": "done", "revert": "done", "show": "done", "list": "skipped"} == statuses(result)
    assert ("done", 0, "test") == (result.status, result.code, result.context)
    assert {'sonoma:v1 ["base", "v1"] true', "${x} ${{ not ours }} say"} == set(printed(events))
    assert "base" == result.steps[3].outputs["tag"]
    assert {"exit-code": 0} == result.steps[1].outputs


def test_values_are_never_spliced_into_a_script(go):
    result, events = go(
        "parameters: {word: x}\nsteps: [{run: 'echo \"$W\"', env: {W: '${{ params.word }}'}}]",
        word='"; touch /tmp/pwned; echo `id` $(id) "',
    )
    assert "done" == result.status
    assert ['"; touch /tmp/pwned; echo `id` $(id) "'] == printed(events)


def test_a_failure_stops_the_others_but_not_those_with_always(go):
    result, events = go(
        """
steps:
  - {id: ok, use: list}
  - {id: bad, use: show, with: {template: sonma}}
  - {id: next, use: list}
  - {id: last, run: 'echo "$HOW"', always: true, env: {HOW: "${{ steps.bad.status }}"}}
  - {id: worse, run: exit 3, always: true}
  - {id: needs, run: echo, always: true, env: {ID: "${{ steps.next.outputs.count }}"}}
"""
    )
    expected = {"ok": "done", "bad": "failed", "next": "skipped", "last": "done", "worse": "failed", "needs": "failed"}
    assert expected == statuses(result)
    assert ("failed", 4) == (result.status, result.code)
    assert ["failed"] == printed(events)
    by_id = {step.id: step for step in result.steps}
    error = by_id["bad"].error or {}
    assert "did you mean 'sonoma'?" == error["hint"]
    assert 5 == error["facts"]["line"]
    assert ("bad failed",) == by_id["next"].notes
    assert "worse: the script ended with status 3" == (by_id["worse"].error or {})["message"]
    assert "there is no steps.next.outputs.count, because next was skipped" in str(by_id["needs"].error)
    assert by_id["bad"].error == result.error


def test_scalars_stay_what_was_written(go):
    for tag in ("13.10", "010", "on", "12:30", "0x1F", "1_000", "2024-05-01", "~x", "true"):
        result, _ = go(f"steps: [{{use: show, with: {{template: sonoma, tag: {tag}}}}}]")
        assert f"no tag {tag!r} in template sonoma" == (result.error or {})["message"]
        text = "parameters: {t: x}\nsteps: [{use: show, with: {template: sonoma, tag: '${{ params.t }}'}}]"
        result, _ = go(text, t=tag)
        assert f"no tag {tag!r} in template sonoma" == (result.error or {})["message"]


def test_a_script_stops_at_its_first_failure_and_tells_its_last_line(go):
    result, events = go('steps: [{run: "echo one; echo two >&2; false; echo three"}]')
    assert {"one", "two"} == set(printed(events))
    assert (3, "failed") == (result.code, result.status)
    result, _ = go("steps: [{run: 'echo $UNSET_THING'}]")
    assert "UNSET_THING" in (result.error or {})["hint"]


def test_anka_in_a_script_is_the_command_of_the_context(go, anka, tmp_path):
    odd = tmp_path / 'a folder\'s "$HOME"'
    odd.mkdir()
    command = odd / "anka"
    command.write_text('#!/bin/sh\nprintf "%s," "$0" "$@"\n')
    command.chmod(0o755)
    anka.host.command = (str(command), "--first", "a b'c")
    result, events = go("""steps: [{run: 'cd /; anka show "x  y" \\$HOME; echo; command -v anka >&2'}]""")
    assert "done" == result.status
    (said, where) = sorted(printed(events), key=lambda line: line.startswith("/") and "," not in line)
    assert f"{command},--first,a b'c,show,x  y,$HOME," == said
    assert not Path(where).exists()  # the folder of the wrapper is gone


def test_a_script_gets_the_environment_but_not_our_own_inputs(go):
    env = {"MINE": "yes", "ANKA_CI_INPUTS": "{}", "ANKA_CI_INPUTS_FILE": "/x"}
    _, events = go("steps: [{run: env, env: {MORE: 13.10, N: 010}}]", env=env)
    lines = printed(events)
    assert {"MINE=yes", "MORE=13.10", "N=010"} <= set(lines)
    assert [] == [line for line in lines if line.startswith("ANKA_CI_")]


def test_a_step_has_a_time_of_its_own(go):
    result, _ = go("steps: [{run: sleep 60, timeout: 1s}, {run: echo, always: true}]")
    assert ("failed", 7) == (result.status, result.code)
    assert {"run": "failed", "run-2": "done"} == statuses(result)


def test_always_runs_after_an_interruption(go, anka):
    anka.cancelled = Cancelled()
    anka.cancelled.set("SIGTERM")
    result, events = go("steps: [{run: echo no}, {run: echo yes, always: true}, {use: list, always: true}]")
    assert {"run": "skipped", "run-2": "done", "list": "done"} == statuses(result)
    assert ("interrupted", 130) == (result.status, result.code)
    assert ["yes"] == printed(events)


def test_confirm_comes_from_a_parameter(go):
    text = """
parameters: {sure: {required: false}}
steps: [{use: revert, with: {template: sonoma, tag: v1}, confirm: "${{ params.sure or 'no' }}"}]
"""
    result, _ = go(text)
    assert ("failed", 10) == (result.status, result.code)
    assert "sonoma:v1" in (result.error or {})["message"]
    result, _ = go(text, sure="yes")
    assert "done" == result.status


def test_nothing_to_do_is_unchanged(go):
    result, _ = go("steps: [{use: list, if: false}]")
    assert "unchanged" == result.status


def test_a_step_may_name_a_context_of_its_own(go, anka):
    asked = []

    def connect(shared):
        asked.append(shared.context)
        return anka.context

    text = "steps: [{use: list, with: {context: other}}, {use: show, with: {template: sonoma, context: other}}]"
    result, _ = go(text, connect=connect)
    assert ("done", ["other"]) == (result.status, asked)
    result, _ = go(text)
    assert "a connection of its own cannot be opened here" in str(result.error)


def test_a_secret_reaches_a_secret_input_and_no_text(go, anka):
    tokens = []

    def connect(shared):
        tokens.append(shared.token)
        return anka.context

    text = "secrets: [ROOT]\nsteps: [{use: list, with: {token: '${{ secrets.ROOT }}'}}]"
    result, events = go(text, connect=connect, env={"ROOT": "top-secret"})
    assert (["top-secret"], "done") == (tokens, result.status)
    assert "top-secret" not in json.dumps(result.emit()) + repr(events)


def test_distribution_and_its_undoing(go):
    text = """
steps:
  - {id: spread, use: distribute, with: {template: sonoma, tag: base, group: ios}}
  - {id: again, use: distribute, with: {template: sonoma, tag: "${{ steps.spread.outputs.tag }}", all: true}}
  - {use: nodes, with: {template: sonoma, tag: base, at-least: 3}}
  - {use: evict, with: {template: sonoma, nodes: "${{ steps.again.outputs.already[:2] }}"}, confirm: yes}
"""
    result, _ = go(text)
    assert {"spread": "done", "again": "done", "nodes": "done", "evict": "failed"} == statuses(result)
    hint = "to go on, write into the step, or into a parameter of it: confirm: "
    assert (10, hint) == (result.code, (result.error or {})["hint"][: len(hint)])
    rows = [line.split("  ")[-1].strip() for line in account.of_course(result).splitlines()[1:4]]
    assert ["sonoma:base, done on node-1 node-2", "sonoma:base, done on node-3, already on node-1 node-2"] == rows[:2]
    digest = (result.error or {})["hint"][len(hint) :]
    assert "done" == go(text.replace("yes", f'"{digest}"'))[0].status


def test_a_plan_reads_only_and_tells_what_waits(go, anka):
    text = """
secrets: [CHAT]
parameters: {tag: v1}
steps:
  - {id: before, use: show, with: {template: sonoma}}
  - {use: revert, with: {template: "${{ steps.before.outputs.id }}", tag: "${{ params.tag }}"}}
  - {id: after, use: show, with: {template: sonoma, tag: "${{ steps.revert.outputs.remaining[0] }}"}}
  - {id: change, run: echo hello, env: {WORD: "${{ secrets.CHAT }} ${{ steps.before.outputs.tag }}"}}
  - {id: new, use: show, with: {template: made-by-the-script}}
  - {id: told, run: echo, env: {CODE: "${{ steps.change.outputs.exit-code }}"}}
  - {id: maybe, use: list, if: steps.change.status == 'done'}
  - {id: never, use: list, if: false}
"""
    result, _ = go(text, pipeline.plan, env={"CHAT": "top-secret"})
    assert {
        "before": "planned",
        "revert": "planned",
        "after": "planned",
        "change": "planned",
        "new": "checked-when-run",
        "told": "checked-when-run",
        "maybe": "checked-when-run",
        "never": "skipped",
    } == statuses(result)
    assert ("planned", 0) == (result.status, result.code)
    assert "top-secret" not in json.dumps(result.emit())
    (action,) = (result.steps[3].plan or {})["actions"]  # type: ignore[misc]
    assert {"run": "echo hello", "env": {"WORD": "*** v1"}} == action["with"]
    assert "base" == result.steps[2].outputs["tag"]
    assert ("steps.change.outputs.exit-code is known once change has run",) == result.steps[5].notes
    assert ["base", "v1"] == [each.tag for each in anka.registry.template("sonoma").versions]


def test_a_plan_fails_where_nothing_could_have_made_it(go):
    result, _ = go(
        "steps: [{use: show, with: {template: nowhere}}, {use: list}, {id: x, use: show, with: {template: no}}]",
        pipeline.plan,
    )
    assert {"show": "failed", "list": "planned", "x": "failed"} == statuses(result)
    assert ("failed", 4) == (result.status, result.code)


FILE = """\
version: 1
name: Look
parameters: {template: sonoma}
secrets: [CHAT]
steps:
  - {id: before, use: show, with: {template: "${{ params.template }}"}}
  - {id: say, run: 'echo "hello $WORD"', env: {WORD: "${{ secrets.CHAT }}"}}
  - {id: fleet, use: nodes, with: {group: ios}}
"""


def test_the_command_tells_people_and_programs(cli, tmp_path):
    (tmp_path / "anka-ci.yml").write_text(FILE)
    env = {"CHAT": "top-secret"}
    done = cli("run", env=env)
    assert 0 == done.returncode, done.stderr
    lines = done.stdout.splitlines()
    assert ["step", "status", "time", "what happened"] == [word.strip() for word in lines[0].split("  ") if word]
    assert lines[1].startswith("before  done")
    assert lines[1].endswith("sonoma:v1")
    assert lines[3].endswith("node-1 Active, node-2 Active")
    assert lines[-1].startswith("Look: done in ")
    begun = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert ["[1/3] before (show) …", "[2/3] say (run) …", "[3/3] fleet (nodes) …"] == begun[::2]
    assert begun[3].startswith("[2/3] say done in ")
    assert "hello ***\n" in done.stderr
    assert "top-secret" not in done.stdout + done.stderr

    done = cli("run", "anka-ci.yml", "--json", "--quiet", env=env)
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA)
    assert ("Look", "done", 3) == (document["name"], document["status"], len(document["steps"]))
    assert "" == done.stderr

    done = cli("plan", env=env)
    assert 0 == done.returncode, done.stderr
    assert 'say (run)\n  would run\n    WORD=***\n    echo "hello $WORD"\n' in done.stdout
    assert done.stdout.endswith("\nLook: 3 planned\n")


@pytest.mark.parametrize(
    ("args", "env", "said"),
    [
        (["--set", "templat=x"], {"CHAT": "abc"}, "no parameter 'templat': did you mean 'template'?"),
        (["--set", "template"], {"CHAT": "abc"}, "the parameter 'template' has no value"),
        (["--set", "template=a", "--set", "template=b"], {"CHAT": "abc"}, "'template' is given twice"),
        ([], {}, "no secret CHAT in the environment"),
        (["--param-file", "none.yml"], {"CHAT": "abc"}, "none.yml: cannot be read"),
        (["--context", "nowhere"], {"CHAT": "abc"}, "settings.yml: cannot be read"),
        (["--confirm", "yes"], {"CHAT": "abc"}, "unknown argument '--confirm'"),
    ],
)
def test_what_is_wrong_before_anything_runs(cli, tmp_path, args, env, said):
    (tmp_path / "anka-ci.yml").write_text(FILE)
    done = cli("run", "anka-ci.yml", *args, env=env)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr
    assert "[1/3]" not in done.stderr


def test_parameters_from_a_file_the_environment_and_options(cli, tmp_path):
    (tmp_path / "p.yml").write_text(
        "version: 1\nparameters: {a: 1, b: 2, c: 3}\n"
        "steps: [{run: 'echo \"$ALL\"', env: {ALL: '${{ params.a }} ${{ params.b }} ${{ params.c }}'}}]\n"
    )
    (tmp_path / "params.yml").write_text("a: 010\nb: 12:30\n")
    done = cli("run", "p.yml", "--param-file", "params.yml", "--set", "b=x=y")
    assert "\n010 x=y 3\n" in done.stderr
    inputs = json.dumps({"file": "p.yml", "set": ["a=7", "c=9"]})
    assert "\n7 2 9\n" in cli("run", env={"ANKA_CI_INPUTS": inputs}).stderr


def test_a_report_is_given_the_whole_result(server, tmp_path, monkeypatch, capsys):
    (tmp_path / "a_report_of_files.py").write_text(
        "from pathlib import Path\n"
        "def report(result, redactor, env):\n"
        "    Path(env['WHERE']).write_text(f'{result.name} {result.code} {[step.id for step in result.steps]}')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(commands.REPORTS, "jenkins", "a_report_of_files")
    monkeypatch.setenv("WHERE", str(tmp_path / "told"))
    monkeypatch.setenv("ANKA_CI_REGISTRY_URL", server.registry_url)
    (tmp_path / "p.yml").write_text("version: 1\nname: Look\nsteps: [{use: list}, {use: show, with: {template: no}}]\n")
    assert 4 == cli_main(["run", str(tmp_path / "p.yml"), "--report", "jenkins"])
    assert "Look 4 ['list', 'show']" == (tmp_path / "told").read_text()
    (tmp_path / "p.yml").write_text("version: 1\nsteps: [{use: lst}]\n")
    assert 2 == cli_main(["run", str(tmp_path / "p.yml"), "--report", "jenkins"])
    assert "run 2 []" == (tmp_path / "told").read_text()


def start(server, folder, *args):
    return subprocess.Popen(
        [sys.executable, "-Im", "anka_ci.cli", "run", *args],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "ANKA_CI_REGISTRY_URL": server.registry_url,
            "ANKA_CI_CONTROLLER_URL": server.controller_url,
            "ANKA_CI_ANKA": server.anka,
        },
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ready(path):
    for _ in range(400):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} did not come")


STUBBORN = """\
version: 1
steps:
  - {id: long, run: 'TRAP touch begun; while true; do sleep 0.1; done'}
  - {id: next, run: touch never}
  - {id: last, always: true, run: "touch cleaned; WAIT"}
"""


@pytest.mark.parametrize(
    ("number", "trap"), [(signal.SIGINT, 'trap "" INT TERM;'), (signal.SIGTERM, ""), (signal.SIGHUP, "")]
)
def test_a_signal_ends_it_within_five_seconds_and_always_still_runs(server, tmp_path, number, trap):
    (tmp_path / "p.yml").write_text(STUBBORN.replace("; WAIT", "").replace("TRAP", trap))
    with start(server, tmp_path, "p.yml", "--json") as child:
        ready(tmp_path / "begun")
        began = time.monotonic()
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
        took = time.monotonic() - began
    assert 130 == child.returncode, err
    assert took < 5
    document = json.loads(out)
    assert ["interrupted", "skipped", "done"] == [step["status"] for step in document["steps"]]
    assert ("interrupted", 130) == (document["status"], document["code"])
    assert (tmp_path / "cleaned").exists()
    assert not (tmp_path / "never").exists()
    assert [] == list(tmp_path.glob("anka-ci-*"))


def test_a_second_signal_ends_it_at_once(server, tmp_path):
    # The last step ignores what it is asked, so that whoever asks first needs 3.5 seconds.
    stubborn = STUBBORN.replace("TRAP", "").replace(
        "touch cleaned; WAIT", "trap '' INT TERM; touch cleaned; sleep 1000"
    )
    (tmp_path / "p.yml").write_text(stubborn)
    with start(server, tmp_path, "p.yml") as child:
        ready(tmp_path / "begun")
        child.send_signal(signal.SIGTERM)
        ready(tmp_path / "cleaned")
        began = time.monotonic()
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=20)
        took = time.monotonic() - began
    assert 130 == child.returncode, err
    assert took < 3
    assert [] == list(tmp_path.glob("anka-ci-*"))


def test_a_silent_server_cannot_hold_up_an_interruption(tmp_path):
    import socket

    class Silent:
        anka = "true"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Silent.registry_url = Silent.controller_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (tmp_path / "p.yml").write_text("version: 1\nsteps: [{use: list}, {run: touch cleaned, always: true}]\n")
        with start(Silent, tmp_path, "p.yml") as child:
            connection, _ = listener.accept()
            with connection:
                began = time.monotonic()
                child.send_signal(signal.SIGINT)
                out, err = child.communicate(timeout=20)
    assert 130 == child.returncode, err
    assert time.monotonic() - began < 5
    assert (tmp_path / "cleaned").exists()
    assert "interrupted (SIGINT)" in out


def test_on_a_terminal_one_line_is_written_over(monkeypatch):
    main, side = pty.openpty()
    with open(side, "w") as terminal:  # noqa: PTH123
        monkeypatch.setattr(sys, "stderr", terminal)
        tell = Progress(Console({"TERM": "xterm"}), ManualClock())
        tell(Far(subject="v1", done=0.5, total=1.0))
        tell(Far(subject="v1", done=3 << 20, total=4 << 20, unit="bytes"))
        tell(NodeChanged(node="node-1", state="done"))
        tell(Far(subject="", done=1, total=3, unit="nodes"))
        tell(StepEnded(result=StepResult(id="x", step="pull", status="done", seconds=61), number=1, total=2))
        shown = ""
        while not shown.endswith("in 61 s\r\n") and select.select([main], [], [], 10)[0]:
            shown += os.read(main, 1 << 16).decode()
    os.close(main)
    clear = "\r\x1b[2K"
    lines = [f"{clear}  v1: 50 %", f"{clear}  v1: 3.0 MiB of 4.0 MiB", f"{clear}  node-1: done\r\n"]
    lines += [f"{clear}  1 of 3 nodes", f"{clear}[1/2] x done in 61 s\r\n"]
    assert "".join(lines) == shown
