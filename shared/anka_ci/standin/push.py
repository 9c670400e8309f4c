"""Push: a VM's state on its way into a registry as a new version, and then a local tag.

The local tag is made after the registry has the version, so that a push that failed leaves none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, RefusedError
from anka_ci.oci import Oci
from anka_ci.oci.lanes import LANES, side_by_side
from anka_ci.standin import guests
from anka_ci.standin.fetching import Place
from anka_ci.standin.files import put
from anka_ci.standin.library import Library
from anka_ci.standin.output import Failure, Meter, Reply, Voice, moved
from anka_ci.standin.pull import find, named
from anka_ci.standin.stored import Machine, Meta, with_top
from anka_ci.wire.manifest import Layer, Manifest, oci_tag
from anka_ci.wire.template import Template
from anka_ci.wire.values import check_tag

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.clock import Cancelled

LATEST = "latest"
MOST_ASKED = 2
"""Repositories of which a layer is asked before it is sent."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """One push: what is asked for, and how. ``onto`` is a template of the registry by id or name; ``shallow`` makes
    one layer of all, which then needs no older tag."""

    sought: str
    tag: str
    description: str = ""
    onto: str | None = None
    force: bool = False
    threads: int = LANES
    shallow: bool = False


def push(library: Library, anka: Anka | None, asked: Push, cancelled: Cancelled, voice: Voice) -> Reply:
    """Store a VM's state as a new version and tag it locally; without a registry (``anka`` None) only the latter."""
    check_tag(asked.tag)
    with library.locked(cancelled):
        machine = library.find(asked.sought)
        if machine.meta.status == "running":
            raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
        guests.settle(library, machine)
        meta = _flat(library, machine.meta) if asked.shallow else machine.meta
        files = machine.meta.files | meta.files
        try:
            return _push(library, anka, asked, Subject(machine=machine, meta=meta), voice)
        finally:
            if asked.shallow:
                library.collect(files)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is pushed: a VM, and the state of it, which is another than the VM's own once it was made one layer."""

    machine: Machine
    meta: Meta


def _flat(library: Library, meta: Meta) -> Meta:
    """The same state with one disk layer in place of all."""
    if len(meta.disks) == 1:
        return meta
    states = tuple(layer for layer in meta.layers if layer.role == "state")
    return replace(meta, layers=(guests.flatten(library, meta), *states), working=None)


def _push(library: Library, anka: Anka | None, asked: Push, subject: Subject, voice: Voice) -> Reply:
    machine = subject.machine
    before = machine.stored(asked.tag)
    same = before is not None and before.meta.disks == subject.meta.disks
    if before is not None and not same and not asked.force:
        raise Failure(f"{asked.tag}: tag already exists", hint="it is a local tag with another content; --force")
    if anka is None:
        if same and machine.tag == asked.tag:  # of another tag, or of none: a push was killed before its end
            raise Failure(f"{asked.tag}: tag already exists")
        _tag(library, subject, asked, "")
        made = {"uuid": machine.id, "name": machine.name, "tag": asked.tag}
        return Reply(body=made, message=f"{machine.id}: tagged {asked.tag}")
    target = _target(library, anka, machine, asked)
    manifest, config, nvram = _compose(subject, target, asked)
    registry = anka.registry
    home = registry.repository(registry.sought(target or Template(id=manifest.id, name=manifest.name)))
    place = Place(oci=registry.data(anka), repository=home, threads=asked.threads)
    content = manifest.emit()
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    replaces = _judge(place, target, asked, digest, voice, again=same and machine.tag == asked.tag)
    sent, shared = _send(library, place, anka, manifest, voice)
    for small in (config, *([nvram] if nvram is not None else [])):
        place.oci.put_content(place.repository, small)
    number = _commit(place, asked.tag, content, replaces)
    _tag(library, subject, asked, digest)
    body: dict[str, Any] = {"uuid": manifest.id, "name": manifest.name, "tag": asked.tag}
    body |= {} if place.oci.foreign else {"version": number}
    return moved(voice, "pushed", {**body, "bytes_sent": sent, "bytes_shared": shared}, sent)


def _commit(place: Place, tag: str, content: bytes, replaces: str | None) -> int:
    """Put the manifest, which makes the version; in an OCI registry ``latest`` becomes its alias, as Anka has it."""
    oci = place.oci
    try:
        number = oci.put_manifest(place.repository, oci_tag(tag), content, replaces=replaces)
    except RefusedError as error:
        if error.facts.get("status") in (409, 412):
            raise Failure(f"{tag}: tag already exists", hint=str(error.facts.get("said"))) from error
        raise
    if oci.foreign and tag != LATEST:
        oci.put_manifest(place.repository, LATEST, content)
    return number


def _target(library: Library, anka: Anka, machine: Machine, asked: Push) -> Template | None:
    """The template that gets the version; None when it will be a new one. Guards names that are taken."""
    arch = machine.meta.arch
    if asked.onto is not None:
        found = find(anka, named(library, anka, asked.onto), arch)
        if found.arch and found.arch != arch:
            raise Failure(f"{found.name}: a VM for {arch} is no version of a template for {found.arch}")
        # What others pushed to an OCI registry tells no id, so the VM's own is as good as any.
        known = found.stacked or found.id != anka.registry.sought(found)
        return found if known else replace(found, id=machine.id)
    home = anka.registry.home(machine.id, machine.name, arch)
    if home is not None and home.id.lower() != machine.id.lower():
        hint = "push it onto that template with --remote-vm, or rename the VM"
        raise Failure(f"{machine.name}: registry uuid ({home.id}) doesn't match", hint=hint)
    return home


def _compose(subject: Subject, target: Template | None, asked: Push) -> tuple[Manifest, bytes, bytes | None]:
    """The manifest of a VM's state, with its configuration and nvram; the same state gives the same bytes."""
    machine, meta, nvram = subject.machine, subject.meta, subject.machine.nvram
    id_, name = (target.id, target.name) if target else (machine.id, machine.name)
    config: Mapping[str, Any] = {**machine.config, "name": name, "uuid": id_}
    text = json.dumps(with_top(config, meta.top), sort_keys=True, ensure_ascii=False).encode()
    layers = (*meta.disks, *(layer for layer in meta.layers if layer.role == "state"))
    if nvram:
        found = "sha256:" + hashlib.sha256(nvram).hexdigest()
        layers = (*layers, Layer(file="nvram", digest=found, size=len(nvram), role="nvram"))
    manifest = Manifest(
        id=id_,
        name=name,
        tag=asked.tag,
        arch=meta.arch,
        description=asked.description,
        config_digest="sha256:" + hashlib.sha256(text).hexdigest(),
        config_size=len(text),
        layers=layers,
    )
    return manifest, text, nvram or None


def _judge(place: Place, target: Template | None, asked: Push, digest: str, voice: Voice, *, again: bool) -> str | None:
    """The digest of the version that this push replaces, None when it adds one; ``Failure`` when it may not.

    A push that was killed after the registry had the version is no error: it has only the local tag left to make.
    ``--force`` of 2.x is about local tags only; what 3.x does with a version that is not the newest is undocumented.
    """
    there = next((each for each in (target.versions or ()) if each.tag == asked.tag), None) if target else None
    if there is None or target is None:
        return None
    known = place.oci.manifest_digest(place.repository, oci_tag(asked.tag))
    if known == digest and not again:
        return None
    if not asked.force or voice.generation == 2:
        hint = "choose another" + ("" if voice.generation == 2 else ", or replace it with --force")
        raise Failure(f"{asked.tag}: tag already exists", hint=hint)
    if target.stacked and there != target.newest:
        newer = ", ".join(each.tag for each in target.newer_than(there))
        raise Failure(
            f"{asked.tag}: tag already exists, and only the newest version can be replaced; newer: {newer}",
            hint=f"`anka registry revert {target.name} --tag {asked.tag}` removes it and all newer ones",
        )
    return known


def _send(library: Library, place: Place, anka: Anka, manifest: Manifest, voice: Voice) -> tuple[int, int]:
    """Send the layers that the registry has not; bytes sent, and bytes that were there."""
    layers = [layer for layer in manifest.layers if layer.role != "nvram"]
    total = sum(layer.size for layer in layers)
    meter = Meter(voice, total, "Uploading")

    others = _elsewhere(library, anka, place) if place.oci.foreign else {}

    def one(oci: Oci, layer: Layer) -> tuple[int, int]:
        file = library.image(layer)
        if not file.exists() or file.stat().st_size != layer.size:
            raise Failure(f"{layer.file}: the layer is damaged or gone from {file.parent}", hint="pull it again")
        ticket = library.images / f".{layer.file}.upload"
        there = oci.blob_size(place.repository, layer.digest) is not None
        if there or any(oci.mount(place.repository, layer.digest, other) for other in others.get(layer.file, ())):
            ticket.unlink(missing_ok=True)  # of a push that was killed when the layer had just arrived
            meter.moved(layer.size)
            return 0, layer.size
        return oci.push(place.repository, layer.digest, file, ticket, meter.moved), 0

    found = side_by_side(place.oci, anka, layers, one, place.lanes)
    meter.end()
    return sum(sent for sent, _ in found), sum(shared for _, shared in found)


def _elsewhere(library: Library, anka: Anka, place: Place) -> dict[str, list[str]]:
    """By layer file, in which other repositories an OCI registry may have it: those of the VMs that share it.

    Every repository has its own blobs there, so that a clone's push would send all of its layers once more.
    """
    found: dict[str, list[str]] = {}
    for machine in library.machines():
        try:
            home = anka.registry.repository(machine.name)
            files = {file for tag in machine.tags() if tag.meta.manifest for file in tag.meta.files}
        except AnkaCiError:  # a VM that is damaged, or whose name is no repository's
            continue
        if home != place.repository:
            for file in files:
                found.setdefault(file, []).append(home)
    return {file: homes[:MOST_ASKED] for file, homes in found.items()}


def _tag(library: Library, subject: Subject, asked: Push, digest: str) -> None:
    """Make the VM's state a local tag and the current one; the working layer is part of it from now on."""
    machine, meta, now = subject.machine, subject.meta, library.clock.now()
    layers = (*meta.disks, *(layer for layer in meta.layers if layer.role == "state"))
    tagged = Meta(
        tag=asked.tag,
        arch=meta.arch,
        layers=layers,
        created=now,
        accessed=now,
        description=asked.description,
        manifest=digest if asked.onto is None else "",
    )
    library.add_tag(machine, machine.config, tagged, machine.nvram)
    (machine.folder / "current").unlink(missing_ok=True)  # killed right here, the VM is untagged, not of another tag
    machine.save(replace(meta, layers=layers, working=None, accessed=now))
    put(machine.folder / "current", asked.tag.encode() + b"\n")
