"""Save-image requests: a running instance becomes a version of a template, or a new template, and is gone.

In this order: a script in the guest, the VM stopped, the target reverted if that was asked for, the push. What fails
leaves the instance running and pushes nothing. Requests outlive a restart of the server; one that was not done then has
failed.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from anka_ci.clock import Cancelled, Clock
from anka_ci.errors import AnkaCiError, InterruptError, NotFoundError, RefusedError
from anka_ci.server.groups import Store
from anka_ci.server.instances import NO_SCRIPTS, Instances
from anka_ci.server.ledger import GONE, Ledger
from anka_ci.server.record import Record
from anka_ci.wire.image import DONE, FAILED, PENDING, ImageRequest
from anka_ci.wire.instance import ERROR, PUSHING, STARTED
from anka_ci.wire.vm_info import RUNNING

if TYPE_CHECKING:
    from anka_ci.server.node import Agent
    from anka_ci.wire.template import Template, Version

TABLE = "CREATE TABLE IF NOT EXISTS images (number INTEGER PRIMARY KEY, id TEXT UNIQUE, document TEXT NOT NULL)"
REMEMBERED = 1000
"""Requests that are kept; Anka documents no retention."""
SCRIPT_FAILED = "Script execution failed"
"""What Anka says when a script failed and was to cancel the rest."""


class Images:
    """Save-image requests in ``store`` over ``instances``. ``revert`` removes a version and all newer ones.

    Methods may be called from any thread. ``NotFoundError`` for an unknown request or instance, ``RefusedError`` for
    what cannot be saved.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        instances: Instances,
        revert: Callable[[Template, Version], object],
        *,
        clock: Clock,
    ) -> None:
        self._store, self._ledger, self._instances, self._clock = store, ledger, instances, clock
        self._revert = revert
        with store.transaction() as db:
            db.execute(TABLE)
            rows = db.execute("SELECT document FROM images ORDER BY number").fetchall()
        self._all = {found.id: found for found in (ImageRequest.read(json.loads(row[0])) for row in rows)}
        for request in [request for request in self._all.values() if not request.ended]:
            self._put(replace(request, status=FAILED, error="the server was stopped before it was done"))

    def all(self) -> list[ImageRequest]:
        """Every request that is remembered, oldest first."""
        with self._ledger.lock:
            return list(self._all.values())

    def get(self, request_id: str) -> ImageRequest:
        with self._ledger.lock:
            if request_id not in self._all:
                raise NotFoundError("save-image request", request_id)
            return self._all[request_id]

    def save(self, wanted: ImageRequest, reverted: tuple[Template, Version] | None = None) -> str:
        """Begin a request; its id. ``reverted`` is what the target is to lose first."""
        if wanted.script and not self._instances.run_guests:
            raise RefusedError(NO_SCRIPTS)
        with self._ledger.lock:
            record = self._ledger.get(wanted.instance_id)
            instance, agent = record.instance, self._instances.agent_of(record)
            if instance.state != STARTED or not record.uuid:
                raise RefusedError(f"the instance is {instance.state}; only a started one is saved")
            if agent is None:
                raise RefusedError("the instance runs on a virtual node, which has no bytes to save")
            request = replace(
                wanted,
                id=str(uuid.uuid4()),
                status=PENDING,
                node_id=instance.node_id,
                source_id=record.uuid,
                registry_url=instance.registry_url,
                requested=self._clock.now(),
            )
            self._put(request)
            self._forget_old()
            self._ledger.change(instance.id, state=PUSHING)
        self._instances.workers.do(instance.id, lambda ends: self._push(request, record, agent, reverted, ends))
        return request.id

    def _push(
        self,
        request: ImageRequest,
        record: Record,
        agent: Agent,
        reverted: tuple[Template, Version] | None,
        cancelled: Cancelled,
    ) -> None:
        instance_id, stopped = record.instance.id, False
        try:
            request = self._run(request, record, agent, cancelled)
            self._instances.workers.end((instance_id, "script"))
            stopped = True
            agent.guests.stop(record.uuid, suspend=request.suspend)
            cancelled.check("save image")
            if reverted is not None:
                self._revert(*reverted)
            agent.guests.push(record.uuid, request, cancelled)
            agent.guests.delete(record.uuid)
            self._ledger.drop(instance_id)
            self._put(replace(request, status=DONE))
        except InterruptError:
            error = "interrupted, because the instance or the server was ended"
            self._put(replace(self.get(request.id), status=FAILED, error=error))
        except AnkaCiError as failure:
            self._keep(record, agent, stopped)
            self._put(replace(self.get(request.id), status=FAILED, error=failure.message))

    def _run(self, request: ImageRequest, record: Record, agent: Agent, cancelled: Cancelled) -> ImageRequest:
        """Run the script, if there is one; the request with what it came to."""
        if not request.script:
            return request
        result = agent.guests.run(record.uuid, base64.b64decode(request.script), cancelled)
        request = replace(request, script_result=result)
        self._put(request)
        if result.failed and request.cancel_on_script_failure:
            raise RefusedError(SCRIPT_FAILED)
        return request

    def _keep(self, record: Record, agent: Agent, stopped: bool) -> None:
        """Let an instance run on that could not be saved."""
        id_, vm = record.instance.id, record.instance.vm
        try:
            if stopped:
                agent.guests.start(record.uuid)
        except AnkaCiError as error:
            message = f"it could not be saved, nor started again: {error.message}"
            vm = replace(vm, status="stopped") if vm else None
            self._ledger.change(id_, unless=GONE, state=ERROR, message=message, vm=vm)
            return
        if vm is not None and stopped:
            vm = replace(vm, status=RUNNING, started=self._clock.now())
        self._ledger.change(id_, unless=GONE, state=STARTED, vm=vm)

    def _put(self, request: ImageRequest) -> None:
        with self._ledger.lock, self._store.transaction() as db:
            db.execute(
                "INSERT INTO images (id, document) VALUES (?, ?)"
                " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                (request.id, json.dumps(request.emit())),
            )
            self._all[request.id] = request

    def _forget_old(self) -> None:
        for request in [each for each in list(self._all.values())[:-REMEMBERED] if each.ended]:
            with self._store.transaction() as db:
                db.execute("DELETE FROM images WHERE id = ?", (request.id,))
            del self._all[request.id]
