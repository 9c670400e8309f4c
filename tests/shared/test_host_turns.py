"""Whose turn it is on a library: a lock between our own calls, and the transfers of others that take none."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock, SystemClock
from anka_ci.errors import FellShortError, InterruptError
from anka_ci.host import sudo, turns
from anka_ci.process_table import Running
from anka_ci.result import Said
from anka_ci.settings import Context
from foreign_anka import ForeignAnka, ok

URL = "http://anka.internal:8089"


class EventfulClock(ManualClock):
    """Something happens when it is slept on for the third time."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self._happens, self.slept = happens, 0

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        super().sleep(seconds, cancelled)
        self.slept += 1
        if self.slept == 3:
            self._happens()


class QuickClock(SystemClock):
    """Lets the others work, and looks again soon."""

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        super().sleep(0.0001, cancelled)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ForeignAnka:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = ForeignAnka(tmp_path)
    found.says("*", ok())
    return found


def waiting(foreign: ForeignAnka, happens: Callable[[], object], told: list[object], *, timeout: float | None = None):
    clock = EventfulClock(happens)
    context = Context(anka=(str(foreign.program),))
    return Anka(context, clock=clock, deadline=Deadline(clock, timeout), tell=told.append)


@contextlib.contextmanager
def busy(foreign: ForeignAnka, what: str = "the pull of a:v1"):
    """Another call at work on the same library."""
    command = [str(foreign.program)]
    with turns.turn(foreign.doors(), command, os.environ, what, agent=False):
        yield


@pytest.mark.parametrize(
    "call",
    [
        lambda host: host.pull("vm", "v1", registry_url=URL),
        lambda host: host.push("vm", "v1", registry_url=URL),
        lambda host: host.clone("vm", "new"),
        lambda host: host.delete("vm"),
        lambda host: host.delete_tag("vm", "v1"),
        lambda host: host.reset("vm"),
    ],
)
def test_what_changes_a_library_waits_for_its_turn_and_says_so(call, foreign):
    foreign.says("*show*", ok({"uuid": "u"}))
    told: list[object] = []
    with contextlib.ExitStack() as held:
        held.enter_context(busy(foreign))
        doors = waiting(foreign, held.close, told)
        with contextlib.suppress(Exception):  # a clone is asked about with words that this double does not know
            call(doors.host)
        assert 3 == doors.clock.slept
    (said,) = told
    expected = f"waits for another anka-ci on this host (process {os.getpid()}: the pull of a:v1)"
    assert isinstance(said, Said)
    assert ("notice", expected) == (said.level, said.text[said.text.index("waits") :])
    assert foreign.calls


def test_what_only_reads_or_uses_a_vm_does_not_wait(foreign):
    with busy(foreign):
        host = waiting(foreign, lambda: None, []).host
        host.vms()
        host.start("vm")
        assert [["list"], ["start", "vm"]] == foreign.calls


def test_locks_leave_no_files_behind_and_a_killed_holder_is_no_obstacle(foreign, tmp_path):
    locks = tmp_path / "cache" / "anka-ci" / "locks"
    with busy(foreign):
        (file,) = locks.iterdir()
        assert 0o600 == file.stat().st_mode & 0o777
    assert [] == list(locks.iterdir())
    file.write_text('{"pid": 4711, "what": "the pull of a:v1"}')
    foreign.doors().host.delete("vm")
    assert [] == list(locks.iterdir())


def test_only_one_of_many_has_the_turn(foreign):
    inside, most, rounds = [0], [0], 40

    def works() -> None:
        for _ in range(rounds):
            doors = Anka(Context(), clock=QuickClock())
            with turns.turn(doors, [str(foreign.program)], os.environ, "work", agent=False):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=works) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (0, 1) == (inside[0], most[0])


def test_another_library_is_another_turn(foreign, monkeypatch):
    with busy(foreign):
        monkeypatch.setenv("ANKA_IMG_LIB_DIR", "/elsewhere")
        waiting(foreign, lambda: None, []).host.delete("vm")


def test_waiting_ends_at_the_deadline_when_cancelled_and_after_hours(foreign):
    with busy(foreign):
        with pytest.raises(FellShortError, match=r"the deletion of vm, waiting for another .* not done within 20 s"):
            waiting(foreign, lambda: None, [], timeout=20).host.delete("vm")
        with pytest.raises(FellShortError, match=r"waited 120 minutes for another anka-ci on this host \(process "):
            waiting(foreign, lambda: None, []).host.delete("vm")
        doors = waiting(foreign, lambda: doors.cancelled.set("SIGTERM"), [])
        with pytest.raises(InterruptError, match="the deletion of vm: interrupted"):
            doors.host.delete("vm")
    assert [] == foreign.calls


def test_no_folder_for_a_lock_is_said_and_no_failure(foreign, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    told: list[object] = []
    foreign.doors(told).host.delete("vm")
    assert ["warning"] == [said.level for said in told if isinstance(said, Said)]
    assert [["delete", "--yes", "vm"]] == foreign.calls


def test_a_transfer_of_the_vendors_agent_is_waited_for(foreign):
    told: list[object] = []
    # A shell that calls itself anka, and reads its commands from a pipe that stays open.
    agent = subprocess.Popen(["anka", "-s", "registry", "pull", "x"], executable="/bin/sh", stdin=subprocess.PIPE)

    def ends() -> None:
        assert agent.stdin is not None
        agent.stdin.close()
        agent.wait()

    try:
        doors = waiting(foreign, ends, told)
        doors.host.delete("vm")
        assert 0 == doors.clock.slept
        doors.host.pull("vm", "v1", registry_url=URL)
        assert 3 == doors.clock.slept
    finally:
        ends()
    (said,) = told
    expected = f"an anka of another program, which pulls (process {agent.pid})"
    assert f"the pull of vm:v1 waits for {expected}" == said.text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("anka registry pull x", True),
        ("/usr/local/bin/anka --machine-readable registry --cacert c pull --tag t x", True),
        ("/usr/local/bin/anka -j --log-level debug registry -r u push -t t x", True),
        ("/Library/Application Support/Veertu/Anka/bin/anka -j pull x", True),
        ("/Library/Application Support/Veertu/Anka/bin/ankanetd", False),
        ("anka pull --check-download-size x", False),
        ("anka registry list", False),
        ("anka run vm git pull", False),
        ("anka", False),
        ("sudo anka registry pull x", False),
        ("/bin/sh anka registry pull x", False),
        ("ankacontroller registry pull", False),
        ("", False),
    ],
)
def test_which_processes_transfer(words, expected):
    assert expected is turns.transfers(Running(pid=1, parent=0, user=0, seconds=0, words=tuple(words.split())))


def test_whose_library_a_command_works_on():
    assert os.geteuid() == sudo.owner(["anka"])
    assert 0 == sudo.owner(["sudo", "-n", "/usr/local/bin/anka"])
    assert 0 == sudo.owner(["/usr/bin/sudo", "-u", "nobody at all", "anka"])
    assert sudo.owner(["sudo", "-u", "nobody", "anka"]) > 0


def test_sudo_is_told_only_what_it_cannot_do_without():
    names = ("ANKA_REGISTRY_USER", "ANKA_REGISTRY_API_KEY", "ANKA_CA_BUNDLE", "ANKA_CI_TOKEN")
    kept = "--preserve-env=ANKA_REGISTRY_API_KEY,ANKA_REGISTRY_USER"
    assert ["sudo", kept, "-n", "/bin/anka"] == sudo.keeping(("sudo", "-n", "/bin/anka"), names)
    assert ["sudo", "-n", "/bin/anka"] == sudo.keeping(("sudo", "-n", "/bin/anka"), names[2:])
    assert ["/bin/anka"] == sudo.keeping(("/bin/anka",), names)


def test_a_command_of_another_user_is_ended_through_sudo_or_that_is_said(tmp_path):
    told: list[object] = []
    doors = Anka(Context(), tell=told.append)
    assert sudo.ending(doors, ("/usr/local/bin/anka",)) is None
    program = tmp_path / "sudo"
    send = sudo.ending(doors, (str(program), "-n", "/usr/local/bin/anka"))
    assert send is not None
    for end in ("exit 0", "echo 'a password is required' >&2; exit 1"):
        program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/words\n{end}\n')
        program.chmod(0o755)
        send(4711, signal.SIGINT)
        assert "-n /bin/kill -2 -- -4711\n" == (tmp_path / "words").read_text()
    program.unlink()
    send(4711, signal.SIGTERM)
    texts = [said.text for said in told if isinstance(said, Said)]
    assert 2 == len(texts)
    assert texts[0].endswith("sudo kill -- -4711 ends it (a password is required)")
    assert "no program" in texts[1]
