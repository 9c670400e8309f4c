"""The roof: the table of commands, help, inputs from a CI system, reports and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from anka_ci import adapter, commands, inputs
from anka_ci import cli as roof
from anka_ci.commands.gathering import given
from anka_ci.commands.step import SHARED, StepCommand
from anka_ci.console import Console
from anka_ci.steps import catalog


@pytest.fixture
def bare(tmp_path):
    """``anka-ci`` without any server: for what has to be said before one is asked."""

    def run(*args, env=None):
        return subprocess.run(
            [sys.executable, "-Im", "anka_ci.cli", *args],
            env={"PATH": os.defpath, "HOME": str(tmp_path)} | dict(env or {}),
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("name", roof.COMMANDS)
def test_every_command_of_the_table_is_there(name):
    module = importlib.import_module(roof.COMMANDS[name].module)
    parser = commands.Parser(prog=f"anka-ci {name}", description=roof.COMMANDS[name].summary)
    module.add_arguments(parser)
    assert f"usage: anka-ci {name}" in parser.format_help()
    assert callable(module.main)
    assert name not in catalog.CATALOG


@pytest.mark.parametrize("name", catalog.BUILT)
def test_the_help_of_a_step_tells_all_of_it(name, capsys):
    with pytest.raises(SystemExit) as ended:
        roof.main([name, "--help"])
    assert 0 == ended.value.code
    said = " ".join(capsys.readouterr().out.split())
    step = catalog.load(name)
    wanted = [catalog.summary(step), catalog.words(step)]
    for field in (*inputs.fields(step.Inputs), *inputs.fields(inputs.SharedInputs)):
        wanted += [field.help, adapter.secret_variable(field) if field.secret else f"--{field.key} "]
    wanted += [field.help for field in inputs.fields(step.Outputs)]
    assert [] == [text for text in wanted if " ".join(text.split()) not in said]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["shw"], "no command 'shw'\n  did you mean 'show'?"),
        (["show", "sonoma", "--templat", "x"], "unknown argument '--templat'\n  did you mean '--template'?"),
        (["show", "a", "b"], "unknown argument 'b'"),
        (["show", "a", "--template", "b"], "template is given twice"),
        (["pull", "a", "--template", "b"], "template is given twice"),
        (["start-instance", "a", "--channel", "b"], "give exactly one of template and channel"),
        (["show", "a", "--tag"], "expected one argument"),
        (["list", "--report", "travis"], "invalid choice: 'travis'"),
        (["push-all"], "no command 'push-all'"),
    ],
)
def test_what_is_wrong_on_the_command_line(bare, args, said):
    done = bare(*args)
    assert (2, "") == (done.returncode, done.stdout)
    assert said in done.stderr


def test_inputs_come_as_one_json_object(cli):
    env = {"ANKA_CI_INPUTS": json.dumps({"template": "sonoma", "tag": "base", "timeout": "30s"})}
    assert "base" == outputs(cli("show", "--json", env=env))["tag"]
    # Without --report the command line is all that counts, so a variable left over from somewhere else does nothing.
    assert "v1" == outputs(cli("show", "sonoma", "--json", env=env))["tag"]


def test_inputs_come_from_a_file(cli, tmp_path):
    file = tmp_path / "inputs.json"
    file.write_text(json.dumps({"template": "sonoma", "tag": "base"}))
    assert "base" == outputs(cli("show", "--json", "--inputs-file", str(file)))["tag"]
    assert "base" == outputs(cli("show", "--json", env={"ANKA_CI_INPUTS_FILE": str(file)}))["tag"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "ANKA_CI_INPUTS is not JSON"),
        ("[]", "has to be one JSON object"),
        ('{"templat": "x"}', "did you mean 'template'?"),
        ('{"template": ""}', "template: is given but empty"),
    ],
)
def test_inputs_that_are_wrong(bare, text, said):
    done = bare("show", env={"ANKA_CI_INPUTS": text})
    assert 2 == done.returncode
    assert said in done.stderr


def test_a_failure_is_in_the_document_too(cli):
    done = cli("show", "sonma", "--json")
    document = json.loads(done.stdout)
    assert (4, "failed", 4) == (done.returncode, document["status"], document["code"])
    assert "not-found" == document["error"]["class"]
    assert "did you mean 'sonoma'?" in done.stderr


def test_a_report_gets_the_result_and_the_environment(tmp_path, monkeypatch, server):
    folder = tmp_path / "reports"
    folder.mkdir()
    (folder / "a_report.py").write_text(
        "from pathlib import Path\n"
        "def report(result, redactor, env):\n"
        "    Path(env['WHERE']).write_text(redactor(f\"{result.name} {result.code} {env['ANKA_CI_TOKEN']}\"))\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setitem(commands.REPORTS, "actions", "a_report")
    monkeypatch.setenv("WHERE", str(tmp_path / "told"))
    monkeypatch.setenv("ANKA_CI_TOKEN", "a-token-of-mine")
    monkeypatch.setenv("ANKA_CI_REGISTRY_URL", server.registry_url)
    monkeypatch.setenv("ANKA_CI_INPUTS", json.dumps({"template": "nowhere"}))
    assert 4 == roof.main(["show", "--report", "actions"])
    assert "show 4 ***" == Path(tmp_path / "told").read_text()


@pytest.mark.parametrize(
    ("name", "text", "words", "said"),
    [
        ("a.yml", "tag: v1\n", ["--tag", "v2"], "'tag' is given twice: by the command line and by a.yml:1:1"),
        ("a.json", '{"tag": "v1"}', ["--tag", "v2"], "'tag' is given twice: by the command line and by a.json"),
        ("a.yml", "template: s\ntoken: hush\n", [], "a.yml:2:1: token is a secret"),
        ("a.yml", "template: s\ntimeot: 3\n", [], "a.yml:2:1: show: unknown input 'timeot'"),
        ("a.yml", "template: s\nsummary: maybe\n", [], "a.yml:2:1: show: summary: 'maybe' is neither true nor false"),
        ("a.yml", "template: s\ntag: ''\n", [], "a.yml:2:1: show: tag: is given but empty"),
        ("a.yml", "- template\n", [], "a.yml:1:1: the inputs has to be a mapping"),
        ("a.yml", "template: s\ninputs-file: b.yml\n", [], "'inputs-file' is given twice"),
        ("a.json", '{"tag": "v1", "tag": "v2"}', [], "a.json: 'tag' is given twice"),
        ("a.json", '{"tag": ', [], "a.json is not JSON"),
        ("a.yml", None, [], "a.yml: cannot be read: No such file or directory"),
    ],
)
def test_a_file_of_inputs_that_is_wrong_is_told_with_its_place(tmp_path, monkeypatch, capsys, name, text, words, said):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path(name).write_text(text)
    assert 2 == roof.main(["show", "--inputs-file", name, *words])
    shown = capsys.readouterr().err
    assert said in shown
    assert "hush" not in shown


def handed(monkeypatch, env, step="show"):
    """What a step is given, as a CI system hands it in."""
    for key, value in env.items():
        monkeypatch.setenv(key, value)
    command, parser = StepCommand(step), commands.Parser(prog=f"anka-ci {step}")
    command.add_arguments(parser)
    return given(parser.read(["--report", "actions"]), Console(os.environ), {}, (*command.own, *SHARED))


def test_inputs_of_a_call_and_of_its_file_are_put_together(tmp_path, monkeypatch):
    large = "long\n" * (1 << 18)
    file = tmp_path / "more.json"
    file.write_text(json.dumps({"description": large, "local": True, "ant": "\U0001f41c"}))
    inline = {"template": "sonoma", "tag": "(left out)", "local": "false", "inputs-file": str(file)}
    found = handed(monkeypatch, {"ANKA_CI_INPUTS": json.dumps(inline)}, step="pull")
    # What the action fills in for an input that nobody wrote gives way to the file.
    assert {"template": "sonoma", "description": large, "local": True, "ant": "\U0001f41c"} == found.values
    assert str(file) == found.call.inputs_file
    assert {"file": str(file)} == found.where("local") == found.where("ant")
    assert {} == found.where("template")


def test_a_yaml_file_of_inputs_keeps_what_is_written(tmp_path, monkeypatch):
    file = tmp_path / "more.yaml"
    file.write_text("tag: 13.10\nversion: 07\n")
    found = handed(monkeypatch, {"ANKA_CI_INPUTS": json.dumps({"inputs-file": str(file), "tag": "(left out)"})})
    assert {"tag": "13.10", "version": "07"} == found.values
    assert {"file": str(file), "line": 2, "column": 1} == found.where("version")


def test_the_file_of_a_ci_system_may_name_the_file_of_a_person(tmp_path, monkeypatch):
    mine, theirs = tmp_path / "mine.yml", tmp_path / "theirs.json"
    mine.write_text("tag: v1\n")
    theirs.write_text(json.dumps({"template": "sonoma", "inputs-file": str(mine), "version": "(left out)"}))
    found = handed(monkeypatch, {"ANKA_CI_INPUTS": "", "ANKA_CI_INPUTS_FILE": str(theirs)})
    assert {"template": "sonoma", "tag": "v1"} == found.values


def outputs(done):
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)["steps"][0]["outputs"]
