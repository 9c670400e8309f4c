"""An ordinary OCI client against the registry: images in and out, and templates out of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from integration.conftest import tool

Skopeo = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    program = tool("skopeo")

    def run(command: str, *words: str, good: bool = True) -> subprocess.CompletedProcess[str]:
        plain = ["--src-tls-verify=false", "--dest-tls-verify=false"] if command == "copy" else ["--tls-verify=false"]
        done = subprocess.run(
            [program, "--insecure-policy", command, *plain, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert good == (done.returncode == 0), done.stderr
        return done

    return run


def image(folder: Path, number: int = 1) -> None:
    """An image in an OCI layout, its one layer a gzipped tar, as a builder would leave it."""

    def blob(content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        place = folder / "blobs" / "sha256" / digest
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        return {"digest": f"sha256:{digest}", "size": len(content)}

    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as made:
        info = tarfile.TarInfo("hello")
        info.size = 1 << 20
        made.addfile(info, io.BytesIO(bytes([number]) * info.size))
    plain = "sha256:" + hashlib.sha256(tar.getvalue()).hexdigest()
    rootfs = {"type": "layers", "diff_ids": [plain]}
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode())
    layer = blob(gzip.compress(tar.getvalue(), mtime=0))
    kinds = "application/vnd.oci.image."
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": kinds + "config.v1+json", **config},
        "layers": [{"mediaType": kinds + "layer.v1.tar+gzip", **layer}],
    }
    item = {"mediaType": kinds + "manifest.v1+json", **blob(json.dumps(manifest).encode())}
    item["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [item]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def host(server: Server) -> str:
    return urlsplit(server.registry_url).netloc


def names(server: Server) -> list[str]:
    rows = requests.get(f"{server.registry_url}/registry/v2/vm", timeout=10).json()["body"]
    return [row["name"] for row in rows]


def digests(folder: Path) -> set[str]:
    """What a ``dir:`` folder holds, by digest."""
    return {hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir() if file.name != "version"}


def test_an_image_in_and_back(server: Server, skopeo: Skopeo, tmp_path: Path) -> None:
    image(tmp_path / "made")
    place = f"docker://{host(server)}/team/tools"
    for tag in ("v1", "v2"):
        skopeo("copy", "--preserve-digests", "oci:made:latest", f"{place}:{tag}")
    assert ["v1", "v2"] == json.loads(skopeo("list-tags", place).stdout)["Tags"]
    assert "linux" == json.loads(skopeo("inspect", f"{place}:v1").stdout)["Os"]
    skopeo("copy", "--preserve-digests", f"{place}:v1", "dir:back")
    skopeo("copy", "--preserve-digests", "oci:made:latest", "dir:direct")
    assert digests(tmp_path / "direct") == digests(tmp_path / "back")
    skopeo("copy", "--format", "v2s2", "oci:made:latest", f"{place}:docker")
    kind = json.loads(skopeo("inspect", "--raw", f"{place}:docker").stdout)["mediaType"]
    assert "application/vnd.docker.distribution.manifest.v2+json" == kind
    skopeo("delete", f"{place}:v1")
    assert ["docker"] == json.loads(skopeo("list-tags", place).stdout)["Tags"]
    assert ["sonoma"] == names(server)


@pytest.mark.parametrize("target", ["dir:out", "oci:out:v1", "docker://{host}/backup/sonoma:v1"])
def test_a_template_out_and_back_again(server: Server, skopeo: Skopeo, tmp_path: Path, target: str) -> None:
    template = f"docker://{host(server)}/{ID}:v1"
    before = skopeo("inspect", "--raw", template).stdout
    target = target.format(host=host(server))
    skopeo("copy", "--preserve-digests", template, target)
    skopeo("copy", "--preserve-digests", target, "dir:again")
    skopeo("copy", "--preserve-digests", template, "dir:direct")
    assert digests(tmp_path / "direct") == digests(tmp_path / "again")
    assert ["sonoma"] == names(server)
    requests.delete(f"{server.registry_url}/registry/revert?id={ID}", timeout=10)
    skopeo("copy", "--preserve-digests", target, template)
    assert before == skopeo("inspect", "--raw", template).stdout
    found = requests.get(f"{server.registry_url}/registry/v2/vm?id={ID}", timeout=10).json()["body"]
    assert [(0, "base"), (1, "v1")] == [(version["number"], version["tag"]) for version in found["versions"]]


def test_what_does_not_belong_into_a_template_is_refused(server: Server, skopeo: Skopeo, tmp_path: Path) -> None:
    image(tmp_path / "made")
    template = f"docker://{host(server)}/{ID}"
    assert "template's repository" in skopeo("copy", "oci:made:latest", f"{template}:v3", good=False).stderr
    assert "is of the tag 'v1'" in skopeo("copy", f"{template}:v1", f"{template}:v3", good=False).stderr
    assert ["base", "v1"] == json.loads(skopeo("list-tags", template).stdout)["Tags"]
