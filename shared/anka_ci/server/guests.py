"""The VMs that a node runs for instances: clones of a template's tag, made, started, spoken to, pushed and removed.

Each is a VM of the node's own library, run by the stand-in ``anka`` as a real agent runs ``anka``. Nothing here knows
instances, and no VM outlives its server: what still runs from before is stopped at the start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, TimeoutError
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.errors import AnkaCiError, FellShortError, InterruptError, RefusedError
from anka_ci.server.leftovers import Leftovers
from anka_ci.server.record import MANAGED
from anka_ci.wire.instance import ScriptResult
from anka_ci.wire.manifest import repository

if TYPE_CHECKING:
    from anka_ci.server.node import Agent
    from anka_ci.wire.image import ImageRequest

OUTPUT = 1 << 20
"""Bytes of a script's output that are kept of each stream: the end (Anka does so since 1.45)."""
PAUSE = 0.05
"""Seconds between two looks at whether a job that waits for its node has begun."""


class Guests:
    """The instances' VMs on one node. Every method may be called from any thread, and raises what ``anka`` says."""

    def __init__(self, agent: Agent, leftovers: Leftovers) -> None:
        self._agent, self._leftovers = agent, leftovers
        self._lock = threading.Lock()
        self._running: set[str] = set()
        self._seen: list[Mapping[str, Any]] = []

    @property
    def running(self) -> int:
        """How many run now."""
        return len(self._running)

    def obtain(
        self, template_id: str, tag: str, name: str, pulling: Callable[[float], None], cancelled: Cancelled
    ) -> tuple[str, str]:
        """Clone a tag as the VM ``name``, or one like it; its id and name. What the node has not got is pulled first.

        What the node has is cloned at once, whatever it pulls meanwhile. A pull waits for its turn, and the clone
        follows in the same turn, so that no other tag of the template can come between. ``pulling`` is told the share.
        """
        if self._agent.tag_of(template_id) == tag:
            try:
                return self._clone(template_id, tag, name, cancelled)
            except InterruptError:
                raise
            except AnkaCiError:  # another tag has just taken its place
                pass
        pulling(0.0)
        turn: Future[tuple[str, str]] = Future()

        def job() -> None:
            if not turn.set_running_or_notify_cancel():
                return
            try:
                self._agent.pull(template_id, tag, pulling, cancelled)
                turn.set_result(self._clone(template_id, tag, name, cancelled))
            except BaseException as error:
                turn.set_exception(error)

        self._agent.later(job)
        while True:
            try:
                return turn.result(timeout=PAUSE)
            except TimeoutError:
                if cancelled and turn.cancel():
                    raise InterruptError(f"{name}: {cancelled.reason}") from None

    def _clone(self, template_id: str, tag: str, name: str, cancelled: Cancelled) -> tuple[str, str]:
        try:
            body: Any = self._agent.call("clone", "--tag", tag, template_id, name, cancelled=cancelled)
        except RefusedError as error:
            if "already exists" not in error.message:
                raise
            name = f"{name}-{uuid4().hex[:8]}"  # a pattern of names need not tell two instances apart
            body = self._agent.call("clone", "--tag", tag, template_id, name, cancelled=cancelled)
        return str(body["uuid"]), name

    def start(self, uuid: str) -> None:
        self._agent.call("start", uuid)
        with self._lock:
            self._running.add(uuid)

    def stop(self, uuid: str, *, suspend: bool = False) -> None:
        """Stop a VM, or suspend it, which on ARM is the same; what its scripts left running ends."""
        self.quiet(uuid)
        self._agent.call(*(("suspend",) if suspend else ("stop", "--force")), uuid)
        with self._lock:
            self._running.discard(uuid)

    def delete(self, uuid: str) -> None:
        """Remove a VM with its files, running or not; one that is gone already is no failure."""
        self.quiet(uuid)
        try:
            self._agent.call("delete", "--yes", uuid)
        except RefusedError as error:
            if "not found" not in error.message:
                raise
        with self._lock:
            self._running.discard(uuid)

    def run(self, uuid: str, script: bytes, cancelled: Cancelled, timeout: float | None = None) -> ScriptResult:
        """Feed a script to a shell in the guest, as Anka's agent does; what came of it. ``timeout`` in seconds.

        ``InterruptError`` when cancelled. The guest's command is the process that is waited for, so that it ends with
        all that it started. What a script that has ended leaves running ends with the VM, unless it has made a process
        group of its own.
        """
        groups: list[int] = []
        said: dict[str, list[str]] = {"stdout": [], "stderr": []}
        argv, env = self._agent.command("run", uuid, "sh", ANKA_STANDIN_GUESTS="1")

        def begun(group: int) -> None:
            groups.append(group)
            self._leftovers.begun(group, uuid)

        try:
            done = process.run(
                argv,
                input=script,
                env=env,
                timeout=timeout,
                cancelled=cancelled,
                on_line=lambda stream, line: said[stream].append(line),
                on_start=begun,
            )
        except FellShortError:
            return ScriptResult(
                return_code=-1,
                errors=(f"it did not end within {timeout:g} s, and was ended",),
                did_timeout=True,
                stdout=_end(said["stdout"]),
                stderr=_end(said["stderr"]),
            )
        finally:
            for group in groups:
                self._leftovers.over(group, uuid)
        return ScriptResult(return_code=done.status, stdout=done.stdout[-OUTPUT:], stderr=done.stderr[-OUTPUT:])

    def quiet(self, *uuids: str) -> None:
        """End what the scripts of these VMs left running; of all, when none is named."""
        self._leftovers.end(*uuids)

    def end_earlier(self) -> None:
        """At the start: end the scripts that an earlier server was running when it was killed."""
        self._leftovers.end_earlier()

    def push(self, uuid: str, image: ImageRequest, cancelled: Cancelled) -> None:
        """Push a stopped VM: onto the template of ``image``, or as a new one under the name that it asks for."""
        source, clone = uuid, ""
        if not image.template_id:
            # The registry takes a new template's name and id from the VM, so that one of that name is made for it.
            body: Any = self._agent.call("clone", uuid, image.new_template, cancelled=cancelled)
            source = clone = str(body["uuid"])
        onto = ("--remote-vm", repository(image.template_id)) if image.template_id else ()
        described = ("--description", image.description) if image.description else ()
        words = ("push", "--tag", image.tag, *onto, *described, source)
        try:
            self._agent.call("registry", "--remote", self._agent.registry_url, *words, cancelled=cancelled)
        finally:
            if clone:
                self._agent.call("delete", "--yes", clone)

    def saw(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep what the node's library told of managed VMs when it was listed."""
        self._seen = [row for row in rows if str(row.get("name")).startswith(MANAGED)]

    def sweep(self, known: Collection[str]) -> None:
        """At the start: stop the VMs of ``known`` that still run, and remove the managed ones that nobody knows."""
        for row in self._seen:
            uuid = str(row.get("uuid"))
            if uuid not in known:
                self.delete(uuid)
            elif row.get("status") == "running":
                self.stop(uuid)

    def stop_all(self) -> None:
        """Stop all that runs, because the server stops."""
        with self._lock:
            running, self._running = sorted(self._running), set()
        if running:
            self._agent.call("stop", "--force", *running)


def _end(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)[-OUTPUT:]
