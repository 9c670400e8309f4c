"""The library on disk: VMs, their local tags, and the layers they share.

Scanned anew on every call; there is no index. What is published appears whole or not at all: a dotfile, flushed, then
renamed. Layers never change once they have their name. ``config.yaml`` is for people and scripts, as Anka writes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from anka_ci import document
from anka_ci.clock import Cancelled, Clock, SystemClock
from anka_ci.errors import AnkaCiError
from anka_ci.standin.output import EXISTS, NOT_FOUND, Failure
from anka_ci.wire import values
from anka_ci.wire.manifest import Layer, Role

STALE = 86_400.0
"""Seconds after which an unfinished download is removed, as Anka does from 3.2 on."""


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
    def config(self) -> dict[str, Any]:
        """The VM configuration; 2.x named the file after the id."""
        file = self.folder / "config.yaml"
        if not file.exists():
            file = next(iter(self.folder.glob("[0-9a-fA-F]*.yaml")), file)
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

    def tags(self) -> list[Stored]:
        """The local tags: the current one first, the others from the newest to the oldest."""
        try:
            folders = [each for each in (self.folder / "tags").iterdir() if not each.name.startswith(".")]
        except FileNotFoundError:
            return []
        current = self.tag
        found = [(stored.meta, stored) for stored in map(Stored, folders)]
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


class Library:
    """The VMs of one user. Everything that changes something does so inside ``locked``."""

    def __init__(self, vms: Path, images: Path, clock: Clock | None = None) -> None:
        self.vms = vms
        self.images = images
        self.clock = clock or SystemClock()

    @contextlib.contextmanager
    def locked(self, cancelled: Cancelled) -> Iterator[None]:
        """One command at a time changes the library; the others wait, as long as it takes."""
        self.images.mkdir(parents=True, exist_ok=True)
        (self.vms / ".locks").mkdir(parents=True, exist_ok=True)
        with (self.vms / ".locks" / "library").open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    cancelled.wait(0.05)
                    cancelled.check("waiting for another anka command")
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Remove what an earlier command was killed over: staged folders at once, downloads after a day."""
        for left in (*self.vms.glob(".new-*"), *self.vms.glob("*/.guest-*"), *self.vms.glob("*/tags/.*-*")):
            discard(left)
        for left in self.images.glob(".*"):
            with contextlib.suppress(OSError):
                if self.clock.now() - left.stat().st_mtime > STALE:
                    left.unlink()

    def machines(self) -> list[Machine]:
        """Every VM, by name."""
        try:
            folders = [each for each in self.vms.iterdir() if not each.name.startswith(".") and each.is_dir()]
        except FileNotFoundError:
            return []
        found = [
            (machine.name, machine) for machine in map(Machine, folders) if (machine.folder / "meta.json").exists()
        ]
        return [machine for _, machine in sorted(found, key=lambda each: (each[0], each[1].id))]

    def find(self, sought: str) -> Machine:
        """A VM by exact id, exact name, or an unambiguous beginning of its id of six characters or more."""
        found = self.seek(sought)
        if found is None:
            raise Failure(f"{sought}: not found", NOT_FOUND)
        return found

    def seek(self, sought: str) -> Machine | None:
        """The same; None when there is none."""
        found: Machine | None = pick(sought, [(machine.id, machine.name, machine) for machine in self.machines()])
        return found

    def free_name(self, name: str) -> str:
        """A name that no VM has. ``Failure`` 18 otherwise."""
        values.check_name(name)
        if any(machine.name == name for machine in self.machines()):
            raise Failure(f"{name}: vm already exists", EXISTS)
        return name

    def image(self, layer: Layer) -> Path:
        return self.images / layer.file

    def paths(self, meta: Meta) -> list[Path]:
        """The disk's layer files, base first."""
        return [self.image(layer) for layer in meta.disks]

    def size(self, meta: Meta) -> int:
        """Bytes of the layers that a VM or tag needs."""
        found = {layer.file: layer.size for layer in (*meta.layers, *([meta.working] if meta.working else []))}
        return sum(found.values())

    def digests(self) -> dict[str, str]:
        """The digest of every layer that some VM or tag needs, by file."""
        metas = []
        for machine in self.machines():
            with contextlib.suppress(AnkaCiError):  # what a damaged VM needs is checked byte by byte
                metas += [stored.meta for stored in (machine, *machine.tags())]
        layers = [layer for meta in metas for layer in (*meta.layers, *([meta.working] if meta.working else []))]
        return {layer.file: layer.digest for layer in layers}

    def adopt(self, part: Path, layer: Layer) -> None:
        """Give a layer, written and flushed, its name."""
        part.replace(self.image(layer))
        flush(self.images)

    def publish(
        self,
        machine_id: str,
        config: Mapping[str, Any],
        meta: Meta,
        nvram: bytes | None,
        tagged: Meta | None = None,
    ) -> Machine:
        """Make a new VM visible; with ``tagged`` its state is that tag, from the first moment on."""
        staged = self.vms / f".new-{uuid.uuid4().hex}"
        _fill(staged, config, meta, nvram)
        if tagged is not None:
            (staged / "tags").mkdir()
            _fill(staged / "tags" / encode(tagged.tag), config, tagged, nvram)
            put(staged / "current", tagged.tag.encode() + b"\n")
        staged.rename(self.vms / machine_id)
        flush(self.vms)
        return Machine(self.vms / machine_id)

    def add_tag(self, machine: Machine, config: Mapping[str, Any], meta: Meta, nvram: bytes | None) -> Stored:
        """Make a local tag, in place of one of that name."""
        folder = machine.folder / "tags" / encode(meta.tag)
        folder.parent.mkdir(exist_ok=True)
        if folder.exists() and Stored(folder).meta.tag != meta.tag:
            raise Failure(f"{meta.tag}: this disk does not tell it from the tag {Stored(folder).meta.tag}")
        staged = folder.parent / f".new-{uuid.uuid4().hex}"
        _fill(staged, config, meta, nvram)
        freed: set[str] = set()
        if folder.exists():
            freed = Stored(folder).meta.files
            folder.rename(folder.parent / f".old-{uuid.uuid4().hex}")
        staged.rename(folder)
        flush(folder.parent)
        for old in folder.parent.glob(".old-*"):
            discard(old)
        self.collect(freed)
        return Stored(folder)

    def checkout(self, machine: Machine, stored: Stored) -> None:
        """Make a tag the VM's state; what the guest had changed is gone. Killed half-way it is untagged, not mixed."""
        meta, old = stored.meta, machine.meta
        (machine.folder / "current").unlink(missing_ok=True)
        discard(machine.guest)
        config = {**stored.config, "name": machine.name, "uuid": machine.id}
        put(machine.folder / "config.yaml", document.dump(config).encode())
        if stored.nvram is not None:
            put(machine.folder / "nvram", stored.nvram)
        now = self.clock.now()
        machine.save(
            replace(old, arch=meta.arch, layers=meta.layers, working=None, status="stopped", stopped=now, accessed=now)
        )
        put(machine.folder / "current", meta.tag.encode() + b"\n")
        self.collect(old.files)

    def drop_tag(self, machine: Machine, stored: Stored) -> None:
        """Remove a local tag and the layers that nothing else needs."""
        meta = stored.meta
        if machine.tag == meta.tag:
            (machine.folder / "current").unlink(missing_ok=True)
        discard(stored.folder)
        self.collect(meta.files)

    def delete(self, machine: Machine) -> None:
        """Remove a VM, its tags, and the layers that nothing else needs."""
        try:
            freed = machine.needs()
        except AnkaCiError:  # what cannot be read can still be removed
            freed = set()
        discard(machine.folder)
        self.collect(freed)

    def collect(self, freed: Iterable[str]) -> None:
        """Remove those of ``freed`` that no VM and no tag needs; none while a damaged VM cannot tell what it needs."""
        try:
            used = set().union(*(machine.needs() for machine in self.machines()))
        except AnkaCiError:
            return
        for file in set(freed) - used:
            (self.images / file).unlink(missing_ok=True)
            (self.images / f".{file}.upload").unlink(missing_ok=True)

    def free(self) -> int:
        """Free bytes of the layers' disk."""
        self.images.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.images).free


def pick(sought: str, rows: list[tuple[str, str, Any]]) -> Any:
    """The one of ``rows`` (id, name, thing) that is meant: exact id, exact name, unique beginning of an id."""
    low = sought.lower()
    for found in (
        [thing for id_, _, thing in rows if id_.lower() == low],
        [thing for _, name, thing in rows if name == sought],
        [thing for id_, _, thing in rows if len(sought) >= 6 and id_.lower().startswith(low)],
    ):
        if len(found) > 1:
            raise Failure(f"{sought}: there are {len(found)} of that name", hint="give the id")
        if found:
            return found[0]
    return None


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


def _fill(folder: Path, config: Mapping[str, Any], meta: Meta, nvram: bytes | None) -> None:
    folder.mkdir()
    put(folder / "config.yaml", document.dump(with_top(config, meta.top)).encode())
    put(folder / "meta.json", meta.emit())
    if nvram is not None:
        put(folder / "nvram", nvram)


def put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    flush(path.parent)


def flush(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(folder: Path) -> None:
    """Remove a folder; it is out of sight at once, and folders that a guest closed are no obstacle."""
    if not folder.exists():
        return
    gone = folder.with_name(f".guest-{uuid.uuid4().hex}") if folder.name == "guest" else folder
    if folder.name != "guest" and not folder.name.startswith("."):
        gone = folder.with_name(f".new-{uuid.uuid4().hex}")
    folder.rename(gone)
    for place, folders, _ in os.walk(gone):
        for name in folders:
            inner = Path(place, name)
            if not inner.is_symlink():
                inner.chmod(0o700)
    shutil.rmtree(gone, ignore_errors=True)
