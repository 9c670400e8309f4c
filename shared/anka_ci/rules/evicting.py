"""Removing a template from nodes: waiting until they no longer report it. Starts nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError
from anka_ci.rules import selection, watch

if TYPE_CHECKING:
    from anka_ci.anka import Anka

LIMIT = 600.0
"""Seconds that nodes get to let go of it; Anka queues the removal for a node's agent and documents no limit."""


def wait(known: dict[str, Any], anka: Anka, names: Mapping[str, str]) -> dict[str, Any]:
    """The outputs when no node reports the template any more, or at the latest after ``LIMIT`` without a change."""
    left = list(known["succeeded"])

    def look() -> watch.Seen[None]:
        nodes = {node.name: node for node in anka.controller.nodes() if node.id in names}
        # A node that is no longer listed has not said that it let go.
        left[:] = [name for name in left if name not in nodes or nodes[name].tag_of(known["id"]) is not None]
        return watch.Seen(value=None, ended=not left, mark=list(left))

    try:
        watch.poll(look, anka, what=f"removing from {selection.listed(list(names.values()))}", stall=LIMIT)
    except AnkaCiError as error:
        gone = [name for name in known["succeeded"] if name not in left]
        error.outputs = known | {"succeeded": gone, "pending": left}
        error.facts["nodes"] = dict.fromkeys(left, "still reports it")
        raise
    return known
