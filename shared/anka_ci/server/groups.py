"""Groups of nodes, which outlive a restart of the server. They know nodes by name only.

Source: ``/api/v1/group`` and ``/api/v1/node/group`` of Anka's controller; groups are an Enterprise feature there.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from anka_ci.errors import NotFoundError, RefusedError, UsageError, suggestion
from anka_ci.wire.node import Group

TABLE = "CREATE TABLE IF NOT EXISTS node_groups (id TEXT PRIMARY KEY, name TEXT NOT NULL, document TEXT NOT NULL)"
_IDS = uuid.UUID("6a6e4f0e-6d1f-4e5c-9f57-0c2d3f6a7b18")


class Store(Protocol):
    """The part of the server's state that others keep their own tables in."""

    def transaction(self) -> AbstractContextManager[Any]:
        """One immediate transaction; what it yields has ``execute(sql, parameters)``."""


@dataclass(frozen=True, kw_only=True)
class _Grouped:
    """A group and the names of its nodes."""

    group: Group
    nodes: tuple[str, ...] = ()

    def emit(self) -> str:
        return json.dumps({"group": self.group.emit(), "nodes": list(self.nodes)})

    @classmethod
    def read(cls, text: str) -> _Grouped:
        found = json.loads(text)
        return cls(group=Group.read(found["group"]), nodes=tuple(found["nodes"]))


class Groups:
    """The groups kept in ``store``; ``wanted`` are made, or get those nodes, by name. The caller sees to locking.

    Raises ``UsageError`` for a wanted group of an unknown node, ``NotFoundError`` for an unknown group, and
    ``RefusedError`` for a name that is taken.
    """

    def __init__(self, store: Store, wanted: Mapping[str, Sequence[str]], nodes: Sequence[str]) -> None:
        known = frozenset(nodes)
        for name, members in wanted.items():
            for member in members:
                if member not in known:
                    hint = suggestion(member, nodes) or "give the server nodes, such as --nodes 3"
                    raise UsageError(f"the group {name!r} names the unknown node {member!r}", hint=hint)
        self._store = store
        with store.transaction() as db:
            db.execute(TABLE)
            rows = db.execute("SELECT document FROM node_groups ORDER BY name").fetchall()
        self._all = {found.group.id: found for found in (_Grouped.read(row[0]) for row in rows)}
        self._of: dict[str, tuple[Group, ...]] | None = None
        for name, members in wanted.items():
            old = next((found.group for found in self._all.values() if found.group.name == name), None)
            group = old or Group(id=str(uuid.uuid5(_IDS, name)), name=name)
            self._save(_Grouped(group=group, nodes=tuple(dict.fromkeys(members))))

    def all(self) -> list[Group]:
        return [found.group for found in self._all.values()]

    def of(self, node: str) -> tuple[Group, ...]:
        """The groups that a node is in."""
        if self._of is None:  # for thousands of nodes at once
            self._of = {}
            for found in self._all.values():
                self._of |= {name: (*self._of.get(name, ()), found.group) for name in found.nodes}
        return self._of.get(node, ())

    def members(self, group_id: str) -> tuple[str, ...]:
        """The names of a group's nodes."""
        return self._one(group_id).nodes

    def add(self, name: str, description: str = "", fallback_group_id: str | None = None) -> Group:
        """Make a group; the fallback has to be there."""
        self._free(name)
        if fallback_group_id is not None:
            self._one(fallback_group_id)
        group = Group(id=str(uuid.uuid4()), name=name, description=description, fallback_group_id=fallback_group_id)
        self._save(_Grouped(group=group))
        return group

    def change(self, group_id: str, **changes: Any) -> Group:
        """Change a group's ``name``, ``description`` or ``fallback_group_id``."""
        found = self._one(group_id)
        if changes.get("name", found.group.name) != found.group.name:
            self._free(changes["name"])
        if changes.get("fallback_group_id"):
            self._one(changes["fallback_group_id"])
        changed = replace(found, group=replace(found.group, **changes))
        self._save(changed)
        return changed.group

    def delete(self, group_id: str) -> None:
        """Remove a group; those that fall back to it fall back to nothing."""
        self._one(group_id)
        with self._store.transaction() as db:
            db.execute("DELETE FROM node_groups WHERE id = ?", (group_id,))
        del self._all[group_id]
        self._of = None
        for found in list(self._all.values()):
            if found.group.fallback_group_id == group_id:
                self._save(replace(found, group=replace(found.group, fallback_group_id=None)))

    def regroup(self, group_ids: Iterable[str], nodes: Sequence[str], *, member: bool) -> None:
        """Put nodes into groups (``member``), or take them out; all ids are checked before anything changes."""
        for found in [self._one(group_id) for group_id in group_ids]:
            named = frozenset(nodes)
            others = [name for name in found.nodes if name not in named]
            self._save(replace(found, nodes=tuple(dict.fromkeys(others + (list(nodes) if member else [])))))

    def _one(self, group_id: str) -> _Grouped:
        if group_id not in self._all:
            raise NotFoundError("group", group_id, known=self._all)
        return self._all[group_id]

    def _free(self, name: str) -> None:
        if any(found.group.name == name for found in self._all.values()):
            raise RefusedError(f"Group {name} already exists")

    def _save(self, found: _Grouped) -> None:
        row = (found.group.id, found.group.name, found.emit())
        with self._store.transaction() as db:
            db.execute("INSERT OR REPLACE INTO node_groups VALUES (?, ?, ?)", row)
        self._all[found.group.id] = found
        self._of = None
