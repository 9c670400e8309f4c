"""What every command of the stand-in is handed.

Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anka_ci.clock import Cancelled
from anka_ci.errors import UsageError
from anka_ci.standin.library import Library
from anka_ci.standin.output import Voice
from anka_ci.standin.remotes import Kept, Remotes

THREADS, MOST_THREADS = 4, 64


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What every command is handed."""

    library: Library
    remotes: Remotes
    config: Kept
    home: Path
    environment: Mapping[str, str]
    cancelled: Cancelled
    voice: Voice

    @property
    def threads(self) -> int:
        """Layers that move side by side, as ``puller_threads`` of ``anka config`` says; 4 as with Anka."""
        told = self.environment.get("ANKA_PULLER_THREADS") or str(self.config.read().get("puller_threads") or "")
        if told and not (told.isdigit() and 0 < int(told) <= MOST_THREADS):
            raise UsageError(f"puller_threads is {told!r}", hint=f"it may be 1 to {MOST_THREADS}")
        return int(told) if told else THREADS

    @property
    def arch(self) -> str:
        """The host's architecture, as far as this stand-in is concerned."""
        return self.environment.get("ANKA_STANDIN_ARCH") or "arm64"
