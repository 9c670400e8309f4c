"""Build nodes and node groups, as the controller lists them (``GET /api/v1/node``, ``GET /api/v1/group``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from anka_ci.wire import schema, values

ACTIVE, OFFLINE, INACTIVE = "Active", "Offline", "Inactive (Invalid License)"
UPDATING, UNHEALTHY, DRAINING = "Updating", "Unhealthy", "Drain Mode"
"""The node states that Anka documents; a client treats any other as unknown, not as an error."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A node group."""

    id: str
    name: str
    description: str = ""
    fallback_group_id: str | None = None

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Group:
        if not isinstance(obj.get("id"), str):
            raise ValueError("a group without id")
        return cls(
            id=obj["id"],
            name=values.text(obj, "name"),
            description=values.text(obj, "description"),
            fallback_group_id=values.text(obj, "fallback_group_id") or None,
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "Group",
        {
            "id": schema.id_of("group"),
            "name": schema.TEXT,
            "description": schema.TEXT,
            "fallback_group_id": schema.either(schema.id_of("group"), schema.NULL),
        },
    )

    def emit(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "fallback_group_id": self.fallback_group_id,
        }


@dataclass(frozen=True, kw_only=True)
class NodeTemplate:
    """A template that a node holds, and the one tag of it that the controller knows about."""

    id: str
    name: str
    tag: str

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> NodeTemplate:
        return cls(id=values.text(obj, "uuid", "id"), name=values.text(obj, "name"), tag=values.text(obj, "tag"))

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "NodeTemplate", {"uuid": schema.id_of("template"), "name": schema.TEXT, "tag": schema.TEXT}
    )

    def emit(self) -> dict[str, Any]:
        return {"uuid": self.id, "name": self.name, "tag": self.tag}


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node. ``templates`` is None when the controller does not report them (before 1.20); sizes in bytes."""

    id: str
    name: str
    state: str = ""
    arch: str = ""
    groups: tuple[Group, ...] = ()
    templates: tuple[NodeTemplate, ...] | None = None
    disk_size: int | None = None
    free_disk: int | None = None
    anka_disk_usage: int | None = None
    capacity: int | None = None
    capacity_mode: str = "number"
    vcpu_override: int = 0
    ram_override: int = 0
    running: int | None = None
    ip: str = ""
    cpu_count: int = 0
    ram: int = 0
    anka_version: str = ""
    last_updated: float | None = None

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Node:
        if not isinstance(obj.get("node_id"), str):
            raise ValueError("a node without node_id")
        templates, groups = obj.get("templates"), obj.get("groups")
        anka = obj.get("anka_version")
        return cls(
            id=obj["node_id"],
            name=values.text(obj, "node_name") or obj["node_id"],
            state=values.text(obj, "state"),
            arch=values.text(obj, "host_arch"),
            groups=tuple(Group.read(item) for item in groups) if isinstance(groups, list) else (),
            templates=tuple(NodeTemplate.read(item) for item in templates) if isinstance(templates, list) else None,
            disk_size=values.integer(obj, "disk_size"),
            free_disk=values.integer(obj, "free_disk_space"),
            anka_disk_usage=values.integer(obj, "anka_disk_usage"),
            capacity=values.integer(obj, "capacity"),
            capacity_mode=values.text(obj, "capacity_mode", default="number"),
            vcpu_override=values.integer(obj, "vcpu_override") or 0,
            ram_override=values.integer(obj, "ram_override") or 0,
            running=values.integer(obj, "vm_count"),
            ip=values.text(obj, "ip_address"),
            cpu_count=values.integer(obj, "cpu_count") or 0,
            ram=values.integer(obj, "ram") or 0,
            anka_version=values.text(anka, "version") if isinstance(anka, Mapping) else "",
            last_updated=values.read_time(obj.get("last_updated")),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "Node",
        {
            "node_id": schema.id_of("node"),
            "node_name": schema.TEXT,
            "cpu_count": schema.COUNT,
            "ram": schema.COUNT,
            "vm_count": schema.COUNT,
            "vcpu_count": schema.COUNT,
            "vram": schema.COUNT,
            "cpu_util": schema.SHARE,
            "ram_util": schema.SHARE,
            "ip_address": schema.TEXT,
            "state": schema.one_of(ACTIVE, OFFLINE, INACTIVE, UPDATING, UNHEALTHY, DRAINING),
            "capacity": schema.COUNT,
            "anka_version": schema.noun(
                "AnkaVersion",
                {"product": schema.TEXT, "version": schema.TEXT, "build": schema.TEXT, "license": schema.TEXT},
            ),
            "capacity_mode": schema.one_of("number", "resource"),
            "vcpu_override": schema.COUNT,
            "ram_override": schema.COUNT,
            "disk_size": schema.COUNT,
            "free_disk_space": schema.COUNT,
            "anka_disk_usage": schema.COUNT,
            "host_arch": schema.one_of("amd64", "arm64"),
            "templates": schema.several(NodeTemplate.SCHEMA),
            "groups": schema.several(Group.SCHEMA),
            "last_updated": schema.TIME,
            "timestamp": schema.COUNT,
        },
        optional=("templates", "groups", "last_updated", "timestamp"),
    )

    def emit(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "node_id": self.id,
            "node_name": self.name,
            "cpu_count": self.cpu_count,
            "ram": self.ram,
            "vm_count": self.running or 0,
            "vcpu_count": 0,
            "vram": 0,
            "cpu_util": 0,
            "ram_util": 0,
            "ip_address": self.ip,
            "state": self.state,
            "capacity": self.capacity or 0,
            "anka_version": {
                "product": "Anka Build Enterpriseplus",
                "version": self.anka_version,
                "build": "0",
                "license": "com.veertu.anka.entplus",
            },
            "capacity_mode": self.capacity_mode,
            "vcpu_override": self.vcpu_override,
            "ram_override": self.ram_override,
            "disk_size": self.disk_size or 0,
            "free_disk_space": self.free_disk or 0,
            "anka_disk_usage": self.anka_disk_usage or 0,
            "host_arch": self.arch,
        }
        if self.templates is not None:
            found["templates"] = [template.emit() for template in self.templates]
        if self.groups:
            found["groups"] = [group.emit() for group in self.groups]
        if self.last_updated is not None:
            found["last_updated"] = values.emit_time(self.last_updated)
            found["timestamp"] = int(self.last_updated)
        return found

    def tag_of(self, template_id: str) -> str | None:
        """The tag this node reports for a template; None when it reports none."""
        for template in self.templates or ():
            if template.id.lower() == template_id.lower():
                return template.tag
        return None
