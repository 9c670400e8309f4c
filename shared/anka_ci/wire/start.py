"""What a client asks for when it starts instances (the body of ``POST /api/v1/vm``), or saves one (``/api/v1/image``).

What is left empty is not sent, so that an old controller never meets a key that it does not know without need.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

STOP, KEEP, DELETE = 0, 1, 2
"""What becomes of the VM when a monitored startup script fails."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """``script`` is plain text, ``script_timeout`` in seconds, ``vram`` in MB, ``disk`` such as ``256G``.

    ``script_at_boot``: run it at boot, not when the network is up; ``script_monitored``: the instance is started only
    when it has succeeded. ``permission_group`` is the wire's ``group``. A lower ``priority`` (1 to 10,000) is sooner.
    """

    template_id: str
    tag: str = ""
    version: int | None = None
    count: int = 1
    name: str = ""
    external_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    node_id: str = ""
    group_id: str = ""
    permission_group: str = ""
    priority: int | None = None
    script: str = field(default="", repr=False)
    script_at_boot: bool = False
    script_monitored: bool = False
    script_timeout: int | None = None
    script_on_failure: int = STOP
    name_template: str = ""
    vcpu: int | None = None
    vram: int | None = None
    disk: str = ""
    usb_device: str = ""
    mac_address: str = ""
    vlan_tag: int | None = None
    network_mode: str = ""
    ports: Sequence[Mapping[str, Any]] = ()
    vnc_password: str = field(default="", repr=False)

    def emit(self) -> dict[str, object]:
        script: dict[str, object] = {}
        if self.script:
            script = {
                "startup_script": encoded(self.script),
                "startup_script_condition": int(self.script_at_boot),
                "script_monitoring": self.script_monitored,
                "script_fail_handler": self.script_on_failure,
                "script_timeout": self.script_timeout,
            }
        found: dict[str, object] = {
            "vmid": self.template_id,
            "tag": self.tag,
            "version": self.version,
            "count": self.count if self.count != 1 else None,
            "name": self.name,
            "external_id": self.external_id,
            "metadata": dict(self.metadata),
            "node_id": self.node_id,
            "group_id": self.group_id,
            "group": self.permission_group,
            "priority": self.priority,
            **script,
            "name_template": self.name_template,
            "vcpu": self.vcpu,
            "vram": self.vram,
            "disk": {"size": self.disk} if self.disk else None,
            "usb_device": self.usb_device,
            "mac_address": self.mac_address,
            "vlan_tag": self.vlan_tag,
            "network_mode": self.network_mode,
            "port_forwarding_override": [dict(rule) for rule in self.ports],
            "vnc_password": self.vnc_password,
        }
        return {key: value for key, value in found.items() if value not in (None, "", {}, [])}


@dataclass(frozen=True, kw_only=True)
class Save:
    """A running instance to be saved as ``tag`` of ``template_id``, or of a new template named ``new_template``.

    ``script`` is plain text that runs in the guest before; ``revert`` reverts the target before the push, to
    ``revert_tag`` or its newest. ``suspend_test``: try whether it can be suspended.
    """

    instance_id: str
    tag: str
    template_id: str = ""
    new_template: str = ""
    description: str = ""
    suspend: bool = True
    suspend_test: bool = False
    script: str = ""
    cancel_on_script_failure: bool = True
    revert: bool = False
    revert_tag: str = ""

    def emit(self) -> dict[str, object]:
        found: dict[str, object] = {
            "id": self.instance_id,
            "tag": self.tag,
            "target_vm_id": self.template_id,
            "new_template_name": self.new_template,
            "description": self.description,
            "suspend": self.suspend,
            "script": encoded(self.script),
            "revert_before_push": self.revert or None,
            "revert_tag": self.revert_tag,
            "do_suspend_sanity_test": self.suspend_test or None,
            "cancel_on_script_failure": self.cancel_on_script_failure if self.script else None,
        }
        return {key: value for key, value in found.items() if value not in (None, "")}


def encoded(script: str) -> str:
    """A script as it travels: base64 of its UTF-8."""
    return base64.b64encode(script.encode()).decode()
