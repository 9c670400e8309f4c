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
from typing import Any

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.standin import layers
from anka_ci.standin.files import discard, put
from anka_ci.standin.library import Library
from anka_ci.standin.output import Failure, Reply
from anka_ci.standin.stored import Machine
from anka_ci.wire.manifest import Layer

PATH = "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""Where a guest's commands are looked for."""
KEPT = ("LANG", "LC_ALL", "TERM", "TZ", "TMPDIR", "USER", "LOGNAME")
"""What a guest's command gets of the caller's environment, beside what ``-e``, ``-f`` and ``-E`` ask for."""

Signs = dict[str, list[int]]


def start(library: Library, machine: Machine, environment: Mapping[str, str]) -> None:
    """Mark a VM as running; its folder is made now, if it is not there."""
    if environment.get("ANKA_STANDIN_ARCH", "arm64") != machine.meta.arch:
        raise Failure(f"{machine.name}: failed to start: a VM for {machine.meta.arch} does not run on this host")
    if not machine.guest.exists():
        _make(library, machine)
    now = library.clock.now()
    machine.save(replace(machine.meta, status="running", started=now, accessed=now))


def _make(library: Library, machine: Machine) -> None:
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
    """Mark a VM as stopped or suspended."""
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
    machine.save(replace(meta, working=working))
    _note(machine, now)
    library.collect(old)


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
    found |= {"PATH": PATH, "HOME": str(machine.guest), "ANKA_VM_NAME": machine.name, "ANKA_VM_UUID": machine.id}
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


def become(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    """Replace this process by the guest's command, so that streams, signals and exit status are its own."""
    os.chdir(folder)
    try:
        os.execvpe(argv[0], list(argv), dict(environment))
    except OSError as error:
        code = 127 if isinstance(error, FileNotFoundError) else 126
        raise Failure(f"{argv[0]}: {error.strerror}", code) from error


def capture(argv: Sequence[str], folder: Path, environment: Mapping[str, str], cancelled: Cancelled) -> Reply:
    """Run the guest's command and answer with what it printed."""
    done = process.run(argv, env=environment, cwd=folder, cancelled=cancelled)
    body: dict[str, Any] = {"stdout": done.stdout, "stderr": done.stderr}
    code = done.status if done.status >= 0 else 128 - done.status
    return Reply(body=body, message="" if code == 0 else f"the command ended with status {code}", code=code)


def forget(machine: Machine) -> None:
    """Remove a guest's folder; what it had changed is gone."""
    discard(machine.guest)
