"""What every command of the stand-in is handed.

Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from anka_ci.clock import Cancelled
from anka_ci.standin.library import Library
from anka_ci.standin.output import Voice
from anka_ci.standin.remotes import Kept, Remotes


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
    def arch(self) -> str:
        """The host's architecture, as far as this stand-in is concerned."""
        return self.environment.get("ANKA_STANDIN_ARCH") or "arm64"
