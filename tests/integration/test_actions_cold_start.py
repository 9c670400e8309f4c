"""The start of an action on a machine that has nothing yet: two jobs at once, then a start that installs nothing.

Installs from the package index that pip is set up for.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from anka_ci_actions import install

ROOT = Path(__file__).parents[2]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "shared", "actions", "jenkins")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """A checkout and a tool cache below a path with spaces; nothing is installed yet."""
    folder = tmp_path_factory.mktemp("a machine")
    (folder / "check out").mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / "check out" / part)
    return folder


def start(machine: Path, *words: str, **more: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "PATH"}
    env = {**kept, "HOME": str(machine), "RUNNER_TOOL_CACHE": str(machine / "tool cache"), "GITHUB_ACTIONS": "true"}
    script = machine / "check out" / "actions" / "run.sh"
    return subprocess.Popen(
        [str(script), *words],
        env={**env, **more},
        cwd=machine,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def environments(machine: Path) -> list[Path]:
    return [each for each in (machine / "tool cache" / "anka-ci").iterdir() if each.is_symlink()]


def folders(machine: Path) -> list[Path]:
    found = (machine / "tool cache" / "anka-ci").iterdir()
    return [each for each in found if each.is_dir() and not each.is_symlink()]


def checks(process: subprocess.Popen[str]) -> str:
    """The log of a command that ran and found no pipeline file: it got as far as anka-ci itself."""
    log, _ = process.communicate(timeout=600)
    assert 2 == process.returncode, log
    assert "nowhere.yml" in log
    return log


def test_a_first_install_that_is_killed_harms_nothing_and_two_jobs_share_the_next(machine):
    killed = start(machine, "check")
    deadline = time.monotonic() + 120
    while not list((machine / "tool cache" / "anka-ci").glob("*.[0-9]*/bin/python")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert [] == environments(machine)
    inputs = {"ANKA_CI_INPUTS": '{"file": "nowhere.yml"}'}
    logs = [checks(each) for each in [start(machine, "check", **inputs), start(machine, "check", **inputs)]]
    assert 1 == sum("installing into" in log for log in logs), logs
    assert 1 == len(environments(machine)) == len(folders(machine))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_first_install_that_is_cancelled_ends_at_once_and_leaves_nothing(machine, number):
    place = machine / f"cancelled {number.name}"
    cancelled = start(machine, "check", RUNNER_TOOL_CACHE=str(place))
    deadline = time.monotonic() + 120
    while not list(place.glob("anka-ci/*.[0-9]*/bin/python")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    began = time.monotonic()
    cancelled.send_signal(number)
    cancelled.communicate(timeout=60)
    assert 130 == cancelled.returncode
    assert time.monotonic() - began < 5
    assert [] == [each for each in (place / "anka-ci").iterdir() if each.is_dir()]
    shown = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    assert [] == [line for line in shown.splitlines() if str(place) in line]


def test_a_disk_that_becomes_full_while_it_is_made_is_told_as_such(small, monkeypatch):
    monkeypatch.setattr(install, "LEAST", 0)
    with pytest.raises(OSError, match="the disk became full while it was made"):
        install.environment(small)
    assert [] == [each for each in small.iterdir() if each.is_dir()]


def test_a_warm_start_installs_nothing_and_needs_no_network(machine):
    before = times(machine)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "ANKA_CI_INPUTS": '{"file": "nowhere.yml"}'}
    log = checks(start(machine, "check", **nowhere))
    assert "installing" not in log
    assert before == times(machine)


def times(machine: Path) -> dict[Path, int]:
    """When each file of the tool cache was changed, but for the one that tells of the last start."""
    files = [file for file in (machine / "tool cache").rglob("*") if file.name != install.IN_USE]
    return {file: file.stat().st_mtime_ns for file in files}


def test_another_source_is_another_environment_and_no_network_says_what_to_do(machine):
    changed = machine / "check out" / "shared" / "anka_ci" / "__init__.py"
    text = changed.read_text()
    changed.write_text(text + "# changed\n")
    try:
        failed = start(
            machine, "check", PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0", PIP_NO_CACHE_DIR="1"
        )
        log, _ = failed.communicate(timeout=300)
    finally:
        changed.write_text(text)
    assert 6 == failed.returncode, log
    assert "::error title=anka-ci could not be installed::" in log
    assert "ANKA_CI_WHEELHOUSE" in log
    assert 1 == len(environments(machine)) == len(folders(machine))


def test_a_wheelhouse_is_enough_without_a_network(machine):
    wheels = machine / "wheel house"
    python = next(iter(environments(machine))) / "bin" / "python"
    wanted = [f"{ROOT}[{install.EXTRAS}]", "hatchling>=1.26"]
    subprocess.run([str(python), "-Im", "pip", "wheel", "-q", "-w", str(wheels), *wanted], check=True, timeout=300)
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
    inputs = {"ANKA_CI_INPUTS": '{"file": "nowhere.yml"}', "RUNNER_TOOL_CACHE": str(machine / "another cache")}
    log = checks(start(machine, "check", ANKA_CI_WHEELHOUSE=str(wheels), **nowhere, **inputs))
    assert "installing into" in log


def test_the_users_cache_is_taken_where_there_is_no_tool_cache(machine):
    (machine / "file").write_text("")
    inputs = {"ANKA_CI_INPUTS": '{"file": "nowhere.yml"}', "RUNNER_TOOL_CACHE": str(machine / "file")}
    shutil.copytree(machine / "tool cache" / "anka-ci", machine / ".cache" / "anka-ci", symlinks=True)
    assert "installing" not in checks(start(machine, "check", **inputs))


def test_an_action_has_what_it_needs_for_github_and_for_signing_in(machine):
    python = next(iter(environments(machine))) / "bin" / "python"
    subprocess.run([str(python), "-Ic", "import github, cryptography"], check=True, timeout=60)


def test_an_environment_is_in_use_until_its_command_ends(machine):
    """Removes the environment: the last test of this module."""
    folder, flag = machine / "tool cache" / "anka-ci", machine / "go on"
    text = 'touch "$WAIT.begun"; until [ -e "$WAIT" ]; do sleep 0.1; done'
    (machine / "wait.yml").write_text(f"version: 1\nsteps:\n  - id: wait\n    run: '{text}'\n")
    waiting = start(machine, "run", ANKA_CI_INPUTS='{"file": "wait.yml"}', WAIT=str(flag))
    deadline = time.monotonic() + 120
    while not flag.with_name("go on.begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    install.sweep(folder, "another", old=0.0, most=0)
    assert 1 == len(environments(machine)) == len(folders(machine))
    flag.touch()
    log, _ = waiting.communicate(timeout=60)
    assert 0 == waiting.returncode, log
    install.sweep(folder, "another", old=0.0, most=0)
    assert [] == environments(machine) == folders(machine)
