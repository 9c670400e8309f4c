"""The commands that change local VMs: create, clone, start, stop, suspend, reboot, delete.

Asks no network. Guests are folders; what concerns macOS and virtual hardware is kept or taken and means nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anka_ci.errors import UsageError
from anka_ci.standin import guests, hardware, mounts, tenants
from anka_ci.standin.asking import confirm
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import Failure, Reply
from anka_ci.standin.properties import everything
from anka_ci.standin.stored import Machine, Meta, Stored, new_mac
from anka_ci.standin.tables import table
from anka_ci.standin.told import see, tagged
from anka_ci.standin.words import Words, exactly, options, parse
from anka_ci.wire.values import check_name

OPTIONS = {
    "create": options(
        *("-a --app=", "-d --disk-size=", "-c --cpu-count=", "-m -r --ram-size=", "-l --list", "--no-setup"),
        *("-q --quiet", "--debug"),
    ),
    "clone": options("-c --copy", "-t --tag="),
    "start": options(
        *("-f --force", "-u --update-addons", "-v --view", "-q --quiet", "--login-passwd=", "--mount="),
        "--disable-auto-mount",
    ),
    "stop": options("-f --force", "-a --all"),
    "suspend": options("-a --all"),
    "reboot": options("-f --force", "-a --all"),
    "delete": options("-y --yes", "-t --tag=", "-a --all", "--cache"),
}
INSTALLER = {"version": "0.0.0", "build": "empty", "url": "standin:empty", "latest": True}
"""The only thing that can be installed here: nothing."""


def create(desk: Desk, words: list[str]) -> Reply:
    """An empty VM; an installer is taken and means nothing here."""
    found = parse(words, OPTIONS["create"])
    if found.flag("list"):
        return Reply(body=[INSTALLER], text=table(("version", "build"), [("0.0.0 (latest)", "empty")]))
    name, *_ = exactly(found, 1, 2, "anka create NAME [INSTALLER]")
    check_name(name)
    with desk.library.locked(desk.cancelled):
        desk.library.free_name(name)
        id_, now = str(uuid.uuid4()), desk.library.clock.now()
        disk = guests.first_layer(desk.library)
        config = _fresh(found, name, id_, disk.file)
        desk.library.publish(id_, config, Meta(arch=desk.arch, layers=(disk,), created=now, accessed=now), bytes(512))
    return Reply(body=id_, text=id_)


def _fresh(words: Words, name: str, id_: str, disk: str) -> dict[str, Any]:
    """The configuration of a new VM."""
    ram, drive = words.get("ram_size") or "4G", {"controller": "virtio-blk", "pci_slot": 4}
    hardware.amount(ram, "--ram-size")
    if words.flag("disk_size"):
        drive = {**drive, "size": hardware.amount(words.values["disk_size"], "--disk-size")}
    card = {"mode": "shared", "mac_address": new_mac(), "pci_slot": 28, "type": "virtio-net"}
    frame = {"width": 1024, "height": 768, "pci_slot": 29, "vnc_port": 0, "vnc_ip": "", "password": ""}
    return {
        "version": 1,
        "name": name,
        "uuid": id_,
        "cpu": {"cores": hardware.number(words.get("cpu_count") or "2", "--cpu-count", most=1024)},
        "ram": ram.upper(),
        "firmware": {"type": "uefi"},
        "nvram": True,
        "hard_drives": [{**drive, "file": disk}],
        "network_cards": [{**card, "port_forwarding_rules": []}],
        "display": {"headless": 0, "frame_buffer": frame},
        "optical_drives": [],
    }


def clone(desk: Desk, words: list[str]) -> Reply:
    """New VMs that share the layers of another, or of one of its tags (``--copy``: with one layer of their own)."""
    found = parse(words, OPTIONS["clone"])
    if len(found.rest) < 2:
        raise UsageError("usage: anka clone [--tag TAG] VM NAME…")
    sought, *names = exactly(found, 2, len(found.rest), "anka clone [--tag TAG] VM NAME…")
    library, tag = desk.library, found.get("tag")
    with library.locked(desk.cancelled):
        machine = library.find(sought)
        if tag is None and machine.meta.status == "running":
            raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
        if len(set(names)) != len(names):
            raise UsageError("a name is given twice")
        for name in names:
            library.free_name(name)
        stored: Stored = machine
        if tag is not None:
            stored = tagged(machine, tag)
        else:
            guests.settle(library, machine)
        made = [_twin(desk, machine, stored, name, copy=found.flag("copy")) for name in names]
    if desk.voice.generation == 2:
        said = "\n".join(f"vm created successfully with uuid: {id_}" for id_ in made)
    else:
        said = "\n".join(made)
    return Reply(body={"uuid": made[0]}, message="vm created successfully", text=said)


def _twin(desk: Desk, machine: Machine, stored: Stored, name: str, *, copy: bool) -> str:
    """One clone: an id and network addresses of its own, untagged, made when the original was made; its id."""
    library, meta, id_ = desk.library, stored.meta, str(uuid.uuid4())
    cards = [{**card, "mac_address": new_mac()} for card in stored.config.get("network_cards") or ()]
    own = {**stored.config, "name": name, "uuid": id_, "network_cards": cards}
    states = tuple(layer for layer in meta.layers if layer.role == "state")
    fresh = Meta(
        arch=meta.arch,
        layers=(*((guests.flatten(library, meta),) if copy else meta.disks), *states),
        status=meta.status if meta.status == "suspended" else "stopped",
        created=machine.meta.created,
        accessed=library.clock.now(),
    )
    library.publish(id_, own, fresh, stored.nvram)
    return id_


def _each(desk: Desk, found: Words, do: Callable[[Machine], None], running: bool = False) -> list[Machine]:
    """Do something to every VM that is named (with ``-a``: to all, or all that are running), all looked up first."""
    with desk.library.locked(desk.cancelled):
        if found.flag("all"):
            machines = [each for each in desk.library.machines() if not running or each.meta.status == "running"]
        else:
            machines = [desk.library.find(name) for name in found.rest]
            if not machines:
                raise UsageError("no VM is named")
        for machine in machines:
            do(machine)
    return machines


def start(desk: Desk, words: list[str]) -> Reply:
    """Start VMs; 2.x answers as ``show`` does."""
    found = parse(words, OPTIONS["start"])
    shared = [mounts.split(spec, Path.cwd()) for spec in found.all.get("mount", ())]

    def do(machine: Machine) -> None:
        if machine.meta.status == "running":
            raise Failure(f"{machine.name}: failed to start: already running")
        guests.start(desk.library, machine, desk.environment)
        mounts.add(machine, shared)

    machines = _each(desk, found, do)
    if desk.voice.generation == 2 and machines:
        return Reply(body=everything(see(desk, machines[-1], machines[-1])), text="")
    return Reply()


def stop(desk: Desk, words: list[str]) -> Reply:
    """Stopping what is stopped succeeds: Packer does it before every change."""

    def do(machine: Machine) -> None:
        if machine.meta.status != "stopped":
            guests.stop(desk.library, machine)

    _each(desk, parse(words, OPTIONS["stop"]), do, running=True)
    return Reply()


def suspend(desk: Desk, words: list[str]) -> Reply:
    """On ARM, suspending stops the VM, as Anka 3 does."""

    def do(machine: Machine) -> None:
        if machine.meta.status == "running":
            guests.stop(desk.library, machine, "stopped" if machine.meta.arch == "arm64" else "suspended")

    _each(desk, parse(words, OPTIONS["suspend"]), do, running=True)
    return Reply()


def reboot(desk: Desk, words: list[str]) -> Reply:
    """Stop and start what is running."""

    def do(machine: Machine) -> None:
        if machine.meta.status != "running":
            raise Failure(f"{machine.name}: the VM is not running")
        guests.stop(desk.library, machine)
        guests.start(desk.library, machine, desk.environment)

    _each(desk, parse(words, OPTIONS["reboot"]), do, running=True)
    return Reply()


def delete(desk: Desk, words: list[str]) -> Reply:
    """Delete VMs, or one local tag: ``--tag TAG VM``, or ``VM:TAG`` as releases before 2.5 have it."""
    found = parse(words, OPTIONS["delete"])
    if found.flag("cache"):
        with desk.library.fetching(desk.cancelled), desk.library.locked(desk.cancelled):
            desk.library.clear_cache()
        if not found.rest and not found.flag("all"):
            return Reply()
    if found.flag("all") and found.flag("tag"):
        raise UsageError("--all and --tag do not go together", hint="name the VM whose tag is meant")
    old = desk.voice.generation == 2

    def do(machine: Machine) -> None:
        _confirmed(desk, found, machine)
        if found.flag("tag"):
            desk.library.drop_tag(machine, tagged(machine, found.values["tag"]), layers=not old)
        else:
            tenants.end(machine.guest)
            desk.library.delete(machine)

    named = [each for each in found.rest if desk.library.seek(each) is None and ":" in each]
    if not found.flag("all") and named and not found.flag("tag"):
        if len(found.rest) != 1:
            raise UsageError("one local tag can be deleted at a time", hint="write VM:TAG alone")
        sought, _, tag = named[0].partition(":")
        with desk.library.locked(desk.cancelled):
            machine = desk.library.find(sought)
            stored = tagged(machine, tag)
            _confirmed(desk, found, machine)
            desk.library.drop_tag(machine, stored, layers=not old)
        return Reply()
    _each(desk, found, do)
    return Reply()


def _confirmed(desk: Desk, found: Words, machine: Machine) -> None:
    confirm(desk, f"are you sure you want to delete vm {machine.id} {machine.name}", yes=found.flag("yes"))
