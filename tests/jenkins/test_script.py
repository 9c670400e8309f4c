"""The text that ``ankaCi.groovy`` runs, run as Jenkins does by ``sh -xe``, with the command and a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import conftest
from anka_ci.server.app import Server

SCRIPT = re.findall(
    r"'''(.*?)'''", (Path(__file__).parent.parent.parent / "jenkins/vars/ankaCi.groovy").read_text(), re.DOTALL
)
NASTY = 'it\'s "so" $HOME ${HOME} $(id) `id` \\n \\ ünï 🍎 ; & | < > * ? # % =\nline\r\n\ttwo'
Sh = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sh(tmp_path: Path) -> Sh:
    """The text in a workspace, as Jenkins runs it: by `sh -xe` from a file."""
    (script,) = SCRIPT
    (tmp_path / "script.sh").write_text(script)
    (tmp_path / "work").mkdir()

    def run(step: str, inputs: object, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = {"ANKA_CI_STEP": step, "ANKA_CI_INPUTS": json.dumps(inputs), "ANKA_CI_INPUTS_FILE": ""}
        mine |= {"ANKA_CI_OUTPUTS": str(tmp_path / "work@tmp" / "a b" / "outputs")}
        return subprocess.run(
            ["sh", "-xe", str(tmp_path / "script.sh")],
            env=conftest.plain_env(tmp_path) | {"PATH": path} | mine | dict(env),
            cwd=tmp_path / "work",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def where(server: Server) -> dict[str, str]:
    return {
        "ANKA_CI_CONTROLLER_URL": server.controller_url,
        "ANKA_CI_REGISTRY_URL": server.registry_url,
        "ANKA_CI_ANKA": server.anka,
    }


@pytest.fixture
def outputs(tmp_path: Path) -> Callable[[], tuple[dict[str, Any], dict[str, Any]]]:
    """What the last run reported: the facts and the outputs."""
    space: dict[str, Any] = {}
    exec(Path(__file__).with_name("outputs.py").read_text(), space)
    return lambda: space["read"]((tmp_path / "work@tmp" / "a b" / "outputs").read_bytes().decode())


def test_there_is_one_text_and_groovy_changes_nothing_in_it() -> None:
    (script,) = SCRIPT
    assert "\\" not in script
    assert 'exec "$anka_ci" "$ANKA_CI_STEP" --report jenkins' == script.splitlines()[-1]


def test_nasty_values_arrive_unchanged_and_outputs_come_back(sh: Sh, where, outputs, standin, tmp_path: Path) -> None:
    assert 0 == standin("registry", "pull", "sonoma").returncode
    assert 0 == standin("registry", "push", "sonoma", "-t", "v2", "-d", NASTY).returncode
    done = sh("show", {"template": "sonoma", "config": True}, where)
    assert 0 == done.returncode, done.stderr
    facts, found = outputs()
    assert {"code": "0", "status": "done"} == facts
    assert (NASTY, "v2", "2", 3) == (found["description"], found["tag"], found["version"], len(found["layers"]))
    assert NASTY == json.loads(found["versions"][-1])["description"]

    (tmp_path / "work" / "file.yml").write_text(
        "version: 1\nparameters: {value: {default: x}}\nsteps:\n"
        "- run: printf %s \"$VALUE\" > arrived\n  env: {VALUE: '${{ params.value }}'}\n"
    )
    done = sh("run", {"file": "file.yml", "set": [f"value={NASTY}"]}, where)
    assert 0 == done.returncode, done.stderr
    assert NASTY == (tmp_path / "work" / "arrived").read_bytes().decode()
    assert {"run": {"exitCode": "0"}} == outputs()[1]


def test_a_failure_is_reported_with_its_code_and_nothing_is_traced(sh: Sh, where, outputs) -> None:
    done = sh("show", {"template": NASTY}, where)
    assert 4 == done.returncode
    assert "\n+ " not in f"\n{done.stderr}"
    facts, found = outputs()
    assert ("4", "not-found", {}) == (facts["code"], facts["class"], found)
    assert repr(NASTY) in facts["message"]


def test_inputs_of_any_size_come_by_a_file(sh: Sh, where, outputs, tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text(json.dumps({"template": "x" * 300_000}))
    assert 4 == sh("show", None, where | {"ANKA_CI_INPUTS": "", "ANKA_CI_INPUTS_FILE": str(file)}).returncode
    assert "x" * 300_000 in outputs()[0]["message"]


def test_an_agent_without_the_command_is_told_what_to_install(sh: Sh, tmp_path: Path) -> None:
    done = sh("show", {}, {"PATH": os.defpath})
    assert 127 == done.returncode
    assert "anka-ci: not found on this agent" in done.stderr
    assert "Install it there with Python 3.10 or newer" in done.stderr
    done = sh("show", {}, {"ANKA_CI_VENV": str(tmp_path / "no")})
    assert 127 == done.returncode
    assert f"ANKA_CI_VENV is {tmp_path / 'no'}; " in done.stderr


def test_the_virtual_environment_that_is_named_is_taken(sh: Sh, where, outputs) -> None:
    venv = str(Path(sys.executable).parent.parent)
    done = sh("show", {"template": "sonoma"}, where | {"PATH": os.defpath, "ANKA_CI_VENV": venv})
    assert 0 == done.returncode, done.stderr
    assert "v1" == outputs()[1]["tag"]
