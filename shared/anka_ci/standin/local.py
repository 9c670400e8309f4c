"""The commands that tell about local VMs and the stand-in itself: list, show, describe, config, license, version.

Asks no network and changes no VM. What a command prints per release is in Anka's command-line reference.
"""

from __future__ import annotations

from typing import Any

from anka_ci.errors import AnkaCiError
from anka_ci.standin import guests
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, day, details, size, table
from anka_ci.standin.stored import Machine, Stored, with_top
from anka_ci.standin.words import exactly, options, parse
from anka_ci.wire.values import emit_time

PRODUCT = "Anka Build Stand-in"


def version(desk: Desk, words: list[str]) -> Reply:
    played = desk.voice.persona
    body = {"product": PRODUCT, "version": played.version, "build": played.build, "host_arch": desk.arch}
    return Reply(body=body, text=f"{PRODUCT} version {played.version} (build {played.build})")


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
    stored = tagged(machine, tag) if tag else machine
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


def tagged(machine: Machine, tag: str) -> Stored:
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
        stored = tagged(machine, tag)
        body = with_top(stored.config, stored.meta.top)
    else:
        if machine.meta.status != "running":
            with desk.library.locked(desk.cancelled):
                guests.settle(desk.library, machine)
        body = machine.described()
    return Reply(body=body, text=details(body))
