"""VMs of a host, as the local ``anka`` command lists and shows them; an instance of the controller is something else.

2.x says ``id`` where 3.x says ``uuid`` in registry listings, and ``version`` is the current tag in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.wire import values


@dataclass(frozen=True, kw_only=True)
class Vm:
    """A local VM. ``tag`` is the current local tag, empty when untagged; ``image_size`` in bytes on disk.

    ``accessed`` is when it was last used, in Unix seconds; None where it is not told (before 3.1).
    """

    id: str
    name: str
    tag: str = ""
    status: str = ""
    arch: str = ""
    image_size: int | None = None
    accessed: float | None = None

    @property
    def running(self) -> bool:
        return self.status == "running"

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Vm:
        arch = obj.get("arch")
        return cls(
            id=values.text(obj, "uuid", "id"),
            name=values.text(obj, "name"),
            tag=values.text(obj, "version", "tag"),
            status=values.text(obj, "status"),
            arch=arch if isinstance(arch, str) else {1: "amd64", 2: "arm64"}.get(values.integer(obj, "arch") or 0, ""),
            image_size=values.integer(obj, "image_size"),
            accessed=values.read_time(obj.get("access_date")),
        )


@dataclass(frozen=True, kw_only=True)
class DownloadSize:
    """What a pull would move onto this host, in bytes; ``available`` is the free disk, None when not told."""

    size: int | None
    cached: int | None
    download: int
    available: int | None = None

    @classmethod
    def none(cls, size: int | None) -> DownloadSize:
        """Of what is here already, whole."""
        return cls(size=size, cached=size, download=0)

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> DownloadSize:
        """From ``check-download-size``; an empty body means that the tag is here already."""
        total, cached = values.integer(obj, "size"), values.integer(obj, "cached")
        download = max(0, total - cached) if total is not None and cached is not None else values.integer(obj, "bytes")
        return cls(
            size=total, cached=cached, download=max(0, download or 0), available=values.integer(obj, "available")
        )


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What a pull or push moved, in bytes; None where the command does not tell. ``version`` is a push's new number."""

    moved: int | None = None
    shared: int | None = None
    version: int | None = None
