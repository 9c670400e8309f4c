"""What a killed server's scripts left running: recognised and ended, and never another's process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from anka_ci import process_group
from anka_ci.server.leftovers import Leftovers

VM = "0b5c1b0e-65a1-43dc-94dc-2fa0f10e0001"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A shell that leads a group of its own, with another program in it, as a script in a guest is."""
    child = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo up; wait"],
        env={"PATH": "/usr/bin:/bin", "ANKA_VM_UUID": VM},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    process_group.end(child.pid)
    child.stdout.close()
    child.wait(10)


@pytest.fixture(params=["linux", "macos"])
def system(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """With `/proc`, if there is one, and as if there were none."""
    if request.param == "macos":
        monkeypatch.setattr(process_group, "PROCESSES", tmp_path / "no-proc")
    return str(request.param)


def test_the_next_server_ends_what_the_killed_one_ran(
    system: str, running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    Leftovers(tmp_path).begun(running.pid, VM)
    Leftovers(tmp_path).end_earlier()
    assert running.wait(10) != 0
    assert [] == list(tmp_path.glob("*.json"))


def test_what_outlives_the_first_of_its_group_is_ended_too(
    system: str, running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    ours = Leftovers(tmp_path)
    ours.begun(running.pid, VM)
    running.kill()
    running.wait(10)
    if system == "macos":  # there the environment of the others does not tell whose they are
        ours.over(running.pid, VM)
    assert process_group.lives(running.pid)
    Leftovers(tmp_path).end_earlier()
    assert not process_group.members(running.pid)


def test_a_number_that_is_anothers_by_now_is_left_alone(
    system: str, running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """Written down is the same number, of a process that began at another time and in another VM."""
    Leftovers(tmp_path).begun(running.pid, "another")
    file = tmp_path / f"{running.pid}.json"
    noted = json.loads(file.read_text())
    assert str(running.pid) in noted["members"]
    file.write_text(json.dumps({**noted, "members": dict.fromkeys(noted["members"], "long ago")}))
    Leftovers(tmp_path).end_earlier()
    assert running.poll() is None
    assert process_group.lives(running.pid)
    assert not file.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"vm": 1}', '{"vm": "a", "members": []}', '{"vm": "a", "members": {"x": 1}}']
)
def test_a_record_that_cannot_be_read_ends_nothing(text: str, running: subprocess.Popen[bytes], tmp_path: Path) -> None:
    (tmp_path / f"{running.pid}.json").write_text(text)
    Leftovers(tmp_path).end_earlier()
    assert process_group.lives(running.pid)


def test_what_ends_by_itself_is_forgotten_and_what_does_not_ends_with_its_vm(
    running: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    ours = Leftovers(tmp_path)
    ours.begun(running.pid, VM)
    ours.over(running.pid, VM)
    ours.end("another")
    assert process_group.lives(running.pid)
    ours.end(VM)
    assert not process_group.lives(running.pid)
    assert [] == list(tmp_path.glob("*.json"))
    ours.begun(running.pid, VM)
    ours.over(running.pid, VM)
    assert [] == list(tmp_path.glob("*.json"))
