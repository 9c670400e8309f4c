"""``import``: a VM or a tag from an archive that ``export`` wrote.

Judged before anything is kept: other names than an OCI image layout has, and bytes that are not what their digest says,
are refused. Nothing is visible before all of it is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
import tarfile
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from anka_ci.errors import RefusedError, UsageError
from anka_ci.standin.desk import Desk
from anka_ci.standin.exporting import UNTAGGED, digest_of
from anka_ci.standin.library import Library
from anka_ci.standin.output import EXISTS, Failure, Reply
from anka_ci.standin.stored import Machine, Meta
from anka_ci.standin.words import exactly, options, parse
from anka_ci.wire.manifest import Layer, Manifest

OPTIONS = {"import": options("--fetch-only")}
LARGEST_SMALL = 4 << 20
"""Bytes of what is held in memory: the index, a manifest, a configuration."""
BLOCK = 1 << 20
_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")


@dataclass
class _Read:
    """What was found in an archive: small blobs in memory, large ones in files of the library, each by its digest."""

    index: bytes = b""
    small: dict[str, bytes] = field(default_factory=dict)
    large: dict[str, Path] = field(default_factory=dict)


def import_(desk: Desk, words: list[str]) -> Reply:
    """Read a VM or a tag from a file or from stdin, and check it out unless only fetching is asked for."""
    found = parse(words, OPTIONS["import"])
    given = exactly(found, 0, 1, "anka import [--fetch-only] [FILE]")
    library, read = desk.library, _Read()
    with library.fetching(desk.cancelled):
        try:
            with contextlib.ExitStack() as stack:
                name = given[0] if given else "-"
                source: IO[bytes] = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
                _take(library, name, source, read)
            manifest, config, untagged = _judge(name, read)
            with library.locked(desk.cancelled):
                machine = _keep(
                    library, read, manifest, config, untagged=untagged, checkout=not found.flag("fetch_only")
                )
        finally:
            for part in read.large.values():
                part.unlink(missing_ok=True)
    body: dict[str, Any] = {"uuid": machine.id, "name": manifest.name}
    return Reply(body=body if untagged else {**body, "tag": manifest.tag}, text=machine.id)


def _take(library: Library, name: str, source: IO[bytes], read: _Read) -> None:
    """Read the archive once, from its beginning to its end, and check every blob."""
    library.images.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                match = _BLOB.fullmatch(member.name)
                if content is None or (match is None and member.name not in ("oci-layout", "index.json")):
                    if member.isdir():
                        continue
                    raise Failure(f"{name}: holds {member.name!r}, which belongs to no archive of a VM")
                if match is None or member.size <= LARGEST_SMALL:
                    if member.size > LARGEST_SMALL:
                        raise Failure(f"{name}: {member.name} is too large")
                    held = content.read()
                    if match is None:
                        read.index = held if member.name == "index.json" else read.index
                        continue
                    read.small[f"sha256:{match[1]}"] = held
                    if digest_of(held)[7:] != match[1]:
                        raise Failure(f"{name}: is damaged: {member.name} holds something else")
                else:
                    _stage(library, name, f"sha256:{match[1]}", content, read)
    except (tarfile.TarError, EOFError) as error:
        raise Failure(f"{name}: is no archive of a VM, or not all of it: {error}") from error


def _stage(library: Library, name: str, digest: str, content: IO[bytes], read: _Read) -> None:
    part = library.images / f".import-{uuid.uuid4().hex}"
    read.large[digest] = part
    hashed = hashlib.sha256()
    with part.open("xb", buffering=0) as file:
        while block := content.read(BLOCK):
            hashed.update(block)
            rest = memoryview(block)
            while rest:
                rest = rest[file.write(rest) or 0 :]
        os.fsync(file.fileno())
    if f"sha256:{hashed.hexdigest()}" != digest:
        raise Failure(f"{name}: is damaged: blob {digest[7:19]} holds something else")


def _judge(name: str, read: _Read) -> tuple[Manifest, dict[str, Any], bool]:
    """The manifest, the configuration, and whether there is no tag. ``Failure`` when it is no archive of ours."""
    try:
        (entry,) = json.loads(read.index)["manifests"]
        manifest = Manifest.read(read.small[entry["digest"]])
        if manifest is None:
            raise ValueError("its manifest is that of something else")
        config = json.loads(read.small[manifest.config_digest])
        uuid.UUID(manifest.id)
        untagged = UNTAGGED in (entry.get("annotations") or {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RefusedError, UsageError) as error:
        raise Failure(f"{name}: is no archive of a VM: {error}") from error
    if not isinstance(config, dict):
        raise Failure(f"{name}: is no archive of a VM: its configuration is no mapping")
    return manifest, config, untagged


def _keep(
    library: Library, read: _Read, manifest: Manifest, config: dict[str, Any], *, untagged: bool, checkout: bool
) -> Machine:
    """Give the layers their names, and make the tag or the VM; its guards are those of a pull."""
    machine = next((each for each in library.machines() if each.id.lower() == manifest.id.lower()), None)
    if machine is None or untagged:
        if machine is not None:
            raise Failure(f"{machine.name}: vm already exists", EXISTS)
        library.free_name(manifest.name)
    elif machine.meta.status == "running":
        raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
    elif machine.stored(manifest.tag) is not None:
        raise Failure(f"{manifest.tag}: tag already exists", hint="delete the local tag first")
    layers = tuple(layer for layer in manifest.layers if layer.role != "nvram")
    _adopt(library, read, layers)
    nvram = next((read.small.get(layer.digest) for layer in manifest.layers if layer.role == "nvram"), None)
    now = library.clock.now()
    meta = Meta(
        tag="" if untagged else manifest.tag,
        arch=manifest.arch or "arm64",
        layers=layers,
        created=now,
        accessed=now,
        description=manifest.description,
    )
    if machine is None:
        own = {**config, "name": manifest.name, "uuid": manifest.id}
        state = replace(meta, tag="", description="")
        return library.publish(manifest.id, own, state, nvram, tagged=None if untagged else meta)
    stored = library.add_tag(machine, config, meta, nvram)
    if checkout:
        library.checkout(machine, stored)
    return machine


def _adopt(library: Library, read: _Read, layers: tuple[Layer, ...]) -> None:
    """Every layer is in the archive, or here already with the same bytes; otherwise nothing is kept."""
    known = library.digests()
    missing = [each for each in layers if each.digest not in read.small and each.digest not in read.large]
    for layer in missing:
        if known.get(layer.file) != layer.digest or not library.whole(Meta(layers=(layer,))):
            raise Failure(
                f"{layer.file}: is neither in the archive nor in the library",
                hint="import the tags that this one stands on first, or export it with --copy",
            )
    for layer in layers:
        if layer in missing or (known.get(layer.file) == layer.digest and library.whole(Meta(layers=(layer,)))):
            continue
        if known.get(layer.file, layer.digest) != layer.digest:
            raise Failure(
                f"{layer.file}: the library has another layer of that name", hint="delete the VM that uses it"
            )
        part = read.large.get(layer.digest)
        if part is None:
            part = library.images / f".import-{uuid.uuid4().hex}"
            with part.open("xb") as file:
                file.write(read.small[layer.digest])
                file.flush()
                os.fsync(file.fileno())
        if part.stat().st_size != layer.size:
            part.unlink()
            raise Failure(f"{layer.file}: is not of the size that the archive says")
        library.adopt(part, layer)
