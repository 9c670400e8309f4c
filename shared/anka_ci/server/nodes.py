"""What the fleet asks of nodes: one kind of them runs the stand-in as real agents do, the other is computed.

Nothing here does anything. A node is known by its name, which is its id; groups are the fleet's affair.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from anka_ci.wire.distribution import Distribution, NodeShare
from anka_ci.wire.node import Node

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""What a node may be called; a real one's library is in a folder of that name."""
SILENCE = 120.0
"""Seconds without a word from an agent after which its node is offline (``ANKA_NODE_ACTIVE_TIMEOUT``)."""
FULL = "no space left on device"
"""What a node says that has no room for a template, with nothing left that it may evict."""


class Nodes(Protocol):
    """Nodes of one kind. Every method may be called from any thread."""

    @property
    def names(self) -> Sequence[str]:
        """Their names, in their order."""

    def start(self, registry_url: str) -> None:
        """Begin to work; returns when each can say what it holds."""

    def stop(self) -> None:
        """End what runs, and wait for it; what had not finished stays unfinished on record."""

    def node(self, name: str) -> Node:
        """A node as it is now, but for its groups."""

    def take(self, request: Distribution) -> None:
        """Take up a distribution, new or from before a restart: the parts that these nodes have in it."""

    def shares(self, request: Distribution) -> Mapping[str, NodeShare]:
        """Those parts as they are now."""

    def cancel(self, request: Distribution) -> None:
        """End the parts that have not ended; they are cancelled when this returns."""

    def remove(self, template_id: str, names: Collection[str]) -> None:
        """Have the nodes of these names delete their copy of a template; it is not waited for."""


@dataclass(frozen=True, kw_only=True)
class Placed:
    """An instance on a node: ``pulling``, ``started`` since ``started_at``, or ``failed`` with its ``error``.

    ``progress`` runs from 0 to 1; times are Unix seconds.
    """

    state: str
    progress: float = 0.0
    started_at: float | None = None
    error: str = ""


class Hosts(Protocol):
    """Nodes that take VM instances. Whoever places one sees to capacity and drain mode."""

    def place(self, instance_id: str, name: str, template_id: str, tag: str) -> None:
        """Put an instance on a node, which pulls the tag first when it has not got it; known after a restart."""

    def placed(self, instance_id: str) -> Placed:
        """How it goes; ``NotFoundError`` for an instance that was never placed here, or was freed."""

    def free(self, instance_id: str) -> None:
        """Take an instance off its node; a pull that runs for it ends."""
