"""The controller's calls for instances and save-image requests, and their rows.

Wire behaviour: https://docs.veertu.com/anka/anka-build-cloud/working-with-controller-and-api/ ("VM Instance", "Save
Image"). Options that concern macOS or virtual hardware are checked, and mean nothing to a stand-in's guest.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.server.call import Call, Parameter, Parameters
from anka_ci.server.controller import not_found
from anka_ci.server.instance_options import (
    ID,
    NAMES,
    SAVE,
    START,
    check_base64,
    check_disk,
    cores,
    megabytes,
    override_rules,
    template_rules,
)
from anka_ci.server.placement import chain
from anka_ci.server.record import STOP, Order
from anka_ci.server.registry import UNKNOWN_TEMPLATE, pick
from anka_ci.wire import schema, values
from anka_ci.wire.image import PENDING, ImageRequest
from anka_ci.wire.instance import SCHEDULING, Instance
from anka_ci.wire.template import Template, Version

if TYPE_CHECKING:
    from anka_ci.server.fleet import Fleet
    from anka_ci.server.images import Images
    from anka_ci.server.instances import Instances
    from anka_ci.server.state import State


class InstanceCalls:
    """The calls over ``instances`` and ``images``; templates are those of ``state``, nodes and groups of ``fleet``."""

    def __init__(self, state: State, fleet: Fleet, instances: Instances, images: Images) -> None:
        self._state, self._fleet, self._instances, self._images = state, fleet, instances, images

    def start(self, given: Parameters) -> Any:
        """Start instances of a template.

        The ids, as many as ``count``. It is not waited for; without a tag it is the newest version.
        """
        template = self._template(given["vmid"])
        version = pick(template, given.get("tag"), given.get("version"))
        config = self._state.config(template, version)
        node_id, group_id = given.get("node_id", ""), given.get("group_id", "")
        self._check_place(node_id, group_id)
        check_base64(given, "startup_script")
        check_disk(given.get("disk", {}))
        mac = given.get("mac_address", "")
        if mac and not re.fullmatch(r"([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}", mac):
            raise RefusedError(f"mac_address {mac[:100]!r} is none; it has six pairs of digits with ':' between them")
        override = given.get("port_forwarding_override")
        pattern = Instance(
            id="",
            state=SCHEDULING,
            template_id=template.id,
            tag=version.tag,
            version=version.number,
            group_id=group_id,
            name=given.get("name", ""),
            external_id=given.get("external_id", ""),
            metadata=given.get("metadata", {}),
            arch=version.arch or template.arch,
            mac_address=mac.upper(),
            vlan=str(given.get("vlan_tag", "")),
            usb_device=given.get("usb_device", ""),
        )
        order = Order(
            priority=given.get("priority", 1000),
            node_id=node_id,
            group_id=group_id,
            script=given.get("startup_script", ""),
            monitored=given.get("script_monitoring", False),
            timeout=given.get("script_timeout", 90),
            on_failure=given.get("script_fail_handler", STOP),
            name_template=given.get("name_template", ""),
            template_name=template.name,
            cores=given.get("vcpu") or cores(config),
            ram=megabytes(given["vram"]) if given.get("vram") else str(config.get("ram", "")),
            rules=template_rules(config) if override is None else override_rules(override),
        )
        values.check_name(order.vm_name(replace(pattern, id="0" * 36, node_id=node_id or "node"), 0.0))
        return self._instances.create(pattern, order, given.get("count", 1))

    def instances(self, given: Parameters) -> Any:
        """Every instance; with ``id`` the bare one."""
        if "id" not in given:
            return [instance.emit_row() for instance in self._instances.all()]
        with not_found():
            return self._instances.get(given["id"]).emit()

    def update(self, given: Parameters) -> Any:
        """Change what an instance is called; what is left out stays as it is."""
        changes = {key: given[key] for key in ("name", "external_id", "metadata") if key in given}
        with not_found():
            self._instances.update(given["id"], **changes)

    def terminate(self, given: Parameters) -> Any:
        """End an instance and remove its VM; it is not waited for."""
        with not_found():
            self._instances.terminate(given["id"])

    def restart(self, given: Parameters) -> Any:
        """Restart an instance's VM (since 1.44); it is over when the start date has changed."""
        changes = {"usb_device": given["usb_device"]} if "usb_device" in given else {}
        with not_found():
            self._instances.restart(given["instance_id"], **changes)

    def save(self, given: Parameters) -> Any:
        """Save a running instance as a new tag, or as a new template.

        The instance is ended when that is done, and runs on when it fails.
        """
        target, name = given.get("target_vm_id"), given.get("new_template_name")
        tag = values.check_tag(given["tag"])
        check_base64(given, "script")
        reverted = None
        if target is not None:
            template = self._template(target)
            reverted = _reverted(template, given) if given.get("revert_before_push") else None
            kept = [each.tag for each in template.versions or () if not reverted or each.number < reverted.number]
            if tag in kept:
                raise RefusedError(f"{tag}: tag already exists")
        wanted = ImageRequest(
            id="",
            status=PENDING,
            instance_id=given["id"],
            template_id=template.id if target is not None else "",
            new_template=values.check_name(name) if name is not None else "",
            tag=tag,
            description=given.get("description", ""),
            suspend=given.get("suspend", True),
            script=given.get("script", ""),
            suspend_test=given.get("do_suspend_sanity_test", False),
            revert=given.get("revert_before_push", False),
            revert_tag=given.get("revert_tag", ""),
            cancel_on_script_failure=given.get("cancel_on_script_failure", False),
        )
        with not_found():
            return {"request_id": self._images.save(wanted, (template, reverted) if reverted else None)}

    def images(self, given: Parameters) -> Any:
        """Every save-image request; with ``id`` that one."""
        if "id" not in given:
            return [request.emit() for request in self._images.all()]
        with not_found():
            return self._images.get(given["id"]).emit()

    def _template(self, template_id: str) -> Template:
        try:
            return self._state.template(template_id)
        except NotFoundError:
            raise RefusedError(UNKNOWN_TEMPLATE) from None

    def _check_place(self, node_id: str, group_id: str) -> None:
        groups = self._fleet.groups()
        if group_id and group_id not in {group.id for group in groups}:
            raise RefusedError(f"Not found: group {group_id}")
        if node_id:
            with not_found():
                node = self._fleet.node(node_id)
            allowed = chain(group_id, groups)
            if group_id and not any(group.id in allowed for group in node.groups):
                raise RefusedError(f"the node {node_id} is not in the group {group_id}, so that it could never start")


def _reverted(template: Template, given: Parameters) -> Version | None:
    """The version that a save reverts first; an unknown tag is skipped, unlike at a plain revert."""
    tag = given.get("revert_tag")
    found = template.newest if tag is None else next((e for e in template.versions or () if e.tag == tag), None)
    if found is not None and found.number == 0:
        raise RefusedError(
            f"reverting {found.tag} would remove the template {template.name} before anything is pushed to it"
        )
    return found


_C = InstanceCalls
CALLS = (
    Call("POST", "/api/v1/vm", _C.start, "startInstances", START, schema.several(schema.id_of("instance"))),
    Call(
        "GET",
        "/api/v1/vm",
        _C.instances,
        "instances",
        (replace(ID, required=False),),
        schema.either(schema.several(Instance.ROW), Instance.SCHEMA),
    ),
    Call("PUT", "/api/v1/vm", _C.update, "updateInstance", (ID, *NAMES)),
    Call("DELETE", "/api/v1/vm", _C.terminate, "terminateInstance", (replace(ID, place="body"),)),
    Call(
        "POST",
        "/api/v1/rpc/vm/restart",
        _C.restart,
        "restartInstance",
        (
            replace(ID, name="instance_id", place="body"),
            Parameter("usb_device", "Name of a USB device; there are none here.", place="body"),
            Parameter("vnc_password", "Password for VNC, which guests here do not have.", place="body"),
        ),
    ),
    Call(
        "POST",
        "/api/v1/image",
        _C.save,
        "saveImage",
        SAVE,
        schema.noun("ImageId", {"request_id": schema.id_of("image")}),
        one_of=("target_vm_id", "new_template_name"),
    ),
    Call(
        "GET",
        "/api/v1/image",
        _C.images,
        "images",
        (Parameter("id", "Id of a save-image request.", form="image-id"),),
        schema.either(schema.several(ImageRequest.SCHEMA), ImageRequest.SCHEMA),
    ),
)
