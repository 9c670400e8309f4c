"""The fleet: its nodes, groups of them, and distributions of templates to them.

What nodes do is ``server.agents`` and ``server.virtual``, behind one protocol; the server is never a client of itself.
Groups, distributions and what was configured of nodes outlive a restart.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from anka_ci.clock import Clock
from anka_ci.errors import NotFoundError, UsageError
from anka_ci.server.faults import NodeFault
from anka_ci.server.groups import Groups, Store
from anka_ci.server.nodes import NAME, Nodes
from anka_ci.wire.distribution import Distribution, NodeShare
from anka_ci.wire.node import ACTIVE, DRAINING, UNHEALTHY, Group, Node

REMEMBERED = 1000
"""Distributions that are kept; Anka documents no retention."""
TABLES = (
    "CREATE TABLE IF NOT EXISTS distributions (id TEXT PRIMARY KEY, requested REAL NOT NULL, document TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS node_facts (node TEXT PRIMARY KEY, document TEXT NOT NULL)",
)


class Fleet:
    """Nodes of some ``kinds``; groups, distributions and facts about nodes in ``store``.

    Every method may be called from any thread. ``groups`` names nodes, also by patterns such as ``virtual-*``. Of
    the ``faults`` only restarts are the fleet's affair. A controller before 1.20 tells no templates. Raises
    ``UsageError`` for a name that no node can have and for a group that names an unknown node, ``NotFoundError`` for an
    unknown node, group or request.
    """

    def __init__(
        self,
        store: Store,
        kinds: Sequence[Nodes],
        groups: Mapping[str, Sequence[str]],
        *,
        clock: Clock,
        faults: Sequence[NodeFault] = (),
        tells_templates: bool = True,
    ) -> None:
        self._restarts = sorted((each for each in faults if each.does == "restart"), key=lambda each: each.at)
        self._tells_templates = tells_templates
        self._kinds = kinds
        self._kind = {name: kind for kind in kinds for name in kind.names}
        names = [name for kind in kinds for name in kind.names]
        for name in names:
            if not NAME.fullmatch(name):
                hint = "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
                raise UsageError(f"{name!r} is no name of a node", hint=hint)
        if len({name.lower() for name in names}) != len(names):
            raise UsageError("two nodes have the same name", hint="letter case does not tell them apart")
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        with store.transaction() as db:
            for table in TABLES:
                db.execute(table)
            rows = db.execute("SELECT document FROM distributions ORDER BY requested, rowid").fetchall()
            facts = db.execute("SELECT node, document FROM node_facts").fetchall()
        self._distributions = {found.id: found for found in (_restore(row[0]) for row in rows)}
        self._facts: dict[str, dict[str, Any]] = {row[0]: json.loads(row[1]) for row in facts}
        self._groups = Groups(store, {name: _expand(members, names) for name, members in groups.items()}, names)

    def start(self, registry_url: str) -> None:
        """Start the nodes; returns when each has said what it holds. Unfinished distributions are taken up again."""
        for kind in self._kinds:
            kind.start(registry_url)
        for request in list(self._distributions.values()):
            gone = {
                name: NodeShare(progress=share.progress, error="the node is gone")
                for name, share in request.nodes.items()
                if name not in self._kind and not share.ended  # a server that was started again with fewer nodes
            }
            if gone:
                self._save(replace(request, nodes={**request.nodes, **gone}))
            self._take(self._distributions[request.id])

    def stop(self) -> None:
        """End what the nodes do; what had not finished stays unfinished on record."""
        for kind in self._kinds:
            kind.stop()

    # nodes and groups

    def nodes(self) -> list[Node]:
        """Every node as it is now."""
        return [self.node(name) for name in list(self._kind)]

    def node(self, node_id: str) -> Node:
        kind = self.kind(node_id)
        with self._lock:
            self._restart()
            groups, facts = self._groups.of(node_id), self._facts.get(node_id, {})
        facts = {**facts} if self._tells_templates else {**facts, "templates": None}
        found, draining = kind.node(node_id), facts.pop("draining", False)
        if draining and found.state in (ACTIVE, UNHEALTHY):  # of a node that is offline, that says more
            facts["state"] = DRAINING
        return replace(found, groups=groups, **facts)

    def kind(self, node_id: str) -> Nodes:
        """The nodes to which a node belongs: ``Agents``, or ``VirtualNodes``."""
        if node_id not in self._kind:
            raise NotFoundError("node", node_id, known=self._kind)
        return self._kind[node_id]

    def configure(self, node_id: str, **facts: Any) -> None:
        """Let facts (fields of ``Node``, and ``draining``) stand before what the node says; None takes one back."""
        self.kind(node_id)
        with self._lock:
            told = {**self._facts.get(node_id, {}), **facts}
            told = {key: value for key, value in told.items() if value is not None}
            with self._store.transaction() as db:
                db.execute("REPLACE INTO node_facts VALUES (?, ?)", (node_id, json.dumps(told)))
            self._facts[node_id] = told

    def forget(self, node_id: str) -> None:
        """Take a node off the list, its groups and its configuration; what it still does, it ends unseen."""
        self.kind(node_id)
        with self._lock:
            self._groups.regroup([group.id for group in self._groups.of(node_id)], [node_id], member=False)
            with self._store.transaction() as db:
                db.execute("DELETE FROM node_facts WHERE node = ?", (node_id,))
            self._facts.pop(node_id, None)
            del self._kind[node_id]

    def groups(self) -> list[Group]:
        with self._lock:
            return self._groups.all()

    def add_group(self, name: str, description: str = "", fallback_group_id: str | None = None) -> Group:
        """Make a group. ``RefusedError`` when there is one of that name."""
        with self._lock:
            return self._groups.add(name, description, fallback_group_id)

    def change_group(self, group_id: str, **changes: Any) -> Group:
        """Change a group's ``name``, ``description`` or ``fallback_group_id``."""
        with self._lock:
            return self._groups.change(group_id, **changes)

    def delete_group(self, group_id: str) -> None:
        with self._lock:
            self._groups.delete(group_id)

    def regroup(self, group_ids: Iterable[str], node_ids: Iterable[str], *, member: bool) -> None:
        """Put nodes into groups (``member``), or take them out; all ids are checked before anything changes."""
        with self._lock:
            self._restart()
            self._groups.regroup(group_ids, self._known(node_ids), member=member)

    # distributions

    def distribute(
        self,
        template_id: str,
        tag: str,
        version: int,
        *,
        node_ids: Sequence[str] | None = None,
        group_id: str | None = None,
    ) -> Distribution:
        """Start a distribution to the nodes named, the nodes of a group, or all; every target has its entry at once."""
        with self._lock:
            self._restart()
            targets = list(self._kind)
            if group_id is not None:
                members = frozenset(self._groups.members(group_id))
                targets = [name for name in targets if name in members]
            if node_ids is not None:
                wanted = frozenset(self._known(node_ids))
                targets = [name for name in targets if name in wanted]
            request = Distribution(
                id=str(uuid.uuid4()),
                template_id=template_id,
                tag=tag,
                version=version,
                group_id=group_id or "",
                requested=self._clock.now(),
                nodes=dict.fromkeys(targets, NodeShare()),
            )
            self._save(request)
            self._forget_old()
        self._take(request)
        return self.distribution(request.id)

    def distribution(self, request_id: str) -> Distribution:
        """A request as it is now."""
        with self._lock:
            if request_id not in self._distributions:
                raise NotFoundError("distribution", request_id)
            request = self._distributions[request_id]
        shares = dict(request.nodes)
        for kind in self._kinds:
            shares.update(kind.shares(request))
        return replace(request, nodes=shares)

    def distributions(self) -> list[Distribution]:
        """Every request that is remembered, oldest first."""
        with self._lock:
            known = list(self._distributions)
        return [self.distribution(request_id) for request_id in known]

    def cancel(self, request_id: str) -> Distribution:
        """Cancel what has not finished; of a finished request, no change."""
        request = self.distribution(request_id)
        for kind in self._kinds:
            kind.cancel(request)
        self.keep(request_id)
        return self.distribution(request_id)

    def remove(self, template_id: str, node_ids: Sequence[str] | None = None) -> list[str]:
        """Have nodes (all, when none are named) delete their copy of a template; the ids of the nodes that were asked.

        It is not waited for; a node that has no copy has nothing to do.
        """
        names = list(self._kind) if node_ids is None else list(dict.fromkeys(self._known(node_ids)))
        for kind in self._kinds:
            kind.remove(template_id, names)
        return names

    def keep(self, request_id: str) -> None:
        """Write down how the parts of a request stand: one of them has ended."""
        with self._lock:
            if request_id in self._distributions:
                self._save(self.distribution(request_id))

    def _restart(self) -> None:
        """Take nodes that have restarted out of their groups; nobody saw them in between."""
        while self._restarts and self._restarts[0].at <= self._clock.now():
            fault = self._restarts.pop(0)
            lost = [name for name in self._kind if fault.befalls(name, "restart")]
            self._groups.regroup([group.id for group in self._groups.all()], lost, member=False)

    def _take(self, request: Distribution) -> None:
        for kind in self._kinds:
            kind.take(request)

    def _save(self, request: Distribution) -> None:
        with self._lock:
            with self._store.transaction() as db:
                db.execute(
                    "INSERT INTO distributions VALUES (?, ?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                    (request.id, request.requested, json.dumps(request.emit())),
                )
            self._distributions[request.id] = request

    def _forget_old(self) -> None:
        for request_id in list(self._distributions)[:-REMEMBERED]:
            if self.distribution(request_id).ended:
                with self._store.transaction() as db:
                    db.execute("DELETE FROM distributions WHERE id = ?", (request_id,))
                del self._distributions[request_id]

    def _known(self, node_ids: Iterable[str]) -> list[str]:
        found = list(node_ids)
        for node_id in found:
            self.kind(node_id)
        return found


def _expand(members: Sequence[str], names: Sequence[str]) -> list[str]:
    """Members of a group, patterns among them replaced by the nodes that fit; one that fits none stays as it is."""
    found: list[str] = []
    for member in members:
        found += [name for name in names if "*" in member and fnmatchcase(name, member)] or [member]
    return found


def _restore(text: str) -> Distribution:
    return Distribution.read(json.loads(text))
