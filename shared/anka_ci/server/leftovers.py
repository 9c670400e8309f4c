"""What guests' scripts leave running: ended with the VM, or by the next server when this one is killed.

A script's process group is written down before anything waits for it, with who is in it and since when: a number alone
may be another's by then, and what is not recognised is left alone.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from anka_ci import process_group, process_table
from anka_ci.errors import AnkaCiError, RefusedError

_log = logging.getLogger(__name__)
PAUSE = 1.0
"""Seconds between two looks at whether what a script left running has ended by itself."""


class Leftovers:
    """The process groups of one node's scripts, each a file of ``folder``. Every method may be called in any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._left: dict[int, str] = {}

    def begun(self, group: int, vm: str) -> None:
        """Write down that a script of the VM runs in a process group. ``RefusedError`` when that is not possible."""
        part = self._folder / f".{group}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({"vm": vm, "members": _members(group)}), encoding="utf-8")
            part.replace(self._folder / f"{group}.json")
        except OSError as error:
            raise RefusedError(
                f"{part}: the script's process group cannot be written down: {error.strerror}"
            ) from error

    def over(self, group: int, vm: str) -> None:
        """The script has ended: its group is forgotten, at once or when what it left running has ended too."""
        if not process_group.lives(group):
            self._forget(group)
            return
        with self._lock:
            self._left[group] = vm
        try:
            self.begun(group, vm)  # the one that was first in it has gone
        except RefusedError as error:
            _log.warning("%s", error.message)
        threading.Thread(target=self._watch, args=(group,), daemon=True).start()

    def end(self, *vms: str) -> None:
        """End what the scripts of these VMs left running; of all, when none is named."""
        for group in [group for group, vm in list(self._left.items()) if not vms or vm in vms]:
            process_group.end(group)
            self._forget(group)

    def end_earlier(self) -> None:
        """At the start: end what still runs of scripts that an earlier server began and did not end."""
        for path in sorted(self._folder.glob("*.json")):
            try:
                group, found = int(path.stem), json.loads(path.read_text(encoding="utf-8"))
                vm, noted = str(found["vm"]), {int(pid): str(since) for pid, since in found["members"].items()}
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                _log.warning("%s: cannot be read, so that no script is ended by it", path)
                path.unlink(missing_ok=True)
                continue
            if process_group.lives(group) and _is_that_of(vm, noted, _members(group)):
                process_group.end(group)
            path.unlink(missing_ok=True)

    def _watch(self, group: int) -> None:
        while group in self._left and process_group.lives(group):
            threading.Event().wait(PAUSE)
        self._forget(group)

    def _forget(self, group: int) -> None:
        """Forget a group that has ended, because its number may become another's."""
        with self._lock:
            self._left.pop(group, None)
            (self._folder / f"{group}.json").unlink(missing_ok=True)


def _members(group: int) -> Mapping[int, str]:
    """Who runs in a group, and since when; nobody, where that cannot be told."""
    found = process_group.members(group)
    if found is not None:
        return found
    try:  # macOS
        return {pid: each.since for pid, each in process_table.origins().items() if each.group == group}
    except AnkaCiError as error:
        _log.warning("who is in the process group %s cannot be told: %s", group, error)
        return {}


def _is_that_of(vm: str, noted: Mapping[int, str], members: Mapping[int, str]) -> bool:
    """Whether a group is the one that was written down: someone is in it who was, or whose guest is this VM."""
    return any(noted.get(pid) == since or _guest(pid) == vm for pid, since in members.items())


def _guest(pid: int) -> str | None:
    """The VM in whose guest a process runs, as its environment says; None where it does not say so (or on macOS)."""
    try:
        environment = (process_group.PROCESSES / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    pairs = dict(pair.partition(b"=")[::2] for pair in environment.split(b"\0"))
    return os.fsdecode(pairs[b"ANKA_VM_UUID"]) if b"ANKA_VM_UUID" in pairs else None
