"""The commands that change local VMs: create, clone, start, stop, suspend, run, delete.

Asks no network. Guests are folders; what concerns macOS and virtual hardware is taken and means nothing.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from anka_ci.standin import guests
from anka_ci.standin.desk import Desk
from anka_ci.standin.local import tagged
from anka_ci.standin.output import Failure, Reply
from anka_ci.standin.stored import Machine, Meta, Stored
from anka_ci.standin.words import exactly, options, parse
from anka_ci.wire.values import check_name


def create(desk: Desk, words: list[str]) -> Reply:
    """An empty VM; what concerns macOS is taken and means nothing here."""
    known = options("-a --app=", "-d --disk-size=", "-c --cpu-count=", "-r --ram-size=", "-l --list", "--debug")
    found = parse(words, known)
    if found.flag("list"):
        return Reply(body=[], text="")
    (name,) = exactly(found, 1, 1, "anka create NAME")
    cores = found.get("cpu_count") or "2"
    if not cores.isdigit():
        raise Failure(f"--cpu-count {cores!r} is no number")
    check_name(name)
    with desk.library.locked(desk.cancelled):
        desk.library.free_name(name)
        id_, now = str(uuid.uuid4()), desk.library.clock.now()
        disk = guests.first_layer(desk.library)
        made = {
            "version": 1,
            "name": name,
            "uuid": id_,
            "cpu": {"cores": int(cores)},
            "ram": found.get("ram_size") or "4G",
            "firmware": {"type": "uefi"},
            "nvram": True,
            "hard_drives": [{"controller": "virtio-blk", "pci_slot": 4, "file": disk.file}],
            "network_cards": [{"mode": "shared", "mac_address": _mac(), "pci_slot": 28, "port_forwarding_rules": []}],
            "display": {"frame_buffer": {"width": 1024, "height": 768, "pci_slot": 29}},
        }
        desk.library.publish(id_, made, Meta(arch=desk.arch, layers=(disk,), created=now, accessed=now), bytes(512))
    return Reply(body=id_, text=id_)


def _mac() -> str:
    return ":".join(f"{byte:02x}" for byte in (0x02, *random.randbytes(5)))


def clone(desk: Desk, words: list[str]) -> Reply:
    """A new VM that shares the layers of another, or of one of its tags; it is untagged."""
    found = parse(words, options("-c --copy", "-t --tag="))
    sought, name = exactly(found, 2, 2, "anka clone [--tag TAG] VM NAME")
    library, tag = desk.library, found.get("tag")
    with library.locked(desk.cancelled):
        machine = library.find(sought)
        if tag is None and machine.meta.status == "running":
            raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
        library.free_name(name)
        stored: Stored = machine
        if tag is not None:
            stored = tagged(machine, tag)
        else:
            guests.settle(library, machine)
        meta, id_ = stored.meta, str(uuid.uuid4())
        cards = [{**card, "mac_address": _mac()} for card in stored.config.get("network_cards") or ()]
        own = {**stored.config, "name": name, "uuid": id_, "network_cards": cards}
        states = tuple(layer for layer in meta.layers if layer.role == "state")
        fresh = Meta(
            arch=meta.arch,
            layers=(*meta.disks, *states),
            status="stopped" if meta.status == "running" else meta.status,
            created=machine.meta.created,
            accessed=library.clock.now(),
        )
        library.publish(id_, own, fresh, stored.nvram)
    return Reply(body={"uuid": id_}, message="vm created successfully", text=id_)


def _each(desk: Desk, words: list[str], known: Mapping[str, tuple[str, bool]], do: Callable[[Machine], None]) -> Reply:
    """Do something to every VM that is named (with ``-a``: to every VM); all names are looked up first."""
    found = parse(words, known)
    with desk.library.locked(desk.cancelled):
        machines = desk.library.machines() if found.flag("all") else [desk.library.find(name) for name in found.rest]
        if not machines and not found.flag("all"):
            raise Failure("no VM is named")
        for machine in machines:
            do(machine)
    return Reply()


def start(desk: Desk, words: list[str]) -> Reply:
    def do(machine: Machine) -> None:
        if machine.meta.status == "running":
            raise Failure(f"{machine.name}: failed to start: already running")
        guests.start(desk.library, machine, desk.environment)

    return _each(desk, words, options("-f --force", "-u --update-addons", "-v --view"), do)


def stop(desk: Desk, words: list[str]) -> Reply:
    """Stopping what is stopped succeeds: Packer does it before every change."""

    def do(machine: Machine) -> None:
        if machine.meta.status != "stopped":
            guests.stop(desk.library, machine)

    return _each(desk, words, options("-f --force", "-a --all"), do)


def suspend(desk: Desk, words: list[str]) -> Reply:
    """On ARM, suspending stops the VM, as Anka 3 does."""

    def do(machine: Machine) -> None:
        if machine.meta.status == "running":
            guests.stop(desk.library, machine, "stopped" if machine.meta.arch == "arm64" else "suspended")

    return _each(desk, words, options("-a --all"), do)


def delete(desk: Desk, words: list[str]) -> Reply:
    known = options("-y --yes", "-t --tag=", "-a --all", "--cache")
    found = parse(words, known)
    tag = found.get("tag")

    def do(machine: Machine) -> None:
        if not found.flag("yes"):
            message = f"are you sure you want to delete vm {machine.id} {machine.name}?"
            raise Failure(message, hint="say so with --yes; nothing was deleted")
        if tag:
            desk.library.drop_tag(machine, tagged(machine, tag))
        else:
            desk.library.delete(machine)

    return _each(desk, words, known, do)


RUN = options(
    *("-n --no-volume", "-N --wait-network", "-T --wait-time", "-q --quiet", "-b --background", "-E --env"),
    *("-D -w --workdir=", "-v --volume=", "-e --environment=", "-f --env-file="),
)
"""Options of ``run`` in all generations; those about volumes, networks and waiting mean nothing here."""


def run(desk: Desk, words: list[str]) -> Reply:
    """Run a command in a guest; a VM that is not running is started, and runs on afterwards, as with Anka."""
    found = parse(words, {**RUN, "--wait-time": ("wait_time", _number_follows(words))}, stop_after=1)
    if len(found.rest) < 2:
        raise Failure("usage: anka run [-D DIR] [-e NAME=value] [-f FILE] VM COMMAND [ARGUMENT…]")
    guests.allowed(desk.environment)
    sought, *argv = found.rest
    with desk.library.locked(desk.cancelled):
        machine = desk.library.find(sought)
        if machine.meta.status != "running":
            guests.start(desk.library, machine, desk.environment)
    given = [line for file in found.all.get("env_file", ()) for line in _lines(file)]
    given += found.all.get("environment", ())
    folder = guests.folder_of(machine, found.get("workdir"))
    environment = guests.environment_of(machine, desk.environment, given, found.flag("env"))
    if desk.voice.machine:
        return guests.capture(argv, folder, environment, desk.cancelled)
    guests.become(argv, folder, environment)
    raise AssertionError("the process has become another")


def _number_follows(words: list[str]) -> bool:
    """Packer gives ``--wait-time`` a number, others give it none."""
    places = [place for place, word in enumerate(words[:-1]) if word == "--wait-time"]
    return bool(places) and words[places[0] + 1].isdigit()


def _lines(file: str) -> list[str]:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file}: cannot be read: {error.strerror}") from error
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
