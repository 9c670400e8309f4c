"""The VM behind an instance, as its node tells of it: ``vminfo`` in the controller's instances.

An empty field is absent: Go cannot read an empty text as a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from anka_ci.wire import schema, values

RUNNING = "running"
"""The ``status`` in ``vminfo`` of a VM that runs; others are stopped, suspended, failed and deleted."""
_VM_OPTIONAL = (
    *("name", "version", "creation_date", "access_date", "start_date", "stop_date", "cpu_cores", "ram", "node_id"),
    *("host_ip", "ip", "vnc_port", "vnc_connection_string", "vnc_password", "port_forwarding"),
)


@dataclass(frozen=True, kw_only=True)
class PortRule:
    """A port of the node that leads to a port of the guest. ``name`` was ``rule_name`` in 2022 and ``Name`` in 2019."""

    guest_port: int
    host_port: int
    name: str = ""
    protocol: str = "tcp"

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> PortRule:
        return cls(
            guest_port=values.integer(obj, "guest_port") or 0,
            host_port=values.integer(obj, "host_port") or 0,
            name=values.text(obj, "name", "rule_name", "Name"),
            protocol=values.text(obj, "protocol", default="tcp"),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "PortRule",
        {"guest_port": schema.COUNT, "host_port": schema.COUNT, "protocol": schema.TEXT, "name": schema.TEXT},
    )

    def emit(self) -> dict[str, Any]:
        return {
            "guest_port": self.guest_port,
            "host_port": self.host_port,
            "protocol": self.protocol,
            "name": self.name,
        }


@dataclass(frozen=True, kw_only=True)
class VmInfo:
    """The VM behind an instance. Times in Unix seconds, None for never; ``ram`` as Anka writes it, ``8G``."""

    uuid: str
    status: str
    name: str = ""
    tag: str = ""
    cpu_cores: int | None = None
    ram: str = ""
    node_id: str = ""
    host_ip: str = ""
    ip: str = ""
    vnc_port: int | None = None
    vnc_connection_string: str = ""
    vnc_password: str = ""
    port_forwarding: tuple[PortRule, ...] = ()
    created: float | None = None
    accessed: float | None = None
    started: float | None = None
    stopped: float | None = None

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> VmInfo:
        rules = obj.get("port_forwarding")
        return cls(
            uuid=values.text(obj, "uuid"),
            status=values.text(obj, "status"),
            name=values.text(obj, "name"),
            tag=values.text(obj, "version", "tag"),
            cpu_cores=values.integer(obj, "cpu_cores"),
            ram=values.text(obj, "ram"),
            node_id=values.text(obj, "node_id"),
            host_ip=values.text(obj, "host_ip"),
            ip=values.text(obj, "ip"),
            vnc_port=values.integer(obj, "vnc_port") or None,
            vnc_connection_string=values.text(obj, "vnc_connection_string"),
            vnc_password=values.text(obj, "vnc_password"),
            port_forwarding=tuple(PortRule.read(rule) for rule in rules if isinstance(rule, Mapping))
            if isinstance(rules, list)
            else (),
            created=values.read_time(obj.get("creation_date")),
            accessed=values.read_time(obj.get("access_date")),
            started=values.read_time(obj.get("start_date")),
            stopped=values.read_time(obj.get("stop_date")),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "VmInfo",
        {
            "uuid": schema.id_of("vm"),
            "status": schema.one_of(RUNNING, "stopped", "suspended", "failed", "deleted"),
            "name": schema.TEXT,
            "version": schema.TEXT,
            "creation_date": schema.TIME,
            "access_date": schema.TIME,
            "start_date": schema.TIME,
            "stop_date": schema.TIME,
            "cpu_cores": schema.COUNT,
            "ram": schema.TEXT,
            "node_id": schema.id_of("node"),
            "host_ip": schema.TEXT,
            "ip": schema.TEXT,
            "vnc_port": schema.COUNT,
            "vnc_connection_string": schema.TEXT,
            "vnc_password": schema.TEXT,
            "port_forwarding": schema.several(PortRule.SCHEMA),
        },
        optional=_VM_OPTIONAL,
    )

    def emit(self) -> dict[str, Any]:
        rules = [rule.emit() for rule in self.port_forwarding]
        return {"uuid": self.uuid, "status": self.status} | values.present(
            name=self.name,
            version=self.tag,
            creation_date=_time(self.created),
            access_date=_time(self.accessed),
            start_date=_time(self.started),
            stop_date=_time(self.stopped),
            cpu_cores=self.cpu_cores,
            ram=self.ram,
            node_id=self.node_id,
            host_ip=self.host_ip,
            ip=self.ip,
            vnc_port=self.vnc_port,
            vnc_connection_string=self.vnc_connection_string,
            vnc_password=self.vnc_password,
            port_forwarding=rules,
        )


def _time(seconds: float | None) -> str:
    return "" if seconds is None else values.emit_time(seconds)
