"""The host door: the local ``anka`` command.

Passes the registry on every call and never relies on the Mac's default. Looks only at an envelope's ``status``,
``code``, ``message`` and ``body``; what those hold per release is in Anka's command-line reference.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anka_ci.host import finding
from anka_ci.host.finding import PLACES
from anka_ci.host.remotes import Remotes
from anka_ci.host.transfers import Transfers
from anka_ci.host.vms import Vms

if TYPE_CHECKING:
    from anka_ci.anka import Anka

__all__ = ["PLACES", "Host"]


class Host(Vms, Transfers, Remotes):
    """The VMs of this host and user. Errors carry the command's own words."""

    @classmethod
    def open(cls, anka: Anka) -> Host:
        """The context's command, or the ``anka`` found on the PATH or where its package puts it."""
        return cls(anka, anka.context.anka or finding.command())

    def version(self, *, again: bool = False) -> dict[str, Any]:
        """What ``anka version`` tells: ``product``, ``version``, ``build``.

        Asked once, and remembered for as long as the program stays the same; with ``again`` it is asked now.
        """
        return self._told(again=again)

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
        return self._mapping(["license", "show"])

    def library(self) -> Path | None:
        """The folder of this user's disk layers (root and each user have their own); None where it is not told."""
        done = self._plain(["config", "img_lib_dir"])  # prints the bare path, spaces and a last slash included
        told = done.stdout.strip().splitlines()
        return Path(told[-1].strip()) if done.status == 0 and told and told[-1].strip().startswith("/") else None

    def free(self) -> int | None:
        """Free bytes of the disk that holds the layers; None where the library is not told or may not be looked at."""
        library = self.library()
        for place in (library, *library.parents) if library else ():
            with contextlib.suppress(FileNotFoundError):  # it is made with the first VM
                try:
                    return shutil.disk_usage(place).free
                except PermissionError:
                    return None
        return None

    def weigh(self, files: Collection[str]) -> dict[str, int]:
        """Bytes on disk of layer files of this user's library, the parts of a chunked one (``FILE.*``) together.

        A file that is not there, or a library that may not be looked at, is left out.
        """
        found: dict[str, int] = {}
        library = self.library()
        if library is None:
            return found
        with contextlib.suppress(FileNotFoundError, PermissionError), os.scandir(library) as entries:
            for entry in entries:
                name = next((name for name in (entry.name, entry.name.rpartition(".")[0]) if name in files), None)
                if name is not None:
                    with contextlib.suppress(FileNotFoundError):  # another command has just removed it
                        found[name] = found.get(name, 0) + entry.stat().st_blocks * 512
        return found
