"""What ``anka`` of 3.9 is told of an OCI registry, and how it is signed in to there: by a script that plays it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.errors import RefusedError
from anka_ci.host import Host
from anka_ci.settings import load

TEAM = "oci://oci.example/team"
REGISTRY = "registry --remote https://oci.example --oci-version v2 --prefix team"
Opened = Callable[..., Host]


@pytest.fixture
def told() -> list[object]:
    return []


@pytest.fixture
def host(tmp_path: Path, told: list[object]) -> Opened:
    """The host door, to an ``anka`` that notes what it is asked and how it is signed in, a line each."""

    def opened(release: str = "3.9.1", **env: str) -> Host:
        command = tmp_path / "anka"
        body = json.dumps({"status": "OK", "body": {"version": release}, "message": "", "code": 0})
        command.write_text(
            f"#!/bin/sh\necho \"$* | $ANKA_REGISTRY_USER | $ANKA_REGISTRY_AUTH_TOKEN\" >>'{tmp_path}/asked'\n"
            f"printf '%s' '{body}'\n"
        )
        command.chmod(0o755)
        given = {"ANKA_CI_REGISTRY_URL": TEAM, "ANKA_CI_ANKA": str(command), "HOME": str(tmp_path)}
        return Anka(load({**given, **env}), tell=told.append).host

    return opened


def asked(folder: Path) -> list[str]:
    """The calls that name a tag."""
    lines = (folder / "asked").read_text().splitlines()
    return [line.removeprefix("--machine-readable ") for line in lines if "--tag" in line]


def docker(folder: Path, content: str) -> None:
    (folder / ".docker").mkdir(exist_ok=True)
    (folder / ".docker" / "config.json").write_text(content)


def test_the_words_and_a_user(host: Opened, tmp_path: Path) -> None:
    door = host(ANKA_REGISTRY_USER="me:secret")
    door.download_size("sonoma", "v1", TEAM)
    door.pull("sonoma", "v1", registry_url=TEAM)
    door.push("sonoma", "v2", registry_url=TEAM)
    door.pull("sonoma", "v1", registry_url=TEAM, fetch_only=True)
    door.push("sonoma", "v3", registry_url=TEAM, shallow=True)
    assert [
        "pull --oci-version v2 --prefix team --check-download-size --tag v1 sonoma https://oci.example | me:secret | ",
        f"{REGISTRY} pull --tag v1 sonoma | me:secret | ",
        f"{REGISTRY} push --tag v2 sonoma | me:secret | ",
        "pull --oci-version v2 --prefix team --fetch-only --tag v1 sonoma https://oci.example | me:secret | ",
        "push --oci-version v2 --prefix team --tag v3 --shallow sonoma https://oci.example | me:secret | ",
    ] == asked(tmp_path)


def test_a_token_takes_the_place_of_what_the_environment_has(
    host: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANKA_REGISTRY_USER", "somebody:else")
    host(ANKA_CI_REGISTRY_AUTH_TOKEN="token").pull("sonoma", "v1", registry_url=TEAM)
    assert [f"{REGISTRY} pull --tag v1 sonoma |  | token"] == asked(tmp_path)


def test_what_docker_login_left_is_handed_on(host: Opened, tmp_path: Path, told: list[object]) -> None:
    known = base64.b64encode(b"me:from-docker").decode()
    docker(tmp_path, json.dumps({"auths": {"oci.example": {"auth": known}}}))
    host().pull("sonoma", "v1", registry_url=TEAM)
    docker(tmp_path, json.dumps({"auths": {"oci.example": {"identitytoken": "no password"}}}))
    host().pull("sonoma", "v1", registry_url=TEAM)
    assert [] == told
    docker(tmp_path, "no JSON")
    host().pull("sonoma", "v1", registry_url=TEAM)
    assert 1 == len(told)
    ends = [line.partition(" | ")[2] for line in asked(tmp_path)]
    assert ["me:from-docker | ", " | ", " | "] == ends


def test_an_anka_before_3_9_is_refused_before_anything_moves(host: Opened, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"3\.8\.5.* has no way to the OCI registry oci://oci\.example/team"):
        host("3.8.5").push("sonoma", "v1", registry_url=TEAM)
    assert [] == asked(tmp_path)
