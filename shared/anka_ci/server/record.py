"""What is kept of an instance: what was asked for, what is shown of it, and the VM behind it.

Nothing here does anything; an instance changes in ``server.instances`` only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from string import Template
from typing import Any

from anka_ci.wire.instance import ERROR, PULLING, PUSHING, SCHEDULING, STARTED, STOPPING, TERMINATING, Instance
from anka_ci.wire.vm_info import RUNNING, PortRule

MANAGED = "mgmtManaged-"
"""What the names of VMs begin with that belong to an instance, as Anka's controller names them."""
STOP, KEEP, DELETE = 0, 1, 2
"""What becomes of the VM when a monitored startup script fails (``script_fail_handler``)."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What was asked for, as far as the instance does not show it.

    ``script`` is base64, and forgotten once it has run; ``timeout`` in seconds. ``ram`` in MB; ``rules`` replace the
    template's port forwarding. ``node_id`` and ``group_id`` say where it may run, ``priority`` who is first: the lower.
    """

    priority: int = 1000
    node_id: str = ""
    group_id: str = ""
    script: str = ""
    monitored: bool = False
    timeout: int = 90
    on_failure: int = STOP
    name_template: str = ""
    template_name: str = ""
    cores: int = 0
    ram: str = ""
    rules: tuple[PortRule, ...] = ()

    def vm_name(self, instance: Instance, now: float) -> str:
        """What the VM is called: the pattern that was given, or template and time."""
        if not self.name_template:
            return f"{MANAGED}{self.template_name}-{int(now * 1e9)}"
        return MANAGED + Template(self.name_template).safe_substitute(
            template_name=self.template_name,
            template_id=instance.template_id,
            instance_id=instance.id,
            node_id=instance.node_id,
            node_name=instance.node_id,
            ts=int(now),
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """An instance with its order. ``uuid`` is its VM's, while there is one; ``ended`` when it did, in Unix seconds."""

    instance: Instance
    order: Order
    uuid: str = ""
    ended: float | None = None

    @property
    def waits(self) -> bool:
        """Whether it has no node yet."""
        return self.instance.state == SCHEDULING and not self.instance.node_id

    @property
    def seated(self) -> bool:
        """Whether it takes one of its node's places."""
        instance = self.instance
        if not instance.node_id:
            return False
        if instance.state in (ERROR, TERMINATING):
            return bool(self.uuid) and (instance.vm is not None and instance.vm.status == RUNNING)
        return instance.state in (SCHEDULING, PULLING, STARTED, STOPPING, PUSHING)

    def changed(self, now: float, **changes: Any) -> Record:
        """The same with changes to the instance."""
        return replace(self, instance=replace(self.instance, updated=now, **changes))

    def emit(self) -> str:
        return json.dumps(
            {
                "instance": self.instance.emit(),
                "order": {**asdict(self.order), "rules": [rule.emit() for rule in self.order.rules]},
                "uuid": self.uuid,
                "ended": self.ended,
            }
        )

    @classmethod
    def read(cls, text: str) -> Record:
        found: Mapping[str, Any] = json.loads(text)
        order = {**found["order"], "rules": tuple(PortRule.read(rule) for rule in found["order"]["rules"])}
        return cls(
            instance=Instance.read(found["instance"]),
            order=Order(**order),
            uuid=found["uuid"],
            ended=found["ended"],
        )
