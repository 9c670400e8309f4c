"""The controller's REST calls: status, nodes, groups, distributions, and removal from nodes.

What concerns templates in the registry is ``server.registry``, under the controller's paths too. Wire behaviour:
https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ and Anka's page of 2019.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.server.call import Call, Parameter, Parameters
from anka_ci.server.registry import UNKNOWN_TEMPLATE, pick
from anka_ci.wire import schema
from anka_ci.wire.distribution import Distribution
from anka_ci.wire.node import Group, Node
from anka_ci.wire.server_status import ServerStatus

if TYPE_CHECKING:
    from anka_ci.server.fleet import Fleet
    from anka_ci.server.state import State


class ControllerCalls:
    """The calls over one registry ``state`` and one ``fleet``; each takes the parameters and gives the envelope's body.

    ``registry_url`` is asked at each status, because a port is known only once the server listens.
    """

    def __init__(self, state: State, fleet: Fleet, version: str, registry_url: Callable[[], str]) -> None:
        self._state = state
        self._fleet = fleet
        self._version = version
        self._registry_url = registry_url

    def status(self, given: Parameters) -> Any:
        """What the controller says of itself and its registry."""
        return ServerStatus(
            status="Running",
            version=self._version,
            registry_url=self._registry_url(),
            registry_status="Running",
            license="enterprise plus",
        ).emit()

    def stats(self, given: Parameters) -> Any:
        """How busy the controller's queue is; nothing waits in one here."""
        return {"average_queue_time": 0, "tasks_per_second": 0}

    def update_nodes(self, given: Parameters) -> Any:
        """Have the nodes' agents brought up to date; the nodes here are of the server's own version."""

    def usb(self, given: Parameters) -> Any:
        """The USB devices of the nodes and how many are free; there are none here."""
        return {}

    def vlans(self, given: Parameters) -> Any:
        """The VLANs that instances may use; there are none here."""
        return []

    def macs(self, given: Parameters) -> Any:
        """The MAC addresses kept for instances; there are none here."""
        return []

    def nodes(self, given: Parameters) -> Any:
        """Every node; with ``id`` a list of that one (since 1.32)."""
        if "id" not in given:
            return [node.emit() for node in self._fleet.nodes()]
        with not_found():
            return [self._fleet.node(given["id"]).emit()]

    def groups(self, given: Parameters) -> Any:
        """Every group of nodes."""
        return [group.emit() for group in self._fleet.groups()]

    def add_group(self, given: Parameters) -> Any:
        """Make a group of nodes."""
        with not_found():
            return self._fleet.add_group(
                given["name"], given.get("description", ""), given.get("fallback_group_id")
            ).emit()

    def change_group(self, given: Parameters) -> Any:
        """Change a group; what is left out stays as it is."""
        changes = {key: given[key] for key in ("name", "description", "fallback_group_id") if key in given}
        with not_found():
            self._fleet.change_group(given["id"], **changes)

    def delete_group(self, given: Parameters) -> Any:
        """Remove a group; its nodes stay."""
        with not_found():
            self._fleet.delete_group(given["id"])

    def join(self, given: Parameters) -> Any:
        """Put nodes into groups."""
        with not_found():
            self._fleet.regroup(given["group_ids"], given["node_ids"], member=True)

    def leave(self, given: Parameters) -> Any:
        """Take nodes out of groups."""
        with not_found():
            self._fleet.regroup(given["group_ids"], given["node_ids"], member=False)

    def distribute(self, given: Parameters) -> Any:
        """Start a distribution.

        ``tag`` and ``version`` have to agree. Without ``node_ids`` all nodes get it; what Anka makes of an empty list
        is not documented, and no client is known that sends one, so that it is refused.
        """
        try:
            template = self._state.template(given["template_id"])
        except NotFoundError:
            raise RefusedError(UNKNOWN_TEMPLATE) from None
        version = pick(template, given.get("tag"), given.get("version"))
        with not_found():
            request = self._fleet.distribute(
                template.id,
                version.tag,
                version.number,
                node_ids=given.get("node_ids"),
                group_id=given.get("group_id"),
            )
        return {"request_id": request.id}

    def distributions(self, given: Parameters) -> Any:
        """Every status document; with ``id`` that one."""
        if "id" not in given:
            return [request.emit() for request in self._fleet.distributions()]
        with not_found():
            return self._fleet.distribution(given["id"]).emit()

    def cancel(self, given: Parameters) -> Any:
        """End what has not finished of a distribution (since 1.43)."""
        with not_found():
            self._fleet.cancel(given["id"])

    def remove(self, given: Parameters) -> Any:
        """Have nodes delete their copy of a template (since 1.20).

        It is not waited for; the reply names the nodes that were asked. Without ``node_ids`` all are; an empty list is
        refused, as for a distribution.
        """
        with not_found():
            asked = self._fleet.remove(given["id"], given.get("node_ids"))
        return {"requests_sent": len(asked), "node_ids": asked}


@contextlib.contextmanager
def not_found() -> Iterator[None]:
    """Say it in the controller's own words; which id it was stays in the message."""
    try:
        yield
    except NotFoundError as error:
        raise RefusedError(f"Not found: {error.noun} {error.sought}") from None


GROUP = Parameter("id", "Id of a group.", form="group-id", required=True)
REQUEST = Parameter("id", "Id of a distribution.", form="distribution-id", required=True)
NAME = Parameter("name", "Name of a group; no two groups have the same.", place="body")
DESCRIPTION = Parameter("description", "What it is for.", place="body")
FALLBACK = Parameter("fallback_group_id", "Group whose nodes help when all are busy.", place="body", form="group-id")
NODES = Parameter("node_ids", "Ids of nodes; all when left out.", "texts", "body", form="node-id", named=True)
MEMBERS = (
    Parameter("group_ids", "Ids of groups.", "texts", "body", required=True, form="group-id", named=True),
    replace(NODES, help="Ids of nodes.", required=True),
)

_RATE = {"type": "number", "minimum": 0}
_USB = schema.noun("UsbDevice", {"available": schema.COUNT, "busy": schema.COUNT})
_C = ControllerCalls
CALLS = (
    Call("GET", "/api/v1/status", _C.status, "status", answers=ServerStatus.SCHEMA),
    Call(
        "GET",
        "/api/v1/node",
        _C.nodes,
        "nodes",
        (Parameter("id", "Id of a node.", form="node-id"),),
        schema.several(Node.SCHEMA),
    ),
    Call("PUT", "/api/v1/node/update", _C.update_nodes, "updateNodes"),
    Call(
        "GET",
        "/api/v1/stats",
        _C.stats,
        "stats",
        answers=schema.noun("Stats", {"average_queue_time": _RATE, "tasks_per_second": _RATE}),
    ),
    Call("GET", "/api/v1/usb", _C.usb, "usbDevices", answers=schema.mapping(_USB)),
    Call("GET", "/api/v1/vlan", _C.vlans, "vlans", answers=schema.several(schema.TEXT)),
    Call("GET", "/api/v1/macaddr", _C.macs, "macAddresses", answers=schema.several(schema.TEXT)),
    Call("POST", "/api/v1/node/group", _C.join, "joinGroups", MEMBERS),
    Call("DELETE", "/api/v1/node/group", _C.leave, "leaveGroups", MEMBERS),
    Call("GET", "/api/v1/group", _C.groups, "groups", answers=schema.several(Group.SCHEMA)),
    Call(
        "POST",
        "/api/v1/group",
        _C.add_group,
        "addGroup",
        (replace(NAME, required=True), DESCRIPTION, FALLBACK),
        Group.SCHEMA,
    ),
    Call("PUT", "/api/v1/group", _C.change_group, "changeGroup", (GROUP, NAME, DESCRIPTION, FALLBACK)),
    Call("DELETE", "/api/v1/group", _C.delete_group, "deleteGroup", (GROUP,)),
    Call(
        "POST",
        "/api/v1/registry/vm/distribute",
        _C.distribute,
        "distribute",
        (
            Parameter("template_id", "Id of a template.", place="body", required=True, form="template-id"),
            Parameter("tag", "Tag of a version; the newest version when left out.", place="body", form="tag"),
            Parameter("version", "Number of a version; has to be the tag's if both are given.", "number", "body"),
            NODES,
            Parameter("group_id", "Id of a group of nodes.", place="body", form="group-id"),
            Parameter("group", "Permission group; there are none here, so it is ignored.", place="body"),
        ),
        schema.noun("DistributionId", {"request_id": schema.id_of("distribution")}),
    ),
    Call(
        "GET",
        "/api/v1/registry/vm/distribute",
        _C.distributions,
        "distributions",
        (replace(REQUEST, required=False),),
        schema.either(schema.several(Distribution.SCHEMA), Distribution.SCHEMA),
    ),
    Call("DELETE", "/api/v1/registry/vm/distribute", _C.cancel, "cancelDistribution", (REQUEST,)),
    Call(
        "DELETE",
        "/api/v1/registry/vm/remove",
        _C.remove,
        "removeFromNodes",
        (Parameter("id", "Id of a template.", form="template-id", required=True), NODES),
        schema.noun("NodesAsked", {"requests_sent": schema.COUNT, "node_ids": schema.several(schema.id_of("node"))}),
    ),
)
