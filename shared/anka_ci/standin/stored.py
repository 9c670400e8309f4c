"""What is kept of a VM and of a tag: a configuration, what it is made of, and perhaps nvram.

``config.yaml`` is for people and scripts, as Anka writes it; ``meta.json`` is the stand-in's own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anka_ci import document
from anka_ci.errors import AnkaCiError
from anka_ci.standin.files import put
from anka_ci.standin.output import Failure
from anka_ci.wire.manifest import Layer, Role


@dataclass(frozen=True, kw_only=True)
class Meta:
    """What is kept beside a configuration, of a VM or of one of its tags.

    ``layers`` run from the base to the newest; ``working`` is what the guest changed since, as a layer, once asked
    for. ``manifest`` is the digest under which the registry has a tag. Times in Unix seconds.
    """

    tag: str = ""
    arch: str = ""
    layers: tuple[Layer, ...] = ()
    working: Layer | None = None
    status: str = "stopped"
    created: float = 0.0
    accessed: float = 0.0
    started: float = 0.0
    stopped: float = 0.0
    description: str = ""
    manifest: str = ""

    @property
    def disks(self) -> tuple[Layer, ...]:
        """The disk's layers, base first, the working one included."""
        found = tuple(layer for layer in self.layers if layer.role == "disk")
        return (*found, self.working) if self.working else found

    @property
    def top(self) -> str:
        """The newest disk layer's file."""
        return self.disks[-1].file if self.disks else ""

    @property
    def files(self) -> set[str]:
        """The layer files this needs."""
        return {layer.file for layer in self.layers} | ({self.working.file} if self.working else set())

    def emit(self) -> bytes:
        found: dict[str, Any] = {
            "tag": self.tag,
            "arch": self.arch,
            "images": [_emit(layer) for layer in reversed(self.layers) if layer.role == "disk"],
            "states": [_emit(layer) for layer in reversed(self.layers) if layer.role == "state"],
            "working": _emit(self.working) if self.working else None,
        }
        for name in ("status", "created", "accessed", "started", "stopped", "description", "manifest"):
            found[name] = getattr(self, name)
        return json.dumps(found, indent=1, ensure_ascii=False).encode()

    @classmethod
    def read(cls, content: bytes) -> Meta:
        """``ValueError`` when it cannot be read."""
        found = json.loads(content)
        try:
            disks = [_layer(item, "disk") for item in reversed(found["images"])]
            states = [_layer(item, "state") for item in reversed(found.get("states") or ())]
            working = found.get("working")
            return cls(
                tag=found.get("tag", ""),
                arch=found.get("arch", ""),
                layers=(*disks, *states),
                working=_layer(working, "disk") if working else None,
                status=found.get("status", "stopped"),
                description=found.get("description", ""),
                manifest=found.get("manifest", ""),
                **{name: float(found.get(name) or 0) for name in ("created", "accessed", "started", "stopped")},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"meta.json lacks {error}") from None


def _emit(layer: Layer) -> dict[str, object]:
    return {"file": layer.file, "digest": layer.digest, "size": layer.size}


def _layer(item: Mapping[str, Any], role: Role) -> Layer:
    return Layer(file=str(item["file"]), digest=str(item["digest"]), size=int(item["size"]), role=role)


class Stored:
    """A folder with ``config.yaml``, ``meta.json`` and perhaps ``nvram``: a VM as it is, or a tag as it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def config_file(self) -> Path:
        """Where the configuration is; 2.x named the file after the id."""
        file = self.folder / "config.yaml"
        return file if file.exists() else next(iter(sorted(self.folder.glob("[0-9a-fA-F]*-*.yaml"))), file)

    @property
    def config(self) -> dict[str, Any]:
        """The VM configuration."""
        file = self.config_file
        found = typed(document.read(file))
        if not isinstance(found, dict):
            raise Failure(f"{file}: is no VM configuration")
        return found

    @property
    def meta(self) -> Meta:
        try:
            return Meta.read((self.folder / "meta.json").read_bytes())
        except (OSError, ValueError) as error:
            raise Failure(f"{self.folder}: cannot be read: {error}", hint="pull it again, or delete it") from error

    @property
    def nvram(self) -> bytes | None:
        file = self.folder / "nvram"
        return file.read_bytes() if file.exists() else None


class Machine(Stored):
    """A VM of the library."""

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def name(self) -> str:
        try:
            return str(self.config.get("name") or self.id)
        except AnkaCiError:  # a damaged VM is still listed, and can be deleted, under its id
            return self.id

    @property
    def tag(self) -> str:
        """The current local tag, empty when there is none."""
        try:
            return (self.folder / "current").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return ""

    @property
    def guest(self) -> Path:
        """The guest's folder; it is made at the first start."""
        return self.folder / "guest"

    def stored(self, tag: str) -> Stored | None:
        """A local tag; None when there is none."""
        found = Stored(self.folder / "tags" / encode(tag))
        return found if found.folder.is_dir() and found.meta.tag == tag else None

    def tags(self, *, readable: bool = False) -> list[Stored]:
        """The local tags: the current one first, the others from the newest to the oldest.

        ``Failure`` for a tag that cannot be read, unless only the ``readable`` ones are asked for.
        """
        try:
            folders = [each for each in (self.folder / "tags").iterdir() if not each.name.startswith(".")]
        except FileNotFoundError:
            return []
        current = self.tag
        found = []
        for stored in map(Stored, folders):
            try:
                found.append((stored.meta, stored))
            except Failure:
                if not readable:
                    raise
        found.sort(key=lambda each: (each[0].tag != current, -each[0].created, each[0].tag))
        return [stored for _, stored in found]

    def needs(self) -> set[str]:
        """The layer files of the VM and of all its tags."""
        return self.meta.files.union(*(stored.meta.files for stored in self.tags()))

    def save(self, meta: Meta) -> None:
        put(self.folder / "meta.json", meta.emit())

    def described(self) -> dict[str, Any]:
        """The configuration with the disk's newest layer in it, as ``describe`` shows it and a push sends it."""
        return with_top(self.config, self.meta.top)


def new_mac() -> str:
    """An address for a network card that no other has: random, and marked as given locally."""
    return ":".join(f"{byte:02x}" for byte in (0x02, *random.randbytes(5)))


def encode(tag: str) -> str:
    """A tag as a folder's name: percent-encoded, a long one shortened; the true tag is in its ``meta.json``."""
    found = quote(tag, safe="+")
    found = "%2E" + found[1:] if found.startswith(".") else found
    return found if len(found) <= 200 else f"%_{sha256(tag.encode()).hexdigest()}"


def with_top(config: Mapping[str, Any], file: str) -> dict[str, Any]:
    """A configuration whose first disk is ``file``."""
    drives = [dict(drive) for drive in config.get("hard_drives") or ({"controller": "virtio-blk", "pci_slot": 4},)]
    if file:
        drives[0]["file"] = file
    return {**config, "hard_drives": drives}


def typed(node: document.Node) -> Any:
    """A YAML node with the types that Anka's configuration has: whole numbers, booleans and text."""
    if isinstance(node.value, dict):
        return {key: typed(each) for key, each in node.value.items()}
    if isinstance(node.value, list):
        return [typed(each) for each in node.value]
    text = node.value
    if text is None or node.quoted:
        return text
    if text in ("true", "false"):
        return text == "true"
    digits = text.removeprefix("-")
    whole = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0"))
    return int(text) if whole else text


def fill(folder: Path, config: Mapping[str, Any], meta: Meta, nvram: bytes | None, name: str = "config.yaml") -> None:
    """Write a new folder for ``Stored``."""
    folder.mkdir()
    put(folder / name, document.dump(with_top(config, meta.top)).encode())
    put(folder / "meta.json", meta.emit())
    if nvram is not None:
        put(folder / "nvram", nvram)
