"""What goes wrong on purpose: faults of nodes, as data.

Nothing here happens by chance, and nothing happens unless it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

FOREVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class NodeFault:
    """Something that befalls the nodes whose names fit the pattern ``node``, from ``at`` to ``until`` (Unix seconds).

    ``does`` is ``offline``, ``restart``, ``full``, ``evict``, ``stuck`` or ``silent``.
    """

    node: str
    does: str
    at: float
    until: float = FOREVER

    def befalls(self, name: str, does: str) -> bool:
        return self.does == does and fnmatchcase(name, self.node)
