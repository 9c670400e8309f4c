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


def test_inputs_come_one_way(monkeypatch, capsys):
    for name in ("ANKA_CI_INPUTS", "ANKA_CI_INPUTS_FILE"):
        monkeypatch.setenv(name, "{}")
    assert 2 == roof.main(["show", "--json"])
    assert "ANKA_CI_INPUTS and ANKA_CI_INPUTS_FILE are both set" in capsys.readouterr().err


def test_inputs_come_from_a_file(cli, tmp_path):
    file = tmp_path / "inputs.json"
    file.write_text(json.dumps({"template": "sonoma", "tag": "base"}))
    assert "base" == outputs(cli("show", "--json", "--inputs-file", str(file)))["tag"]
    assert "base" == outputs(cli("show", "--json", env={"ANKA_CI_INPUTS_FILE": str(file)}))["tag"]
    # An input of the command line wins.
    assert "v1" == outputs(cli("show", "--tag", "v1", "--json", "--inputs-file", str(file)))["tag"]


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


def outputs(done):
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)["steps"][0]["outputs"]
