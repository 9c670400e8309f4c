"""What a VM, or one of its tags, is like: everything at once, and each property that ``show`` can be asked for.

Reads what it is handed and nothing else. What only a virtual machine has (VNC, a process, a host interface) is null: a
guest here is a folder. Its commands listen on this machine's own ports, so that no port is forwarded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from anka_ci.standin.local import bytes_of
from anka_ci.standin.output import day, size
from anka_ci.standin.stored import Meta
from anka_ci.standin.tables import Text, details, table
from anka_ci.wire.values import emit_time

ADDRESS = "127.0.0.1"
"""Where a running guest is found: on this machine."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the properties are read from; ``bytes`` are those of all layers, ``old`` is the shape of 2.x."""

    id: str
    name: str
    tag: str
    status: str
    meta: Meta
    config: Mapping[str, Any]
    bytes: int
    mounts: Sequence[Mapping[str, Any]] = ()
    old: bool = False

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def ram(self) -> str:
        """As text, whatever the configuration has: 3.0.0 wrote a number, and clients read a string."""
        return str(self.config.get("ram") or "4G")

    @property
    def disk(self) -> Mapping[str, Any]:
        return _first(self.config.get("hard_drives"))

    @property
    def card(self) -> Mapping[str, Any]:
        return _first(self.config.get("network_cards"))

    @property
    def logical(self) -> int:
        """The size of the disk as the guest would see it; what is stored when the configuration tells none."""
        told = self.disk.get("size")
        return told if isinstance(told, int) and told > 0 else self.bytes


def _first(found: object) -> Mapping[str, Any]:
    return found[0] if isinstance(found, list) and found and isinstance(found[0], Mapping) else {}


def _mapping(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}


def moment(seconds: float) -> str:
    """A time as Anka's JSON has it: ``2022-01-06T12:34:52Z``."""
    return emit_time(int(seconds)).replace(".000000", "")


def titled(name: str, tag: str) -> str:
    """A VM as tables name it: ``NAME (TAG)``."""
    return f"{name} ({tag})" if tag else name


def everything(seen: Seen) -> dict[str, Any]:
    """What ``show`` answers without a property."""
    meta = seen.meta
    found: dict[str, Any] = {"uuid": seen.id, "name": seen.name}
    if seen.tag or seen.old:
        found["version"] = seen.tag
    cpu = _mapping(seen.config.get("cpu"))
    found |= {
        "creation_date": moment(meta.created),
        "access_date": moment(meta.accessed),
        "cpu_cores": cpu.get("cores", 0),
        "cpu_frequency": cpu.get("frequency", 0),
        "cpu_htt": False,
    }
    if not seen.old:
        found["arch"] = {"amd64": 1, "arm64": 2}.get(meta.arch, 0)
    found |= {
        "ram": seen.ram,
        "ram_size": bytes_of(seen.ram),
        "frame_buffers": 0 if _mapping(seen.config.get("display")).get("headless") else 1,
        "hard_drive": seen.logical,
        "encrypted": False,
        "image_size": seen.bytes,
        "addons_version": "",
        "description": meta.description,
    }
    if seen.running:
        found |= {"vnc_port": None, "vnc_password": None, "vnc_connection_string": None, "pid": None}
        found |= {"ip": ADDRESS, "mac": seen.card.get("mac_address", ""), "hostif": None}
        found |= {"port_forwarding": ports(seen), "start_date": moment(meta.started)}
    if meta.stopped:
        found["stop_date"] = moment(meta.stopped)
    return {**found, "status": seen.status}


def person(seen: Seen) -> Text:
    """The same for people."""
    meta, cpu = seen.meta, _mapping(seen.config.get("cpu"))
    since = day(meta.started) if seen.running else day(meta.stopped)
    rows = {
        "uuid": seen.id,
        "name": titled(seen.name, seen.tag),
        "created": day(meta.created),
        "vcpu": f"{cpu.get('cores', 0)}" + (" ARM" if meta.arch == "arm64" and not seen.old else ""),
        "memory" if seen.old else "ram": seen.ram,
        "display": resolution(seen),
        "disk": f"{size(seen.logical)} ({size(seen.bytes)} on disk)",
        "addons": "none",
        "network": f"{seen.card.get('mode', 'shared')}" + (f" {ADDRESS}" if seen.running else ""),
        "status": (seen.status + (" since " if seen.running else " ") + since).rstrip(),
    }
    return details(rows)


def resolution(seen: Seen) -> str:
    frame = _mapping(_mapping(seen.config.get("display")).get("frame_buffer"))
    return f"{frame.get('width', 1024)}x{frame.get('height', 768)}"


def ports(seen: Seen) -> list[dict[str, Any]]:
    """The rules of the first network card; a rule without a port of the host has that of the guest, as it is here."""
    found = []
    for rule in seen.card.get("port_forwarding_rules") or ():
        guest = rule.get("guest_port", 0)
        row = {"name": rule.get("rule_name", ""), "protocol": rule.get("protocol", "tcp"), "guest_port": guest}
        if rule.get("host_port") or seen.running:
            row["host_port"] = rule.get("host_port") or guest
        if rule.get("host_ip"):
            row["host_ip"] = rule["host_ip"]
        found.append(row)
    return found


def _cpu(seen: Seen) -> dict[str, Any]:
    cpu = _mapping(seen.config.get("cpu"))
    return {"cores": cpu.get("cores", 0), **{key: cpu[key] for key in ("threads", "frequency") if cpu.get(key)}}


def _display(seen: Seen) -> dict[str, Any]:
    found = _mapping(seen.config.get("display"))
    frame = _mapping(found.get("frame_buffer"))
    more = {key: each for key, each in found.items() if key not in ("frame_buffer", "headless")}
    shown = {"resolution": resolution(seen), "headless": bool(found.get("headless")), **more}
    return {**shown, **{key: frame[key] for key in ("dpi", "fps") if key in frame}}


def _disk(seen: Seen) -> dict[str, Any]:
    return {
        "controller": seen.disk.get("controller", "virtio-blk"),
        "file": seen.meta.top,
        "pci_slot": seen.disk.get("pci_slot", 4),
        "image_format": "tar",
        "image_size": seen.logical,
        "block_size": 512,
        "data_size": seen.bytes,
        "snapshot": False,
        "encrypted": False,
    }


def _network(seen: Seen) -> dict[str, Any]:
    card = seen.card
    found: dict[str, Any] = {"mode": card.get("mode", "shared")}
    controller = card.get("controller") or card.get("type") or "virtio-net"
    found |= {"pci_slot": card.get("pci_slot", 28), "type": controller} if seen.old else {"controller": controller}
    if seen.running:
        found |= {"ip": ADDRESS, "mac": card.get("mac_address", "")}
    found |= {key: card[key] for key in ("bridge", "bond", "vlan", "local", "filter") if key in card}
    return {**found, "port_forwarding_rules": ports(seen)}


PROPERTIES: Mapping[str, Callable[[Seen], Any]] = {
    "cpu": _cpu,
    "ram": lambda seen: {"size": bytes_of(seen.ram)},
    "display": _display,
    "disk": _disk,
    "hard-drive": _disk,
    "network": _network,
    "network-card": _network,
    "port": ports,
    "port-forwarding": ports,
    "label": lambda seen: dict(_mapping(seen.config.get("labels"))),
    "mount": lambda seen: [{key: each[key] for key in ("host_path", "guest_path")} for each in seen.mounts],
}
"""Properties that are more than one value, by every name that Anka has had for them."""
BYTES = {"size", "image_size", "block_size", "data_size"}
HEADS = {
    "port": ("name", "protocol", "guest_port", "host_port"),
    "port-forwarding": ("name", "protocol", "guest_port", "host_port"),
    "mount": ("host_path", "guest_path"),
}
"""The columns of properties that are lists."""


def plain(key: str, value: object) -> str:
    """A value as tables have it."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return size(value) if key in BYTES and isinstance(value, int) else str(value)


def property_text(name: str, found: Any) -> Text:
    """A property for people: a table, and the rules of a network card in one of their own."""
    if isinstance(found, list):
        return table(HEADS[name], [[each.get(key, "") for key in HEADS[name]] for each in found])
    text = details({key: plain(key, value) for key, value in found.items() if not isinstance(value, list)})
    rules = found.get("port_forwarding_rules")
    return (text, "\n\nport_forwarding_rules:\n", property_text("port", rules)) if rules else text
