"""The stand-in's options for signing in, in the spellings of each release, and what ``registry add`` remembers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from anka_ci.secret import Secret
from anka_ci.server.app import Server

Ask = Callable[..., Any]
TOKEN = "a root token of the tests"


@pytest.fixture(scope="module")
def guarded(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with TLS and three ways to sign in; nothing is changed on it."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, tls=True, auth=["certificate", "api-key", "token"], token=Secret(TOKEN)) as server:
        yield server


def certificate(server: Server, cert: str, key: str) -> list[str]:
    mine = server.sign_in["certificate"]
    return [cert, mine["ANKA_CI_CERTIFICATE"], key, mine["ANKA_CI_KEY"]]


def names(found: Any) -> Any:
    return [row["name"] for row in found] if isinstance(found, list) else found


@pytest.mark.parametrize(
    ("ca", "cert", "key"),
    [
        ("--cacert", "--cert", "--key"),
        ("--root-cert", "-c", "-k"),
        ("--cacert", "-i", "--key"),
        ("--cacert", "--pem", "-k"),
    ],
)
def test_a_client_certificate_in_every_spelling(guarded: Server, ask: Ask, ca: str, cert: str, key: str) -> None:
    options = [ca, str(guarded.ca), *certificate(guarded, cert, key)]
    assert ["sonoma"] == names(ask("registry", "-r", guarded.registry_url, *options, "list"))


def test_an_api_key_as_a_file_as_text_and_by_its_variables(guarded: Server, ask: Ask) -> None:
    mine = guarded.sign_in["api-key"]
    identity, file = mine["ANKA_CI_API_KEY_ID"], mine["ANKA_CI_API_KEY"]
    where = ["registry", "--remote", guarded.registry_url, "--cacert", str(guarded.ca)]
    for key in (file, Path(file).read_text().strip()):
        assert ["sonoma"] == names(ask(*where, "--api-key-id", identity, "--api-key", key, "list"))
    variables = {"ANKA_REGISTRY_API_KEY_ID": identity, "ANKA_REGISTRY_API_KEY": file}
    assert ["sonoma"] == names(ask(*where, "list", **variables))
    pulled = ask("pull", "--tag", "base", "sonoma", guarded.registry_url, ANKA_CA_BUNDLE=str(guarded.ca), **variables)
    assert "base" == pulled["tag"]


def test_the_token_of_anka_ci_and_no_check_of_the_certificate(guarded: Server, ask: Ask) -> None:
    where = ["registry", "--remote", guarded.registry_url]
    assert ["sonoma"] == names(ask(*where, "--insecure", "list", ANKA_CI_TOKEN=TOKEN))
    assert ["sonoma"] == names(ask(*where, "list", ANKA_CI_TOKEN=TOKEN, ANKA_CI_CA=str(guarded.ca)))
    assert {} == ask("config", "ca_bundle", str(guarded.ca))
    assert ["sonoma"] == names(ask(*where, "list", ANKA_CI_TOKEN=TOKEN))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--insecure"], 1, "Authentication Required"),
        ([], 30, "TLS failed"),
        (["--insecure", "--cert", "/nowhere/c.pem"], 1, "/nowhere/c.pem cannot be read"),
        (["--insecure", "--api-key-id", "anka-ci"], 1, "--api-key-id is given, but no api-key"),
        (["--insecure", "--api-key-id", "anka-ci", "--api-key", "/nowhere/key"], 1, "is neither PEM text"),
    ],
)
def test_what_fails_says_why(guarded: Server, ask: Ask, options: list[str], code: int, said: str) -> None:
    status, message = ask("registry", "--remote", guarded.registry_url, *options, "list")
    assert (code, True) == (status, said in message), message


def test_what_is_remembered_of_a_registry(guarded: Server, ask: Ask, library: Path) -> None:
    options = ["--cacert", str(guarded.ca), *certificate(guarded, "--cert", "--key")]
    assert {} == ask("registry", *options, "add", "mine", guarded.registry_url)
    assert ["sonoma"] == names(ask("registry", "--remote", "mine", "list"))
    kept = (library / "registries.json").read_text()
    assert ("PRIVATE KEY" in kept, guarded.sign_in["certificate"]["ANKA_CI_KEY"]) == (
        False,
        json.loads(kept)["registries"]["mine"]["key"],
    )
    assert {} == ask("registry", "--cacert", "ca.pem", "add", "--force", "mine", guarded.registry_url)
    assert (
        str(Path("ca.pem").absolute())
        == json.loads((library / "registries.json").read_text())["registries"]["mine"]["cacert"]
    )
    kept = (library / "registries.json").read_text()
    key = "-----BEGIN RSA PRIVATE KEY-----\nQUJD\n-----END RSA PRIVATE KEY-----"
    words = ["registry", "--api-key-id", "x", "--api-key", key, "add", "--force", "other", guarded.registry_url]
    assert "name its file" in ask(*words)[1] or "not kept" in ask(*words)[1]
    assert kept == (library / "registries.json").read_text()
