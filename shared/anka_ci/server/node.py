"""One node of the fleet: a library of its own, a thread, and what it last said it holds.

It runs the stand-in ``anka`` as a child process, as a real agent runs ``anka``, and moves no byte in this process.
What it holds is what its own ``anka list`` says: one tag per template.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from anka_ci.clock import Cancelled, Clock
from anka_ci.errors import AnkaCiError
from anka_ci.server import launcher
from anka_ci.server.guests import Guests
from anka_ci.server.leftovers import Leftovers
from anka_ci.server.record import MANAGED
from anka_ci.wire.node import ACTIVE, UNHEALTHY, Group, Node, NodeTemplate
from anka_ci.wire.vm import Vm

STALL = 600.0
"""Seconds without a word from a pulling child after which it is ended and the node's part has failed."""
_PERCENT = re.compile(r"(\d{1,3})%")


class Agent:
    """The node ``name`` with its library at ``home``. Jobs are done one after the other, in the node's own thread.

    ``anka`` is the stand-in, ``sign_in`` the variables with which it signs in; ``stopping`` ends what runs.
    """

    def __init__(
        self,
        name: str,
        home: Path,
        *,
        anka: str,
        arch: str,
        clock: Clock,
        stopping: Cancelled,
        sign_in: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._home = home
        self._anka = anka
        self._arch = arch
        self._clock = clock
        self._stopping = stopping
        self._sign_in = dict(sign_in or {})
        self.registry_url = ""
        self.guests = Guests(self, Leftovers(home / "scripts"))
        self._templates: tuple[NodeTemplate, ...] = ()
        self._healthy = True
        self._used = 0
        self._changed = 0.0
        self._listed = threading.Event()
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self, registry_url: str) -> None:
        """Start the thread; it first ends what was left running, and says what the node holds."""
        self.registry_url = registry_url
        self._home.mkdir(parents=True, exist_ok=True)
        self._jobs.put(self.guests.end_earlier)
        self._jobs.put(self._look)
        self._jobs.put(self._listed.set)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the node has said what it holds."""
        self._listed.wait(timeout=120)

    def later(self, job: Callable[[], None]) -> None:
        """Do a job when those before it are done."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Take no more jobs; the one that runs is waited for by ``join``."""
        self._jobs.put(None)

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def pull(self, template_id: str, tag: str, progress: Callable[[float], None], cancelled: Cancelled) -> None:
        """Pull a tag, which takes the place of the one that the node has; raises what the command says.

        ``progress`` is told the share that is done, below 1.
        """

        def heard(stream: str, line: str) -> None:
            found = _PERCENT.findall(line)
            if found:  # 1 only when it is done: `progress` 1 beside `status` false has confused clients
                progress(min(0.99, int(found[-1]) / 100))

        words = ("registry", "--remote", self.registry_url, "pull", "--shrink", "--tag", tag, template_id)
        try:
            self.call(*words, heard=heard, cancelled=cancelled)
        finally:
            self._look()

    def remove(self, template_id: str) -> None:
        """Delete the node's copy of a template; a node that has none has nothing to do."""
        if any(template.id.lower() == template_id.lower() for template in self._templates):
            try:
                self.call("delete", "--yes", template_id)
            except AnkaCiError:
                self._healthy = False
            self._look()

    def node(self, groups: tuple[Group, ...] = ()) -> Node:
        """The node as the controller shows it."""
        disk = shutil.disk_usage(next(place for place in (self._home, *self._home.parents) if place.exists()))
        return Node(
            id=self.name,
            name=self.name,
            state=ACTIVE if self._healthy else UNHEALTHY,
            arch=self._arch,
            groups=groups,
            templates=self._templates,
            disk_size=disk.total,
            free_disk=disk.free,
            anka_disk_usage=self._used,
            capacity=2,
            running=self.guests.running,
            ip="127.0.0.1",
            cpu_count=os.cpu_count() or 1,
            ram=8,
            anka_version="3.8.5",
            last_updated=self._changed or self._clock.now(),
        )

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None and not self._stopping:
            job()

    def _look(self) -> None:
        """Ask the node what it holds. When it cannot tell, what it last told stays, and the node is unhealthy."""
        if self._stopping:
            return
        try:
            rows: Sequence[Mapping[str, Any]] = (self.call("list") or ()) if any(self._home.iterdir()) else ()
            vms = [Vm.read(row) for row in rows]
        except (AnkaCiError, OSError, AttributeError, TypeError):
            self._healthy = bool(self._stopping) and self._healthy
            return
        self.guests.saw(rows)
        # An instance's VM is a clone of a template, and never one itself.
        templates = [vm for vm in vms if not vm.name.startswith(MANAGED)]
        self._templates = tuple(NodeTemplate(id=vm.id, name=vm.name, tag=vm.tag) for vm in templates)
        self._used = _used(self._home)
        self._changed = self._clock.now()
        self._healthy = True

    def tag_of(self, template_id: str) -> str | None:
        """The tag of a template that the node holds; None when it holds none."""
        return next((each.tag for each in self._templates if each.id.lower() == template_id.lower()), None)

    def call(
        self, *words: str, heard: Callable[[str, str], None] | None = None, cancelled: Cancelled | None = None
    ) -> Any:
        """Run a command of the stand-in; the body of its reply. ``RefusedError`` with what it says, when it fails."""
        (anka, *rest), env = self.command(*words, ANKA_PROGRESS="1", **self._sign_in)
        ends = self._stopping if cancelled is None else cancelled  # a flag that is not set yet is false
        return launcher.run([anka, "--machine-readable", *rest], env, on_line=heard, cancelled=ends, stall=STALL)

    def command(self, *words: str, **more: str) -> tuple[list[str], dict[str, str]]:
        """A command of the stand-in on the node's library: its words, and its environment."""
        env = launcher.environment(self._home, ANKA_STANDIN_ARCH=self._arch, ANKA_REGISTRY=self.registry_url, **more)
        return [self._anka, *words], env


def _used(folder: Path) -> int:
    """Bytes of all files below ``folder``; a file that goes away meanwhile counts for nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(place) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total
