"""Instances: VMs that the controller starts from templates on the fleet's nodes, and their whole life.

``Scheduling`` until a node takes it and its VM runs (with a monitored startup script: until that has succeeded),
``Pulling`` while the node fetches the tag, ``Started``, and after a DELETE ``Terminating`` and ``Terminated``. What a
node's VM does is ``server.guests``. A distribution holds nobody up here: what a node has it clones at once. A VM ends
with its server: after a restart such an instance is ``Stopped``, one that waited waits again.
"""

from __future__ import annotations

import contextlib
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anka_ci.clock import Clock
from anka_ci.errors import AnkaCiError, NotFoundError, RefusedError
from anka_ci.server.ledger import GONE, Ledger
from anka_ci.server.lives import Lives
from anka_ci.server.placement import choose
from anka_ci.server.record import Order, Record
from anka_ci.server.workers import Workers
from anka_ci.wire.instance import (
    ERROR,
    PULLING,
    PUSHING,
    SCHEDULING,
    STARTED,
    STOPPED,
    STOPPING,
    TERMINATING,
    Instance,
    ScriptResult,
)
from anka_ci.wire.vm_info import RUNNING

if TYPE_CHECKING:
    from anka_ci.server.agents import Agents
    from anka_ci.server.fleet import Fleet
    from anka_ci.server.node import Agent
    from anka_ci.server.virtual import VirtualNodes

NO_SCRIPTS = "scripts are not run here: start the server with --run-guests to allow it (they run on this machine)"
ENDED_BY_US = "instance terminated by controller"
WITH_SERVER = "the VM was stopped together with the server"


class Instances:
    """The instances of one ``fleet``, kept in ``ledger``, on its nodes that really run VMs and on the virtual ones.

    ``run_guests``: whether scripts may run on this machine. Methods may be called from any thread. ``NotFoundError``
    for an unknown instance, and ``RefusedError`` for what its state does not allow.
    """

    def __init__(
        self,
        ledger: Ledger,
        fleet: Fleet,
        agents: Agents,
        virtual: VirtualNodes,
        *,
        clock: Clock,
        run_guests: bool,
        registry_url: Callable[[], str],
    ) -> None:
        self._ledger, self._fleet, self._agents, self._virtual, self._clock = ledger, fleet, agents, virtual, clock
        self.run_guests = run_guests
        self._registry_url = registry_url
        self.workers = Workers()
        self._lives = Lives(ledger, fleet, self.workers, clock=clock, freed=self._place)

    def start(self) -> None:
        """Put right what an earlier server left: its VMs are stopped, what was ending ends, what waited waits on."""
        for record in self._ledger.all():
            self._restore(record)
        known = [record.uuid for record in self._ledger.all() if record.uuid]
        for name in self._agents.names:
            self._agents.agent(name).guests.sweep(known)
        for record in self._ledger.all():
            if record.instance.state == TERMINATING and record.ended is None:
                self._finish(record)
        self._place()

    def stop(self) -> None:
        """End what is being done, and stop the VMs; the next server says so of them."""
        guests = {name: self._agents.agent(name).guests for name in self._agents.names}
        stopping = Workers()
        for name, each in guests.items():
            stopping.do(name, lambda _, each=each: each.quiet())  # type: ignore[misc]
        self.workers.stop("the server stops")
        for name, each in guests.items():
            stopping.wait(name)
            stopping.do(name, lambda _, each=each: each.stop_all())  # type: ignore[misc]
        for name in guests:
            stopping.wait(name)

    def all(self) -> list[Instance]:
        """Every instance, in the order of their starts."""
        self._place()
        return [record.instance for record in self._ledger.all()]

    def get(self, instance_id: str) -> Instance:
        self._place()
        return self._ledger.get(instance_id).instance

    def create(self, pattern: Instance, order: Order, count: int = 1) -> list[str]:
        """Start instances like ``pattern``, each with an id of its own; the ids."""
        now, url = self._clock.now(), self._registry_url()
        like = replace(pattern, state=SCHEDULING, registry_url=url, created=now, updated=now)
        made = [Record(instance=replace(like, id=str(uuid.uuid4())), order=order) for _ in range(count)]
        self._ledger.put(*made)
        self._place()
        return [record.instance.id for record in made]

    def update(self, instance_id: str, **changes: Any) -> None:
        """Change ``name``, ``external_id`` or ``metadata``."""
        self._ledger.get(instance_id)
        self._ledger.change(instance_id, **changes)

    def terminate(self, instance_id: str) -> None:
        """End an instance, whatever it does; what has ended already stays as it is."""
        with self._ledger.lock:
            record = self._ledger.get(instance_id)
            if record.instance.state in GONE:
                return
            # One that never had a node is not shown as terminated: it only goes, after the same time.
            ended = self._clock.now() if record.waits else None
            record = self._ledger.change(instance_id, state=TERMINATING, progress=0.0, message=ENDED_BY_US, ended=ended)
        if ended is None:
            self._finish(record)

    def agent_of(self, record: Record) -> Agent | None:
        """What runs an instance's VM; None while no node does, or a virtual one."""
        name = record.instance.node_id
        return self._agents.agent(name) if name in self._agents.names else None

    def restart(self, instance_id: str, **changes: Any) -> None:
        """Stop and start an instance's VM (since 1.44); it is not waited for. It stays ``Started`` all the while."""
        with self._ledger.lock:
            record = self._ledger.get(instance_id)
            vm = record.instance.vm
            if record.instance.state != STARTED or vm is None:
                raise RefusedError(f"the instance is {record.instance.state}; only a started one is restarted")
            message = 'Unexpected VM state: "stopped"'
            self._ledger.change(instance_id, vm=replace(vm, status="stopped"), message=message, **changes)
        agent = self.agent_of(record)
        if agent is None:
            self._lives.start_again(record, None)
        else:
            self.workers.do(instance_id, lambda _: self._lives.start_again(record, agent))

    # where they run

    def _place(self) -> None:
        """Give nodes to the instances that wait: the most urgent first, then the oldest."""
        with self._ledger.lock:
            self._follow()
            records = self._ledger.all()
            waiting = sorted((record for record in records if record.waits), key=lambda each: each.order.priority)
            if not waiting:
                return
            nodes, groups = self._fleet.nodes(), self._fleet.groups()
            taken = Counter(record.instance.node_id for record in records if record.seated)
            placed = []
            for record in waiting:
                node = choose(record, nodes, groups, taken)
                if node is not None:
                    taken[node.id] += 1
                    placed.append(record.changed(self._clock.now(), node_id=node.id))
            if placed:
                self._ledger.put(*placed)
            for record in placed:
                self._put(record)

    def _put(self, record: Record) -> None:
        """Have the node that was chosen start an instance."""
        instance, agent = record.instance, self.agent_of(record)
        if agent is None:
            try:
                self._virtual.place(instance.id, instance.node_id, instance.template_id, instance.tag)
            except AnkaCiError as error:  # it has gone from the registry since
                self._ledger.change(instance.id, state=ERROR, message=error.message)
        elif record.order.script and not self.run_guests:
            order = replace(record.order, script="")
            self._ledger.change(instance.id, state=ERROR, message=NO_SCRIPTS, order=order)
        else:
            self.workers.do(instance.id, lambda cancelled: self._lives.bring_up(record, agent, cancelled))

    def _follow(self) -> None:
        """Note what virtual nodes have made of their instances by now. They run no script, and each succeeds.

        It is not kept: it would be the same after a restart.
        """
        records = self._ledger.all()
        rising = [each for each in records if each.instance.state in (SCHEDULING, PULLING) and each.instance.node_id]
        rising = [each for each in rising if self.agent_of(each) is None]
        others: dict[str, list[Record]] = {record.instance.node_id: [] for record in rising}
        for record in records if rising else ():
            if record.instance.node_id in others:
                others[record.instance.node_id].append(record)
        for record in rising:
            instance, placed = record.instance, self._virtual.placed(record.instance.id)
            changes: dict[str, Any] = {"state": PULLING, "progress": placed.progress}
            if placed.state == "started":
                neighbours = [self._ledger.get(each.instance.id) for each in others[instance.node_id]]
                vm = self._lives.vm(record, instance.id, neighbours, started=placed.started_at)
                result = ScriptResult() if record.order.monitored and record.order.script else None
                order = replace(record.order, script="")
                changes = {"state": STARTED, "progress": 0.0, "vm": vm, "startup_script": result}
                changes |= {"order": order, "uuid": vm.uuid}
            elif placed.state == "failed":
                changes = {"state": ERROR, "progress": 0.0, "message": placed.error}
            self._ledger.change(instance.id, keep=False, **changes)

    def _finish(self, record: Record) -> None:
        if record.instance.node_id in self._virtual.names:
            with contextlib.suppress(NotFoundError):
                self._virtual.free(record.instance.id)
        agent = self.agent_of(record)
        if agent is None:  # nothing that takes time
            self._lives.end(record, None)
        else:
            self.workers.do(record.instance.id, lambda _: self._lives.end(record, agent))

    def _restore(self, record: Record) -> None:
        """What an instance is when a server starts that has not started it. A virtual node has gone on meanwhile."""
        instance, id_ = record.instance, record.instance.id
        vm = replace(instance.vm, status="stopped", stopped=self._clock.now()) if instance.vm else None
        if instance.state in GONE or instance.node_id in self._virtual.names:
            return
        if instance.node_id and instance.node_id not in self._agents.names:
            message = f"the node {instance.node_id} is gone"
            self._ledger.change(id_, state=ERROR, message=message, vm=None, uuid="", node_id="")
        elif instance.state in (SCHEDULING, PULLING):
            self._ledger.change(id_, state=SCHEDULING, progress=0.0, node_id="", uuid="")
        elif instance.state in (STARTED, STOPPING, PUSHING):
            self._ledger.change(id_, state=STOPPED, message=WITH_SERVER, vm=vm)
        elif instance.vm is not None and instance.vm.status == RUNNING:
            self._ledger.change(id_, vm=vm)
