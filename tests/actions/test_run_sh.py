"""``run.sh``: which Python it takes, on machines that are set up in odd ways."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASH = shutil.which("bash") or "/bin/bash"
OLD = "#!/bin/sh\nexit 1\n"
INSTALLER = "import sys\nprint('PYTHON', sys.executable)\nprint('WORDS', sys.argv[1:])\n"


@pytest.fixture
def machine(tmp_path):
    """A checkout with our ``run.sh`` and an installer that only tells what started it; spaces in every path."""
    actions = tmp_path / "a checkout" / "actions"
    (actions / "anka_ci_actions").mkdir(parents=True)
    shutil.copy(ROOT / "actions" / "run.sh", actions)
    (actions / "anka_ci_actions" / "install.py").write_text(INSTALLER)
    return Machine(tmp_path, actions / "run.sh")


class Machine:
    def __init__(self, folder: Path, script: Path) -> None:
        self.folder, self.script = folder, script
        self.home = folder / "a home"
        self.home.mkdir()

    def put(self, place: str, content: str | None = None) -> Path:
        """A command; a wrapper of this Python that tells its own path, unless there is other content."""
        file = self.folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content or f'#!/bin/sh\nFOUND=$0; export FOUND\nexec "{sys.executable}" "$@"\n')
        file.chmod(0o755)
        return file

    def run(self, *path: str, **env: str) -> subprocess.CompletedProcess[str]:
        places = ":".join(str(self.folder / place) for place in path)
        return subprocess.run(
            [BASH, str(self.script), "list"],
            env={"PATH": places, "HOME": str(self.home), **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def teller(machine: Machine) -> None:
    """Have the installer tell which command of the machine started it."""
    installer = machine.script.parent / "anka_ci_actions" / "install.py"
    installer.write_text("import os, sys\nprint(os.environ.get('FOUND', sys.executable), sys.argv[1:])\n")


def test_a_version_by_name_wins_and_one_that_is_old_is_passed_over(machine):
    teller(machine)
    machine.put("first bin/python3.13", OLD)
    machine.put("first bin/python3", OLD)
    wanted = machine.put("other/python3.12")
    done = machine.run("first bin", "other")
    assert f"{wanted} ['list', '--report', 'actions']\n" == done.stdout


def test_the_home_folder_is_looked_into_and_no_path_is_needed(machine):
    teller(machine)
    wanted = machine.put("a home/.local/bin/python3.13")
    done = machine.run("empty")
    assert 0 == done.returncode, done.stdout
    assert done.stdout.split(" [")[0] in (str(wanted), "/opt/homebrew/bin/python3.13", "/usr/local/bin/python3.13")


def test_a_python_that_is_named_is_taken_or_told(machine):
    teller(machine)
    machine.put("bin/python3.13")
    wanted = machine.put("some where/my python")
    assert machine.run("bin", ANKA_CI_PYTHON=str(wanted)).stdout.startswith(str(wanted))
    machine.put("bin/mine", OLD)
    done = machine.run("bin", ANKA_CI_PYTHON="mine")
    assert 2 == done.returncode
    assert done.stdout.startswith("::error title=anka-ci found no Python::ANKA_CI_PYTHON names no Python 3.10")


def hidden(machine: Machine) -> None:
    """No Python of this machine is good: the script runs with one that is asked for by name only."""
    text = machine.script.read_text()
    machine.script.write_text(text.replace("/opt/homebrew/bin", "/no").replace("/usr/local/bin", "/no"))


def test_uv_is_the_last_resort_and_without_it_the_words_say_what_to_do(machine):
    teller(machine)
    hidden(machine)
    done = machine.run("empty")
    assert 2 == done.returncode
    assert "brew install python@3.12" in done.stdout
    wanted = machine.put("kept/python")
    machine.put("tools/uv", f"#!/bin/sh\n[ \"$2\" = find ] && echo '{wanted}'\n")
    assert machine.run("tools").stdout.startswith(str(wanted))


def test_the_stub_of_macos_is_never_started_without_its_tools(machine):
    hidden(machine)
    text = machine.script.read_text()
    stub = machine.put("usr bin/python3", f"#!/bin/sh\necho opened a dialogue >>'{machine.folder}/opened'\nexit 1\n")
    machine.script.write_text(text.replace("/usr/bin/python3*:", f'"{stub.parent}"/python3*:'))
    machine.put("usr bin/xcode-select", OLD)
    assert 2 == machine.run("usr bin", OSTYPE="darwin23").returncode
    assert not (machine.folder / "opened").exists()
    machine.put("usr bin/xcode-select", "#!/bin/sh\nexit 0\n")
    assert 2 == machine.run("usr bin", OSTYPE="darwin23").returncode
    assert (machine.folder / "opened").exists()
