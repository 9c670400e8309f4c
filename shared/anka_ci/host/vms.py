"""The VMs of this host: what they are, and what is done to them.

Asks no registry. A VM is named by its id or its name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from anka_ci import process
from anka_ci.errors import NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.host import answers
from anka_ci.host.asking import TRIES, Asking
from anka_ci.streams import OnLine
from anka_ci.wire.vm import Vm


class Vms(Asking):
    """What is told of VMs is as the command tells it; what is done to them raises its words when it fails."""

    def vms(self) -> list[Vm]:
        """Every VM of this user."""
        return [Vm.read(row) for row in self._list(["list"]) if isinstance(row, Mapping)]

    def vm(self, name_or_id: str) -> Vm:
        """A VM by name or id; ``NotFoundError`` when there is none."""
        return Vm.read(self._mapping(["show", name_or_id], sought=name_or_id))

    def tags(self, vm: str) -> list[str]:
        """The local tags of a VM, the current one first."""
        rows = self._list(self._words.tags(vm), sought=vm)
        return [str(row["tag"]) for row in rows if isinstance(row, Mapping) and row.get("tag")]

    def top(self, vm: str, tag: str) -> str | None:
        """The file of a local tag's newest disk layer; None where the command does not tell."""
        try:
            body = self._body(self._words.disk(vm, tag), sought=f"{vm}:{tag}", tries=TRIES)
        except (NotFoundError, RefusedError):
            return None
        file = body.get("file") if isinstance(body, Mapping) else None
        return file if isinstance(file, str) and file else None

    def layers(self, vm: str, tag: str | None = None) -> tuple[str, ...] | None:
        """The files of the disk layers of a VM, or of one of its local tags, newest first, as far as they are told.

        Anka's command tells the newest only. None when it tells none, as of a tag that is not there; ``NotFoundError``
        when no tag is named and there is no such VM.
        """
        if tag is not None:
            top = self.top(vm, tag)
            return (top,) if top else None
        drives = self.config(vm).get("hard_drives")
        first = drives[0] if isinstance(drives, list) and drives else None
        file = first.get("file") if isinstance(first, Mapping) else None
        return (file,) if isinstance(file, str) and file else None

    def config(self, vm: str) -> dict[str, Any]:
        """The VM's configuration, an open mapping."""
        return self._mapping(["describe", vm], sought=vm)

    def clone(self, source: str, name: str, *, tag: str | None = None, copy: bool = False) -> Vm:
        """A new VM from another, or from one of its local tags (3.0 and later); with ``copy`` it shares no layer.

        ``RefusedError`` when a VM of that name exists.
        """
        words = self._words.clone(source, name, tag=tag, copy=copy)
        try:
            with self._turn(f"the clone of {source}"):
                body = self._body(words, sought=f"{source}:{tag}" if tag else source)
        except RefusedError as error:
            if error.facts.get("status") == answers.EXISTS:
                hint = f"choose another name, or delete that VM: anka delete {name}"
                raise RefusedError(f"a VM named {name} exists on this host", hint=hint) from error
            raise
        # 2.x answers with a mapping, `create` of 3.1 with the bare id, and of a clone of 3.x nothing is documented.
        id_ = body.get("uuid") if isinstance(body, Mapping) else body
        return self.vm(id_ if isinstance(id_, str) and id_ else name)

    def start(self, vm: str) -> None:
        """Start a VM; ``RefusedError`` when it does not start, or runs already."""
        self._body(["start", vm], sought=vm)

    def stop(self, vm: str, *, force: bool = False) -> None:
        """Stop a VM; one that is stopped stays so."""
        self._body(self._words.stop(vm, force=force), sought=vm)

    def suspend(self, vm: str) -> None:
        """Suspend a VM; on Apple silicon Anka stops it instead."""
        self._body(["suspend", vm], sought=vm)

    def run(
        self,
        vm: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] = {},
        folder: str | None = None,
        input: bytes | None = None,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        wait_network: bool = True,
    ) -> process.Finished:
        """Run a command in a VM, which is started where it does not run; how it ended, its status being the guest's.

        ``env`` travels in a file that only its owner can read, and which goes with the call. ``folder`` is one of the
        guest, ``timeout`` in seconds. ``UnreachableError`` when the connection to the guest is lost (status 125),
        ``NotFoundError`` and ``RefusedError`` when there is no such VM or it does not start.
        """
        if not argv:
            raise UsageError(f"nothing is to be run in {vm}", hint="give a command")
        self.vm(vm)  # a VM that is not there ends with a status that a guest's command may end with too
        if not env:
            words = self._words.run(vm, argv, folder=folder, env_file=None, wait_network=wait_network)
            return self._passed(vm, words, input, on_line, timeout)
        with process.guarded("anka-ci-env-") as place:
            file = place / "env"
            content = _lines(env).encode()
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(content)
            words = self._words.run(vm, argv, folder=folder, env_file=str(file), wait_network=wait_network)
            return self._passed(vm, words, input, on_line, timeout)

    def _passed(
        self,
        vm: str,
        words: list[str],
        input: bytes | None,
        on_line: OnLine | None,
        timeout: float | None,
    ) -> process.Finished:
        done = self._plain(words, input=input, on_line=on_line, timeout=timeout, still=True)
        if done.status == answers.DISCONNECTED:
            said = " ".join(done.stderr.split())[-300:]
            hint = "the VM was stopped, crashed, or has no network; see `anka show` and its log"
            raise UnreachableError(f"{vm}: guest connection lost" + (f": {said}" if said else ""), hint=hint, vm=vm)
        if said := answers.spoken(done):
            raise answers.error(["run", vm], done, {"code": done.status, "message": said}, vm)
        return done

    def delete(self, vm: str) -> None:
        """Delete a VM with its local tags; layers that others use stay."""
        with self._turn(f"the deletion of {vm}"):
            self._body(self._words.delete(vm), sought=vm)

    def delete_tag(self, vm: str, tag: str) -> None:
        """Delete a local tag; before 3.0 only the name goes and the bytes stay. ``RefusedError`` before 2.3."""
        with self._turn(f"the deletion of {vm}:{tag}"):
            self._body(self._words.delete_tag(vm, tag), sought=f"{vm}:{tag}")

    def tag(self, vm: str, tag: str, *, description: str = "", force: bool = False) -> None:
        """Make what a VM is now a local tag and the current one; no registry is asked.

        ``RefusedError`` when the tag is here, unless ``force`` lets it go (2.3 and later).
        """
        with self._turn(f"the tag {tag} of {vm}", agent=True):
            self._body(self._words.tag(vm, tag, description=description, force=force), sought=vm)

    def reset(self, vm: str, tag: str | None = None) -> None:
        """Make a VM what one of its local tags is (the current one when none is given), as it is on this host.

        Anka's documented way to mend a VM that failed. ``NotFoundError`` when there is no such tag here.
        """
        with self._turn(f"the reset of {vm}", agent=True):
            self._body(self._words.checkout(vm, tag), sought=f"{vm}:{tag}" if tag else vm)


def _lines(env: Mapping[str, str]) -> str:
    """An ``--env-file``: one ``NAME=value`` a line, which has no way to quote the end of one."""
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UsageError(f"{name!r} is no name of a variable", hint="use letters, digits and _, no digit first")
        if re.search(r"[\r\n\0]", value):
            raise UsageError(
                f"the variable {name} holds more than one line, which `anka run` cannot be given",
                hint="copy a file into the VM, or encode the value (base64)",
            )
    return "".join(f"{name}={value}\n" for name, value in env.items())
