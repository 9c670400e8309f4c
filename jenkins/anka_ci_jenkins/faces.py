"""The Jenkins variables, rendered from the steps."""

from __future__ import annotations

from anka_ci.render import Faces


def faces() -> Faces:
    """``jenkins/vars/*``."""
    return {}
