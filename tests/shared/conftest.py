"""What the tests of ``doctor`` share: the command in this process, and a server that they only read from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from anka_ci import cli as roof
from anka_ci.server.app import Server
from conftest import plain_env
from examined import Doctor, Examined, Told


@pytest.fixture(scope="module")
def served(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests of this module only read from."""
    data = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data) as server:
        yield server


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Told:
    """``anka-ci doctor`` in this process, with an environment that holds only what is given: code, stdout, stderr."""

    def run(*args: str, **env: str) -> tuple[int, str, str]:
        for name in list(os.environ):
            if name.upper().endswith("_PROXY") or name.startswith("ANKA"):
                monkeypatch.delenv(name)
        for name, value in (plain_env(tmp_path) | env).items():
            monkeypatch.setenv(name, value)
        code = roof.main(["doctor", *args])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def doctor(told: Told) -> Doctor:
    """The same with ``--json``, read."""

    def run(*args: str, **env: str) -> Examined:
        code, out, _ = told("--json", *args, **env)
        return Examined(code, out)

    return run
