"""Pull: a template's version on its way into the library, whole or not at all.

Nothing is shown before every layer is there and matches its digest. Anka's own transfer protocol is private; this one
is ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.oci import LARGEST_CONTENT
from anka_ci.oci.lanes import LANES
from anka_ci.standin.fetching import Place, fetch
from anka_ci.standin.library import Library, pick
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, Voice, moved
from anka_ci.standin.stored import Machine, Meta
from anka_ci.wire.manifest import Manifest, oci_tag

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version


def find(anka: Anka, sought: str, arch: str) -> Template:
    """A template of the registry: exact id, exact name (``arch`` narrows it), or a unique beginning of its id."""
    try:
        return anka.registry.template(sought, arch=arch)
    except NotFoundError:
        if not anka.registry.STACK:  # where it can only be asked for by its name
            raise
        rows = [(row.id, row.name, row) for row in anka.registry.templates()]
        row = pick(sought, [each for each in rows if each[1] != sought])
        if row is None:
            raise
        return anka.registry.by_id(row.id)


def named(library: Library, anka: Anka, sought: str) -> str:
    """What is sought, as the registry knows it: an OCI registry has no ids, so a VM that is here goes by its name."""
    machine = None if anka.registry.STACK else library.seek(sought)
    return machine.name if machine else sought


def every(anka: Anka) -> list[Template]:
    """All templates that the registry lists, with their versions; repositories that nothing is left of are none."""
    found = []
    for row in anka.registry.templates():
        try:
            found.append(anka.registry.by_id(row.id))
        except NotFoundError:  # an OCI registry goes on listing it; elsewhere it has gone meanwhile
            continue
    return found


def version(template: Template, tag: str | None, number: int | None) -> Version:
    """The version that is meant; a tag that is not there is named with its template."""
    try:
        return template.pick(tag, number)
    except NotFoundError as error:
        raise Failure(f"{template.name}:{error.sought}: not found", NOT_FOUND, hint=error.hint) from error


@dataclass(frozen=True, kw_only=True)
class Pull:
    """One pull: what is asked for, and how."""

    sought: str
    tag: str | None = None
    number: int | None = None
    shrink: bool = False
    fetch_only: bool = False
    threads: int = LANES


def here(library: Library, machine: Machine | None, template: Template, wanted: Version) -> bool:
    """Whether the library has that very version under its tag."""
    stored = machine.stored(wanted.tag) if machine else None
    if stored is None:
        return False
    images = tuple(layer.file for layer in reversed(stored.meta.layers) if layer.role == "disk")
    return images == wanted.images and all(library.image(layer).exists() for layer in stored.meta.layers)


def pull(library: Library, anka: Anka, asked: Pull, arch: str, voice: Voice) -> Reply:
    """Fetch a version and make it the VM's state; layers that are here are not fetched again.

    The library is only locked before and after the transfer, so that other VMs start and stop meanwhile.
    """
    template = find(anka, named(library, anka, asked.sought), arch)
    wanted = version(template, asked.tag, asked.number)
    if wanted.arch and wanted.arch != arch:
        raise Failure(f"{template.name}:{wanted.tag}: is for {wanted.arch} and does not run on this host ({arch})")
    home = anka.registry.repository(anka.registry.sought(template))
    place = Place(oci=anka.registry.data(anka), repository=home, threads=asked.threads)
    received = shared = 0
    with library.fetching(anka.cancelled):
        while True:
            found: tuple[Manifest, str] | None = None
            with library.locked(anka.cancelled):
                machine = _guard(library, template, arch)
                there = here(library, machine, template, wanted)
            if machine is None or not there or not _unchanged(place, machine, wanted):
                content, digest = place.oci.manifest(place.repository, oci_tag(wanted.tag))
                found = _read(content, template, wanted), digest
                count, shared = fetch(library, place, anka, found[0], voice)
                received += count
            with library.locked(anka.cancelled):
                machine = _guard(library, template, arch)
                if not (here(library, machine, template, wanted) if found is None else _complete(library, found[0])):
                    continue  # another command has removed what was here
                made = _make(library, place, machine, asked, wanted, found)
                stored = made.stored(wanted.tag)
                if found is None and stored is not None:
                    shared = library.size(stored.meta)
                break
    body: dict[str, Any] = {"uuid": made.id, "name": made.name, "tag": wanted.tag}
    return moved(voice, "pulled", {**body, "bytes_received": received, "bytes_shared": shared}, received)


def _complete(library: Library, manifest: Manifest) -> bool:
    return all(library.image(layer).exists() for layer in manifest.layers if layer.role != "nvram")


def _make(
    library: Library,
    place: Place,
    machine: Machine | None,
    asked: Pull,
    wanted: Version,
    found: tuple[Manifest, str] | None,
) -> Machine:
    """Make what is here now the VM's state; ``found`` is the manifest, with its digest, that was fetched for it."""
    fresh = machine is None
    if found is not None:
        machine = _keep(library, place, machine, *found)
    stored = machine.stored(wanted.tag) if machine else None
    assert machine is not None
    assert stored is not None
    if not fresh and not asked.fetch_only:
        library.checkout(machine, stored)
    if asked.shrink:
        shrink(library, machine, wanted.tag)
    return machine


def _guard(library: Library, template: Template, arch: str) -> Machine | None:
    """The VM that a pull would change; ``Failure`` where it must not."""
    for other in library.machines():
        if other.name == template.name and other.id.lower() != template.id.lower():
            raise Failure(f"{template.name}: registry uuid ({template.id}) doesn't match")
    if template.arch and template.arch != arch:
        raise Failure(f"{template.name}: a template for {template.arch} does not run on this host ({arch})")
    machine = next((each for each in library.machines() if each.id.lower() == template.id.lower()), None)
    if machine is not None and machine.meta.status == "running":
        raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
    return machine


def _unchanged(place: Place, machine: Machine, wanted: Version) -> bool:
    """Whether the registry's version is the one that the tag came from or went to; a tag may have been replaced."""
    stored = machine.stored(wanted.tag)
    if stored is None or not stored.meta.manifest:
        return stored is not None
    return place.oci.manifest_digest(place.repository, oci_tag(wanted.tag)) == stored.meta.manifest


def _read(content: bytes, template: Template, wanted: Version) -> Manifest:
    try:
        manifest = Manifest.read(content)
    except (ValueError, RefusedError) as error:
        raise Failure(f"{template.name}:{wanted.tag}: the registry's manifest cannot be read: {error}") from error
    if manifest is None and not template.stacked:
        hint = "what Anka itself pushes can only be pulled by Anka: its format is not documented"
        raise Failure(f"{template.name}:{wanted.tag}: is no template that this command can read", hint=hint)
    if manifest is not None and not template.stacked:
        manifest = replace(manifest, tag=wanted.tag)  # which may have been given to it since, by other tools
    if manifest is None or (manifest.id.lower(), manifest.tag) != (template.id.lower(), wanted.tag):
        raise Failure(f"{template.name}:{wanted.tag}: the registry sent something else under that tag")
    return manifest


def _keep(library: Library, place: Place, machine: Machine | None, manifest: Manifest, digest: str) -> Machine:
    """Make what was fetched a local tag, and the VM if it is not there."""
    if manifest.config_size > LARGEST_CONTENT:
        raise Failure(f"{manifest.name}:{manifest.tag}: the configuration is too large")
    config = _config(place.oci.content(place.repository, manifest.config_digest), manifest)
    nvram = next((layer for layer in manifest.layers if layer.role == "nvram"), None)
    kept = place.oci.content(place.repository, nvram.digest) if nvram else None
    now = library.clock.now()
    meta = Meta(
        tag=manifest.tag,
        arch=manifest.arch or "arm64",
        layers=tuple(layer for layer in manifest.layers if layer.role != "nvram"),
        created=now,
        accessed=now,
        description=manifest.description,
        manifest=digest,
    )
    if machine is None:
        own = {**config, "name": manifest.name, "uuid": manifest.id}
        state = replace(meta, tag="", description="", manifest="")
        return library.publish(manifest.id, own, state, kept, tagged=meta)
    library.add_tag(machine, config, meta, kept)
    return machine


def _config(content: bytes, manifest: Manifest) -> dict[str, Any]:
    """A VM configuration; ``Failure`` for what is none, whoever pushed it."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    drives = found.get("hard_drives") if isinstance(found, dict) else None
    sound = not drives or (isinstance(drives, list) and all(isinstance(each, dict) for each in drives))
    if not isinstance(found, dict) or not sound:
        raise Failure(f"{manifest.name}:{manifest.tag}: its VM configuration cannot be read", hint="push it again")
    return found


def shrink(library: Library, machine: Machine, tag: str) -> None:
    """Remove the other local tags of a VM, with the layers that nothing else needs."""
    for stored in machine.tags():
        if stored.meta.tag != tag:
            library.drop_tag(machine, stored)
