"""Virtual nodes: their state is a pure function of what they were told and of the clock at the moment of reading.

They move no bytes, have no timers and no threads. What is kept is the list of orders (distributions, cancels, removals,
instances, and the model they run under); everything else follows from it, before a restart as after.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence

from anka_ci.clock import Clock
from anka_ci.errors import NotFoundError
from anka_ci.server.faults import NodeFault
from anka_ci.server.groups import Store
from anka_ci.server.nodes import SILENCE, Placed
from anka_ci.server.orders import Copy, Era, Model, Order
from anka_ci.server.simulation import Life
from anka_ci.wire.distribution import Distribution, NodeShare
from anka_ci.wire.manifest import Manifest, oci_tag
from anka_ci.wire.node import ACTIVE, OFFLINE, Node, NodeTemplate

TABLE = "CREATE TABLE IF NOT EXISTS virtual_orders (number INTEGER PRIMARY KEY, document TEXT NOT NULL)"
Lookup = Callable[[str, str], tuple[bytes, str, str]]
"""A version's manifest by repository and OCI tag, as ``State.manifest`` gives it."""


class VirtualNodes:
    """Nodes ``names`` that pull at the ``model``'s pace, and meet with ``faults``; their orders are kept in ``store``.

    ``manifest`` tells what a tag consists of at the moment when it is distributed.
    """

    def __init__(
        self,
        store: Store,
        names: Sequence[str],
        manifest: Lookup,
        *,
        clock: Clock,
        model: Model,
        faults: Sequence[NodeFault] = (),
        arch: str = "arm64",
    ) -> None:
        self._store, self._manifest, self._clock, self._arch = store, manifest, clock, arch
        self._lock = threading.RLock()
        self._names = {name: number for number, name in enumerate(names, 1)}
        with store.transaction() as db:
            db.execute(TABLE)
            rows = db.execute("SELECT document FROM virtual_orders ORDER BY number").fetchall()
        self._placed: dict[str, Order] = {}
        self._of: dict[str, list[Order]] = {name: [] for name in names}
        self._ends: dict[str, float] = {}
        self._eras: list[Era] = []
        self._lives: dict[str, Life] = {}
        for row in rows:
            self._note(Order.read(json.loads(row[0])))
        era = Era(at=clock.now(), model=model, faults=tuple(faults))
        if names and (not self._eras or self._eras[-1].tells() != era.tells()):
            self._give(Order(at=era.at, does="era", era=era))

    @property
    def names(self) -> Sequence[str]:
        return list(self._names)

    def start(self, registry_url: str) -> None:
        """Nothing has to start."""

    def stop(self) -> None:
        """Nothing runs."""

    def node(self, name: str) -> Node:
        with self._lock:
            now, number, life = self._clock.now(), self._names[name], self._life(name)
            away = next((start for start, end in life.outages if start <= now < end), None)
            disk, used = life.disk(now), life.used(now)
            return Node(
                id=name,
                name=name,
                state=OFFLINE if away is not None and now - away >= SILENCE else ACTIVE,
                arch=self._arch,
                templates=tuple(NodeTemplate(id=copy.id, name=copy.name, tag=copy.tag) for copy in life.copies(now)),
                disk_size=disk,
                free_disk=max(0, disk - used),
                anka_disk_usage=used,
                capacity=2,
                running=life.running(now),
                ip=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                cpu_count=8,
                ram=16,
                anka_version="3.8.5",
                last_updated=now if away is None else away,
            )

    def take(self, request: Distribution) -> None:
        names = tuple(name for name in request.nodes if name in self._names)
        with self._lock:
            if names and request.id not in self._placed:
                self._pull("pull", request.id, names, request.template_id, request.tag)

    def shares(self, request: Distribution) -> Mapping[str, NodeShare]:
        with self._lock:
            now, found = self._clock.now(), {}
            for name in request.nodes:
                part = self._life(name).parts.get(request.id) if name in self._names else None
                if part is not None:
                    found[name] = part.share(now)
            return found

    def cancel(self, request: Distribution) -> None:
        with self._lock:
            if any(not share.ended for share in self.shares(request).values()):
                self._give(Order(at=self._clock.now(), does="cancel", subject=request.id))

    def remove(self, template_id: str, names: Collection[str]) -> None:
        mine = tuple(name for name in names if name in self._names)
        if mine:
            self._give(Order(at=self._clock.now(), does="remove", nodes=mine, id=template_id))

    # instances

    def place(self, instance_id: str, name: str, template_id: str, tag: str) -> None:
        with self._lock:
            self._pull("place", instance_id, (name,), template_id, tag)

    def placed(self, instance_id: str) -> Placed:
        with self._lock:
            order = self._placed.get(instance_id)
            if order is None or order.does != "place" or instance_id in self._ends:
                raise NotFoundError("instance", instance_id)
            part, now = self._life(order.nodes[0]).parts[instance_id], self._clock.now()
            share = part.share(now)
            if share.done:
                return Placed(state="started", progress=1, started_at=part.reported)
            return Placed(state="failed" if share.error else "pulling", progress=share.progress, error=share.error)

    def free(self, instance_id: str) -> None:
        with self._lock:
            self.placed(instance_id)
            self._give(Order(at=self._clock.now(), does="cancel", subject=instance_id))

    # orders

    def _pull(self, does: str, subject: str, names: tuple[str, ...], template_id: str, tag: str) -> None:
        manifest = Manifest.read(self._manifest(template_id.lower(), oci_tag(tag))[0])
        assert manifest is not None
        copy = Copy(
            id=manifest.id,
            name=manifest.name,
            tag=manifest.tag,
            layers={layer.digest: layer.size for layer in manifest.layers},
        )
        self._give(Order(at=self._clock.now(), does=does, subject=subject, nodes=names, id=manifest.id, copy=copy))

    def _give(self, order: Order) -> None:
        """Keep an order, then follow it."""
        with self._lock:
            with self._store.transaction() as db:
                db.execute("INSERT INTO virtual_orders (document) VALUES (?)", (json.dumps(order.emit()),))
            self._note(order)

    def _note(self, order: Order) -> None:
        if order.copy is not None:
            self._placed[order.subject] = order
        if order.does == "era" and order.era is not None:
            self._eras.append(order.era)
            self._lives.clear()
        elif order.does == "cancel":
            self._ends[order.subject] = order.at
            for name, life in list(self._lives.items()):
                if order.subject in life.parts:
                    del self._lives[name]  # what came after it comes sooner now
        for name in order.nodes:
            if name in self._of:
                self._of[name].append(order)

    def _life(self, name: str) -> Life:
        life = self._lives.get(name)
        if life is None:
            life = self._lives[name] = Life(name, self._eras, self._ends)
        life.follow(self._of[name])
        return life
