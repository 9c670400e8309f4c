"""The commands that tell about local VMs: list, show, describe.

Asks no network and changes no VM. Shapes and tables follow Anka's command-line reference: 2.x and 3.x differ in a few
keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anka_ci import document
from anka_ci.errors import AnkaCiError, UsageError
from anka_ci.standin import guests, mounts
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, day
from anka_ci.standin.properties import PROPERTIES, Seen, everything, moment, person, plain, property_text, titled
from anka_ci.standin.stored import Machine, Stored, with_top
from anka_ci.standin.tables import details, table
from anka_ci.standin.words import exactly, options, parse

OPTIONS = {
    "list": options("-r --running", "-s --stopped", "-a --all", "-f --field="),
    "show": options("-t --tag=", "-c --current", "-d --disk-index=", "-f --filter"),
    "describe": options("-t --tag="),
}


def row(desk: Desk, machine: Machine) -> dict[str, Any]:
    """A VM as ``list`` shows it; ``failed`` where what it stands on is damaged or gone."""
    two = desk.voice.generation == 2
    try:
        meta, tag = machine.meta, current(desk, machine)
    except AnkaCiError:
        found = {"name": machine.name, "uuid": machine.id, "creation_date": "", "access_date": "", "status": "failed"}
        return {**found, "stop_date": "", "version": ""} if two else found
    status = meta.status if desk.library.whole(meta) else "failed"
    if two:
        return {
            "status": status,
            "name": machine.name,
            "stop_date": moment(meta.stopped) if meta.stopped else "",
            "creation_date": moment(meta.created),
            "version": tag,
            "uuid": machine.id,
        }
    found = {"name": machine.name, "uuid": machine.id, "creation_date": moment(meta.created)}
    if tag:
        found["version"] = tag
    return {**found, "access_date": moment(meta.accessed), "status": status}


def current(desk: Desk, machine: Machine) -> str:
    """The current tag, empty when there is none that is whole."""
    stored = machine.stored(machine.tag) if machine.tag else None
    return stored.meta.tag if stored is not None and desk.library.whole(stored.meta) else ""


def list_(desk: Desk, words: list[str]) -> Reply:
    found = parse(words, OPTIONS["list"])
    machines = [desk.library.find(each) for each in found.rest] or desk.library.machines()
    rows = [row(desk, machine) for machine in machines]
    if found.flag("running"):
        rows = [each for each in rows if each["status"] == "running"]
    elif found.flag("stopped"):
        rows = [each for each in rows if each["status"] in ("stopped", "suspended")]
    if found.flag("field"):
        return _fields(rows, [name for each in found.all["field"] for name in each.split(",")])
    dates = {machine.id: _dates(machine) for machine in machines}
    date = "creation_date" if desk.voice.generation == 2 else "access_date"
    lines = [
        (titled(each["name"], each.get("version", "")), each["uuid"], dates[each["uuid"]][date], each["status"])
        for each in rows
    ]
    return Reply(body=rows, text=table(("name", "uuid", date, "status"), lines))


def _dates(machine: Machine) -> Mapping[str, str]:
    try:
        meta = machine.meta
    except AnkaCiError:
        return {"creation_date": "", "access_date": ""}
    return {"creation_date": day(meta.created), "access_date": day(meta.accessed)}


def _fields(rows: list[dict[str, Any]], asked: list[str]) -> Reply:
    """Only the fields that are asked for; ``field=value`` also keeps only the VMs that have that value (3.7)."""
    wanted = dict(each.split("=", 1) for each in asked if "=" in each)
    names = [each.partition("=")[0] for each in asked]
    kept = [each for each in rows if all(str(each.get(name, "")) == value for name, value in wanted.items())]
    body = [{name: each[name] for name in names if name in each} for each in kept]
    return Reply(body=body, text=table(names, [[each.get(name, "") for name in names] for each in kept]))


def show(desk: Desk, words: list[str]) -> Reply:
    """A VM or a tag of it: everything, one property, or one value of a property."""
    found = parse(words, OPTIONS["show"])
    sought, *prop = exactly(found, 1, 3, "anka show [--tag TAG] VM [PROPERTY [NAME]]")
    if found.get("disk_index") not in (None, "0"):
        raise Failure(f"disk {found.get('disk_index')}: not found", NOT_FOUND, hint="a guest here has one disk")
    machine = desk.library.find(sought)
    tag = found.get("tag")
    stored = tagged(machine, tag) if tag else machine
    if prop and prop[0] in ("tag", "tags"):
        return _show_tags(desk, machine, current_only=found.flag("current"))
    seen = see(desk, machine, stored)
    body = everything(seen)
    if not prop:
        return Reply(body=body, text=person(seen))
    name, *keys = prop
    if found.flag("filter"):
        if name not in ("network", "network-card"):
            raise UsageError("--filter belongs to the property network")
        rules = str(seen.card.get("filter", ""))
        return Reply(body=rules, text=rules)
    if name in PROPERTIES:
        return property_of(name, PROPERTIES[name](seen), keys)
    if keys or body.get(name) in (None, ""):
        raise Failure(f"{(keys or [name])[0]}: not found", NOT_FOUND)
    return Reply(body=body[name], text=str(body[name]))


def property_of(name: str, found: Any, keys: list[str]) -> Reply:
    """A property that is more than one value, or with a key one of its values; ``Failure`` 3 where there is none."""
    if not keys:
        return Reply(body=found, text=property_text(name, found))
    (key,) = keys
    if isinstance(found, list):
        chosen = [each for each in found if key in each.values()]
        if not chosen:
            raise Failure(f"{key}: not found", NOT_FOUND)
        return Reply(body=chosen[0], text=details(chosen[0]))
    value = found.get("image_size" if (name, key) == ("disk", "size") else key)
    if value is None or isinstance(value, list):
        raise Failure(f"{key}: not found", NOT_FOUND)
    return Reply(body=value, text=plain(key, value))


def see(desk: Desk, machine: Machine, stored: Stored) -> Seen:
    """What the properties of a VM, or of one of its tags, are read from."""
    meta = stored.meta
    whole = desk.library.whole(meta)
    own = stored is machine
    return Seen(
        id=machine.id,
        name=machine.name,
        tag=current(desk, machine) if own else meta.tag,
        status=(meta.status if own else "stopped") if whole else "failed",
        meta=meta,
        config=stored.config,
        bytes=desk.library.size(meta),
        mounts=mounts.of(machine, stored.config),
        old=desk.voice.generation == 2,
    )


def tagged(machine: Machine, tag: str) -> Stored:
    """A local tag of a VM; ``Failure`` 3 when there is none."""
    stored = machine.stored(tag)
    if stored is None:
        raise Failure(f"{machine.name}:{tag}: not found", NOT_FOUND)
    return stored


def _show_tags(desk: Desk, machine: Machine, *, current_only: bool) -> Reply:
    """The current tag first, because clients take the first for that; none that is not whole."""
    if current_only:
        tag = current(desk, machine)
        if not tag:
            raise Failure(f"{machine.name}: tag: not found", NOT_FOUND)
        return Reply(body=tag, text=tag)
    metas = [stored.meta for stored in machine.tags(readable=True) if desk.library.whole(stored.meta)]
    rows = [
        {"tag": meta.tag, "creation_date": moment(meta.created), "last_access": moment(meta.accessed)} for meta in metas
    ]
    lines = [(meta.tag, day(meta.created), day(meta.accessed)) for meta in metas]
    return Reply(body=rows, text=table(("tag", "creation_date", "last_access"), lines))


def describe(desk: Desk, words: list[str]) -> Reply:
    """The configuration; its newest disk file tells what the guest has changed, so that is settled first."""
    found = parse(words, OPTIONS["describe"])
    (sought,) = exactly(found, 1, 1, "anka describe VM")
    machine = desk.library.find(sought)
    tag = found.get("tag")
    if tag:
        stored = tagged(machine, tag)
        body = with_top(stored.config, stored.meta.top)
    else:
        if machine.meta.status != "running" and machine.guest.exists():
            with desk.library.locked(desk.cancelled):
                guests.settle(desk.library, machine)
        body = machine.described()
    return Reply(body=body, text=document.dump(body))
