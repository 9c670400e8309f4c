"""The registry as the controller shows it: where a network lets us reach the controller and not the registry.

The same calls as the registry door's under other paths; what only the registry has (keys, architectures) is not here.
Every step goes to the registry itself; a registry is never exchanged for this view silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anka_ci.registry import Registry
from anka_ci.wire.server_status import ServerStatus

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.transport import Transport


class RegistryView(Registry):
    """Templates and versions by way of the controller at ``url``, over its ``rest``."""

    # https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ : /api/v1/registry/…
    AT = "/api/v1/registry"
    LISTS = ("/vm",)

    def __init__(self, anka: Anka, url: str, rest: Transport) -> None:
        self._anka, self.url, self._rest = anka, url, rest

    def status(self) -> ServerStatus:
        """The registry's status as the controller tells it; its version is not told."""
        found = ServerStatus.read(self._rest.get("/api/v1/status") or {})
        return ServerStatus(status=found.registry_status, registry_url=found.registry_url)
