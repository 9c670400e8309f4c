"""Diagnosis of a controller's nodes: their states, the room on their disks, their releases and licences.

Facts in, findings out; asks nothing.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping, Sequence
from typing import Any

from anka_ci.inputs import show_size
from anka_ci.rules.diagnosis import Finding, Told, listed
from anka_ci.rules.diagnosis.facts import ServerFacts
from anka_ci.wire.node import ACTIVE, DRAINING, INACTIVE, OFFLINE, UNHEALTHY, UPDATING, Node

ENDING = 30 * 86400.0
"""Seconds before a licence's end from which it is worth a warning."""
STATES = {
    OFFLINE: "are they on, and does their agent run? See `ankacluster status` there",
    INACTIVE: "renew their licence: `sudo anka license activate` there",
    UNHEALTHY: "they are full, and no VM of theirs runs: look at their VMs, and restart the agent",
    DRAINING: "they take no new instances; undrain them when their work is done",
    UPDATING: "their agent is being updated: wait",
}
"""The states in which a node takes no work, and what to do about each."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def rows(facts: ServerFacts) -> tuple[tuple[Node, Mapping[str, Any]], ...] | None:
    """The nodes that a controller listed, each with what it was read from; None when it did not list them."""
    read = facts.read("list nodes")
    if read is None or not read.allowed or not isinstance(read.body, (list, type(None))):
        return None
    found = []
    for row in read.body or []:
        try:
            found.append((Node.read(row), row))
        except (ValueError, AttributeError, TypeError, KeyError):
            continue
    return tuple(found)


def findings(facts: ServerFacts, largest: tuple[str, int]) -> list[Finding]:
    """The nodes of a controller. ``largest`` is the registries' largest template: its name and bytes."""
    told = Told(f"{facts.what} {facts.url}")
    found = rows(facts)
    if found is None:
        told.unknown("nodes", "they could not be listed")
    elif not found:
        told.warning("nodes", "none has joined", "`ankacluster join` on each Mac")
    else:
        nodes = [node for node, _ in found]
        _states(nodes, told)
        _disks(nodes, largest, told)
        _releases(nodes, told)
        _licences(found, facts.now, told)
    return told.findings


def _states(nodes: Sequence[Node], told: Told) -> None:
    active = [node for node in nodes if node.state == ACTIVE]
    if active:
        told.ok("nodes", f"{len(active)} of {len(nodes)} {ACTIVE}")
    for state in dict.fromkeys(node.state for node in nodes if node.state != ACTIVE):
        names = listed(node.name for node in nodes if node.state == state)
        do = STATES.get(state, "an unknown state: see the controller's page of nodes")
        told.warning("nodes", f"{state or 'no state told'}: {names}", do)


def _disks(nodes: Sequence[Node], largest: tuple[str, int], told: Told) -> None:
    name, size = largest
    known = [node for node in nodes if node.free_disk is not None]
    if not known or not size:
        told.unknown("node disks", "the nodes' room or the templates' sizes are not told")
        return
    full = [f"{node.name} ({show_size(node.free_disk or 0)})" for node in known if (node.free_disk or 0) < size]
    if full:
        seen = f"less room than {name} has ({show_size(size)}): {listed(full)}"
        told.warning("node disks", seen, "evict what nobody uses there; else Anka evicts what was used least lately")
    else:
        told.ok("node disks", f"each has room for {name} ({show_size(size)})")


def _releases(nodes: Sequence[Node], told: Told) -> None:
    named: dict[str, list[str]] = {}
    for node in nodes:
        if node.anka_version:
            named.setdefault(node.anka_version, []).append(node.name)
    if not named:
        told.unknown("node releases", "the nodes do not tell their release of Anka")
    elif len(named) == 1:
        told.ok("node releases", f"Anka {next(iter(named))} on all")
    else:
        # The release of most is named once; the others by their nodes, because those are to be updated.
        ordered = sorted(named.items(), key=lambda pair: -len(pair[1]))
        others = "; ".join(f"{release} on {listed(names, 4)}" for release, names in ordered[1:])
        seen = f"Anka {ordered[0][0]} on {len(ordered[0][1])}; {others}"
        told.warning("node releases", seen, "update them: what a newer Anka has made, an older one may not start")


def _licences(found: Sequence[tuple[Node, Mapping[str, Any]]], now: float, told: Told) -> None:
    ends = {node.name: _day(row) for node, row in found}
    known = {name: end for name, end in ends.items() if end is not None}
    if not known:
        told.unknown("node licences", "the nodes do not tell when theirs end")
        return
    ending = [
        f"{name} ({'ended' if end < now else f'{(end - now) / 86400:.0f} days left'})"
        for name, end in sorted(known.items(), key=lambda pair: pair[1])
        if end - now < ENDING
    ]
    if ending:
        told.warning("node licences", f"end soon: {listed(ending)}", "renew them: `sudo anka license activate` there")
    else:
        told.ok("node licences", f"hold for {(min(known.values()) - now) / 86400:.0f} days and more")


def _day(row: Mapping[str, Any]) -> float | None:
    """When a node's licence ends (``"expires": "17-aug-2025"``), None when it is not told so."""
    version = row.get("anka_version")
    text = str(version.get("expires", "")) if isinstance(version, Mapping) else ""
    match = re.fullmatch(r"(\d{1,2})-([a-z]{3})-(\d{4})", text.lower())
    if not match or match.group(2) not in MONTHS:
        return None
    return float(calendar.timegm((int(match.group(3)), MONTHS.index(match.group(2)) + 1, int(match.group(1)), 0, 0, 0)))
