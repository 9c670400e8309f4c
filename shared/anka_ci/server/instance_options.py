"""What can be asked of an instance at its start and when it is saved: the parameters, and how the odd ones are read.

Knows neither instances nor nodes. Source: Anka's page on the controller's API, "Start VM instances" and "Save Image".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from anka_ci.errors import RefusedError
from anka_ci.server.call import LONG, Parameter, Parameters
from anka_ci.server.record import DELETE
from anka_ci.wire import values
from anka_ci.wire.vm_info import PortRule

MOST = 100
"""Instances that one call may start; Anka documents no limit."""

ID = Parameter("id", "Id of an instance.", form="instance-id", required=True)
NAMES = (
    Parameter("name", "Name of the instance; several may have the same.", place="body"),
    Parameter("external_id", "What another system calls it; several may have the same.", place="body"),
    Parameter("metadata", "Further facts about it, as an object.", "object", "body"),
)
START = (
    Parameter("vmid", "Id of a template.", place="body", required=True, form="template-id"),
    Parameter("tag", "Tag of a version; the newest version when left out.", place="body", form="tag"),
    Parameter("version", "Number of a version; has to be the tag's if both are given.", "number", "body"),
    *NAMES,
    Parameter("count", "How many to start.", "number", "body", least=1, most=MOST),
    Parameter("node_id", "Id of the node that is to run it.", place="body", form="node-id"),
    Parameter("group_id", "Id of the group whose nodes may run it.", place="body", form="group-id"),
    Parameter("group", "Permission group; there are none here, so it is ignored.", place="body"),
    Parameter(
        "priority",
        "Who is first; lower is sooner.",
        "number",
        "body",
        least=1,
        most=10_000,
    ),
    Parameter(
        "startup_script",
        "Script that a shell in the guest is fed with, as base64.",
        place="body",
        form="byte",
        longest=LONG,
    ),
    Parameter("startup_script_condition", "0: when the network is up; 1: at boot.", "number", "body", most=1),
    Parameter("script_monitoring", "Whether it is started only when the script has succeeded.", "flag", "body"),
    Parameter("script_timeout", "Seconds after which a monitored script has failed.", "number", "body", least=1),
    Parameter(
        "script_fail_handler",
        "What a failed script does to the VM; 0: stopped, 1: kept, 2: deleted.",
        "number",
        "body",
        most=DELETE,
    ),
    Parameter(
        "name_template",
        "Name of the VM; may hold $template_name, $template_id, $instance_id, $node_id, $node_name and $ts.",
        place="body",
    ),
    Parameter("usb_device", "Name of a USB device; there are none here.", place="body"),
    Parameter("vcpu", "Cores that are told of the VM.", "number", "body", least=1, most=1024),
    Parameter("vram", "Memory that is told of the VM, in MB.", "number", "body", least=1, most=1 << 24),
    Parameter("mac_address", "MAC address that is told of the VM.", place="body"),
    Parameter("vlan_tag", "VLAN that is told of the VM.", "number", "body", most=4094),
    Parameter("video_controller", "Display controller.", place="body", choices=("fbuf", "pg")),
    Parameter("hvapic", "Interrupt controller.", place="body", choices=("forceOn", "forceOff")),
    Parameter("csr_active_config", "System integrity protection.", place="body", choices=("forceOn",)),
    Parameter("network_local", "Whether guests see one another.", place="body", choices=("forceOn", "forceOff")),
    Parameter("hw_serial", "Serial number.", place="body"),
    Parameter("hw_uuid", "Hardware UUID.", place="body"),
    Parameter(
        "port_forwarding_override",
        "Rules in place of the template's: name, guest_port, host_port, host_ip.",
        "objects",
        "body",
    ),
    Parameter("network_mode", "Kind of network.", place="body"),
    Parameter("disk", "Size of the disk: size, skip_container_resize.", "object", "body"),
    Parameter("vnc_password", "Password for VNC, which guests here do not have.", place="body"),
)
SAVE = (
    replace(ID, place="body"),
    Parameter("tag", "Tag of the new version.", place="body", required=True, form="tag"),
    Parameter("target_vm_id", "Id of the template that gets the version.", place="body", form="template-id"),
    Parameter("new_template_name", "Name of a template to be made.", place="body", form="name"),
    Parameter("description", "What the version is for.", place="body"),
    Parameter("suspend", "Whether the VM is suspended, not stopped.", "flag", "body"),
    Parameter("script", "Script that runs in the guest before, as base64.", place="body", form="byte", longest=LONG),
    Parameter("revert_before_push", "Whether the target is reverted before.", "flag", "body"),
    Parameter("revert_tag", "Tag to revert; the newest when left out. One that is not there is skipped.", place="body"),
    Parameter("do_suspend_sanity_test", "Whether suspending is tried before; it always works here.", "flag", "body"),
    Parameter("cancel_on_script_failure", "Whether nothing is pushed when the script fails.", "flag", "body"),
)


def check_base64(given: Parameters, key: str) -> None:
    """``RefusedError`` for a script that is not base64."""
    try:
        base64.b64decode("".join(given.get(key, "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise RefusedError(f"{key} is not base64") from None


def check_disk(disk: Mapping[str, Any]) -> None:
    """``RefusedError`` for a size that is none; an empty object asks for nothing."""
    size = disk.get("size")
    if size not in (None, "") and not (isinstance(size, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?[TGMK]B?", size)):
        raise RefusedError(f"disk.size {str(size)[:100]!r} is no size such as 256G")
    if not isinstance(disk.get("skip_container_resize") or False, bool):
        raise RefusedError("disk.skip_container_resize is neither true nor false")


def override_rules(override: Sequence[Mapping[str, Any]]) -> tuple[PortRule, ...]:
    """The rules of a request, whose ports may be texts."""
    found = []
    for rule in override:
        name, guest, host = rule.get("name"), values.integer(rule, "guest_port"), rule.get("host_port")
        if not isinstance(name, str) or not name:
            raise RefusedError("port_forwarding_override: a rule without name")
        port = 0 if host in (None, "") else values.integer(rule, "host_port")
        if guest is None or not 0 < guest < 65536 or port is None or not 0 <= port < 65536:
            raise RefusedError(f"port_forwarding_override: {name[:100]!r} has a port that is none")
        found.append(PortRule(guest_port=guest, host_port=port, name=name))
    return tuple(found)


def template_rules(config: Mapping[str, Any]) -> tuple[PortRule, ...]:
    """The rules that a template's configuration has."""
    cards = config.get("network_cards")
    found: list[Any] = []
    for card in cards if isinstance(cards, list) else ():
        rules = card.get("port_forwarding_rules") if isinstance(card, Mapping) else None
        found += rules if isinstance(rules, list) else []
    read = [PortRule.read(rule) for rule in found if isinstance(rule, Mapping)]
    return tuple(rule for rule in read if 0 < rule.guest_port < 65536 and 0 <= rule.host_port < 65536)


def cores(config: Mapping[str, Any]) -> int:
    """The cores that a template's configuration has; 0 when it does not tell."""
    cpu = config.get("cpu")
    return max(0, values.integer(cpu, "cores") or 0) if isinstance(cpu, Mapping) else 0


def megabytes(count: int) -> str:
    """Megabytes as Anka writes a VM's memory: ``8G``, or ``500M``."""
    return f"{count}M" if count % 1024 else f"{count // 1024}G"
