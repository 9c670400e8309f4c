"""``run``: what a guest's command gets, and what becomes of it."""

from __future__ import annotations

import os
import shutil
import signal
import sys

import pytest

from anka_ci import process_group
from anka_ci.clock import Cancelled
from anka_ci.standin import tenants
from instances import runs


@pytest.fixture(params=["linux", "macos"])
def system(request, tmp_path, monkeypatch):
    """With `/proc`, if there is one, and as if there were none."""
    if request.param == "macos":
        monkeypatch.setattr(process_group, "PROCESSES", tmp_path / "no-proc")
    elif not process_group.PROCESSES.is_dir():
        pytest.skip("this system has no /proc")
    return request.param


def test_flags_of_every_release_take_no_value(ask):
    """Packer gives ``--wait-time`` none, and a VM may have a number for its name."""
    ask("create", "12")
    for option in ["-n", "--no-volume", "-N", "--wait-network", "-T", "--wait-time", "-q", "--quiet", "-E", "--env"]:
        said = ask("run", option, "12", "sh", "-c", "echo said")
        assert {"stdout": "" if option in ("-q", "--quiet") else "said\n", "stderr": ""} == said


def test_values_come_from_options_files_and_the_caller(ask, tmp_path):
    ask("create", "vm")
    file = tmp_path / "env"
    file.write_text('# a comment\nA=from file\nQUOTED="as it stands "\n\n  B=2\r\nC\nD=1\n')
    tell = ["sh", "-c", 'echo "$A|$QUOTED|$B|$C|$D|$OTHER|$PWD"; mkdir -p sub']
    words = ["run", "-f", str(file), "-e", "D=2", "--environment", "E=x=y"]
    said = ask(*words, "vm", *tell, C="caller's", OTHER="not asked for")["stdout"]
    folder = ask("run", "vm", "pwd")["stdout"].strip()
    assert f'from file|"as it stands "|2|caller\'s|2||{folder}\n' == said
    assert "asked for|\n" == ask("run", "-E", "vm", "sh", "-c", 'echo "$OTHER|$A"', OTHER="asked for")["stdout"]
    assert f"{folder}/sub\n" == ask("run", "--workdir", "sub", "vm", "pwd")["stdout"]
    assert (1, "none: there is no such folder in the guest") == ask("run", "-D", "none", "vm", "pwd")
    assert (124, f"{tmp_path}/none: No such file or directory") == ask("run", "-f", f"{tmp_path}/none", "vm", "pwd")


def test_codes_that_are_not_the_commands_own(ask, guest, library):
    made = ask("create", "vm")
    guest(ask, "vm", "echo no program > text")
    assert (127, "none: No such file or directory") == ask("run", "vm", "none")
    assert (127, "./none: No such file or directory") == ask("run", "vm", "./none")
    assert (126, "./text: Permission denied") == ask("run", "vm", "./text")
    assert (1, "usage: anka run [-w DIR] [-e NAME=value] [-f FILE] VM COMMAND [ARGUMENT…]") == ask("run", "vm")
    (library / "vm_lib" / made / "guest").rename(library / "elsewhere")
    assert (125, "vm: guest connection lost") == ask("run", "vm", "true")


@pytest.mark.usefixtures("system")
def test_what_runs_in_the_background_ends_with_the_guest(ask, say, library, monkeypatch):
    monkeypatch.setattr(tenants, "GRACE", 0.3)
    heard = library / "vm_lib" / ask("create", "vm") / "guest" / "heard"
    ask("create", "other")
    words = ["sh", "-c", "trap '' TERM; echo >heard; while :; do sleep 600; done"]
    code, out, _ = say("run", "-b", "vm", "sleep", "600")
    assert (0, True) == (code, int(out) > 1)
    stubborn = ask("run", "-b", "vm", *words)["pid"]
    kept = ask("run", "-b", "other", "sleep", "600")["pid"]
    for _ in range(500):  # until it no longer obeys
        if heard.exists():
            break
        Cancelled().wait(0.02)
    assert heard.exists()
    assert {} == ask("stop", "vm")
    assert [signal.SIGTERM, signal.SIGKILL] == [os.waitpid(each, 0)[1] for each in (int(out), stubborn)]
    os.kill(kept, 0)
    assert {} == ask("delete", "--yes", "other")
    assert signal.SIGTERM == os.waitpid(kept, 0)[1]


@pytest.mark.usefixtures("system")
def test_a_guests_command_may_stop_its_own_vm(ask):
    made = ask("create", "vm")
    words = [sys.executable, "-Im", "anka_ci.standin", "stop", "vm"]
    home = ask("config", "vm_lib_dir").removesuffix("/vm_lib")
    assert {"stdout": "", "stderr": ""} == ask("run", "-e", f"ANKA_HOME={home}", "vm", *words)
    assert "stopped" == ask("show", made, "status")


@pytest.mark.usefixtures("system")
def test_a_vm_of_the_same_id_in_another_library_runs_on(ask, library, tmp_path):
    """Every pull of a template gives the VM the template's id, whoever's library it is."""
    ask("create", "vm")
    other = {"ANKA_HOME": str(tmp_path / "other")}
    shutil.copytree(library, tmp_path / "other")
    pid = ask("run", "-b", "vm", "sleep", "600", **other)["pid"]
    try:
        ask("start", "vm")
        ask("stop", "vm")
        assert runs(pid)
    finally:
        ask("stop", "vm", **other)
    assert not runs(pid)
