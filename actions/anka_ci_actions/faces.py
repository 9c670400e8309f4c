"""The GitHub actions, rendered from the steps."""

from __future__ import annotations

from anka_ci.render import Faces


def faces() -> Faces:
    """``action.yml`` and ``actions/*/action.yml``."""
    return {}
