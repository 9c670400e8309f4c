"""What is remembered of the ``anka`` command: once asked, until the program changes; nothing that can break a call."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.host import memory
from anka_ci.settings import Context
from foreign_anka import ForeignAnka, ok


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that is remembered in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in [name for name in os.environ if name.startswith("ANKA_STANDIN")]:
        monkeypatch.delenv(name)
    return tmp_path / "cache" / "anka-ci" / "anka.json"


def test_a_release_is_asked_once_and_again_when_the_program_changes(tmp_path, kept, monkeypatch):
    foreign = ForeignAnka(tmp_path, "2.5.7")
    for _ in range(2):
        assert "2.5.7" == foreign.doors().host.version()["version"]
    assert (1, 0o600, 0o700) == (foreign.asked, kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777)
    os.utime(foreign.program, ns=(1, 1))
    foreign.doors().host.version()
    assert 2 == foreign.asked
    foreign.says("nothing")  # which makes it longer
    os.utime(foreign.program, ns=(1, 1))
    foreign.doors().host.version()
    foreign.doors().host.version(again=True)
    assert 4 == foreign.asked
    monkeypatch.setenv("ANKA_STANDIN_GENERATION", "2")
    foreign.doors().host.version()
    assert 5 == foreign.asked


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00", b"{", b"[]", b"[" * 60_000, b'{"KEY": 7}', b'{"KEY": {}}', b'{"KEY": {"version": 3}}']
)
def test_what_cannot_be_read_is_asked_again_and_mended(content, tmp_path, kept):
    foreign = ForeignAnka(tmp_path)
    foreign.doors().host.version()
    (key,) = json.loads(kept.read_bytes())
    kept.write_bytes(content.replace(b"KEY", key.encode()))
    assert "3.8.5" == foreign.doors().host.version()["version"]
    assert 2 == foreign.asked
    foreign.doors().host.version()
    assert (2, [key]) == (foreign.asked, list(json.loads(kept.read_bytes())))


def test_what_somebody_else_may_write_is_not_believed(tmp_path, kept):
    foreign = ForeignAnka(tmp_path)
    foreign.doors().host.version()
    kept.chmod(0o666)
    foreign.doors().host.version()
    assert (2, 0o600) == (foreign.asked, kept.stat().st_mode & 0o777)
    kept.parent.chmod(0o777)
    foreign.doors().host.version()
    assert 3 == foreign.asked


def test_no_more_is_kept_than_is_of_use(tmp_path, kept, monkeypatch):
    monkeypatch.setattr(memory, "MOST", 2)
    foreign = ForeignAnka(tmp_path)
    for stamp in (1, 2, 3):
        os.utime(foreign.program, ns=(stamp, stamp))
        foreign.doors().host.version()
    assert 2 == len(json.loads(kept.read_bytes()))


def test_a_folder_that_cannot_be_made_is_no_failure(tmp_path, kept, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "cache"))
    foreign = ForeignAnka(tmp_path)
    for _ in range(2):
        assert "3.8.5" == foreign.doors().host.version()["version"]
    assert 2 == foreign.asked


def test_a_command_whose_program_is_not_told_is_asked_each_time(tmp_path):
    log = tmp_path / "log"
    script = f"echo >>{log}; printf '%s' '{ok({'version': '3.8.5'})}'"
    for _ in range(2):
        Anka(Context(anka=("sh", "-c", script, "anka"))).host.version()
    assert "\n\n" == log.read_text()
    plain = ForeignAnka(tmp_path).program
    expected = {
        ("sh", "-c", "x", str(plain)): None,
        ("ssh", "mac", str(plain)): None,
        ("sudo", "-n", "anka"): None,
        ("sudo", "-n", str(plain)): plain.resolve(),
        ("/usr/bin/sudo", str(plain)): plain.resolve(),
        ("anka",): plain.resolve(),
        (str(plain),): plain.resolve(),
        (str(tmp_path / "none"),): None,
    }
    assert expected == {command: memory.program(command, str(tmp_path)) for command in expected}
