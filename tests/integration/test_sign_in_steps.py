"""``serve --tls --auth WAY`` for each way: the steps pass with it, fail clearly without it, and no secret is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anka_ci.clock import SystemClock
from conftest import plain_env

STEPS = [
    ("list", "--template", "sonoma"),
    ("pull", "sonoma", "--tag", "base"),
    ("push", "sonoma", "--tag", "mine"),
    ("distribute", "sonoma", "--tag", "mine", "--all"),
    ("revert", "sonoma", "--tag", "mine", "--confirm", "yes"),
]
WAYS = ("token", "certificate", "api-key", "oidc")


@pytest.fixture(scope="module", params=WAYS)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the ready file of such a server says; its output must hold nothing secret when it has ended."""
    folder = tmp_path_factory.mktemp(request.param)
    ready, data = folder / "ready.json", folder / "data"
    words = ["serve", "--data", str(data), "--ready-file", str(ready), "--tls", "--auth", request.param]
    words += ["--sample", "--sample-size", "3MiB", "--nodes", "2", "--run-guests"]
    child = subprocess.Popen(
        [sys.executable, "-Im", "anka_ci.cli", *words],
        env=plain_env(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    clock = SystemClock()
    until = clock.monotonic() + 60
    while not ready.exists():
        assert child.poll() is None, child.communicate()
        assert clock.monotonic() < until
        clock.sleep(0.05)
    told: dict[str, Any] = json.loads(ready.read_text())
    told["said"] = []
    yield told
    child.terminate()
    out = child.communicate(timeout=20)[0] + "".join(told["said"])
    for name in ("root-token", "api-key", "oidc-client-secret", "tls/client.key", "tls/ca.key"):
        for line in (data / name).read_text().splitlines() if (data / name).exists() else []:
            assert line.startswith("-----") or line not in out, f"{name} was told"


def run(told: dict[str, Any], folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    address = {
        "ANKA_CI_CONTROLLER_URL": told["controller_url"],
        "ANKA_CI_REGISTRY_URL": told["registry_url"],
        "ANKA_CI_ANKA": told["anka"],
        "ANKA_CI_CA": told["ca"],
    }
    done = subprocess.run(
        [sys.executable, "-Im", "anka_ci.cli", *words, "-v"],
        env=plain_env(folder) | address | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told["said"] += [done.stdout, done.stderr]
    return done


def test_the_steps_pass_with_it(served: dict[str, Any], tmp_path: Path) -> None:
    (way,) = served["sign_in"]
    for words in STEPS:
        done = run(served, tmp_path, *words, **served["sign_in"][way])
        assert 0 == done.returncode, f"{words}: {done.stderr}"


def test_they_fail_clearly_without_it_and_with_a_wrong_one(served: dict[str, Any], tmp_path: Path) -> None:
    for env in ({}, {"ANKA_CI_TOKEN": "the token of another server"}):
        for words in STEPS:
            done = run(served, tmp_path, *words, **env)
            assert 5 == done.returncode, f"{words}: {done.stderr}"
            assert "Authentication Required" in done.stderr
            assert ("check the token" if env else "set ANKA_CI_TOKEN") in done.stderr


def test_nothing_is_left_of_the_keys(served: dict[str, Any], tmp_path: Path) -> None:
    (way,) = served["sign_in"]
    given = {
        name: Path(value).read_text() if name.endswith("KEY") else value
        for name, value in served["sign_in"][way].items()
    }
    done = run(served, tmp_path, "size", "sonoma", **given)
    assert 0 == done.returncode, done.stderr
    assert [] == [*tmp_path.glob("anka-ci-keys-*")]


def serve(tmp_path: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-Im", "anka_ci.cli", "serve", *args],
        env=plain_env(tmp_path) | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_serve_makes_a_token_that_only_its_owner_reads(tmp_path: Path) -> None:
    data = tmp_path / "data"
    child = serve(tmp_path, "--data", str(data), "--auth", "token")
    try:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(4)]
        told = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        file = Path(told["ANKA_CI_TOKEN_FILE"])
        assert (data / "root-token", 0o600) == (file, file.stat().st_mode & 0o777)
        token = file.read_text().strip()
        done = [
            subprocess.run(
                [sys.executable, "-Im", "anka_ci.cli", "list", "--json"],
                env=plain_env(tmp_path) | env,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            for env in (told, {key: value for key, value in told.items() if "TOKEN" not in key})
        ]
        assert [0, 5] == [each.returncode for each in done], done[0].stderr + done[1].stderr
        assert "set ANKA_CI_TOKEN" in done[1].stderr
        assert "Authentication Required" in json.loads(done[1].stdout)["error"]["message"]
    finally:
        child.terminate()
        out, err = child.communicate(timeout=10)
    assert token not in out + err + "".join(lines) + "".join(each.stdout + each.stderr for each in done)
