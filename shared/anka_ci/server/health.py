"""Whether the server lives: asked by containers and load balancers, without signing in (since 1.41.1)."""

from __future__ import annotations

from typing import Any

from anka_ci.server.call import Call, Parameters
from anka_ci.wire import schema


class HealthCalls:
    """It answers, so it lives; a server that cannot read its data does not start."""

    def alive(self, given: Parameters) -> Any:
        """Whether the server is there."""
        return "ok\n"


CALLS = (
    Call("GET", "/livez", HealthCalls.alive, "livez", answers=schema.TEXT, bare=True, open=True),
    Call("GET", "/readyz", HealthCalls.alive, "readyz", answers=schema.TEXT, bare=True, open=True),
)
