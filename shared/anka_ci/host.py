"""The host door: the local ``anka`` command.

Passes the registry on every call and never relies on the Mac's default. Looks only at an envelope's ``status``,
``code``, ``message`` and ``body``; what those hold per release is in Anka's command-line reference.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anka_ci import process
from anka_ci.auth import REGISTRY, SignIn, files
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.result import Progress
from anka_ci.wire.vm import DownloadSize, Moved, Vm

if TYPE_CHECKING:
    from anka_ci.anka import Anka

PLACES = ("/usr/local/bin/anka", "/opt/homebrew/bin/anka")
"""Where the command is when the PATH is bare, as launchd and SSH agents have it."""
NOT_FOUND, UNREACHABLE = 3, 30
"""Exit codes of the command that are known: no such VM, template or tag; no registry or no way to it."""
_PERCENT = re.compile(r"(\d{1,3})%\s*\[")


class Host:
    """The VMs of this host and user. Errors carry the command's own words."""

    def __init__(self, anka: Anka, command: tuple[str, ...]) -> None:
        self.command = command
        self._anka = anka
        self._found = anka.context.of(REGISTRY)
        self._version: dict[str, Any] | None = None

    @classmethod
    def open(cls, anka: Anka) -> Host:
        """The context's command, or the ``anka`` found on the PATH or where its package puts it."""
        command = anka.context.anka
        if not command:
            found = shutil.which("anka") or next((place for place in PLACES if os.access(place, os.X_OK)), None)
            if found is None:
                raise UsageError(
                    "no `anka` command on this machine",
                    hint="run the step on a Mac with Anka, or set ANKA_CI_ANKA to the command; inside an Anka VM there "
                    "is none: to push from there, use the step save-image, which has the controller do it",
                )
            command = (found,)
        return cls(anka, command)

    def version(self) -> dict[str, Any]:
        """What ``anka version`` tells: ``product``, ``version``, ``build``; asked once."""
        if self._version is None:
            self._version = dict(self._body(self._call(["version"])) or {})
        return self._version

    def arch(self) -> str | None:
        """``arm64`` or ``amd64``; None where it cannot be told."""
        told = self.version().get("host_arch")
        if isinstance(told, str):
            return told
        if sys.platform == "darwin":
            return {"x86_64": "amd64"}.get(platform.machine(), platform.machine())
        return None

    def license(self) -> dict[str, Any]:
        """What ``anka license show`` tells of this host's licence: ``status``, ``license_type``, ``expires``."""
        return self._mapping(self._call(["license", "show"]))

    def library(self) -> Path | None:
        """The folder of this user's disk layers (root and each user have their own); None where it is not told."""
        argv = [*self.command, "config", "img_lib_dir"]  # prints the bare path, spaces and a last slash included
        done = process.run(
            argv, env=self._environment(), timeout=self._anka.deadline.left(), cancelled=self._anka.cancelled
        )
        told = done.stdout.strip().splitlines()
        return Path(told[-1].strip()) if done.status == 0 and told and told[-1].strip().startswith("/") else None

    def vms(self) -> list[Vm]:
        """Every VM of this user."""
        return [Vm.read(row) for row in self._body(self._call(["list"])) or []]

    def vm(self, name_or_id: str) -> Vm:
        """A VM by name or id; ``NotFoundError`` when there is none."""
        return Vm.read(self._mapping(self._call(["show", name_or_id], sought=name_or_id)))

    def tags(self, vm: str) -> list[str]:
        """The local tags of a VM, the current one first."""
        body = self._body(self._call(["show", vm, "tag"], sought=vm)) or []
        return [str(row["tag"]) for row in body if isinstance(row, Mapping) and row.get("tag")]

    def top(self, vm: str, tag: str) -> str | None:
        """The file of a local tag's newest disk layer; None where the command does not tell."""
        try:
            body = self._body(self._call(["show", vm, "--tag", tag, "disk"], sought=f"{vm}:{tag}"))
        except (NotFoundError, RefusedError):
            return None
        file = body.get("file") if isinstance(body, Mapping) else None
        return file if isinstance(file, str) and file else None

    def config(self, vm: str) -> dict[str, Any]:
        """The VM's configuration, an open mapping."""
        return self._mapping(self._call(["describe", vm], sought=vm))

    def download_size(self, template: str, tag: str, registry_url: str) -> DownloadSize:
        """What a pull of the tag would download onto this host; 0 when it is here already."""
        with files.handed(self._found) as signed:
            words = [*self._registry(registry_url, signed), "check-download-size", "--tag", tag, template]
            if self._generation() >= 3 and self._found.certificate is None:
                # Where it became an option of the top-level pull, which takes a bare URL and no certificate.
                words = ["pull", "--check-download-size", "--tag", tag, template, registry_url]
            return DownloadSize.read(self._mapping(self._call(words, signed.variables, sought=template)))

    def pull(self, template: str, tag: str, *, registry_url: str, shrink: bool = False, local: bool = False) -> Moved:
        """Pull a tag and check it out; ``local`` checks out what is here and asks no network."""
        options = ["--local"] if local else []
        options += ["--shrink"] if shrink else []
        with files.handed(SignIn() if local else self._found) as signed:
            registry = ["registry"] if local else self._registry(registry_url, signed)
            words = [*registry, "pull", "--tag", tag, *options, template]
            body = self._body(self._call(words, signed.variables, sought=template, subject=tag))
        return _moved(body, "bytes_received")

    def push(
        self,
        vm: str,
        tag: str,
        *,
        registry_url: str,
        description: str = "",
        onto: str | None = None,
        force: bool = False,
    ) -> Moved:
        """Push a VM as a tag, ``onto`` an existing template if given; ``force`` replaces an existing tag."""
        options = ["--description", description] if description else []
        options += ["--remote-vm", onto] if onto else []
        options += ["--force"] if force else []
        with files.handed(self._found) as signed:
            words = [*self._registry(registry_url, signed), "push", "--tag", tag, *options, vm]
            body = self._body(self._call(words, signed.variables, sought=vm, subject=tag))
        return _moved(body, "bytes_sent")

    def _registry(self, registry_url: str, signed: files.Handed) -> list[str]:
        """``registry`` with the options before its sub-command; 2.x takes a URL only as ``--registry-path``."""
        option = "--registry-path" if self._generation() < 3 else "--remote"
        return ["registry", option, registry_url, *signed.options]

    def _generation(self) -> int:
        """The major version of the command, which decides on a few spellings."""
        major = str(self.version().get("version", "")).split(".")[0]
        return int(major) if major.isdigit() else 3

    def _call(
        self, words: list[str], variables: Mapping[str, str] | None = None, *, sought: str = "", subject: str = ""
    ) -> process.Finished:
        argv = [*self.command, "--machine-readable", *words]

        def on_line(stream: str, line: str) -> None:
            if match := _PERCENT.search(line):
                self._anka.tell(Progress(subject=subject, done=int(match.group(1)) / 100, total=1.0))

        try:
            done = process.run(
                argv,
                env={**self._environment(), **(variables or {})},
                timeout=self._anka.deadline.left(),
                on_line=on_line if subject else None,
                cancelled=self._anka.cancelled,
            )
        except NotFoundError as error:
            raise UsageError(
                f"the anka command {self.command[0]!r} is not there", hint="correct ANKA_CI_ANKA, or install Anka"
            ) from error
        envelope = _envelope(done)
        if envelope.get("status") == "OK" and done.status == 0:
            return done
        raise _error(words, done, envelope, sought)

    def _environment(self) -> dict[str, str]:
        """The caller's own, with progress on stderr."""
        found = {**os.environ, "ANKA_PROGRESS": "1"}
        if self._found.ca:  # for the commands that have no option for it: every key of `anka config` is one
            found["ANKA_CA_BUNDLE"] = self._found.ca
        return found

    def _body(self, done: process.Finished) -> Any:
        return _envelope(done).get("body")

    def _mapping(self, done: process.Finished) -> dict[str, Any]:
        body = self._body(done)
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            raise RefusedError(f"{' '.join(done.argv)}: its answer is no mapping", hint="is it Anka's command?")
        return body


def _moved(body: object, key: str) -> Moved:
    """Bytes are an extension of the stand-in; Anka's own command does not tell them."""
    if not isinstance(body, Mapping):
        return Moved()
    found = {name: body.get(name) for name in (key, "bytes_shared", "version")}
    numbers = {name: value if isinstance(value, int) else None for name, value in found.items()}
    return Moved(moved=numbers[key], shared=numbers["bytes_shared"], version=numbers["version"])


def _envelope(done: process.Finished) -> dict[str, Any]:
    """The last line of stdout that is not empty, as JSON; an empty mapping when it is none."""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    try:
        found = json.loads(lines[-1]) if lines else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _error(words: list[str], done: process.Finished, envelope: Mapping[str, Any], sought: str) -> AnkaCiError:
    said = str(envelope.get("message") or "") or " ".join((done.stderr or done.stdout).split())[-300:]
    code = envelope.get("code", done.status)
    what = "anka " + " ".join(word for word in words if word)
    if code == NOT_FOUND or said.endswith("not found"):
        return NotFoundError("VM or tag", sought or what, where="`anka`", hint=said, command=what)
    if "Authentication Required" in said:
        return NotAuthorisedError(f"{what}: {said}", hint="check how you sign in to the registry", command=what)
    if code == UNREACHABLE:
        return UnreachableError(f"{what}: {said}", hint="check the registry's address", command=what)
    if not envelope:
        return RefusedError(f"{what}: no JSON came back (status {done.status}): {said}", command=what)
    return RefusedError(f"{what}: {said or 'failed without a message'}", command=what, status=code)
