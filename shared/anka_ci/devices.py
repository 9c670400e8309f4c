"""The controller door's devices: what its nodes can lend to instances, and how busy it is itself.

Nothing here changes anything. No step needs these; they are for those who build on the doors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from anka_ci.errors import UnreachableError
from anka_ci.offer import offered
from anka_ci.wire import values

if TYPE_CHECKING:
    from anka_ci.transport import Transport

NOT_ANKA = "is it an Anka controller?"


class Usb(NamedTuple):
    """How many of a USB device are free, and how many an instance has."""

    available: int
    busy: int


class Devices:
    """USB devices, VLANs, MAC addresses and statistics of one controller, over its ``rest``.

    What a controller does not offer (an old release, the licence, a missing permission) is an error that says so.
    """

    def __init__(self, rest: Transport) -> None:
        self._rest = rest

    def usb(self) -> dict[str, Usb]:
        """USB devices by name."""
        # https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ : GET /api/v1/usb
        return {
            name: Usb(values.integer(row, "available") or 0, values.integer(row, "busy") or 0)
            for name, row in self._mapping("/api/v1/usb", "list USB devices").items()
            if isinstance(row, Mapping)
        }

    def vlans(self) -> list[str]:
        """The VLAN tags that instances may have."""
        # GET /api/v1/vlan
        return self._texts("/api/v1/vlan", "list VLANs")

    def mac_addresses(self, *, count: int, in_use: bool = False) -> list[str]:
        """MAC addresses of the controller's pool: free ones, or those in use; ``count`` at most."""
        # GET /api/v1/macaddr ; it needs count and in_use, or limit and last. The form of its answer is undocumented.
        return self._texts("/api/v1/macaddr", "list MAC addresses", count=count, in_use=str(in_use).lower())

    def statistics(self) -> dict[str, Any]:
        """How busy the controller is: ``average_queue_time``, ``tasks_per_second``, and more that is undocumented."""
        # GET /api/v1/stats
        return self._mapping("/api/v1/stats", "tell its statistics")

    def _mapping(self, path: str, what: str) -> dict[str, Any]:
        found = self._get(path, what)
        if not isinstance(found, Mapping):
            raise UnreachableError(f"GET {path} gave no object", hint=NOT_ANKA)
        return dict(found)

    def _texts(self, path: str, what: str, **params: object) -> list[str]:
        found = self._get(path, what, **params)
        if not isinstance(found, list):
            raise UnreachableError(f"GET {path} gave no list", hint=NOT_ANKA)
        return [str(each) for each in found]

    def _get(self, path: str, what: str, **params: object) -> Any:
        with offered(self._rest, what):
            return self._rest.get(path, **params)
