"""The fleet: groups of nodes, and distributions of templates to them.

What a node does is ``server.node``; the server is never a client of itself. Groups and distributions outlive a restart.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from anka_ci.clock import Cancelled, Clock
from anka_ci.errors import AnkaCiError, InterruptError, NotFoundError, UsageError
from anka_ci.server.groups import Groups, Store
from anka_ci.server.node import NAME, Agent
from anka_ci.wire.distribution import CANCELLED, Distribution, NodeShare
from anka_ci.wire.node import Group, Node

REMEMBERED = 1000
"""Distributions that are kept; Anka documents no retention."""
TABLE = (
    "CREATE TABLE IF NOT EXISTS distributions (id TEXT PRIMARY KEY, requested REAL NOT NULL, document TEXT NOT NULL)"
)


class Fleet:
    """Nodes ``names`` with their libraries under ``folder``; groups and distributions in ``store``.

    ``anka`` is the stand-in, ``sign_in`` the variables with which it signs in to the registry. Every method may be
    called from any thread. Raises ``UsageError`` for a name that no node can have and for a group that names an unknown
    node, ``NotFoundError`` for an unknown node, group or request.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        names: Sequence[str],
        groups: Mapping[str, Sequence[str]],
        *,
        anka: str,
        clock: Clock,
        arch: str = "arm64",
        sign_in: Mapping[str, str] | None = None,
    ) -> None:
        for name in names:
            if not NAME.fullmatch(name):
                hint = "use letters, digits, '.', '_' and '-', beginning with a letter or digit"
                raise UsageError(f"{name!r} is no name of a node", hint=hint)
        if len({name.lower() for name in names}) != len(names):
            raise UsageError("two nodes have the same name", hint="letter case does not tell them apart")
        self._store = store
        self._clock = clock
        self._lock = threading.RLock()
        self._stopping = Cancelled()
        self._running: dict[tuple[str, str], Cancelled] = {}
        self._agents = {
            name: Agent(
                name, folder / name, anka=anka, arch=arch, clock=clock, stopping=self._stopping, sign_in=sign_in
            )
            for name in names
        }
        with store.transaction() as db:
            db.execute(TABLE)
            rows = db.execute("SELECT document FROM distributions ORDER BY requested, rowid").fetchall()
        self._distributions = {found.id: found for found in (_restore(row[0]) for row in rows)}
        self._groups = Groups(store, groups, names)

    def start(self, registry_url: str) -> None:
        """Start the nodes; returns when each has said what it holds. Unfinished distributions are taken up again."""
        for agent in self._agents.values():
            agent.start(registry_url)
        for agent in self._agents.values():
            agent.wait()
        for request in self._distributions.values():
            self._queue(request)

    def stop(self) -> None:
        """End the nodes' child processes and wait for them; what had not finished stays unfinished on record."""
        self._stopping.set("the server stops")
        with self._lock:
            for running in self._running.values():
                running.set("the server stops")
        for agent in self._agents.values():
            agent.stop()
        for agent in self._agents.values():
            agent.join()

    # nodes and groups

    def nodes(self) -> list[Node]:
        """Every node as it is now."""
        return [self._node(agent) for agent in self._agents.values()]

    def node(self, node_id: str) -> Node:
        return self._node(self._agent(node_id))

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
            self._groups.regroup(group_ids, [self._agent(node_id).name for node_id in node_ids], member=member)

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
            targets = list(self._agents)
            if group_id is not None:
                members = self._groups.members(group_id)
                targets = [name for name in targets if name in members]
            if node_ids is not None:
                wanted = [self._agent(node_id).name for node_id in node_ids]
                targets = [name for name in targets if name in wanted]
            request = Distribution(
                id=str(uuid.uuid4()),
                template_id=template_id,
                tag=tag,
                version=version,
                group_id=group_id or "",
                requested=self._clock.now(),
                nodes={name: NodeShare() for name in targets},
            )
            self._save(request)
            self._forget_old()
        self._queue(request)
        return request

    def distribution(self, request_id: str) -> Distribution:
        with self._lock:
            if request_id not in self._distributions:
                raise NotFoundError("distribution", request_id)
            return self._distributions[request_id]

    def distributions(self) -> list[Distribution]:
        """Every request that is remembered, oldest first."""
        with self._lock:
            return list(self._distributions.values())

    def cancel(self, request_id: str) -> Distribution:
        """Mark what has not finished as cancelled and end the child processes; of a finished request, no change."""
        with self._lock:
            request = self.distribution(request_id)
            nodes = {
                name: share if share.ended else replace(share, error=CANCELLED) for name, share in request.nodes.items()
            }
            request = replace(request, nodes=nodes)
            self._save(request)
            for name in nodes:
                if (request_id, name) in self._running:
                    self._running[request_id, name].set(CANCELLED)
            return request

    def remove(self, template_id: str, node_ids: Sequence[str] | None = None) -> list[str]:
        """Have nodes (all, when none are named) delete their copy of a template; the ids of the nodes that were asked.

        It is not waited for; a node that has no copy has nothing to do.
        """
        names = list(self._agents) if node_ids is None else [self._agent(node_id).name for node_id in node_ids]
        for name in dict.fromkeys(names):
            self._agents[name].later(lambda agent=self._agents[name]: agent.remove(template_id))  # type: ignore[misc]
        return list(dict.fromkeys(names))

    # what the nodes' threads do

    def _queue(self, request: Distribution) -> None:
        for name, share in request.nodes.items():
            agent = self._agents.get(name)
            if agent is None:
                if not share.ended:  # a server that was started again with fewer nodes
                    self._share(request.id, name, error="the node is gone")
            elif not share.ended:
                agent.later(lambda agent=agent: self._pull(agent, request.id))  # type: ignore[misc]

    def _pull(self, agent: Agent, request_id: str) -> None:
        cancelled = Cancelled()
        with self._lock:
            request = self._distributions.get(request_id)
            if request is None or request.nodes[agent.name].ended or self._stopping:
                return
            self._running[request_id, agent.name] = cancelled

        error = ""
        try:
            agent.pull(
                request.template_id,
                request.tag,
                lambda share: self._share(request_id, agent.name, progress=share, keep=False),
                cancelled,
            )
        except InterruptError:
            error = "" if self._stopping else CANCELLED
        except AnkaCiError as failed:
            error = failed.message
        finally:
            with self._lock:
                del self._running[request_id, agent.name]
        if not self._stopping:  # the node has looked by now: who sees the share done finds the tag on the node
            self._share(request_id, agent.name, done=not error, error=error)

    # what is kept

    def _share(
        self,
        request_id: str,
        name: str,
        *,
        progress: float | None = None,
        done: bool = False,
        error: str = "",
        keep: bool = True,
    ) -> None:
        """Change a node's part of a request, unless it has ended already (a cancel may have been quicker)."""
        with self._lock:
            request = self._distributions.get(request_id)
            if request is None or request.nodes[name].ended:
                return
            old = request.nodes[name]
            share = NodeShare(done=done, progress=1 if done else progress or old.progress, error=error)
            request = replace(request, nodes={**request.nodes, name: share})
            if keep:
                self._save(request)
            else:  # progress alone is not worth a write to disk
                self._distributions[request_id] = request

    def _save(self, request: Distribution) -> None:
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO distributions VALUES (?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (request.id, request.requested, json.dumps(request.emit())),
            )
        self._distributions[request.id] = request

    def _forget_old(self) -> None:
        ended = [request.id for request in self._distributions.values() if request.ended]
        for request_id in ended[: max(0, len(self._distributions) - REMEMBERED)]:
            with self._store.transaction() as db:
                db.execute("DELETE FROM distributions WHERE id = ?", (request_id,))
            del self._distributions[request_id]

    def _agent(self, node_id: str) -> Agent:
        if node_id not in self._agents:
            raise NotFoundError("node", node_id, known=self._agents)
        return self._agents[node_id]

    def _node(self, agent: Agent) -> Node:
        with self._lock:
            groups = self._groups.of(agent.name)
        return agent.node(groups)


def _restore(text: str) -> Distribution:
    return Distribution.read(json.loads(text))
