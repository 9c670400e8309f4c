"""Registries that the local ``anka`` command knows by name, as ``registry list-repos`` tells them.

2.x answers with a mapping by name that holds scheme, host and port; 3.x with a list of name and URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.wire import values


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A registry that is configured. ``default`` is the one that a command without an option means."""

    name: str
    url: str
    default: bool = False

    @classmethod
    def read_all(cls, body: object) -> list[Remote]:
        """From the body of an answer; nothing configured is ``[]``, ``{}`` or nothing."""
        if isinstance(body, Mapping):
            return [cls._read({"name": name, **row}) for name, row in body.items() if isinstance(row, Mapping)]
        return [cls._read(row) for row in body if isinstance(row, Mapping)] if isinstance(body, list) else []

    @classmethod
    def _read(cls, row: Mapping[str, Any]) -> Remote:
        url = values.text(row, "url")
        host, port = values.text(row, "host"), values.text(row, "port")
        if not url and host:
            url = f"{values.text(row, 'scheme', default='http')}://{host}" + (f":{port}" if port else "")
        return cls(name=values.text(row, "name"), url=url, default=row.get("default") is True)
