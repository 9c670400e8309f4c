"""What virtual nodes are told, as it is kept: orders, and the model and faults under which they are followed.

Nothing here follows them; that is ``server.simulation``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from anka_ci.server.faults import FOREVER, NodeFault, Pace


@dataclass(frozen=True, kw_only=True)
class Model:
    """Pace and size of the nodes: bytes per second of a node and of the registry, bytes of a node's disk.

    The registry's bandwidth is shared by the nodes of one distribution, from its beginning to its end. Each node
    differs by up to ``spread`` (a share) from these figures, always in the same way. ``setup`` is what a pull takes
    beside its bytes, in seconds.
    """

    bandwidth: float = 110e6
    registry: float = 1.25e9
    disk: float = 500e9
    spread: float = 0.2
    setup: float = 2.0

    @classmethod
    def paced(cls, pace: Pace) -> Model:
        """The usual model, but for what ``pace`` says."""
        given = {key: float(value) for key, value in vars(pace).items() if value is not None}
        if "spread" in given:
            given["spread"] /= 100
        return cls(**given)

    def of(self, name: str, what: str, mean: float) -> float:
        """A figure of the node ``name``."""
        drawn = int.from_bytes(hashlib.sha256(f"{what} {name}".encode()).digest()[:4], "big") / 0xFFFFFFFF
        return mean * (1 + self.spread * (2 * drawn - 1))


@dataclass(frozen=True, kw_only=True)
class Era:
    """Model and faults that hold from ``at`` (Unix seconds) until the next era."""

    at: float
    model: Model = Model()
    faults: tuple[NodeFault, ...] = ()

    def tells(self) -> object:
        """What makes it another era than the one before."""
        return self.model, self.faults

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Era:
        faults = tuple(
            NodeFault(**{**fault, "until": FOREVER if fault["until"] is None else fault["until"]})
            for fault in found["faults"]
        )
        return cls(at=found["at"], model=Model(**found["model"]), faults=faults)

    def emit(self) -> dict[str, Any]:
        faults = [{**asdict(each), "until": None if each.until == FOREVER else each.until} for each in self.faults]
        return {"at": self.at, "model": asdict(self.model), "faults": faults}


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A node's copy of a template: its id, name and tag, and bytes by layer."""

    id: str
    name: str
    tag: str
    layers: Mapping[str, int]
    used: float = 0.0

    @property
    def key(self) -> str:
        return self.id.lower()


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked at ``at``: ``pull``, ``place`` (an instance), ``remove``, ``cancel``, or a new ``era``."""

    at: float
    does: str
    subject: str = ""
    nodes: tuple[str, ...] = ()
    id: str = ""
    copy: Copy | None = None
    era: Era | None = None

    @classmethod
    def read(cls, found: Mapping[str, Any]) -> Order:
        copy, era = found.get("copy"), found.get("era")
        return cls(
            at=found["at"],
            does=found["does"],
            subject=found.get("subject", ""),
            nodes=tuple(found.get("nodes", ())),
            id=found.get("id", ""),
            copy=Copy(**copy) if copy else None,
            era=Era.read(era) if era else None,
        )

    def emit(self) -> dict[str, Any]:
        found: dict[str, Any] = {"at": self.at, "does": self.does, "subject": self.subject, "nodes": self.nodes}
        found["id"] = self.id
        return (
            found | ({"copy": asdict(self.copy)} if self.copy else {}) | ({"era": self.era.emit()} if self.era else {})
        )
