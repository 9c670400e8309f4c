"""The controller's calls that change a node: its configuration with drain mode, and taking it off the list.

Wire behaviour: https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ ("Node"). What a node
does is not decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anka_ci.errors import RefusedError
from anka_ci.server.call import Call, Parameter, Parameters
from anka_ci.server.controller import not_found

if TYPE_CHECKING:
    from anka_ci.server.fleet import Fleet

FIELDS = {
    "max_vm_count": "capacity",
    "name": "name",
    "host": "ip",
    "capacity_mode": "capacity_mode",
    "vcpu_override": "vcpu_override",
    "ram_override": "ram_override",
}
"""What can be configured of a node: its name on the wire, and the field of the noun."""


class NodeCalls:
    """The calls over one ``fleet``."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    def configure(self, given: Parameters) -> Any:
        """Change what is configured of a node.

        What is left out stays as it is. In drain mode it starts no more VMs; those that run go on.
        """
        facts = {field: given[key] for key, field in FIELDS.items() if key in given}
        if "drain_mode" in given:
            facts["draining"] = given["drain_mode"]
        with not_found():
            self._fleet.configure(given["node_id"], **facts)

    def delete(self, given: Parameters) -> Any:
        """Take a node off the list.

        It only leaves the records, as with Anka, where the agent has to be disjoined too: here it is back when the
        server is started again. A node that runs VMs is kept; what Anka does with one is undocumented.
        """
        with not_found():
            node = self._fleet.node(given["node_id"])
            if node.running:
                raise RefusedError(f"the node {node.name} runs {node.running} VMs; end them first")
            self._fleet.forget(node.id)


NODE = Parameter("node_id", "Id of a node.", place="body", required=True, form="node-id")

CALLS = (
    Call(
        "POST",
        "/api/v1/node/config",
        NodeCalls.configure,
        "configureNode",
        (
            NODE,
            Parameter("max_vm_count", "How many VMs it runs at once.", "number", "body", most=64),
            Parameter("name", "Its name.", place="body"),
            Parameter("host", "Its address.", place="body"),
            Parameter("capacity_mode", "How its capacity is counted.", place="body", choices=("number", "resource")),
            Parameter("vcpu_override", "Virtual CPUs it offers; 0: as many as it has.", "number", "body"),
            Parameter("ram_override", "GB of memory it offers; 0: as much as it has.", "number", "body"),
            Parameter("disable_central_logging", "Whether its logs stay on it; no meaning here.", "flag", "body"),
            Parameter("drain_mode", "Whether it starts no more VMs.", "flag", "body"),
        ),
    ),
    Call("DELETE", "/api/v1/node", NodeCalls.delete, "deleteNode", (NODE,)),
)
