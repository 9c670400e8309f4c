"""The controller door's instances: VMs that it starts from templates, and their saving as a tag or a template.

A failure raises and never becomes an empty list. Starting, restarting and saving are sent once and never again; asking
and ending are repeated.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError, UnreachableError
from anka_ci.offer import offered
from anka_ci.transport import Transport
from anka_ci.wire.image import ImageRequest
from anka_ci.wire.instance import Instance

if TYPE_CHECKING:
    from anka_ci.wire.start import Save, Start

VM, IMAGE = "/api/v1/vm", "/api/v1/image"
NOT_ANKA = "is it an Anka controller?"


class Instances:
    """The instances of one controller, over its ``rest``. Ids are ids here; who may be meant decides a rule.

    What a controller does not offer (an old release, the licence, a missing permission) is an error that says so.
    """

    def __init__(self, rest: Transport) -> None:
        self._rest = rest

    def all(self) -> list[Instance]:
        """Every instance, in the controller's order."""
        # https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ : GET /api/v1/vm, wrappers
        with offered(self._rest, "list instances"):
            rows = self._rest.get(VM)
        if rows is None:
            return []
        if not isinstance(rows, list):
            raise UnreachableError("the controller's list of instances is no list", hint=NOT_ANKA)
        return [_instance(row) for row in rows]

    def get(self, instance_id: str) -> Instance:
        """One instance; ``NotFoundError`` when the controller has none of that id."""
        # GET /api/v1/vm?id= : the bare inner object. Which message an unknown id gets, and with which HTTP status,
        # differs by release and is undocumented, so a refusal is settled by the list.
        try:
            with offered(self._rest, "show an instance"):
                body = self._rest.get(VM, id=instance_id)
        except RefusedError as error:
            if "status" not in error.facts:
                raise
            found = next((each for each in self.all() if each.id == instance_id), None)
            if found is None:
                raise NotFoundError("instance", instance_id, where=self._rest.url) from error
            return found
        if isinstance(body, list):
            body = next(
                (row for row in body if isinstance(row, Mapping) and row.get("instance_id") == instance_id), None
            )
            if body is None:
                raise NotFoundError("instance", instance_id, where=self._rest.url)
        if not body:  # what is not there is refused; OK with nothing is a controller that lost its thread
            raise UnreachableError(f"the controller said OK and nothing about {instance_id}", hint=NOT_ANKA)
        return _instance(body, instance_id)

    def start(self, wanted: Start) -> list[str]:
        """Start instances; their ids, as many as ``count``. It is not waited for.

        ``UnreachableError`` when no usable answer came: they may have been started, which ``external_id`` can tell.
        """
        # POST /api/v1/vm
        with offered(self._rest, "start instances"):
            body = self._rest.post(VM, wanted.emit())
        rows = body if isinstance(body, list) else [body]
        told = [row.get("instance_id") or row.get("id") if isinstance(row, Mapping) else row for row in rows]
        found = [each for each in told if isinstance(each, str) and each]
        if not len(found) == len(told) == wanted.count:
            raise UnreachableError("the controller took the start but told no instance id", hint=NOT_ANKA)
        return found

    def update(
        self,
        instance_id: str,
        *,
        name: str | None = None,
        external_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what an instance is called; what is None stays as it is."""
        # PUT /api/v1/vm?id=
        given = {"name": name, "external_id": external_id, "metadata": metadata}
        body = {key: value for key, value in given.items() if value is not None}
        with offered(self._rest, "rename instances"), self._known(instance_id):
            self._rest.request("PUT", VM, params={"id": instance_id}, body=body, idempotent=True)

    def terminate(self, instance_id: str) -> None:
        """End an instance and remove its VM; it is not waited for. ``NotFoundError`` when it is gone already."""
        # DELETE /api/v1/vm with the id in the body; ending twice is harmless.
        with offered(self._rest, "end instances"), self._known(instance_id):
            self._rest.request("DELETE", VM, body={"id": instance_id}, idempotent=True)

    def restart(self, instance_id: str, *, usb_device: str = "", vnc_password: str = "") -> None:
        """Restart an instance's VM; over when ``vm.started`` has changed and ``vm.status`` is running again."""
        # POST /api/v1/rpc/vm/restart, since 1.44; the instance stays Started all the while.
        given = {"instance_id": instance_id, "usb_device": usb_device, "vnc_password": vnc_password}
        with offered(self._rest, "restart instances", since="1.44"), self._known(instance_id):
            self._rest.post("/api/v1/rpc/vm/restart", {key: value for key, value in given.items() if value})

    def save(self, wanted: Save) -> str:
        """Begin to save a running instance; the request's id. It ends the instance when it succeeds.

        ``UnreachableError`` when no usable answer came: it may have begun, which ``images`` can tell.
        """
        # POST /api/v1/image
        with offered(self._rest, "save instances"), self._known(wanted.instance_id):
            body = self._rest.post(IMAGE, wanted.emit())
        found = body.get("request_id") or body.get("id") if isinstance(body, Mapping) else body
        if not isinstance(found, str) or not found:
            raise UnreachableError("the controller took the save but told no request id", hint=NOT_ANKA)
        return found

    def image(self, request_id: str) -> ImageRequest:
        """One save-image request; ``NotFoundError`` when the controller has none of that id."""
        # GET /api/v1/image?id= ; an array of one has been seen in clients' parsers as well as the bare object.
        try:
            with offered(self._rest, "save instances"):
                body = self._rest.get(IMAGE, id=request_id)
        except RefusedError as error:
            if "status" not in error.facts or any(each.id == request_id for each in self.images()):
                raise
            raise NotFoundError("save-image request", request_id, where=self._rest.url) from error
        if isinstance(body, list):
            body = next((row for row in body if isinstance(row, Mapping) and row.get("id") == request_id), None)
        if not body:
            raise NotFoundError("save-image request", request_id, where=self._rest.url)
        return _image(body)

    def images(self) -> list[ImageRequest]:
        """Every save-image request that the controller remembers, in its order."""
        with offered(self._rest, "save instances"):
            rows = self._rest.get(IMAGE)
        if rows is None:
            return []
        if not isinstance(rows, list):
            raise UnreachableError("the controller's list of save-image requests is no list", hint=NOT_ANKA)
        return [_image(row) for row in rows]

    @contextlib.contextmanager
    def _known(self, instance_id: str) -> Iterator[None]:
        """A refusal that comes because the instance is gone is a ``NotFoundError``; any other stays what it is."""
        try:
            yield
        except RefusedError as error:
            if "status" not in error.facts or any(each.id == instance_id for each in self.all()):
                raise
            raise NotFoundError("instance", instance_id, where=self._rest.url) from error


def _instance(row: Any, id: str = "") -> Instance:
    try:
        return Instance.read(row, id)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UnreachableError(f"an instance came back that cannot be read: {error}", hint="is it Anka?") from None


def _image(row: Any) -> ImageRequest:
    try:
        return ImageRequest.read(row)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UnreachableError(
            f"a save-image request came back that cannot be read: {error}", hint="is it Anka?"
        ) from None
