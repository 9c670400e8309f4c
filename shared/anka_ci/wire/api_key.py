"""API keys (UAK), as ``/api/v1/apikey`` of the controller and ``/v1/apikey`` of the registry list them.

The private half of a key is never in such a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.wire import values


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key; ``created`` and ``expires`` in Unix seconds, None where it is not told."""

    id: str
    groups: tuple[str, ...] = ()
    created: float | None = None
    expires: float | None = None

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> ApiKey:
        """``ValueError`` when it has no id. Groups were a comma-separated text in some places."""
        found, groups = values.text(obj, "id"), obj.get("groups")
        if not found:
            raise ValueError("an API key without id")
        split = tuple(each.strip() for each in groups.split(",") if each.strip()) if isinstance(groups, str) else None
        return cls(
            id=found,
            groups=values.names(obj, "groups") if split is None else split,
            created=values.read_time(obj.get("created")),
            expires=values.read_time(obj.get("expiration")),
        )
