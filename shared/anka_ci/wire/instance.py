"""Instances: VMs that the controller started from a template, as ``/api/v1/vm`` lists and shows them.

A list holds wrappers, ``?id=`` the bare inner object; ``external_id`` and ``name`` are in both layers, and clients look
in either. An empty field is absent, never null and hardly ever empty text: org.json calls a null present, and Go cannot
read an empty text as a time. States are open: a word that is not known here is a pending one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from anka_ci.wire import schema, values
from anka_ci.wire.vm_info import RUNNING, VmInfo

SCHEDULING, PULLING, STARTED, STOPPING, STOPPED = "Scheduling", "Pulling", "Started", "Stopping", "Stopped"
TERMINATING, TERMINATED, ERROR, PUSHING = "Terminating", "Terminated", "Error", "Pushing"
"""The instance states that Anka documents."""
STATES = (SCHEDULING, PULLING, STARTED, STOPPING, STOPPED, TERMINATING, TERMINATED, ERROR, PUSHING)
SSH = 22
_INSTANCE_OPTIONAL = (
    *("message", "tag", "version", "vminfo", "node_id", "group_id", "name", "external_id", "metadata"),
    *("mac_address", "usb_device", "arch", "startup_script"),
)


@dataclass(frozen=True, kw_only=True)
class ScriptResult:
    """What a monitored script came to. ``return_code`` is -1 when it was ended, after its time or by a signal."""

    return_code: int = 0
    errors: tuple[str, ...] = ()
    did_timeout: bool = False
    stdout: str = ""
    stderr: str = ""

    @property
    def failed(self) -> bool:
        return self.return_code != 0 or self.did_timeout or bool(self.errors)

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> ScriptResult:
        errors = obj.get("errors")
        return cls(
            return_code=values.integer(obj, "return_code") or 0,
            errors=(errors,) if isinstance(errors, str) and errors else values.names(obj, "errors"),
            did_timeout=obj.get("did_timeout") is True,
            stdout=values.text(obj, "stdout"),
            stderr=values.text(obj, "stderr"),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "ScriptResult",
        {
            "return_code": {"type": "integer"},
            "errors": schema.several(schema.TEXT),
            "did_timeout": schema.FLAG,
            "stdout": schema.TEXT,
            "stderr": schema.TEXT,
        },
        optional=("errors",),
    )

    def emit(self) -> dict[str, Any]:
        return {
            "return_code": self.return_code,
            **values.present(errors=list(self.errors)),
            "did_timeout": self.did_timeout,
            "stdout": self.stdout,
            "stderr": self.stderr,
        }


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An instance. ``updated`` and ``created`` (wire: ``ts``, ``cr_time``) in Unix seconds; ``progress`` from 0 to 1.

    ``vm`` is None while nothing runs; ``message`` tells of a trouble, and may stand beside the state ``Started``.
    """

    id: str
    state: str
    template_id: str = ""
    tag: str = ""
    version: int | None = None
    message: str = ""
    vm: VmInfo | None = None
    node_id: str = ""
    group_id: str = ""
    name: str = ""
    external_id: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    arch: str = ""
    mac_address: str = ""
    vlan: str = ""
    usb_device: str = ""
    registry_url: str = ""
    progress: float = 0.0
    created: float | None = None
    updated: float | None = None
    startup_script: ScriptResult | None = None

    @property
    def started(self) -> bool:
        """Whether it can be used: its VM runs."""
        return self.state == STARTED and (self.vm is None or self.vm.status in ("", RUNNING))

    @property
    def ended(self) -> bool:
        """Whether it will not be usable any more, for good or bad."""
        return self.state in (STOPPED, TERMINATING, TERMINATED, ERROR)

    def address(self, guest_port: int = SSH) -> tuple[str, int] | None:
        """Host and port that lead to a port of the guest; None when no rule does, or the host is not told."""
        rules = self.vm.port_forwarding if self.vm else ()
        found = next((rule for rule in rules if rule.guest_port == guest_port and rule.protocol == "tcp"), None)
        return (self.vm.host_ip, found.host_port) if found and self.vm and self.vm.host_ip else None

    @classmethod
    def read(cls, obj: Mapping[str, Any], id: str = "") -> Instance:
        """A list's wrapper or a bare inner object, which need not tell its ``id``. ``ValueError`` for another thing."""
        inner = obj.get("vm") if "vm" in obj else obj
        inner = inner if isinstance(inner, Mapping) else {}
        found = values.text(obj, "instance_id") or values.text(inner, "instance_id") or id
        if not found or not (inner or "vm" in obj):
            raise ValueError("an instance without instance_id")
        vm, script, metadata = (inner.get(key) for key in ("vminfo", "startup_script", "metadata"))
        progress = inner.get("progress")
        return cls(
            id=found,
            state=values.text(inner, "instance_state"),
            template_id=values.text(inner, "vmid"),
            tag=values.text(inner, "tag"),
            version=values.integer(inner, "version"),
            message=values.text(inner, "message"),
            vm=VmInfo.read(vm) if isinstance(vm, Mapping) and vm else None,
            node_id=values.text(inner, "node_id"),
            group_id=values.text(inner, "group_id"),
            name=values.text(obj, "name") or values.text(inner, "name"),
            external_id=values.text(obj, "external_id") or values.text(inner, "external_id"),
            metadata=metadata if isinstance(metadata, Mapping) else {},
            arch=values.text(inner, "arch"),
            mac_address=values.text(inner, "mac_address"),
            vlan=values.text(inner, "vlan"),
            usb_device=values.text(inner, "usb_device"),
            registry_url=values.text(inner, "anka_registry"),
            progress=float(progress) if isinstance(progress, (int, float)) else 0.0,
            created=values.read_time(inner.get("cr_time")),
            updated=values.read_time(inner.get("ts")),
            startup_script=ScriptResult.read(script) if isinstance(script, Mapping) and script else None,
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "Instance",
        {
            "instance_id": schema.id_of("instance"),
            "instance_state": schema.one_of(*STATES),
            "message": schema.TEXT,
            "anka_registry": schema.TEXT,
            "vmid": schema.id_of("template"),
            "tag": schema.TEXT,
            "version": schema.COUNT,
            "vminfo": VmInfo.SCHEMA,
            "node_id": schema.id_of("node"),
            "ts": schema.TIME,
            "cr_time": schema.TIME,
            "progress": schema.SHARE,
            "vlan": schema.TEXT,
            "group_id": schema.id_of("group"),
            "name": schema.TEXT,
            "external_id": schema.TEXT,
            "metadata": schema.OPEN,
            "mac_address": schema.TEXT,
            "usb_device": schema.TEXT,
            "arch": schema.one_of("amd64", "arm64"),
            "startup_script": ScriptResult.SCHEMA,
        },
        optional=_INSTANCE_OPTIONAL,
    )
    ROW: ClassVar[schema.Schema] = schema.noun(
        "InstanceRow",
        {"instance_id": schema.id_of("instance"), "external_id": schema.TEXT, "name": schema.TEXT, "vm": SCHEMA},
        optional=("external_id", "name"),
    )

    def emit(self) -> dict[str, Any]:
        """The bare inner object, as ``GET ?id=`` answers it. Only ``vlan`` and the registry are there when empty."""
        return {
            "instance_id": self.id,
            "instance_state": self.state,
            **values.present(message=self.message),
            "anka_registry": self.registry_url,
            "vmid": self.template_id,
            **values.present(
                tag=self.tag,
                version=self.version,
                vminfo=self.vm.emit() if self.vm else None,
                node_id=self.node_id,
            ),
            "ts": values.emit_time(self.updated or 0.0),
            "cr_time": values.emit_time(self.created or 0.0),
            "progress": values.emit_share(self.progress),
            "vlan": self.vlan,
            **values.present(
                group_id=self.group_id,
                name=self.name,
                external_id=self.external_id,
                metadata=dict(self.metadata),
                mac_address=self.mac_address,
                usb_device=self.usb_device,
                arch=self.arch,
                startup_script=self.startup_script.emit() if self.startup_script else None,
            ),
        }

    def emit_row(self) -> dict[str, Any]:
        """The wrapper, as a list holds it."""
        return {
            "instance_id": self.id,
            **values.present(external_id=self.external_id, name=self.name),
            "vm": self.emit(),
        }
