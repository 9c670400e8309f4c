"""``mount`` and ``unmount``: folders of this machine as links in a guest's folder, while it runs.

Nothing is mounted: a link below ``Volumes/My Shared Files`` in the guest's folder leads to the host's own folder, and
what is told as its path is the link's, because a guest's commands see this machine. A link is never part of a layer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anka_ci.errors import UsageError
from anka_ci.standin.desk import Desk
from anka_ci.standin.files import put
from anka_ci.standin.output import NOT_FOUND, Failure, Reply
from anka_ci.standin.stored import Machine
from anka_ci.standin.tables import table
from anka_ci.standin.words import exactly, options, parse

PLACE = ("Volumes", "My Shared Files")
"""Where macOS shows shared folders; Anka 3.9 cannot choose another place."""
OPTIONS = {"mount": options(), "unmount": options("-a --all")}
_HEAD = ("fsid", "host_path", "guest_folder_name", "guest_path")


def split(spec: str, base: Path) -> dict[str, str]:
    """``PATH[:NAME]`` as a host's folder and its name in the guest; ``Failure`` when there is no such folder."""
    path, _, name = (
        (spec, "", "") if (base / spec).is_dir() else spec.rpartition(":") if ":" in spec else (spec, "", "")
    )
    folder = (base / path).absolute()
    if not folder.is_dir():
        raise Failure(f"{path}: there is no such folder on this machine")
    name = name or folder.resolve().name
    if "/" in name or name in ("", ".", ".."):
        raise UsageError(f"{name!r} is no name of a folder in the guest", hint="write PATH:NAME")
    return {"host_path": str(folder), "guest_folder_name": name}


def read(machine: Machine) -> list[dict[str, Any]]:
    """What is mounted into a running guest now."""
    try:
        found: dict[str, Any] = json.loads((machine.folder / "mounts.json").read_bytes())
    except FileNotFoundError:
        return []
    return list(found["mounts"])


def of(machine: Machine, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is mounted now, and what the configuration has for every start."""
    now = read(machine)
    known = {each["guest_folder_name"] for each in now}
    return now + [
        {**each, "guest_path": str(machine.guest.joinpath(*PLACE, each["guest_folder_name"]))}
        for each in config.get("mounts") or ()
        if each["guest_folder_name"] not in known
    ]


def add(machine: Machine, wanted: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Make the links; ``Failure`` when the guest has something else in a link's place."""
    now, made = read(machine), _made(machine)
    for each in wanted:
        name = each["guest_folder_name"]
        link = machine.guest.joinpath(*PLACE, name)
        if any(other["guest_folder_name"] == name for other in now) or link.is_symlink() or link.exists():
            raise Failure(f"{name}: is mounted already", hint="choose another name with PATH:NAME")
        folder = machine.guest
        for part in PLACE:
            folder = folder / part
            if not folder.exists():
                made.append(str(folder.relative_to(machine.guest)))
            folder.mkdir(exist_ok=True)
        fsid = max((int(other["fsid"]) for other in now), default=0) + 1
        now.append({"fsid": fsid, **each, "guest_path": str(link)})
        _write(machine, now, made)  # first: a link that is told of and not there harms nobody
        link.symlink_to(each["host_path"])
    return now


def clear(machine: Machine, names: Sequence[str] | None = None) -> None:
    """Take links away, all of them when ``names`` is None, and the folders that were made for them."""
    now, made = read(machine), _made(machine)
    for each in now:
        if names is None or each["guest_folder_name"] in names:
            machine.guest.joinpath(*PLACE, each["guest_folder_name"]).unlink(missing_ok=True)
    left = [] if names is None else [each for each in now if each["guest_folder_name"] not in names]
    if left:
        _write(machine, left, made)
        return
    for below in reversed(made):
        folder = machine.guest / below
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    (machine.folder / "mounts.json").unlink(missing_ok=True)


def _made(machine: Machine) -> list[str]:
    try:
        return list(json.loads((machine.folder / "mounts.json").read_bytes())["made"])
    except FileNotFoundError:
        return []


def _write(machine: Machine, mounts: list[dict[str, Any]], made: list[str]) -> None:
    put(machine.folder / "mounts.json", json.dumps({"mounts": mounts, "made": made}).encode())


def _running(desk: Desk, sought: str) -> Machine:
    machine = desk.library.find(sought)
    if machine.meta.status != "running":
        raise Failure(f"{machine.name}: the VM is not running", hint=f"start it first: anka start {machine.name}")
    return machine


def mount(desk: Desk, words: list[str]) -> Reply:
    """Mount a folder into a running guest; without one, tell what is mounted."""
    sought, *spec = exactly(parse(words, OPTIONS["mount"]), 1, 2, "anka mount VM [PATH[:NAME]]")
    if not spec:
        found = read(_running(desk, sought))
        return Reply(body=found, text=table(_HEAD, [[each[key] for key in _HEAD] for each in found]))
    with desk.library.locked(desk.cancelled):
        made = add(_running(desk, sought), [split(spec[0], Path.cwd())])[-1]
    return Reply(body=made, text=made["guest_path"])


def unmount(desk: Desk, words: list[str]) -> Reply:
    """Take mounts away, by their number, their name in the guest, or their path on this machine."""
    found = parse(words, OPTIONS["unmount"])
    if not found.rest or (len(found.rest) == 1 and not found.flag("all")):
        raise UsageError("usage: anka unmount [--all] VM MOUNT…")
    with desk.library.locked(desk.cancelled):
        machine = _running(desk, found.rest[0])
        names = None if found.flag("all") else [_named(machine, each) for each in found.rest[1:]]
        clear(machine, names)
    return Reply()


def _named(machine: Machine, sought: str) -> str:
    for each in read(machine):
        if (
            sought in (str(each["fsid"]), each["guest_folder_name"])
            or str(Path(sought).absolute()) == each["host_path"]
        ):
            return str(each["guest_folder_name"])
    raise Failure(f"{sought}: not found", NOT_FOUND, hint=f"see `anka mount {machine.name}`")
