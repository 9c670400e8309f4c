"""What the tests of the stand-in share: short ways to run it, in this process and in one of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import conftest
from anka_ci.standin.__main__ import main

Ask = Callable[..., Any]


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A library of its own, in which guests may run."""
    return conftest.plain_env(tmp_path) | {"ANKA_HOME": str(tmp_path / "host"), "ANKA_STANDIN_GUESTS": "1"}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The folder of that library."""
    return tmp_path / "host"


@pytest.fixture
def ask(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command with ``--machine-readable``; the body of its reply when it succeeded, else code and message."""

    def run(*args: str, **more: str) -> Any:
        status = main(["--machine-readable", *args], env | more)
        out = capsys.readouterr().out
        found = json.loads(out)
        assert "\n" not in out
        assert status == found["code"]
        return found["body"] if found["status"] == "OK" else (found["code"], found["message"])

    return run


@pytest.fixture
def say(env: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command for people; its exit code, stdout and stderr."""

    def run(*args: str, **more: str) -> tuple[int, str, str]:
        status = main(args, env | more)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def launch(env: dict[str, str]) -> Callable[..., subprocess.Popen[str]]:
    """Start a command as a process of its own, without waiting for it."""

    def run(*args: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-Im", "anka_ci.standin", *args],
            env=env | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture
def guest(launch: Callable[..., subprocess.Popen[str]]) -> Callable[..., str]:
    """Run a shell command in a VM, which is stopped again; what it printed."""

    def run(ask: Ask, vm: str, command: str, **more: str) -> str:
        body = ask("run", vm, "sh", "-c", command, **more)
        ask("stop", vm, **more)
        assert isinstance(body, dict), body
        return str(body["stdout"])

    return run
