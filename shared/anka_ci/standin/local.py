"""The commands on local VMs: create, list, show, describe, clone, start, stop, suspend, run, delete, config, version.

Asks no network. What a command prints per release is in Anka's command-line reference.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anka_ci.clock import Cancelled
from anka_ci.errors import AnkaCiError
from anka_ci.standin import guests
from anka_ci.standin.library import Library, Machine, Meta, Stored, with_top
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, Voice, day, details, size, table
from anka_ci.standin.remotes import Kept, Remotes
from anka_ci.standin.words import exactly, options, parse
from anka_ci.wire.values import check_name, emit_time

VERSIONS = {2: ("2.5.7", "148"), 3: ("3.8.5", "211")}
"""The release that is played, and its build."""
PRODUCT = "Anka Build Stand-in"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every command is handed."""

    library: Library
    remotes: Remotes
    config: Kept
    home: Path
    environment: Mapping[str, str]
    cancelled: Cancelled
    voice: Voice

    @property
    def arch(self) -> str:
        """The host's architecture, as far as this stand-in is concerned."""
        return self.environment.get("ANKA_STANDIN_ARCH") or "arm64"


def version(desk: Desk, words: list[str]) -> Reply:
    number, build = VERSIONS[desk.voice.generation]
    body = {"product": PRODUCT, "version": number, "build": build, "host_arch": desk.arch}
    return Reply(body=body, text=f"{PRODUCT} version {number} (build {build})")


def license(desk: Desk, words: list[str]) -> Reply:
    """A stand-in needs no licence; it answers as if it had the kind that allows everything."""
    body = {
        "license_type": "com.veertu.anka.entplus",
        "status": "valid",
        "product": PRODUCT,
        "expires": "never",
        "max_number_of_cores": 0,
        "fulfillment": "stand-in",
    }
    sub = words[0] if words else "show"
    if sub == "validate":
        return Reply(message="License is valid!")
    if sub not in ("show", "activate", "accept-eula", "remove"):
        raise Failure(f"no such command: license {sub}")
    return Reply(body=body, text=details(body)) if sub == "show" else Reply(message="")


def config(desk: Desk, words: list[str]) -> Reply:
    found = parse(words, options("-l --list"))
    args = exactly(found, 0, 2, "anka config [NAME [VALUE]]")
    settings: dict[str, Any] = {
        "vm_lib_dir": str(desk.library.vms),
        "img_lib_dir": str(desk.library.images),
        "state_lib_dir": str(desk.library.images),
        **desk.config.read(),
    }
    if len(args) == 2:
        if args[0].endswith("_lib_dir"):
            raise Failure(f"{args[0]}: is set by ANKA_HOME or ANKA_{args[0].upper()}")
        desk.config.write({**desk.config.read(), args[0]: args[1]})
        return Reply()
    settings |= {
        key[5:].lower(): value
        for key, value in desk.environment.items()
        if key[:5] == "ANKA_" and key[5:].lower() in settings
    }
    if not args:
        return Reply(body=settings, text=details(settings))
    if args[0] not in settings:
        raise Failure(f"{args[0]}: not found", NOT_FOUND)
    return Reply(body=settings[args[0]], text=str(settings[args[0]]))


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


def row(machine: Machine) -> dict[str, Any]:
    """A VM as ``list`` shows it."""
    try:
        meta, tag = machine.meta, machine.tag
    except AnkaCiError:
        return {"name": machine.name, "uuid": machine.id, "creation_date": "", "access_date": "", "status": "failed"}
    found: dict[str, Any] = {"name": machine.name, "uuid": machine.id, "creation_date": _time(meta.created)}
    if tag:
        found["version"] = tag
    return {**found, "access_date": _time(meta.accessed), "status": meta.status}


def _time(seconds: float) -> str:
    return emit_time(int(seconds)).replace(".000000", "")


def list_(desk: Desk, words: list[str]) -> Reply:
    known = options("-r --running", "-s --stopped", "-a --all", "-f --field=")
    found = parse(words, known)
    machines = [desk.library.find(each) for each in found.rest] or desk.library.machines()
    rows = [row(machine) for machine in machines]
    if found.flag("running") or found.flag("stopped"):
        rows = [each for each in rows if (each["status"] == "running") == found.flag("running")]
    lines = [
        (
            f"{each['name']} ({each['version']})" if "version" in each else each["name"],
            each["uuid"],
            each["access_date"],
            each["status"],
        )
        for each in rows
    ]
    text = table(("name", "uuid", "access_date", "status"), lines)
    if found.flag("field"):
        fields = [name for each in found.all["field"] for name in each.split(",")]
        rows = [{name: each.get(name) for name in fields} for each in rows]
        text = table(fields, [[each[name] for name in fields] for each in rows])
    return Reply(body=rows, text=text)


def shown(desk: Desk, machine: Machine, stored: Stored) -> dict[str, Any]:
    """A VM, or one of its tags, as ``show`` shows it."""
    meta, config = stored.meta, stored.config
    ram = str(config.get("ram", "4G"))
    found = row(machine)
    found["version"] = meta.tag or machine.tag
    if not found["version"]:
        del found["version"]
    cpu = config.get("cpu")
    total = desk.library.size(meta)
    found |= {
        "cpu_cores": cpu.get("cores", 0) if isinstance(cpu, dict) else 0,
        "cpu_frequency": 0,
        "ram": ram,
        "ram_size": bytes_of(ram),
        "hard_drive": total,
        "image_size": total,
        "encrypted": False,
        "arch": {"amd64": 1, "arm64": 2}.get(meta.arch, 0),
        "description": meta.description,
    }
    if meta.stopped:
        found["stop_date"] = _time(meta.stopped)
    if meta.status == "running":
        found |= {"start_date": _time(meta.started), "ip": "127.0.0.1", "port_forwarding": []}
    return found


def bytes_of(ram: str) -> int:
    """``8G`` in bytes; 0 for what cannot be read."""
    number, unit = ram[:-1], ram[-1:].upper()
    power = {"M": 20, "G": 30, "T": 40}.get(unit)
    return int(number) << power if power and number.isdigit() else int(ram) if ram.isdigit() else 0


def show(desk: Desk, words: list[str]) -> Reply:
    found = parse(words, options("-t --tag=", "-c --current"))
    sought, *prop = exactly(found, 1, 2, "anka show [--tag TAG] VM [PROPERTY]")
    machine = desk.library.find(sought)
    tag = found.get("tag")
    stored = _tagged(machine, tag) if tag else machine
    if prop and prop[0] in ("tag", "tags"):
        return _show_tags(machine, found.flag("current"))
    if prop and prop[0] == "disk":
        meta = stored.meta
        total = desk.library.size(meta)
        disk = {
            "controller": "virtio-blk",
            "file": meta.top,
            "image_format": "stand-in layers",
            "image_size": total,
            "data_size": total,
            "encrypted": False,
        }
        return Reply(body=disk, text=details(disk))
    body = shown(desk, machine, stored)
    if not prop:
        text = {**body, "image_size": size(body["image_size"]), "hard_drive": size(body["hard_drive"])}
        return Reply(body=body, text=details(text))
    if prop[0] not in body:
        raise Failure(f"{prop[0]}: not found", NOT_FOUND)
    return Reply(body=body[prop[0]], text=str(body[prop[0]]))


def _tagged(machine: Machine, tag: str) -> Stored:
    stored = machine.stored(tag)
    if stored is None:
        raise Failure(f"{machine.name}:{tag}: not found", NOT_FOUND)
    return stored


def _show_tags(machine: Machine, current: bool) -> Reply:
    metas = [stored.meta for stored in machine.tags()]
    if current:
        return Reply(body=machine.tag, text=machine.tag)
    rows = [
        {"tag": meta.tag, "creation_date": _time(meta.created), "last_access": _time(meta.accessed)} for meta in metas
    ]
    lines = [(meta.tag, day(meta.created), day(meta.accessed)) for meta in metas]
    return Reply(body=rows, text=table(("tag", "creation_date", "last_access"), lines))


def describe(desk: Desk, words: list[str]) -> Reply:
    """The configuration; its newest disk file tells what the guest has changed, so that is settled first."""
    found = parse(words, options("-t --tag="))
    (sought,) = exactly(found, 1, 1, "anka describe VM")
    machine = desk.library.find(sought)
    tag = found.get("tag")
    if tag:
        stored = _tagged(machine, tag)
        body = with_top(stored.config, stored.meta.top)
    else:
        if machine.meta.status != "running":
            with desk.library.locked(desk.cancelled):
                guests.settle(desk.library, machine)
        body = machine.described()
    return Reply(body=body, text=details(body))


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
            stored = _tagged(machine, tag)
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
            desk.library.drop_tag(machine, _tagged(machine, tag))
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
