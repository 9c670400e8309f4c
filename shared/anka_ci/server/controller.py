"""The controller's REST calls: status, nodes, groups, distributions, and removal from nodes.

What concerns templates in the registry is ``server.registry``, under the controller's paths too. Wire behaviour:
https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ and Anka's page of 2019.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.server.registry import UNKNOWN_TEMPLATE, number, pick
from anka_ci.wire.server_status import ServerStatus

if TYPE_CHECKING:
    from anka_ci.server.fleet import Fleet
    from anka_ci.server.registry import Parameters
    from anka_ci.server.state import State

Call = Callable[["Parameters"], Any]


class ControllerCalls:
    """The calls over one registry ``state`` and one ``fleet``; each takes the parameters and gives the envelope's body.

    ``registry_url`` is asked at each status, because a port is known only once the server listens.
    """

    def __init__(self, state: State, fleet: Fleet, version: str, registry_url: Callable[[], str]) -> None:
        self._state = state
        self._fleet = fleet
        self._version = version
        self._registry_url = registry_url

    def routes(self) -> list[tuple[tuple[str, ...], str, Call]]:
        """Methods, pattern of the path, call. A body of None means: no ``body`` in the envelope."""
        return [
            (("GET",), r"/api/v1/status", self.status),
            (("GET",), r"/api/v1/node", self.nodes),
            (("POST",), r"/api/v1/node/group", self.join),
            (("DELETE",), r"/api/v1/node/group", self.leave),
            (("GET",), r"/api/v1/group", self.groups),
            (("POST",), r"/api/v1/group", self.add_group),
            (("PUT",), r"/api/v1/group", self.change_group),
            (("DELETE",), r"/api/v1/group", self.delete_group),
            (("POST",), r"/api/v1/registry/vm/distribute", self.distribute),
            (("GET",), r"/api/v1/registry/vm/distribute", self.distributions),
            (("DELETE",), r"/api/v1/registry/vm/distribute", self.cancel),
            (("DELETE",), r"/api/v1/registry/vm/remove", self.remove),
        ]

    def status(self, given: Parameters) -> Any:
        return ServerStatus(
            status="Running",
            version=self._version,
            registry_url=self._registry_url(),
            registry_status="Running",
            license="enterprise plus",
        ).emit()

    def nodes(self, given: Parameters) -> Any:
        """Every node; with ``id`` a list of that one (since 1.32)."""
        if "id" not in given:
            return [node.emit() for node in self._fleet.nodes()]
        with _not_found():
            return [self._fleet.node(_text(given, "id")).emit()]

    def groups(self, given: Parameters) -> Any:
        return [group.emit() for group in self._fleet.groups()]

    def add_group(self, given: Parameters) -> Any:
        name, description = _text(given, "name"), _optional(given, "description") or ""
        with _not_found():
            return self._fleet.add_group(name, description, _optional(given, "fallback_group_id")).emit()

    def change_group(self, given: Parameters) -> Any:
        changes = {key: _text(given, key) for key in ("name", "description", "fallback_group_id") if key in given}
        with _not_found():
            self._fleet.change_group(_text(given, "id"), **changes)

    def delete_group(self, given: Parameters) -> Any:
        with _not_found():
            self._fleet.delete_group(_text(given, "id"))

    def join(self, given: Parameters) -> Any:
        with _not_found():
            self._fleet.regroup(_texts(given, "group_ids"), _texts(given, "node_ids"), member=True)

    def leave(self, given: Parameters) -> Any:
        with _not_found():
            self._fleet.regroup(_texts(given, "group_ids"), _texts(given, "node_ids"), member=False)

    def distribute(self, given: Parameters) -> Any:
        """Start a distribution. ``tag`` and ``version`` have to agree; an empty ``node_ids`` means all, as absence."""
        template_id, tag = _text(given, "template_id"), _optional(given, "tag")
        try:
            template = self._state.template(template_id)
        except NotFoundError:
            raise RefusedError(UNKNOWN_TEMPLATE) from None
        version = pick(template, tag, number(given, "version"))
        with _not_found():
            request = self._fleet.distribute(
                template.id,
                version.tag,
                version.number,
                node_ids=_texts(given, "node_ids") if given.get("node_ids") else None,
                group_id=_optional(given, "group_id"),
            )
        return {"request_id": request.id}

    def distributions(self, given: Parameters) -> Any:
        """Every status document; with ``id`` that one."""
        if "id" not in given:
            return [request.emit() for request in self._fleet.distributions()]
        with _not_found():
            return self._fleet.distribution(_text(given, "id")).emit()

    def cancel(self, given: Parameters) -> Any:
        with _not_found():
            self._fleet.cancel(_text(given, "id"))

    def remove(self, given: Parameters) -> Any:
        """Have nodes delete a template (since 1.20); asynchronous, the reply names the nodes that were asked."""
        with _not_found():
            asked = self._fleet.remove(_text(given, "id"), _texts(given, "node_ids") if given.get("node_ids") else None)
        return {"requests_sent": len(asked), "node_ids": asked}


@contextlib.contextmanager
def _not_found() -> Iterator[None]:
    """Say it in the controller's own words; which id it was stays in the message."""
    try:
        yield
    except NotFoundError as error:
        raise RefusedError(f"Not found: {error.noun} {error.sought}") from None


def _text(given: Parameters, key: str) -> str:
    found = given.get(key)
    if not isinstance(found, str) or not found:
        raise RefusedError(f"{key} is missing")
    return found


def _optional(given: Parameters, key: str) -> str | None:
    return _text(given, key) if given.get(key) not in (None, "") else None


def _texts(given: Parameters, key: str) -> Sequence[str]:
    found = given.get(key)
    if isinstance(found, str):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise RefusedError(f"{key} has to be a list of ids")
    return found


not_found = _not_found
