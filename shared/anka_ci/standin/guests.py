"""Guests: a VM's folder on this machine, made from its layers at the first start, and what was changed in it.

Commands run in the folder, on this machine, as this user: only where ``ANKA_STANDIN_GUESTS=1`` says that this is
wanted. Nothing is isolated from the machine.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anka_ci.standin import layers, mounts, tenants
from anka_ci.standin.files import discard, put
from anka_ci.standin.library import Library
from anka_ci.standin.output import Failure
from anka_ci.standin.stored import Machine, Meta
from anka_ci.wire.manifest import Layer

PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""Where a guest's commands are looked for."""
OWN_PATH = ("opt/homebrew/bin", "usr/local/bin")
"""Folders of a guest in which its commands are looked for first: what was copied to ``VM:/usr/local/bin`` is there."""
KEPT = ("LANG", "LC_ALL", "TERM", "TZ", "TMPDIR", "USER", "LOGNAME")
"""What a guest's command gets of the caller's environment, beside what ``-e``, ``-f`` and ``-E`` ask for."""

Signs = dict[str, list[int]]


def start(library: Library, machine: Machine, environment: Mapping[str, str]) -> None:
    """Mark a VM as running; its folder is made now, if it is not there."""
    if environment.get("ANKA_STANDIN_ARCH", "arm64") != machine.meta.arch:
        raise Failure(f"{machine.name}: failed to start: a VM for {machine.meta.arch} does not run on this host")
    if not machine.guest.exists():
        _make(library, machine)
    mounts.clear(machine)
    wanted = machine.config.get("mounts") or ()
    for each in wanted:
        if not Path(each["host_path"]).is_dir():
            raise Failure(
                f"{machine.name}: failed to start: {each['host_path']} is to be mounted, and there is no such folder",
                hint=f"make it, or: anka modify {machine.name} delete mount {each['guest_folder_name']}",
            )
    mounts.add(machine, wanted)
    now = library.clock.now()
    machine.save(replace(machine.meta, status="running", started=now, accessed=now))


def _sound(library: Library, machine: Machine) -> None:
    """``Failure`` when a layer's bytes are not what they were; it is set aside, so that a pull fetches it again."""
    for layer in machine.meta.disks:
        file = library.image(layer)
        try:
            digest = layers.digest(file)
        except FileNotFoundError:
            digest = ""
        if digest != layer.digest:
            if digest:
                os.utime(file)  # it is kept for a day, as what was not finished is
                file.replace(file.with_name(f".{file.name}.damaged"))
            machine.save(replace(machine.meta, status="failed"))
            how = "damaged" if digest else "gone"
            raise Failure(
                f"{machine.name}: failed to checkout: Input/output error: {layer.file} is {how}",
                hint="pull the tag again, or delete the VM",
            )


def _make(library: Library, machine: Machine) -> None:
    _sound(library, machine)
    entries = layers.tree(library.paths(machine.meta))
    needed, free = sum(entry.size for entry in entries.values()), shutil.disk_usage(machine.folder).free
    if needed > free:
        message = f"{machine.name}: failed to start: not enough disk: {needed} bytes are needed, {free} are free"
        raise Failure(message, hint=f"make room at {machine.folder}")
    staged = machine.folder / f".guest-{uuid.uuid4().hex}"
    staged.mkdir()
    try:
        layers.unpack(entries, staged)
        _note(machine, layers.scan(staged))
        staged.rename(machine.guest)
    finally:
        discard(staged)


def stop(library: Library, machine: Machine, status: str = "stopped") -> None:
    """End what runs in the guest, and mark its VM as stopped or suspended; what was mounted is in no layer."""
    tenants.end(machine.guest)
    mounts.clear(machine)
    machine.save(replace(machine.meta, status=status, stopped=library.clock.now()))


def settle(library: Library, machine: Machine) -> None:
    """Make what the guest changed since its newest tag the working layer; no layer when nothing did.

    A file whose size, times and place on disk are what they were is taken as unchanged; of any other the bytes are
    compared. The earlier working layer is replaced, so that every tag gets one layer.
    """
    meta = machine.meta
    if not machine.guest.exists():
        return
    now, before = layers.scan(machine.guest), _noted(machine)
    signs = {path: _sign(info) for path, info in now.items()}
    if signs == before:
        return
    lower = replace(meta, working=None)
    base = layers.tree(library.paths(lower))
    worked = set(layers.tree([library.image(meta.working)])) if meta.working else set()
    found = {path: layers.entry(machine.guest, path, info) for path, info in now.items()}
    changed = {
        path: entry
        for path, entry in found.items()
        if path not in base
        or not entry.same(base[path])
        or (
            entry.kind == "file"
            and (path in worked or signs[path] != before.get(path))
            and not layers.equal(entry, base[path])
        )
    }
    removed = [path for path in base if path not in found and _parent_stays(path, found)]
    working = _write(library, lower.top, changed, removed) if changed or removed else None
    old = meta.files
    library.may_free(old)
    machine.save(replace(meta, working=working))
    _note(machine, now)
    library.collect(old | ({working.file} if working else set()))


def _parent_stays(path: str, found: Mapping[str, layers.Entry]) -> bool:
    """Whether a removed path needs a whiteout of its own: not below a folder that is gone or replaced."""
    parent = os.path.dirname(path)  # noqa: PTH120
    return not parent or (parent in found and found[parent].kind == "folder")


def _write(library: Library, parent: str, changed: Mapping[str, layers.Entry], removed: Sequence[str]) -> Layer:
    part = library.images / f".working-{uuid.uuid4().hex}"
    try:
        digest, size = layers.write(part, changed, removed)
        layer = layers.named(parent, digest, size)
        library.adopt(part, layer)
    finally:
        part.unlink(missing_ok=True)
    return layer


def _sign(info: os.stat_result) -> list[int]:
    if os.path.stat.S_ISDIR(info.st_mode):  # type: ignore[attr-defined]
        return [info.st_mode]  # a folder's times change with what is in it
    return [info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino]


def _note(machine: Machine, now: Mapping[str, os.stat_result]) -> None:
    put(machine.folder / "guest.json", json.dumps({path: _sign(info) for path, info in now.items()}).encode())


def _noted(machine: Machine) -> Signs:
    try:
        found: Signs = json.loads((machine.folder / "guest.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found


def flatten(library: Library, meta: Meta) -> Layer:
    """One layer that holds all that a VM's or tag's layers make together."""
    entries = layers.tree(library.paths(meta))
    return _write(library, "", entries, ())


def first_layer(library: Library) -> Layer:
    """The empty disk that a new VM starts with."""
    return _write(library, "", {}, ())


def allowed(environment: Mapping[str, str]) -> None:
    """``Failure`` unless guests may run commands."""
    if environment.get("ANKA_STANDIN_GUESTS") != "1":
        raise Failure(
            "guests may not run commands here",
            hint="a stand-in's guest runs on this machine as this user; allow it with `serve --run-guests` or "
            "ANKA_STANDIN_GUESTS=1",
        )


def environment_of(machine: Machine, caller: Mapping[str, str], given: Sequence[str], inherit: bool) -> dict[str, str]:
    """A guest command's environment: ``HOME`` is the guest's folder, ``PATH`` a fixed one, then what was asked for.

    ``given`` are ``NAME=value``, or ``NAME`` to pass the caller's value on; ``inherit`` passes everything.
    """
    found = dict(caller) if inherit else {name: caller[name] for name in KEPT if name in caller}
    own = [str(machine.guest / below) for below in OWN_PATH if (machine.guest / below).is_dir()]
    found |= {
        "PATH": ":".join([*own, PATH]),
        "HOME": str(machine.guest),
        "ANKA_VM_NAME": machine.name,
        "ANKA_VM_UUID": machine.id,
        tenants.VARIABLE: tenants.place(machine.guest),
    }
    found.setdefault("LANG", "C.UTF-8")
    for each in given:
        name, equals, value = each.partition("=")
        if equals:
            found[name] = value
        elif name in caller:
            found[name] = caller[name]
    return found


def folder_of(machine: Machine, below: str | None) -> Path:
    """The folder a command runs in: the guest's, or one below it."""
    found = machine.guest / (below or "").lstrip("/")
    if not found.is_dir():
        raise Failure(f"{below}: there is no such folder in the guest")
    return found


def forget(machine: Machine) -> None:
    """Remove a guest's folder; what it had changed is gone."""
    discard(machine.guest)
