"""What ``modify`` can change of a VM's processor, memory, disk, display, labels and variables.

Pure: a configuration is changed in place, nothing is read or written. Options are those of Anka's reference for
``modify``; what is no number, size or choice is refused, and then nothing is kept.
"""

from __future__ import annotations

import re
from typing import Any

from anka_ci.errors import UsageError
from anka_ci.standin.local import bytes_of
from anka_ci.standin.output import NOT_FOUND, Failure, size
from anka_ci.standin.words import Words, exactly, options

CPU = options("-c --cores=", "-t --threads=", "-f --frequency=")
DISK = options("-s --size=", "-c --controller=", "-f --file=", "--ro", "--rw")
DISPLAY = options(
    *("-n --count=", "--headless", "-p --password", "--vnc=", "--no-vnc", "-d --dpi=", "-r --resolution="),
    *("-f --fps=", "-c --controller=", "--host-gpu-location=", "--host-gpu-name=", "--features="),
)
LABEL = options("-d --delete", "--set-name")
DEFAULT_FRAME = {"width": 1024, "height": 768}


def number(text: str, what: str, least: int = 1, most: int = 1 << 31) -> int:
    """A whole number between two others; ``UsageError`` otherwise."""
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise UsageError(f"{what} {text!r} is no number from {least} to {most}")
    return int(text)


def amount(text: str, what: str) -> int:
    """A size in bytes, as ``4G``; ``UsageError`` when it is none or below 1 MiB."""
    found = bytes_of(text)
    if found < 1 << 20:
        raise UsageError(f"{what} {text!r} is no size", hint="write it like 4G; suffixes are T, G, M and K")
    return found


def child(config: dict[str, Any], key: str) -> dict[str, Any]:
    """A mapping inside a configuration, made when it is missing."""
    found = config.setdefault(key, {})
    if not isinstance(found, dict):
        raise Failure(f"{key}: is no mapping in the VM's configuration")
    return found


def cpu(config: dict[str, Any], words: Words) -> None:
    given = exactly(words, 0, 1, "anka modify VM cpu [--cores N] [--frequency HZ] [N]")
    cores = words.get("cores") or (given[0] if given else None)
    if cores is None and not words.values:
        raise UsageError("the number of cores is missing", hint="usage: anka modify VM cpu N")
    found = child(config, "cpu")
    if cores is not None:
        found["cores"] = number(cores, "cpu", most=1024)
    for key, least in (("threads", 1), ("frequency", 0)):
        text = words.get(key)
        if text is not None:
            found[key] = number(text, key, least, most=1 << 40)


def ram(config: dict[str, Any], words: Words) -> None:
    (text,) = exactly(words, 1, 1, "anka modify VM ram SIZE")
    amount(text, "ram")
    config["ram"] = text.upper()


def disk(config: dict[str, Any], words: Words) -> None:
    """A larger disk: a guest's folder has no limit, so that only what is told changes. Anka makes none smaller."""
    given = exactly(words, 0, 1, "anka modify VM disk --size SIZE")
    if given and given[0] != "0":
        raise Failure(f"disk {given[0]}: not found", NOT_FOUND, hint="a guest here has one disk")
    if words.flag("file"):
        raise Failure("no other image can be a guest's disk here", hint="copy files into the guest with `anka cp`")
    drives = config.setdefault("hard_drives", [])
    if not drives:
        drives.append({"controller": "virtio-blk", "pci_slot": 4})
    text = words.get("size")
    if text is not None:
        wanted, now = amount(text, "size"), drives[0].get("size") or 0
        if wanted < now:
            raise Failure(f"the disk of {size(now)} cannot be made smaller")
        drives[0]["size"] = wanted
    controller = words.get("controller")
    if controller is not None:
        drives[0]["controller"] = choice(controller, "controller", ("ablk", "sata", "virtio-blk"))
    if words.flag("ro") or words.flag("rw"):
        drives[0]["read_only"] = words.flag("ro")


def choice(text: str, what: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise UsageError(f"{what} {text!r} is not known", hint="there is " + ", ".join(known))
    return text


def display(config: dict[str, Any], words: Words) -> None:
    exactly(words, 0, 1, "anka modify VM display [OPTIONS]")
    found = child(config, "display")
    frame = child(found, "frame_buffer")
    resolution = words.get("resolution")
    if resolution is not None:
        match = re.fullmatch(r"(\d{2,5})x(\d{2,5})", resolution)
        if match is None and resolution != "default":
            raise UsageError(f"resolution {resolution!r} is none", hint="write it like 1024x768, or default")
        frame |= DEFAULT_FRAME if match is None else {"width": int(match[1]), "height": int(match[2])}
    count = "0" if words.flag("headless") else words.get("count")
    if count is not None:
        found["headless"] = int(number(count, "count", 0, 2) == 0)
    for key in ("dpi", "fps"):
        text = words.get(key)
        if text is not None:
            frame[key] = number(text, key, most=10_000)
    controller = words.get("controller")
    if controller is not None:
        found["controller"] = choice(controller, "controller", ("fbuf", "pg"))
    if words.flag("vnc") or words.flag("no_vnc"):
        found["vnc"] = "off" if words.flag("no_vnc") else words.get("vnc")
    for key in ("host_gpu_location", "host_gpu_name", "features"):
        if words.flag(key):
            found[key] = words.get(key)


def custom_variable(config: dict[str, Any], words: Words) -> None:
    """A variable of the firmware or the hardware model, such as ``hw.uuid``; it is kept and means nothing here."""
    name, value = exactly(words, 2, 2, "anka modify VM set custom-variable NAME VALUE")
    child(config, "custom_variables")[name] = value


def label(config: dict[str, Any], words: Words) -> None:
    """Set, rename or delete a label."""
    name, *value = exactly(words, 1, 2, "anka modify VM label NAME VALUE")
    found = child(config, "labels")
    if words.flag("delete") or words.flag("set_name"):
        old = _taken(found, name)
        if words.flag("set_name"):
            if not value:
                raise UsageError("the new name is missing", hint="usage: anka modify VM label --set-name NAME NEW")
            found[value[0]] = old
    else:
        found[name] = value[0] if value else ""


def _taken(labels: dict[str, Any], name: str) -> Any:
    if name not in labels:
        raise Failure(f"{name}: not found", NOT_FOUND)
    return labels.pop(name)


def delete_label(config: dict[str, Any], words: Words) -> None:
    found = child(config, "labels")
    if not words.rest and not words.flag("all"):
        raise UsageError("usage: anka modify VM delete label [--all] NAME…")
    for name in list(found) if words.flag("all") else words.rest:
        _taken(found, name)
