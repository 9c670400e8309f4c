"""``export``: a VM or a tag as one file, for an ``import`` elsewhere without a registry.

The file is an OCI image layout in a tar, with the same manifest that a push sends; Anka's own format is private.
Nothing of the library changes, and no file appears before all of it is written.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import sys
import tarfile
import uuid
from pathlib import Path
from typing import IO

from anka_ci.standin import guests
from anka_ci.standin.desk import Desk
from anka_ci.standin.library import Library
from anka_ci.standin.output import EXISTS, Failure, Reply
from anka_ci.standin.stored import Machine, Stored, with_top
from anka_ci.standin.told import tagged
from anka_ci.standin.words import exactly, options, parse
from anka_ci.wire.manifest import MANIFEST_TYPE, Layer, Manifest, oci_tag

OPTIONS = {"export": options("-t --tag=", "-c --copy")}
UNTAGGED = "anka-ci.untagged"
"""Marks an archive of a VM's state that has no tag."""


def export(desk: Desk, words: list[str]) -> Reply:
    """Write a VM, or with ``--tag`` one of its tags, into a new file; ``-`` is stdout.

    A tag goes without the layers of the tags it stands on, unless ``--copy`` includes them.
    """
    found = parse(words, OPTIONS["export"])
    sought, file = exactly(found, 2, 2, "anka export [--tag TAG] [--copy] VM FILE")
    library, tag = desk.library, found.get("tag")
    with library.locked(desk.cancelled):
        machine = library.find(sought)
        if tag is None and machine.meta.status == "running":
            raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
        stored: Stored = machine
        if tag is None:
            guests.settle(library, machine)
        else:
            stored = tagged(machine, tag)
        if not library.whole(stored.meta):
            raise Failure(f"{machine.name}: a layer is damaged or gone", hint="pull it again")
        base: set[str] = set()
        if tag is not None and not found.flag("copy"):
            older = [each.meta for each in machine.tags() if each.meta.created < stored.meta.created]
            base = set().union(*(meta.files for meta in older))
        _write(library, machine, stored, base, Path(file))
    return Reply(body={"uuid": machine.id, "file": file}, text=machine.id)


def _write(library: Library, machine: Machine, stored: Stored, base: set[str], file: Path) -> None:
    meta, nvram = stored.meta, stored.nvram
    config = json.dumps(
        with_top({**stored.config, "name": machine.name, "uuid": machine.id}, meta.top), ensure_ascii=False
    ).encode()
    layers = (*meta.disks, *(layer for layer in meta.layers if layer.role == "state"))
    small = {digest_of(config): config}
    if nvram:
        small[digest_of(nvram)] = nvram
        layers = (*layers, Layer(file="nvram", digest=digest_of(nvram), size=len(nvram), role="nvram"))
    manifest = Manifest(
        id=machine.id,
        name=machine.name,
        tag=meta.tag or "untagged",
        arch=meta.arch,
        description=meta.description,
        config_digest=digest_of(config),
        config_size=len(config),
        layers=layers,
    ).emit()
    small[digest_of(manifest)] = manifest
    notes = {"org.opencontainers.image.ref.name": oci_tag(meta.tag or "untagged")}
    notes |= {} if meta.tag else {UNTAGGED: "true"}
    entry = {"mediaType": MANIFEST_TYPE, "digest": digest_of(manifest), "size": len(manifest), "annotations": notes}
    index = {"schemaVersion": 2, "manifests": [entry]}
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    if str(file) != "-" and file.exists():
        raise Failure(f"{file}: exists", EXISTS, hint="remove it, or choose another name")
    try:
        with contextlib.ExitStack() as stack:
            target: IO[bytes] = sys.stdout.buffer if str(file) == "-" else stack.enter_context(part.open("wb"))
            tar = stack.enter_context(tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT))
            for name, content in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", _json(index))):
                _put(tar, name, content)
            for digest, content in small.items():
                _put(tar, f"blobs/sha256/{digest[7:]}", content)
            for layer in {each.digest: each for each in layers if each.role != "nvram"}.values():
                if layer.file not in base:
                    info = tarfile.TarInfo(f"blobs/sha256/{layer.digest[7:]}")
                    info.size = layer.size
                    with library.image(layer).open("rb") as source:
                        tar.addfile(info, source)
        if str(file) != "-":
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _json(found: object) -> bytes:
    return json.dumps(found, separators=(",", ":")).encode()


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))
