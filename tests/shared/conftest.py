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
from examined import Doctor, Examined


@pytest.fixture(scope="module")
def served(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that the tests of this module only read from."""
    data = tmp_path_factory.mktemp("served") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data) as server:
        yield server


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """``anka-ci doctor --json`` in this process, with an environment that holds only what is given."""

    def run(*args: str, **env: str) -> Examined:
        for name in list(os.environ):
            if name.upper().endswith("_PROXY") or name.startswith("ANKA"):
                monkeypatch.delenv(name)
        for name, value in (plain_env(tmp_path) | env).items():
            monkeypatch.setenv(name, value)
        code = roof.main(["doctor", "--json", *args])
        return Examined(code, capsys.readouterr().out)

    return run
