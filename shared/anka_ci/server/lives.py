"""What happens to an instance's VM on a node that really runs one: it comes up, is started again, and ends.

Each of these runs in a thread of its own, and notes in the ledger what became of it; none decides where an instance
runs.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anka_ci.clock import Cancelled, Clock
from anka_ci.errors import AnkaCiError, InterruptError, NotFoundError
from anka_ci.server.ledger import GONE, Ledger
from anka_ci.server.record import DELETE, STOP, Record
from anka_ci.server.workers import Workers
from anka_ci.wire.instance import ERROR, PULLING, SCHEDULING, STARTED, TERMINATED, ScriptResult
from anka_ci.wire.vm_info import RUNNING, PortRule, VmInfo

if TYPE_CHECKING:
    from anka_ci.server.fleet import Fleet
    from anka_ci.server.node import Agent

FIRST_PORT = 10_000
"""The first port of a node that leads into a guest, as with Anka."""


class Lives:
    """The lives of the instances in ``ledger``; ``freed`` is called when one has left its place on a node."""

    def __init__(
        self, ledger: Ledger, fleet: Fleet, workers: Workers, *, clock: Clock, freed: Callable[[], None]
    ) -> None:
        self._ledger, self._fleet, self._workers, self._clock, self._freed = ledger, fleet, workers, clock, freed

    def bring_up(self, record: Record, agent: Agent, cancelled: Cancelled) -> None:
        """Clone, start, and run the startup script; a failure makes it an ``Error``."""
        instance, order = record.instance, record.order
        id_, script = instance.id, base64.b64decode(order.script)

        def pulling(share: float) -> None:
            self._ledger.change(id_, unless=GONE, keep=share == 0, state=PULLING, progress=share)

        try:
            name = order.vm_name(instance, self._clock.now())
            found, name = agent.guests.obtain(instance.template_id, instance.tag, name, pulling, cancelled)
            self._ledger.change(id_, uuid=found)
            self._ledger.change(id_, unless=GONE, state=SCHEDULING, progress=0.0)
            cancelled.check(name)
            agent.guests.start(found)
            started = self._clock.now()
            result = agent.guests.run(found, script, cancelled, order.timeout) if order.monitored and script else None
            cancelled.check(name)
            if result is not None and result.failed:
                self._script_failed(agent, record, (found, name, started), result)
            else:
                with self._ledger.lock:  # two that start at the same time get ports of their own
                    vm = self.vm(record, found, self._ledger.all(), name, started)
                    ran = replace(order, script="")
                    self._ledger.change(id_, unless=GONE, state=STARTED, vm=vm, startup_script=result, order=ran)
                if result is None and script:
                    self._workers.do((id_, "script"), lambda ends: _forget(agent.guests.run(found, script, ends)))
                return
        except InterruptError:
            return
        except AnkaCiError as error:
            self._ledger.change(id_, unless=GONE, state=ERROR, progress=0.0, message=error.message)
        self._freed()

    def _script_failed(
        self, agent: Agent, record: Record, started: tuple[str, str, float], result: ScriptResult
    ) -> None:
        """A monitored script failed: the instance is an ``Error``, and its VM is stopped, kept or deleted.

        Documented so: monitoring puts the *instance* into the state Error when the script's exit code is not 0, and
        the handler, of which 0 is the default, says only what becomes of the *VM on the node* (Anka Build Cloud's
        REST reference, "Start VM instances": ``script_monitoring``, ``script_fail_handler``). Anka's GitHub action
        reads it the same way: with handler 1 its tests show Error with this message. So a stopped VM does not make
        the instance ``Stopped``.
        """
        found, name, since = started
        if record.order.on_failure == STOP:
            agent.guests.stop(found)
        elif record.order.on_failure == DELETE:
            agent.guests.delete(found)
        changes: dict[str, Any] = {"vm": None, "uuid": ""} if record.order.on_failure == DELETE else {}
        with self._ledger.lock:
            if record.order.on_failure != DELETE:
                changes["vm"] = self.vm(record, found, self._ledger.all(), name, since)
            if record.order.on_failure == STOP:
                changes["vm"] = replace(changes["vm"], status="stopped", stopped=self._clock.now())
            message = f"startup script exit code {result.return_code}"
            changes |= {"state": ERROR, "message": message, "startup_script": result}
            self._ledger.change(record.instance.id, unless=GONE, order=replace(record.order, script=""), **changes)

    def vm(
        self, record: Record, found: str, others: Iterable[Record], name: str = "", started: float | None = None
    ) -> VmInfo:
        """What is told of the VM ``found`` that has just started, given all ``others`` of its node.

        Its ports are reported only: nothing is forwarded here.
        """
        now, ip = self._clock.now() if started is None else started, ""
        with contextlib.suppress(NotFoundError):  # the node was taken off the list meanwhile
            ip = self._fleet.node(record.instance.node_id).ip
        return VmInfo(
            uuid=found,
            status=RUNNING,
            name=name or record.order.vm_name(record.instance, now),
            tag=record.instance.tag,
            cpu_cores=record.order.cores or None,
            ram=record.order.ram,
            node_id=record.instance.node_id,
            host_ip=ip,
            ip=ip,
            port_forwarding=_ports(record, others),
            created=now,
            accessed=now,
            started=now,
        )

    def start_again(self, record: Record, agent: Agent | None) -> None:
        """Stop and start a VM; of a virtual node's, only the date changes."""
        id_, vm = record.instance.id, record.instance.vm
        assert vm is not None
        try:
            if agent is not None:
                self._workers.end((id_, "script"))
                agent.guests.stop(vm.uuid)
                agent.guests.start(vm.uuid)
        except InterruptError:
            raise
        except AnkaCiError as error:
            self._ledger.change(id_, unless=GONE, state=ERROR, message=error.message)
            return
        # Clients wait for a start date that differs, however fast it went.
        started = max(self._clock.now(), (vm.started or 0.0) + 0.001)
        self._ledger.change(id_, unless=GONE, message="", vm=replace(vm, status=RUNNING, started=started))

    def end(self, record: Record, agent: Agent | None) -> None:
        """Remove a VM, if there is one; then the instance is terminated."""
        instance_id = record.instance.id
        self._workers.end((instance_id, "script"))
        try:
            uuid = self._ledger.get(instance_id).uuid
        except NotFoundError:  # it was saved as an image just before
            return
        try:
            if uuid and agent is not None:
                agent.guests.delete(uuid)
        except InterruptError:
            raise
        except AnkaCiError as error:
            self._ledger.change(instance_id, state=ERROR, message=f"it could not be terminated: {error.message}")
            return
        ended = self._clock.now()
        self._ledger.change(instance_id, state=TERMINATED, vm=None, node_id="", uuid="", ended=ended)
        self._freed()


def _forget(result: object) -> None:
    """What an unmonitored script came to is told nowhere, as with Anka."""


def _ports(record: Record, others: Iterable[Record]) -> tuple[PortRule, ...]:
    """The rules with a port of the node each: the one asked for, or the first that is free."""
    vms = [each.instance.vm for each in others if each.instance.node_id == record.instance.node_id]
    used = {rule.host_port for vm in vms if vm is not None for rule in vm.port_forwarding}
    used |= {rule.host_port for rule in record.order.rules}
    found: list[PortRule] = []
    for rule in record.order.rules:
        port = rule.host_port or next(port for port in range(FIRST_PORT, 65536) if port not in used)
        used.add(port)
        found.append(replace(rule, host_port=port))
    return tuple(found)
