"""``modify``: change the configuration of a stopped VM, and with it the next tag.

Takes the words of 2.x (``modify VM set cpu -c 4``, ``add port-forwarding``) and those of 3.x (``modify VM cpu 4``,
``port``). Everything is kept in the configuration; nothing is virtualised, so that most of it changes nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from anka_ci import document
from anka_ci.errors import UsageError, suggestion
from anka_ci.standin import hardware, wiring
from anka_ci.standin.desk import Desk
from anka_ci.standin.files import put
from anka_ci.standin.output import Failure, Reply
from anka_ci.standin.stored import Machine
from anka_ci.standin.words import Options, Words, parse

Change = Callable[[dict[str, Any], Words], None]
"""Changes a configuration in place; ``Failure`` or ``UsageError`` when it cannot, and then nothing is kept."""
VERBS = ("set", "add", "delete")
ALIASES = {"hard-drive": "disk", "network-card": "network", "port-forwarding": "port"}
SET: Mapping[str, tuple[Options, Change]] = {
    "cpu": (hardware.CPU, hardware.cpu),
    "ram": ({}, hardware.ram),
    "disk": (hardware.DISK, hardware.disk),
    "display": (hardware.DISPLAY, hardware.display),
    "custom-variable": ({}, hardware.custom_variable),
    "label": (hardware.LABEL, hardware.label),
    "network": (wiring.NETWORK, wiring.network),
    "port": (wiring.PORT, wiring.port),
    "mount": ({}, wiring.mount),
}
ADD: Mapping[str, tuple[Options, Change]] = {
    **{name: SET[name] for name in ("label", "mount")},
    "network": (wiring.NETWORK, wiring.add_network),
    "port": (wiring.PORT, wiring.add_port),
}
DELETE: Mapping[str, tuple[Options, Change]] = {
    "label": (wiring.ALL, hardware.delete_label),
    "mount": (wiring.ALL, wiring.delete_mount),
    "network": ({}, wiring.delete_network),
    "port": ({**wiring.ALL, **wiring.PORT}, wiring.delete_port),
}


def modify(desk: Desk, words: list[str]) -> Reply:
    """Change one property of a VM that is stopped."""
    if len(words) < 2:
        raise UsageError("usage: anka modify VM [set|add|delete] PROPERTY …")
    sought, name, *rest = words
    known = SET
    if name in VERBS:
        known = {"set": SET, "add": ADD, "delete": DELETE}[name]
        if not rest:
            raise UsageError(f"usage: anka modify VM {name} PROPERTY …", hint="there is " + ", ".join(sorted(known)))
        name, *rest = rest
    name = ALIASES.get(name, name)
    with desk.library.locked(desk.cancelled):
        machine = desk.library.find(sought)
        if machine.meta.status != "stopped":
            raise Failure(
                f"{machine.name}: the VM is {machine.meta.status}", hint=f"stop it first: anka stop {machine.name}"
            )
        config = deepcopy(machine.config)
        if name == "name" and known is SET:
            config["name"] = desk.library.free_name(_one(rest))
        elif name in known:
            options, change = known[name]
            change(config, parse(rest, options))
        else:
            raise UsageError(f"no such property: {name}", hint=suggestion(name, [*known, "name"]))
        keep(machine, config)
    return Reply()


def keep(machine: Machine, config: Mapping[str, Any]) -> None:
    """Write a VM's configuration, whole or not at all."""
    put(machine.config_file, document.dump(dict(config)).encode())


def _one(words: list[str]) -> str:
    if len(words) != 1:
        raise UsageError("usage: anka modify VM name NAME")
    return words[0]
