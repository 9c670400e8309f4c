"""What the controller and the registry say of themselves (``/api/v1/status``, ``/registry/status``, disk)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from anka_ci.wire import schema, values


@dataclass(frozen=True, kw_only=True)
class ServerStatus:
    """A server's status. ``registry_url`` and ``license`` are told by a controller only."""

    status: str
    version: str = ""
    registry_url: str = ""
    registry_status: str = ""
    license: str = ""

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> ServerStatus:
        return cls(
            status=values.text(obj, "status"),
            version=values.text(obj, "version"),
            registry_url=values.text(obj, "registry_address"),
            registry_status=values.text(obj, "registry_status"),
            license=values.text(obj, "license"),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "ServerStatus",
        {
            "status": schema.TEXT,
            "version": schema.TEXT,
            "registry_address": schema.TEXT,
            "registry_status": schema.one_of("Running", "FAIL"),
            "license": schema.one_of("basic", "enterprise", "enterprise plus"),
        },
        optional=("registry_address", "registry_status", "license"),
    )

    def emit(self) -> dict[str, Any]:
        found = {"status": self.status, "version": self.version}
        if self.registry_url:
            found |= {"registry_address": self.registry_url, "registry_status": self.registry_status}
            found["license"] = self.license
        return found


@dataclass(frozen=True, kw_only=True)
class Disk:
    """A server's disk, in bytes."""

    free: int
    total: int

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Disk:
        return cls(free=values.integer(obj, "free") or 0, total=values.integer(obj, "total") or 0)

    SCHEMA: ClassVar[schema.Schema] = schema.noun("Disk", {"free": schema.COUNT, "total": schema.COUNT})

    def emit(self) -> dict[str, Any]:
        return {"free": self.free, "total": self.total}
