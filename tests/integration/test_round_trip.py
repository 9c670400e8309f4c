"""``pull → run-in-vm → push → distribute → pull --shrink`` as one pipeline, on Linux, byte by byte.

Layers are shared at every place: only what was changed moves, and the same bytes are in the end everywhere.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from anka_ci.anka import Anka
from anka_ci.oci import Oci
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context
from anka_ci.wire.manifest import Layer, Manifest
from conftest import Command

PIPELINE = """
version: 1
name: Round trip
steps:
  - id: base
    use: pull
    with: {template: sonoma, tag: base}
  - id: pull
    use: pull
    with: {template: sonoma, tag: v1}
  - id: change
    use: run-in-vm
    with:
      vm: sonoma
      env: {WORDS: "a 'b' \\"c\\" $d"}
      script: |
        mkdir -p "Tools/with space" Empty
        head -c 2000000 /dev/urandom >Tools/big
        printf %s "$WORDS" >"Tools/with space/ü"
        ln -s ../big "Tools/with space/link"
        chmod 700 Tools/big
        rm disk-0.img
  - id: push
    use: push
    with: {template: sonoma, tag: round, description: a round trip}
  - id: distribute
    use: distribute
    with: {template: "${{ steps.push.outputs.id }}", tag: round, group: ios}
  - id: shrink
    use: pull
    with: {template: sonoma, tag: round, shrink: true}
  - id: same
    use: run-in-vm
    with: {vm: sonoma, script: 'cat "Tools/with space/ü"; test ! -e disk-0.img'}
"""


def blobs(data: Path) -> set[str]:
    return {path.name for path in (data / "blobs" / "sha256").glob("*/*")}


def content(folder: Path) -> dict[str, tuple[int, str]]:
    """A tree on disk: mode and what is in it, by path."""
    found = {}
    for path in sorted(folder.rglob("*")):
        what = str(path.readlink()) if path.is_symlink() else "folder"
        if path.is_file() and not path.is_symlink():
            what = hashlib.sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, what)
    return found


def images(library: Path) -> dict[str, str]:
    """The layers that a library holds: digest by file, and nothing else is there."""
    return {path.name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in library.iterdir()}


def guest(host: Path) -> dict[str, tuple[int, str]]:
    return content(host / "vm_lib" / ID / "guest")


@pytest.fixture
def told(cli: Command, server: Server, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """What each step of the pipeline gave."""
    (tmp_path / "round.yml").write_text(PIPELINE)
    done = cli("run", "round.yml", "--json")
    assert 0 == done.returncode, done.stderr
    return {step["id"]: step["outputs"] for step in json.loads(done.stdout)["steps"]}


def manifest_of(server: Server, anka: Anka, tag: str) -> Manifest:
    read = Manifest.read(Oci(server.registry_url, anka).manifest(ID, tag)[0])
    assert read is not None
    return read


def test_only_what_changed_moves_and_the_same_bytes_are_everywhere(
    server: Server, anka: Anka, standin: Command, told: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    made = manifest_of(server, anka, "round")
    before = {layer.file: layer for layer in manifest_of(server, anka, "v1").layers}
    layers = {layer.file: layer for layer in made.layers if layer.role == "disk"}
    new = [layer for file, layer in layers.items() if file not in before]
    assert 1 == len(new)
    assert set(before) < set(layers)
    total = sum(layer.size for layer in layers.values())

    # sizes, as the steps tell them
    base = sum(layer.size for layer in manifest_of(server, anka, "base").layers)
    assert (base, 0) == (told["base"]["bytes-received"], told["base"]["bytes-shared"])
    assert (total - new[0].size - base, base) == (told["pull"]["bytes-received"], told["pull"]["bytes-shared"])
    assert (new[0].size, total - new[0].size) == (told["push"]["bytes-sent"], told["push"]["bytes-shared"])
    assert (0, total) == (told["shrink"]["bytes-received"], told["shrink"]["bytes-shared"])
    assert ["node-1", "node-2"] == sorted(told["distribute"]["succeeded"])
    assert total == anka.registry.template("sonoma").pick("round").size
    assert "a 'b' \"c\" $d" == told["same"]["output"]

    # the registry has every layer once
    known = {layer.digest for layer in (*layers.values(), *before.values())}
    assert {digest.removeprefix("sha256:") for digest in known} < blobs(data)

    # host and nodes hold exactly these layers, with these bytes, under these names
    expected = {file: layer.digest for file, layer in layers.items()}
    assert expected == images(data / "host" / "img_lib")
    for node in ("node-1", "node-2"):
        assert expected == images(next((data / "nodes" / node).rglob("img_lib")))
    assert ["round"] == [row["tag"] for row in json.loads(standin("-j", "show", "sonoma", "tag").stdout)["body"]]

    other_host(anka, server, layers, base, data / "host", tmp_path / "other")


def other_host(anka: Anka, server: Server, layers: dict[str, Layer], base: int, host: Path, other: Path) -> None:
    """A host that has the base alone and gets the rest with ``--shrink``: the guest is the same, byte by byte."""
    script = f'#!/bin/sh\nANKA_HOME={other} exec {server.anka} "$@"\n'
    (other.parent / "anka-of-other").write_text(script)
    (other.parent / "anka-of-other").chmod(0o755)
    doors = Anka(
        Context(name="other", registry_urls=(server.registry_url,), anka=(str(other.parent / "anka-of-other"),))
    )
    doors.host.pull(ID, "base", registry_url=server.registry_url)
    moved = doors.host.pull(ID, "round", registry_url=server.registry_url, shrink=True)
    assert sum(layer.size for layer in layers.values()) - base == moved.moved
    assert {file: layer.digest for file, layer in layers.items()} == images(other / "img_lib")
    for door in (doors, anka):
        assert 0 == door.host.run("sonoma", ["true"]).status
        door.host.stop("sonoma")
    assert guest(host) == guest(other)
    assert (0o100700, hashlib.sha256((host / "vm_lib" / ID / "guest" / "Tools" / "big").read_bytes()).hexdigest()) == (
        guest(other)["Tools/big"]
    )
