"""The controller door's node groups: making and changing them, and which nodes are in them (an Enterprise feature).

Ids are ids here. The list of groups is the controller door's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import UnreachableError
from anka_ci.offer import offered
from anka_ci.wire.node import Group

if TYPE_CHECKING:
    from anka_ci.transport import Transport

PATH, MEMBERS = "/api/v1/group", "/api/v1/node/group"
WHAT = "manage node groups"


class NodeGroups:
    """The node groups of one controller. Every method raises ``RefusedError`` where groups are not to be had."""

    def __init__(self, rest: Transport) -> None:
        self._rest = rest

    def add(self, name: str, *, description: str = "", fallback_group_id: str | None = None) -> Group:
        """Make a group. It is sent once, because a name need not be unique: a second try could make a second one."""
        # https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ : POST /api/v1/group
        body = _body(Group(id="", name=name, description=description, fallback_group_id=fallback_group_id))
        with offered(self._rest, WHAT):
            found = self._rest.post(PATH, body)
        try:
            return Group.read(found)
        except (ValueError, AttributeError, TypeError) as error:
            raise UnreachableError(f"a group came back that cannot be read: {error}", hint="is it Anka?") from None

    def change(self, group: Group) -> None:
        """Have the group of ``group.id`` be called and described like ``group``, with its fallback.

        Whether no fallback takes one away is undocumented; the embedded server keeps it.
        """
        # PUT /api/v1/group?id= ; what a left-out key does is undocumented, so every one is sent.
        with offered(self._rest, WHAT):
            self._rest.request("PUT", PATH, params={"id": group.id}, body=_body(group), idempotent=True)

    def delete(self, group_id: str) -> None:
        """Remove a group; its nodes stay at the controller."""
        # DELETE /api/v1/group?id= ; sent once, as what a second one is told is undocumented.
        with offered(self._rest, WHAT):
            self._rest.delete(PATH, params={"id": group_id})

    def join(self, node_ids: Sequence[str], group_ids: Sequence[str]) -> None:
        """Put nodes into groups; those that they are in already stay."""
        self._members("POST", node_ids, group_ids)

    def leave(self, node_ids: Sequence[str], group_ids: Sequence[str]) -> None:
        """Take nodes out of groups."""
        self._members("DELETE", node_ids, group_ids)

    def _members(self, method: str, node_ids: Sequence[str], group_ids: Sequence[str]) -> None:
        # POST and DELETE /api/v1/node/group ; since 1.39 only one node id of the array is honoured, so one is sent.
        for node_id in node_ids:
            body: Mapping[str, object] = {"group_ids": list(group_ids), "node_ids": [node_id]}
            with offered(self._rest, WHAT):
                self._rest.request(method, MEMBERS, body=body, idempotent=True)


def _body(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "description": group.description,
        "fallback_group_id": group.fallback_group_id,
    }
