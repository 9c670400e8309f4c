"""The library on disk: VMs, their local tags, and the layers they share.

Scanned anew on every call; there is no index. What is published appears whole or not at all: a dotfile, flushed, then
renamed. Layers never change once they have their name.
"""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from anka_ci import document
from anka_ci.clock import Cancelled, Clock, SystemClock
from anka_ci.errors import AnkaCiError
from anka_ci.standin.files import COPY, PUT, abandoned, discard, flush, move, put
from anka_ci.standin.orphans import STALE, Orphans
from anka_ci.standin.output import EXISTS, NOT_FOUND, Failure
from anka_ci.standin.stored import Machine, Meta, Stored, encode, fill
from anka_ci.wire import values
from anka_ci.wire.manifest import Layer


class Library:
    """The VMs of one user. Everything that changes something does so inside ``locked``."""

    def __init__(
        self,
        vms: Path,
        images: Path,
        clock: Clock | None = None,
        *,
        named_by_id: bool = False,
        unique_names: bool = True,
        states: Path | None = None,
        locks: Path | None = None,
    ) -> None:
        """``named_by_id``: configurations are files named after the VM's id, as in 2.x; ``unique_names``: see
        ``allow_nonunique_names`` of ``config``; ``states``: where states are, beside the disks unless it is said."""
        self.vms = vms
        self.images, self.states = images, states or images
        self.locks = locks or vms / ".locks"
        self.clock = clock or SystemClock()
        self._named_by_id, self._unique = named_by_id, unique_names
        self._orphans = Orphans(images, self.clock)

    @contextlib.contextmanager
    def locked(self, cancelled: Cancelled) -> Iterator[None]:
        """One command at a time changes the library; the others wait, as long as it takes."""
        with self._alone("library", cancelled):
            self._sweep()
            yield

    def fetching(self, cancelled: Cancelled) -> contextlib.AbstractContextManager[None]:
        """One command at a time fetches layers; those that only change VMs go on meanwhile."""
        return self._alone("fetching", cancelled)

    @contextlib.contextmanager
    def _alone(self, name: str, cancelled: Cancelled) -> Iterator[None]:
        for folder in (*self.folders, self.vms, self.locks):
            folder.mkdir(parents=True, exist_ok=True)
        with (self.locks / name).open("a") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    cancelled.wait(0.05)
                    cancelled.check("waiting for another anka command")
            yield

    def _sweep(self) -> None:
        """Remove what an earlier command was killed over: what it freed or staged at once, downloads after a day."""
        for left in (*self.vms.glob(".new-*"), *self.vms.glob("*/.guest-*"), *self.vms.glob("*/tags/.*-*")):
            discard(left)
        for left in (*self.vms.glob(f"*/{PUT}*"), *self.images.glob(".working-*")):
            left.unlink(missing_ok=True)
        for left in filter(abandoned, self.vms.glob(f"*/{COPY}*")):
            left.unlink(missing_ok=True)
        if due := self._orphans.due():
            self.collect(due)
        for left in (left for folder in self.folders for left in folder.glob(".*")):
            with contextlib.suppress(OSError):
                if self.clock.now() - left.stat().st_mtime > STALE:
                    left.unlink()

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where layers are."""
        return (self.images,) if self.states == self.images else (self.images, self.states)

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
        if self._unique and any(machine.name == name for machine in self.machines()):
            raise Failure(f"{name}: vm already exists", EXISTS)
        return name

    def image(self, layer: Layer) -> Path:
        return (self.states if layer.role == "state" else self.images) / layer.file

    def paths(self, meta: Meta) -> list[Path]:
        """The disk's layer files, base first."""
        return [self.image(layer) for layer in meta.disks]

    def size(self, meta: Meta) -> int:
        """Bytes of the layers that a VM or tag needs."""
        found = {layer.file: layer.size for layer in (*meta.layers, *([meta.working] if meta.working else []))}
        return sum(found.values())

    def whole(self, meta: Meta) -> bool:
        """Whether every layer that a VM or tag needs is here in its size; bytes are compared when a guest is made."""
        for layer in (*meta.layers, *([meta.working] if meta.working else [])):
            try:
                if self.image(layer).stat().st_size != layer.size:
                    return False
            except OSError:
                return False
        return True

    def digests(self) -> dict[str, str]:
        """The digest of every layer that some VM or tag needs, by file."""
        metas = []
        for machine in self.machines():
            with contextlib.suppress(AnkaCiError):  # what a damaged VM needs is checked byte by byte
                metas += [stored.meta for stored in (machine, *machine.tags())]
        layers = [layer for meta in metas for layer in (*meta.layers, *([meta.working] if meta.working else []))]
        return {layer.file: layer.digest for layer in layers}

    def adopt(self, part: Path, layer: Layer, *, fetched: bool = False) -> None:
        """Give a layer, written and flushed, its name; whoever names it as needed comes next."""
        self._orphans.mark((layer.file,), fetched=fetched)
        move(part, self.image(layer))

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
        fill(staged, config, meta, nvram, f"{machine_id}.yaml" if self._named_by_id else "config.yaml")
        if tagged is not None:
            (staged / "tags").mkdir()
            fill(staged / "tags" / encode(tagged.tag), config, tagged, nvram)
            put(staged / "current", tagged.tag.encode() + b"\n")
        staged.rename(self.vms / machine_id)
        flush(self.vms)
        self._orphans.clear(meta.files)
        return Machine(self.vms / machine_id)

    def add_tag(self, machine: Machine, config: Mapping[str, Any], meta: Meta, nvram: bytes | None) -> Stored:
        """Make a local tag, in place of one of that name."""
        folder = machine.folder / "tags" / encode(meta.tag)
        folder.parent.mkdir(exist_ok=True)
        if folder.exists() and Stored(folder).meta.tag != meta.tag:
            raise Failure(f"{meta.tag}: this disk does not tell it from the tag {Stored(folder).meta.tag}")
        staged = folder.parent / f".new-{uuid.uuid4().hex}"
        fill(staged, config, meta, nvram)
        freed: set[str] = set()
        if folder.exists():
            freed = Stored(folder).meta.files
            self._orphans.mark(freed)
            folder.rename(folder.parent / f".old-{uuid.uuid4().hex}")
        staged.rename(folder)
        flush(folder.parent)
        for old in folder.parent.glob(".old-*"):
            discard(old)
        self._orphans.clear(meta.files)
        self.collect(freed)
        return Stored(folder)

    def checkout(self, machine: Machine, stored: Stored) -> None:
        """Make a tag the VM's state; what the guest had changed is gone. Killed half-way it is untagged, not mixed."""
        meta, old = stored.meta, machine.meta
        self._orphans.mark(old.files)
        (machine.folder / "current").unlink(missing_ok=True)
        discard(machine.guest)
        config = {**stored.config, "name": machine.name, "uuid": machine.id}
        put(machine.config_file, document.dump(config).encode())
        if stored.nvram is not None:
            put(machine.folder / "nvram", stored.nvram)
        now = self.clock.now()
        machine.save(
            replace(old, arch=meta.arch, layers=meta.layers, working=None, status="stopped", stopped=now, accessed=now)
        )
        put(machine.folder / "current", meta.tag.encode() + b"\n")
        self._orphans.clear(meta.files - old.files)
        self.collect(old.files)

    def drop_tag(self, machine: Machine, stored: Stored, *, layers: bool = True) -> None:
        """Remove a local tag and, unless ``layers`` may stay (2.x), the layers that nothing else needs."""
        meta = stored.meta
        if layers:
            self._orphans.mark(meta.files)
        if machine.tag == meta.tag:
            (machine.folder / "current").unlink(missing_ok=True)
        discard(stored.folder)
        if layers:
            self.collect(meta.files)

    def clear_cache(self) -> int:
        """Remove unfinished transfers and layers that no VM and no tag needs; the bytes that became free.

        Nothing is removed while a damaged VM cannot tell what it needs.
        """
        try:
            used = set().union(*(machine.needs() for machine in self.machines()))
        except AnkaCiError as error:
            raise Failure(f"what is an orphan cannot be told: {error.message}", hint="delete the damaged VM") from error
        freed = 0
        for left in (left for folder in self.folders for left in folder.iterdir()):
            if left.is_file() and left.name not in used and (left.name.startswith(".") or left.suffix == ".ank"):
                freed += left.stat().st_size
                left.unlink()
        return freed

    def delete(self, machine: Machine) -> None:
        """Remove a VM, its tags, and the layers that nothing else needs."""
        try:
            freed = machine.needs()
        except AnkaCiError:  # what cannot be read can still be removed
            freed = set()
        self._orphans.mark(freed)
        discard(machine.folder)
        self.collect(freed)

    def may_free(self, files: Iterable[str]) -> None:
        """Say, before a change after which these may not be needed, that ``collect`` has to be asked about them."""
        self._orphans.mark(files)

    def collect(self, freed: Iterable[str]) -> None:
        """Remove those of ``freed`` that no VM and no tag needs; none while a damaged VM cannot tell what it needs."""
        found = set(freed)
        try:
            used = set().union(*(machine.needs() for machine in self.machines()))
        except AnkaCiError:
            return
        for file in found - used:
            for folder in self.folders:
                (folder / file).unlink(missing_ok=True)
            (self.images / f".{file}.upload").unlink(missing_ok=True)
        self._orphans.clear(found)

    def free(self, folder: Path | None = None) -> int:
        """Free bytes of the disk of one of the folders where layers are, the first unless it is said."""
        place = folder or self.images
        place.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(place).free


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
