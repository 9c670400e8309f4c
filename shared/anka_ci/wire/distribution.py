"""Distribution requests and their per-node state (``/api/v1/registry/vm/distribute``).

Per node, ``status`` says that the download finished, ``error`` is there only after a failure, and ``progress`` runs
from 0 to 1. There is no state of the request as a whole; it follows from the nodes. The 2019 page describes each
entry as also holding template id, tag, version and time, so ``emit`` adds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from anka_ci.wire import schema, values

CANCELLED = "request canceled"
"""The per-node error that the controller writes after a cancel."""


@dataclass(frozen=True, kw_only=True)
class NodeShare:
    """One node's part. ``progress`` runs from 0 to 1; ``error`` is empty unless it failed."""

    done: bool = False
    progress: float = 0.0
    error: str = ""

    @property
    def ended(self) -> bool:
        return self.done or bool(self.error)

    @property
    def state(self) -> str:
        """``done``, ``cancelled``, ``failed``, ``pulling`` or ``queued``."""
        if self.done:
            return "done"
        if self.error:
            return "cancelled" if self.error == CANCELLED else "failed"
        return "pulling" if self.progress > 0 else "queued"

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> NodeShare:
        progress = obj.get("progress")
        return cls(
            done=obj.get("status") is True,
            progress=float(progress) if isinstance(progress, (int, float)) else 0.0,
            error=values.text(obj, "error"),
        )


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A request. ``tag`` and ``version`` may be missing, the server need not tell; ``requested`` in Unix seconds."""

    id: str
    template_id: str
    nodes: Mapping[str, NodeShare] = field(default_factory=dict)
    requested: float | None = None
    tag: str = ""
    version: int | None = None
    group_id: str = ""

    @property
    def ended(self) -> bool:
        return all(share.ended for share in self.nodes.values())

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> Distribution:
        request = obj.get("request")
        if not isinstance(request, Mapping) or not isinstance(request.get("request_id"), str):
            raise ValueError("a distribution without request_id")
        shares = obj.get("distribute_status")
        found = shares if isinstance(shares, Mapping) else {}
        any_share = next((share for share in found.values() if isinstance(share, Mapping)), {})
        return cls(
            id=request["request_id"],
            template_id=values.text(request, "template_id"),
            nodes={str(node): NodeShare.read(share or {}) for node, share in found.items()},
            requested=values.read_time(request.get("time_requested")),
            tag=values.text(request, "tag") or values.text(any_share, "tag"),
            version=values.integer(
                request,
                "version",
            )
            if "version" in request
            else values.integer(any_share, "version"),
            group_id=values.text(request, "group_id"),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "Distribution",
        {
            "request": schema.noun(
                "DistributionRequest",
                {
                    "request_id": schema.id_of("distribution"),
                    "template_id": schema.id_of("template"),
                    "tag": schema.TEXT,
                    "version": schema.COUNT,
                    "group_id": schema.id_of("group"),
                    "time_requested": schema.TIME,
                },
                optional=("tag", "version", "group_id", "time_requested"),
            ),
            "distribute_status": schema.mapping(
                schema.noun(
                    "NodeShare",
                    {
                        "status": schema.FLAG,
                        "error": {"type": "string", "minLength": 1},
                        "progress": schema.SHARE,
                        "template_id": schema.id_of("template"),
                        "tag": schema.TEXT,
                        "version": schema.COUNT,
                        "time": schema.TIME,
                    },
                    optional=("error", "tag", "version", "time"),
                )
            ),
        },
    )

    def emit(self) -> dict[str, Any]:
        request: dict[str, Any] = {"request_id": self.id, "template_id": self.template_id}
        extra: dict[str, Any] = {"template_id": self.template_id}
        if self.tag:
            request["tag"] = extra["tag"] = self.tag
        if self.version is not None:
            request["version"] = extra["version"] = self.version
        if self.group_id:
            request["group_id"] = self.group_id
        if self.requested is not None:
            request["time_requested"] = extra["time"] = values.emit_time(self.requested)
        status = {}
        for node, share in self.nodes.items():
            entry: dict[str, Any] = {"status": share.done}
            if share.error:
                entry["error"] = share.error
            status[node] = entry | {"progress": values.emit_share(share.progress)} | extra
        return {"request": request, "distribute_status": status}
