"""What the tests share: a server with a small sample, its doors, the command and the stand-in, each of them real.

Nothing is mocked: the embedded server is the double.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from anka_ci import cli as roof
from anka_ci import process
from anka_ci.anka import Anka
from anka_ci.server.app import Server
from anka_ci.settings import Context
from near import Near

SAMPLE_BYTES = 3 << 20

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder that is not the person's, for what runs in this process."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that holds the sample, made once; never served itself, so every test gets it untouched."""
    data = tmp_path_factory.mktemp("seeded") / "data"
    with Server(data, sample=True, sample_bytes=SAMPLE_BYTES):
        pass
    return data


@pytest.fixture
def server(seeded: Path, tmp_path: Path) -> Iterator[Server]:
    """A server on a fresh copy of the sample: three nodes, the group ``ios`` of two of them, guests allowed."""
    data = tmp_path / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, nodes=3, groups={"ios": ("node-1", "node-2")}, run_guests=True) as server:
        yield server


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> Iterator[Near]:
    """The server's stand-in runs in this process, whoever asks it: for tests of what is done with its answers."""
    found = Near(process.run)
    monkeypatch.setattr(process, "run", found)
    yield found
    found.end()


@pytest.fixture
def anka(server: Server) -> Anka:
    """The doors to that server, the stand-in as its host."""
    return Anka(
        Context(
            name="test",
            controller_url=server.controller_url,
            registry_urls=(server.registry_url,),
            anka=(server.anka,),
        )
    )


def plain_env(folder: Path) -> dict[str, str]:
    """An environment that holds nothing of the person's who runs the tests."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "TMPDIR": str(folder)}


@pytest.fixture
def connected(server: Server, tmp_path: Path) -> dict[str, str]:
    """The environment of a command that is connected to the server."""
    return plain_env(tmp_path) | {
        "ANKA_CI_CONTROLLER_URL": server.controller_url,
        "ANKA_CI_REGISTRY_URL": server.registry_url,
        "ANKA_CI_ANKA": server.anka,
    }


@pytest.fixture
def cli(connected: Mapping[str, str], tmp_path: Path) -> Command:
    """``anka-ci`` as a process of its own, connected to the server."""

    def run(
        *args: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-Im", "anka_ci.cli", *args],
            env={**connected, **(env or {})},
            cwd=cwd or tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def here(
    connected: Mapping[str, str],
    near: Near,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Command:
    """The same in this process, the stand-in too: for tests of what a command says and does, not of how it starts."""

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name in [name for name in os.environ if name not in connected]:
                patch.delenv(name)
            for name, value in connected.items():
                patch.setenv(name, value)
            patch.chdir(tmp_path)
            capsys.readouterr()
            code = roof.main(args)
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return run


@pytest.fixture
def standin(server: Server, tmp_path: Path) -> Command:
    """The stand-in ``anka`` of the server, on the server's own host library."""

    def run(*args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        done = process.run([server.anka, *args], env=plain_env(tmp_path) | dict(env or {}), cwd=tmp_path, timeout=120)
        return subprocess.CompletedProcess(done.argv, done.status, done.stdout, done.stderr)

    return run
