"""The library installs its version of ``anka-ci`` on an agent that has none: once, by pip, without ``sudo``.

Installs from the package index that pip is set up for. ``tests/jenkins/test_script.py`` tells what starts where it is
there already.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anka_ci import __version__

ROOT = Path(__file__).parents[2]
RUN = ROOT / "jenkins" / "resources" / "anka-ci" / "run.sh"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an agent, below a path with a space, where nothing is installed yet."""
    return tmp_path_factory.mktemp("an agent")


def start(agent: Path, **more: str) -> subprocess.Popen[str]:
    """`check` of a file that is not there, as Jenkins runs it."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name == "PATH"}
    kept["PATH"] = os.pathsep.join(
        each for each in kept["PATH"].split(os.pathsep) if not Path(each, "anka-ci").exists()
    )
    mine = {"HOME": str(agent), "ANKA_CI_STEP": "check", "ANKA_CI_INPUTS": '{"file": "nowhere.yml"}'}
    mine |= {"ANKA_CI_VERSION": __version__, "ANKA_CI_OUTPUTS": str(agent / "tmp" / "outputs")}
    mine |= {"ANKA_CI_INSTALLER": str(RUN.with_name("install.py")), "ANKA_CI_SOURCE": str(ROOT)}
    return subprocess.Popen(
        ["sh", "-xe", str(RUN)],
        env={**kept, **mine, **more},
        cwd=agent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: subprocess.Popen[str], code: int) -> str:
    log, _ = process.communicate(timeout=600)
    assert code == process.returncode, log
    assert "\n+ " not in log.split("\n", 1)[1]  # nothing is traced, but for what turns the tracing off
    return log


def places(agent: Path) -> list[Path]:
    return [*(agent / ".cache" / "anka-ci" / "jenkins").iterdir()]


def whole(agent: Path) -> list[Path]:
    return [each for each in places(agent) if each.is_symlink()]


def begun(agent: Path) -> None:
    """Wait until an install is in the middle of its work."""
    deadline = time.monotonic() + 120
    while not [*(agent / ".cache" / "anka-ci" / "jenkins").glob("*.[0-9]*/bin/python")]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_aborted_build_leaves_nothing_of_its_install(agent: Path) -> None:
    process = start(agent)
    begun(agent)
    process.send_signal(signal.SIGTERM)
    ended(process, 130)
    assert [".lock"] == [each.suffix for each in places(agent)]


def test_a_killed_install_harms_nothing_and_two_builds_share_the_next(agent: Path) -> None:
    killed = start(agent)
    begun(agent)
    killed.kill()
    killed.communicate(timeout=60)
    assert [] == whole(agent)
    logs = [ended(each, 2) for each in [start(agent), start(agent)]]
    assert ["nowhere.yml" in log for log in logs] == [True, True]
    assert 1 == sum(f"installing {__version__} into " in log for log in logs), logs
    assert (1, 1) == (
        len(whole(agent)),
        len([each for each in places(agent) if each.is_dir() and not each.is_symlink()]),
    )


def test_the_next_build_installs_nothing_and_asks_no_index(agent: Path) -> None:
    log = ended(start(agent, PIP_INDEX_URL="http://127.0.0.1:9/simple", ANKA_CI_PYTHON="none"), 2)
    assert "nowhere.yml" in log
    assert "installing" not in log


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels of anka-ci")
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder), f"{ROOT}[signin]"]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return folder


def test_a_folder_of_wheels_needs_no_index(agent: Path, wheels: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple"}
    log = ended(start(agent, ANKA_CI_SOURCE=str(wheels), **nowhere), 2)
    assert "nowhere.yml" in log
    assert f"installing {__version__} into " in log
    assert 2 == len(whole(agent))


def test_a_url_may_hold_a_password_that_no_message_has(agent: Path) -> None:
    source = "anka-ci @ http://somebody:hunter22@127.0.0.1:9/anka_ci-1-py3-none-any.whl"
    log = ended(start(agent, ANKA_CI_SOURCE=source, PIP_RETRIES="0"), 6)
    assert "installing it failed (exit code 1)" in log
    assert "ANKA_CI_SOURCE says what is installed, PIP_INDEX_URL or pip.conf from where" in log
    assert "hunter22" not in log
    assert 2 == len(whole(agent))


def test_a_source_of_another_version_is_an_error(agent: Path, wheels: Path) -> None:
    (wheel,) = wheels.glob("anka_ci-*.whl")
    source = f"anka-ci @ {wheel.as_uri()}"
    log = ended(start(agent, ANKA_CI_SOURCE=source, ANKA_CI_VERSION="9.9.9", PIP_FIND_LINKS=str(wheels)), 2)
    assert re.search(
        rf"ANKA_CI_SOURCE brought anka-ci {re.escape(__version__)}, and the library is of version 9\.9\.9", log
    )
    log = ended(start(agent, ANKA_CI_SOURCE="--pre\nanka-ci"), 2)
    assert "ANKA_CI_SOURCE has to be one requirement, a URL, a checkout or a folder of wheels" in log
    assert 2 == len(whole(agent))
