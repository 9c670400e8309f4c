"""What has to hold of a stand-in's library at any moment, and how it is asked: as a process of its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from anka_ci.standin.library import Library
from anka_ci.standin.stored import Stored
from integration.conftest import standin_env
from integration.killing import STANDIN


def said(home: Path, *words: str) -> Any:
    """The body of a reply, which has to be a success."""
    env = standin_env(home) | {"ANKA_STANDIN_GUESTS": "1"}
    done = subprocess.run([*STANDIN, *words], env=env, capture_output=True, check=False)
    assert 0 == done.returncode, (words, done.stdout, done.stderr)
    return json.loads(done.stdout)["body"]


def whole(home: Path) -> None:
    """Every VM and every tag that is shown can be read, and each of its layers has the bytes it is said to have."""
    found = Library(home / "vm_lib", home / "img_lib")
    for row in said(home, "list"):
        assert "failed" != row["status"], row
        machine = found.find(row["uuid"])
        for stored in (machine, *machine.tags()):
            layers_whole(found, row["uuid"], stored)
        tags = [each["tag"] for each in said(home, "show", row["uuid"], "tag")]
        if "version" in row:
            assert row["version"] == tags[0]
            current = machine.stored(tags[0])
            assert current is not None
            assert current.meta.layers == machine.meta.layers, "the VM is not what its tag says"


def layers_whole(library: Library, id_: str, stored: Stored) -> None:
    assert id_ == stored.config["uuid"]
    meta = stored.meta
    for layer in (*meta.layers, *([meta.working] if meta.working else [])):
        content = library.image(layer).read_bytes()
        assert layer.size == len(content)
        assert layer.digest == "sha256:" + hashlib.sha256(content).hexdigest()


def tidy(home: Path) -> None:
    """Every layer is needed by a VM or a tag, and nothing is left of a command that did not get to its end."""
    library = Library(home / "vm_lib", home / "img_lib")
    needed = set().union(*(machine.needs() for machine in library.machines()))
    assert needed == {path.name for path in library.images.iterdir()}
    left = [path for path in library.vms.rglob(".*") if path.parent.name != "guest" and path.name != ".locks"]
    assert [] == left
