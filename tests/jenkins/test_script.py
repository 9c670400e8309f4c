"""The text that ``ankaCi.groovy`` has run, run as Jenkins does by ``sh -xe``, with the command and a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import conftest
from anka_ci import __version__
from anka_ci.server.app import Server

LIBRARY = Path(__file__).parent.parent.parent / "jenkins"
SCRIPT = LIBRARY / "resources" / "anka-ci" / "run.sh"
NASTY = 'it\'s "so" $HOME ${HOME} $(id) `id` \\n \\ ünï 🍎 ; & | < > * ? # % =\nline\r\n\ttwo'
Sh = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sh(tmp_path: Path) -> Sh:
    """The text in a workspace, as Jenkins runs it: by `sh -xe` from a file."""
    (tmp_path / "work").mkdir()

    def run(step: str, inputs: object, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        mine = {"ANKA_CI_STEP": step, "ANKA_CI_INPUTS": json.dumps(inputs), "ANKA_CI_INPUTS_FILE": ""}
        mine |= {"ANKA_CI_OUTPUTS": str(tmp_path / "work@tmp" / "a b" / "outputs"), "ANKA_CI_VERSION": __version__}
        mine |= {"ANKA_CI_INSTALLER": str(SCRIPT.with_name("install.py"))}
        return subprocess.run(
            ["sh", "-xe", str(SCRIPT)],
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


def test_there_is_one_text_that_every_variable_runs_and_it_becomes_the_command() -> None:
    groovy = (LIBRARY / "vars" / "ankaCi.groovy").read_text()
    assert ["sh(script: libraryResource('anka-ci/run.sh'),"] == re.findall(r"\bsh\(.*?,", groovy)
    last = SCRIPT.read_text().splitlines()[-1]
    assert 'exec "$python" -I "$ANKA_CI_INSTALLER"' == last
    assert 4 == len(re.findall(r"exec .*", SCRIPT.read_text()))


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


def command(folder: Path, version: str, text: str = "") -> Path:
    """An ``anka-ci`` in ``folder/bin`` that tells its version, and else does what a shell text says."""
    file = folder / "bin" / "anka-ci"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo "anka-ci {version}"; exit; fi\n{text}\n')
    file.chmod(0o755)
    return file


def test_an_agent_that_has_neither_the_command_nor_a_python_is_told_what_to_do(sh: Sh, tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "mkdir", "cksum", "uname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    done = sh("show", {}, {"PATH": str(programs), "ANKA_CI_PYTHON": "python9"})
    assert (127, True) == (done.returncode, "ANKA_CI_PYTHON names no Python 3.10 or newer" in done.stderr), done.stderr
    done = sh("show", {}, {"ANKA_CI_VENV": str(tmp_path / "no")})
    assert 127 == done.returncode
    assert f"ANKA_CI_VENV is {tmp_path / 'no'}, and there is no bin/anka-ci in it" in done.stderr


def test_an_agent_without_a_python_is_told_which_it_needs(sh: Sh, tmp_path: Path) -> None:
    names = [f"python3{minor}" for minor in ("", ".10", ".11", ".12", ".13", ".14")]
    places = [Path(folder, name) for folder in ("/opt/homebrew/bin", "/usr/local/bin") for name in names]
    if there := [str(place) for place in places if place.exists()]:
        pytest.skip(f"this machine has {there[0]}, where the script looks for itself: it is no agent without a Python")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("sh", "mkdir", "cksum", "uname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    done = sh("show", {}, {"PATH": str(programs)})
    assert 127 == done.returncode
    assert "anka-ci: not found on this agent, and no Python 3.10 or newer" in done.stderr
    assert "apt-get install python3-venv" in done.stderr
    assert f"PATH is {programs}" in done.stderr


def test_another_version_is_an_error_where_it_was_named_and_passed_over_where_it_was_found(
    sh: Sh, tmp_path: Path
) -> None:
    command(tmp_path / "old", "0.0.9", "echo must not run")
    done = sh("show", {}, {"ANKA_CI_VENV": str(tmp_path / "old")})
    assert (2, "") == (done.returncode, done.stdout)
    assert f"is anka-ci 0.0.9, and the library is of version {__version__}" in done.stderr
    local = command(tmp_path / "home" / ".local", __version__, 'echo "it ran $*"')
    path = f"{tmp_path / 'old' / 'bin'}{os.pathsep}{os.defpath}"
    done = sh("show", {}, {"PATH": path, "HOME": str(tmp_path / "home")})
    assert (0, "it ran show --report jenkins\n") == (done.returncode, done.stdout), done.stderr
    assert f"is anka-ci 0.0.9, and not the library's {__version__}, so it is not taken" in done.stderr
    assert local.exists()


def test_what_was_installed_before_starts_at_once(sh: Sh, tmp_path: Path) -> None:
    """As ``install.py`` leaves it. A source of its own has an environment of its own."""
    command(tmp_path / "other", __version__, "echo from the PATH")
    where = {"PATH": f"{tmp_path / 'other' / 'bin'}{os.pathsep}{os.defpath}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    told = sh("show", {}, where)
    assert "from the PATH\n" == told.stdout, told.stderr
    words = ["sh", "-c", 'printf \'%s\\n\' "$0" "$(uname -sm)" | cksum', f"anka-ci[signin]=={__version__}"]
    number = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0]
    place = tmp_path / "cache" / "anka-ci" / "jenkins" / f"{__version__}-{number}"
    command(place, __version__, "echo from the cache")
    (place / "bin" / "python").symlink_to(sys.executable)
    (place / "last-start").touch()
    os.utime(place / "last-start", (0, 0))
    assert "from the cache\n" == sh("show", {}, where).stdout
    assert (place / "last-start").stat().st_mtime > 0  # it is in use: a later install of another version leaves it
    assert "from the PATH\n" == sh("show", {}, where | {"ANKA_CI_SOURCE": "anka-ci @ file:///elsewhere"}).stdout


def test_the_virtual_environment_that_is_named_is_taken(sh: Sh, where, outputs) -> None:
    venv = str(Path(sys.executable).parent.parent)
    done = sh("show", {"template": "sonoma"}, where | {"PATH": os.defpath, "ANKA_CI_VENV": venv})
    assert 0 == done.returncode, done.stderr
    assert "v1" == outputs()[1]["tag"]
