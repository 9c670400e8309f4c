"""The sample template that ``serve --sample`` starts with: ``sonoma`` with the tags ``base`` and ``v1``.

Three layers, of which the second tag shares the first two; the bytes are the same on every machine. Nothing is
fetched, and a data folder that has the template already is left as it is.
"""

from __future__ import annotations

import hashlib
import json
import random
import tarfile

from anka_ci.server.state import State
from anka_ci.wire.manifest import Layer, Manifest

ID = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"
NAME = "sonoma"
SSH = {"name": "ssh", "guest_port": 22, "host_port": 0, "protocol": "tcp"}
"""The rule that clients which sign in to their instances look for."""
SHARES = (("base", "disk", 12), ("base", "disk", 3), ("v1", "disk", 1))
"""Tag that a layer came with, its role, and its share of the whole in sixteenths."""


def seed(state: State, size: int) -> None:
    """Put the sample into the registry, about ``size`` bytes in all."""
    if any(template.id == ID for template in state.templates()):
        return
    layers: list[Layer] = []
    for number, (tag, _, share) in enumerate(SHARES):
        layers.append(_layer(state, number, size * share // 16, layers[-1].file if layers else ""))
        if number + 1 < len(SHARES) and SHARES[number + 1][0] == tag:
            continue
        config = {
            "name": NAME,
            "uuid": ID,
            "version": 1,
            "ram": "8G",
            "cpu": {"cores": 4},
            "nvram": True,
            "firmware": {"type": "uefi"},
            "hard_drives": [{"pci_slot": 4, "controller": "ablk", "file": layers[-1].file}],
            "network_cards": [{"mode": "shared", "pci_slot": 28, "port_forwarding_rules": [SSH]}],
            "display": {"frame_buffer": {"height": 768, "width": 1024, "pci_slot": 29}},
            "usb": {"pci_slot": 7, "host": 0, "tablet": 1},
            "state_file": "",
        }
        content = json.dumps(config, sort_keys=True).encode()
        manifest = Manifest(
            id=ID,
            name=NAME,
            tag=tag,
            arch="arm64",
            description="sample",
            config_digest=state.blobs.store(content),
            config_size=len(content),
            layers=tuple(layers),
        ).emit()
        state.commit(manifest, "sha256:" + hashlib.sha256(manifest).hexdigest())


def _layer(state: State, number: int, size: int, parent: str) -> Layer:
    """A layer as the stand-in makes them: an uncompressed tar of one file, its owner and time blanked."""
    info = tarfile.TarInfo(f"disk-{number}.img")
    info.size, info.mode = size, 0o644
    source, hashed, upload = random.Random(number), hashlib.sha256(), state.blobs.begin()
    total = 0
    with state.blobs.receive(upload) as incoming:

        def put(block: bytes) -> None:
            nonlocal total
            total += len(block)
            hashed.update(block)
            incoming.write([block])

        put(info.tobuf(tarfile.USTAR_FORMAT))
        for start in range(0, size, 1 << 20):
            put(source.randbytes(min(1 << 20, size - start)))
        put(bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE))
    digest = f"sha256:{hashed.hexdigest()}"
    state.blobs.finish(upload, digest)
    return Layer(file=hashlib.sha256((parent + digest).encode()).hexdigest()[:32] + ".ank", digest=digest, size=total)
