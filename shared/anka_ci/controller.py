"""The controller door: nodes and distributions; instances, groups, devices, keys and its registry have their own doors.

Every id that a caller gives may be a name; a failure raises and never becomes an empty list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from anka_ci.api_keys import ApiKeys
from anka_ci.devices import Devices
from anka_ci.errors import NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.instances import Instances
from anka_ci.node_groups import NodeGroups
from anka_ci.offer import offered
from anka_ci.registry_view import RegistryView
from anka_ci.transport import Transport
from anka_ci.wire.distribution import Distribution
from anka_ci.wire.node import Group, Node
from anka_ci.wire.server_status import ServerStatus

if TYPE_CHECKING:
    from anka_ci.anka import Anka

T = TypeVar("T")


class Controller:
    """Nodes, groups and distributions of one controller at ``url``."""

    def __init__(self, anka: Anka, url: str) -> None:
        self.url = url
        self._rest = Transport(url, anka, what="the controller")
        self.instances = Instances(self._rest)
        self.node_groups = NodeGroups(self._rest)
        self.devices = Devices(self._rest)
        self.registry = RegistryView(anka, url, self._rest)
        self.api_keys = ApiKeys(self._rest, "/api/v1/apikey", status="/api/v1/status")

    @classmethod
    def open(cls, anka: Anka) -> Controller:
        if anka.context.controller_url is None:
            raise UsageError(
                "no controller is configured",
                hint="set ANKA_CI_CONTROLLER_URL, or name a context of the settings file with --context",
            )
        return cls(anka, anka.context.controller_url)

    def status(self) -> ServerStatus:
        """Status, version, licence, and the registry the controller works with."""
        # https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ : GET /api/v1/status
        return ServerStatus.read(self._rest.get("/api/v1/status") or {})

    def nodes(self) -> list[Node]:
        """Every node, sorted by name."""
        # GET /api/v1/node
        with offered(self._rest, "list nodes"):
            body = self._rest.get("/api/v1/node")
        return sorted(_list(body, Node.read, "nodes"), key=lambda node: _natural(node.name))

    def groups(self) -> list[Group]:
        """Every node group, sorted by name. Node groups are an Enterprise feature; without it Anka refuses."""
        # GET /api/v1/group
        with offered(self._rest, "list node groups", hint="node groups need Anka Build Cloud Enterprise"):
            body = self._rest.get("/api/v1/group")
        return sorted(_list(body, Group.read, "groups"), key=lambda group: group.name)

    def node(self, name_or_id: str) -> Node:
        """A node by exact id, then by exact name."""
        return pick_node(self.nodes(), name_or_id)

    def group(self, name_or_id: str) -> Group:
        """A node group by exact id, then by exact name."""
        groups = self.groups()
        matches = [group for group in groups if group.id == name_or_id]
        matches = matches or [group for group in groups if group.name == name_or_id]
        return _one(matches, "group", name_or_id, [group.name for group in groups], [group.id for group in matches])

    def distribute(
        self,
        *,
        template_id: str,
        tag: str,
        version: int,
        node_ids: Sequence[str] = (),
        group_id: str | None = None,
        permission_group: str | None = None,
    ) -> str:
        """Start a distribution; the request's id. Without nodes and group it goes to all nodes."""
        # POST /api/v1/registry/vm/distribute ; `group` is the permission group, `group_id` the node group.
        body: dict[str, object] = {"template_id": template_id, "tag": tag, "version": version}
        if node_ids:
            body["node_ids"] = list(node_ids)
        if group_id:
            body["group_id"] = group_id
        if permission_group:
            body["group"] = permission_group
        with offered(self._rest, "distribute templates"):
            found = self._rest.post("/api/v1/registry/vm/distribute", body)
        request_id = found.get("request_id") if isinstance(found, dict) else None
        if not isinstance(request_id, str) or not request_id:
            raise UnreachableError(
                "the controller took the distribution but told no request id",
                hint="look with `anka-ci distribution --action list` before you start it again",
            )
        return request_id

    def distribution(self, request_id: str) -> Distribution:
        """One request and the state of its nodes."""
        # GET /api/v1/registry/vm/distribute?id= ; before 1.33 it could answer OK with a null body: not found.
        try:
            body = self._rest.get("/api/v1/registry/vm/distribute", id=request_id)
        except RefusedError as error:
            raise NotFoundError("distribution", request_id, where=self.url) from error
        if isinstance(body, list):
            body = next((item for item in body if item.get("request", {}).get("request_id") == request_id), None)
        if body is None:
            raise NotFoundError("distribution", request_id, where=self.url)
        return _read(body, Distribution.read, "a distribution")

    def distributions(self) -> list[Distribution]:
        """Every request that the controller remembers, newest first."""
        found = _list(self._rest.get("/api/v1/registry/vm/distribute"), Distribution.read, "distributions")
        return sorted(found, key=lambda request: request.requested or 0.0, reverse=True)

    def cancel_distribution(self, request_id: str) -> None:
        """Cancel what has not finished. A controller before 1.43 does not offer it."""
        # DELETE /api/v1/registry/vm/distribute?id= ; cancelling again is harmless.
        with offered(self._rest, "cancel a distribution", since="1.43"):
            self._rest.request("DELETE", "/api/v1/registry/vm/distribute", params={"id": request_id}, idempotent=True)

    def configure_node(self, node_id: str, **config: object) -> None:
        """Change a node's configuration: ``drain_mode``, ``max_vm_count``, ``name``, ``capacity_mode`` and so on.

        What is left out stays as it is. ``RefusedError`` at a controller that does not offer it.
        """
        # POST /api/v1/node/config ; the same again is harmless. The first release with drain_mode is undocumented.
        body = {"node_id": node_id, **config}
        with offered(self._rest, "configure nodes", hint="drain mode needs a newer Anka Build Cloud"):
            self._rest.request("POST", "/api/v1/node/config", body=body, idempotent=True)

    def delete_node(self, node_id: str) -> None:
        """Take a node off the controller's list. Its agent has to be disjoined on the Mac itself, or it comes back."""
        # DELETE /api/v1/node with node_id in the body
        with offered(self._rest, "remove nodes"):
            self._rest.request("DELETE", "/api/v1/node", body={"node_id": node_id})

    def update_agents(self) -> None:
        """Have the agents of all nodes update themselves to the controller's release; it is not waited for."""
        # PUT /api/v1/node/update, without parameters
        with offered(self._rest, "update agents"):
            self._rest.request("PUT", "/api/v1/node/update", idempotent=True)

    def evict(self, template_id: str, node_ids: Sequence[str]) -> list[str]:
        """Ask nodes to delete their copy of a template; the ids of the nodes that were asked. It is not waited for.

        ``UsageError`` when none is named: to a controller that would mean all.
        """
        if not node_ids:
            raise UsageError("no node is named, and a controller takes that for all of them")
        # DELETE /api/v1/registry/vm/remove?id= with node_ids in the body (since 1.20)
        body = {"node_ids": list(node_ids)}
        # A node that has no copy has nothing to do, so asking again is harmless.
        path, params = "/api/v1/registry/vm/remove", {"id": template_id}
        with offered(self._rest, "remove templates from nodes", since="1.20"):
            found = self._rest.request("DELETE", path, params=params, body=body, idempotent=True)
        asked = found.get("node_ids") if isinstance(found, dict) else None
        return [str(node) for node in asked] if isinstance(asked, list) else list(node_ids)


def pick_node(nodes: Sequence[Node], name_or_id: str) -> Node:
    """The node with that id, else the one with that name; ``UsageError`` when two share the name."""
    matches = [node for node in nodes if node.id == name_or_id] or [node for node in nodes if node.name == name_or_id]
    return _one(matches, "node", name_or_id, [node.name for node in nodes], [node.id for node in matches])


def _one(matches: Sequence[T], noun: str, sought: str, known: Sequence[str], ids: Sequence[str]) -> T:
    if len(matches) > 1:
        raise UsageError(f"{len(matches)} {noun}s are named {sought!r}", hint=f"give one id: {', '.join(ids)}")
    if not matches:
        raise NotFoundError(noun, sought, known=known)
    return matches[0]


def _list(body: object, read: Callable[[Any], T], what: str) -> list[T]:
    if body is None:
        return []
    rows = [body] if isinstance(body, dict) else body
    if not isinstance(rows, list):
        raise UnreachableError(f"the controller's list of {what} is no list", hint="is it an Anka controller?")
    return [_read(row, read, what) for row in rows]


def _read(row: object, read: Callable[[Any], T], what: str) -> T:
    try:
        return read(row)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UnreachableError(f"{what} came back that cannot be read: {error}", hint="is it Anka?") from None


def _natural(name: str) -> tuple[object, ...]:
    """``node-2`` before ``node-10``."""
    import re

    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name))
