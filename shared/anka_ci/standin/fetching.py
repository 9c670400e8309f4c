"""Fetching: layers on their way into the library, side by side where the registry is not ours.

Each is taken up where it was cut off, and gets its name only when it matches its digest. Shows no VM.
"""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.oci import Oci
from anka_ci.oci.lanes import side_by_side
from anka_ci.standin.library import Library
from anka_ci.standin.output import Failure, Meter, Voice, size
from anka_ci.wire.manifest import Layer, Manifest

if TYPE_CHECKING:
    from anka_ci.anka import Anka

SPARE = 1 << 20
"""Bytes that have to stay free beside the layers, for what is small."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a template's data is: the registry's data plane, and the repository in it."""

    oci: Oci
    repository: str
    threads: int

    @property
    def lanes(self) -> int:
        """Layers that move side by side. To the embedded registry one after the other: one is as fast as the disk."""
        return self.threads if self.oci.foreign else 1


def fetch(library: Library, place: Place, anka: Anka, manifest: Manifest, voice: Voice) -> tuple[int, int]:
    """Fetch the layers that are not here; bytes received, and bytes that were here."""
    wanted = [layer for layer in manifest.layers if layer.role != "nvram"]
    missing = [layer for layer in wanted if not _has(library, layer)]
    shared = sum(layer.size for layer in wanted) - sum(layer.size for layer in missing)
    parts = {layer: library.image(layer).with_name(f".{layer.file}.{layer.digest[7:19]}.part") for layer in missing}
    there = {layer: part.stat().st_size if part.exists() else 0 for layer, part in parts.items()}
    for folder in library.folders:
        here = [layer for layer in missing if library.image(layer).parent == folder]
        needed, free = sum(max(0, layer.size - there[layer]) for layer in here), library.free(folder)
        if here and needed + SPARE > free:
            raise Failure(
                f"{manifest.name}:{manifest.tag}: not enough disk: {needed} bytes are to be fetched,"
                f" {free} bytes are free at {folder}",
                hint="delete other VMs or tags, or pull with --shrink",
            )
    meter = Meter(voice, sum(layer.size for layer in missing), "Downloading")

    def one(oci: Oci, layer: Layer) -> int:
        part = parts[layer]
        meter.moved(there[layer])
        try:
            got = oci.pull(place.repository, layer.digest, layer.size, part, meter.moved)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                part.unlink(missing_ok=True)
                message = f"{layer.file}: the disk is full; {size(layer.size)} were to be written to {part.parent}"
                raise Failure(message, hint="make room and pull again") from error
            raise
        library.adopt(part, layer, fetched=True)
        return got

    received = sum(side_by_side(place.oci, anka, missing, one, place.lanes))
    meter.end()
    return received, shared


def _has(library: Library, layer: Layer) -> bool:
    """Whether a layer is here. One that no VM vouches for (a pull was killed before it ended) is read and checked."""
    path = library.image(layer)
    if not path.exists():
        return False
    known = library.digests().get(layer.file)
    if known is None:
        hashed = hashlib.sha256()
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                hashed.update(block)
        known = f"sha256:{hashed.hexdigest()}"
        if known != layer.digest:
            path.unlink()
            return False
    if known != layer.digest:
        raise Failure(f"{layer.file}: the library has another layer of that name", hint="delete the VM that uses it")
    if path.stat().st_size != layer.size:
        path.unlink()  # damaged from outside; it is fetched again
        return False
    return True
