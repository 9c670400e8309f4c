"""Nodes that really pull: an agent each, and their parts of the distributions.

What one agent does is ``server.node``; the requests as a whole are the fleet's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anka_ci.clock import Cancelled, Clock
from anka_ci.errors import AnkaCiError, InterruptError, RefusedError
from anka_ci.server.faults import SILENT_AT, NodeFault, befallen
from anka_ci.server.node import Agent
from anka_ci.server.nodes import FULL, SILENCE
from anka_ci.wire.distribution import CANCELLED, Distribution, NodeShare
from anka_ci.wire.node import OFFLINE, Node


class Agents:
    """Nodes ``names`` with their libraries under ``folder``; ``anka`` is the stand-in.

    ``sign_in`` are the variables with which it signs in to the registry. ``keep`` is called,
    from a node's thread, with the id of a request in which a part has ended. ``faults`` befall them.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        *,
        anka: str,
        clock: Clock,
        keep: Callable[[str], None],
        faults: Sequence[NodeFault] = (),
        arch: str = "arm64",
        sign_in: Mapping[str, str] | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._keep, self._clock, self._faults = keep, clock, faults
        self._stopping = Cancelled()
        self._running: dict[tuple[str, str], Cancelled] = {}
        self._parts: dict[tuple[str, str], NodeShare] = {}
        self._agents = {
            name: Agent(
                name, folder / name, anka=anka, arch=arch, clock=clock, stopping=self._stopping, sign_in=sign_in
            )
            for name in names
        }

    @property
    def names(self) -> Sequence[str]:
        return list(self._agents)

    def agent(self, name: str) -> Agent:
        return self._agents[name]

    def start(self, registry_url: str) -> None:
        for agent in self._agents.values():
            agent.start(registry_url)
        for agent in self._agents.values():
            agent.wait()

    def stop(self) -> None:
        self._stopping.set("the server stops")
        with self._lock:
            for running in self._running.values():
                running.set("the server stops")
        for agent in self._agents.values():
            agent.stop()
        for agent in self._agents.values():
            agent.join()

    def node(self, name: str) -> Node:
        found, since = self._agents[name].node(), self._befallen(name, "offline")
        if since is None:
            return found
        silent = self._clock.now() - since >= SILENCE
        return replace(found, last_updated=since, state=OFFLINE if silent else found.state)

    def take(self, request: Distribution) -> None:
        for name, share in request.nodes.items():
            agent = self._agents.get(name)
            if agent is not None:
                self._parts[request.id, name] = share
                if not share.ended:
                    agent.later(lambda agent=agent: self._pull(agent, request))  # type: ignore[misc]

    def shares(self, request: Distribution) -> Mapping[str, NodeShare]:
        found = {name: self._parts.get((request.id, name)) for name in request.nodes}
        return {name: share for name, share in found.items() if share is not None}

    def cancel(self, request: Distribution) -> None:
        for name in request.nodes:
            self._share(request.id, name, error=CANCELLED)
            with self._lock:
                if (request.id, name) in self._running:
                    self._running[request.id, name].set(CANCELLED)

    def remove(self, template_id: str, names: Collection[str]) -> None:
        for name in names:
            if name in self._agents:
                self._agents[name].later(lambda agent=self._agents[name]: agent.remove(template_id))  # type: ignore[misc]

    # what the nodes' threads do

    def _pull(self, agent: Agent, request: Distribution) -> None:
        key, cancelled = (request.id, agent.name), Cancelled()
        with self._lock:
            if self._parts[key].ended or self._stopping:
                return
            self._running[key] = cancelled
        error = ""
        try:
            self._meet(agent, request, cancelled)
            if self._befallen(agent.name, "silent") is not None:
                self._share(*key, progress=SILENT_AT)
                return
            agent.pull(request.template_id, request.tag, lambda share: self._share(*key, progress=share), cancelled)
        except InterruptError:
            error = "" if self._stopping else CANCELLED
        except AnkaCiError as failed:
            error = failed.message
        finally:
            with self._lock:
                del self._running[key]
        if self._stopping:
            return
        # The node has looked by now: who sees the share done finds the tag on the node.
        if not error and self._befallen(agent.name, "stuck") is not None:
            self._share(*key, progress=1)
            return
        self._share(*key, done=not error, error=error)
        self._keep(request.id)

    def _meet(self, agent: Agent, request: Distribution, cancelled: Cancelled) -> None:
        """Suffer what befalls a node before it pulls."""
        while self._befallen(agent.name, "offline") is not None and not self._stopping:
            cancelled.check("the distribution")
            self._stopping.wait(0.05)
        if self._befallen(agent.name, "full") is not None:
            raise RefusedError(FULL)
        if self._befallen(agent.name, "evict") is not None:
            for template in agent.node().templates or ():
                if template.id.lower() != request.template_id.lower():
                    agent.remove(template.id)

    def _befallen(self, name: str, does: str) -> float | None:
        return befallen(self._faults, name, does, self._clock.now())

    def _share(self, request_id: str, name: str, *, progress: float = 0.0, done: bool = False, error: str = "") -> None:
        """Change a node's part of a request, unless it has ended already (a cancel may have been quicker)."""
        with self._lock:
            old = self._parts.get((request_id, name))
            if old is not None and not old.ended:
                progress = 1 if done else progress or old.progress
                self._parts[request_id, name] = replace(old, done=done, progress=progress, error=error)
