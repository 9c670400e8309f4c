"""Save-image requests (``/api/v1/image``): a running instance becomes a new tag, or a new template.

A request is ``pending``, then ``done`` or ``error``; clients compare without regard to letter case. Its ``request`` is
spelt in camel case, unlike all else. Success ends and removes the instance, failure leaves it running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from anka_ci.wire import schema, values
from anka_ci.wire.instance import ScriptResult

PENDING, DONE, FAILED = "pending", "done", "error"


@dataclass(frozen=True, kw_only=True)
class ImageRequest:
    """A request. ``template_id`` is what is pushed to, empty when ``new_template`` names a template to be made.

    ``instance_id`` is saved; ``source_id`` is its VM; ``revert`` reverts the target first, to ``revert_tag`` or its
    newest; ``requested`` in Unix seconds. ``error`` is empty unless it failed.
    """

    id: str
    status: str
    error: str = ""
    script_result: ScriptResult | None = None
    instance_id: str = ""
    node_id: str = ""
    source_id: str = ""
    template_id: str = ""
    new_template: str = ""
    tag: str = ""
    description: str = ""
    suspend: bool = True
    script: str = ""
    suspend_test: bool = False
    revert: bool = False
    revert_tag: str = ""
    cancel_on_script_failure: bool = False
    registry_url: str = ""
    requested: float | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over; a status that is not known is not."""
        return self.status in (DONE, FAILED)

    @classmethod
    def read(cls, obj: Mapping[str, Any]) -> ImageRequest:
        """``ValueError`` when it has no id. An ``error`` of any shape counts, as long as there is one."""
        request, error, script = obj.get("request"), obj.get("error"), obj.get("script_result")
        asked = request if isinstance(request, Mapping) else {}
        found = values.text(obj, "id") or values.text(asked, "RequestId")
        if not found:
            raise ValueError("a save-image request without id")
        if isinstance(error, Mapping) and error:
            error = values.text(error, "Message", "message") or values.text(error, "Type", "Code") or str(dict(error))
        return cls(
            id=found,
            status=values.text(obj, "status").lower(),
            error=str(error) if error else "",
            script_result=ScriptResult.read(script) if isinstance(script, Mapping) else None,
            instance_id=values.text(asked, "InstanceID"),
            node_id=values.text(asked, "NodeID"),
            source_id=values.text(asked, "VMID"),
            template_id=values.text(asked, "TemplateID"),
            new_template=values.text(asked, "NewTemplateName"),
            tag=values.text(asked, "Tag"),
            description=values.text(asked, "Description"),
            suspend=asked.get("Suspend") is not False,
            script=values.text(asked, "Script"),
            suspend_test=asked.get("DoSuspendTest") is True,
            revert=asked.get("RevertBeforePush") is True,
            revert_tag=values.text(asked, "RevertTag"),
            cancel_on_script_failure=asked.get("CancelOnScriptFailure") is True,
            registry_url=values.text(asked, "RegistryAddr"),
            requested=values.read_time(asked.get("Timestamp")),
        )

    SCHEMA: ClassVar[schema.Schema] = schema.noun(
        "ImageRequest",
        {
            "id": schema.id_of("image"),
            "status": schema.one_of(PENDING, DONE, FAILED),
            "error": schema.either(
                schema.noun("ImageError", {"Message": schema.TEXT, "Type": schema.COUNT}), schema.NULL
            ),
            "script_result": schema.either(ScriptResult.SCHEMA, schema.NULL),
            "request": schema.noun(
                "ImageOrder",
                {
                    "RequestId": schema.id_of("image"),
                    "Priority": schema.COUNT,
                    "Timestamp": schema.COUNT,
                    "ReserveExpiryTimestamp": schema.COUNT,
                    **dict.fromkeys(("RegistryAddr", "VMID", "InstanceID", "NodeID", "TemplateID"), schema.TEXT),
                    **dict.fromkeys(("NewTemplateName", "Tag", "Description"), schema.TEXT),
                    "Suspend": schema.FLAG,
                    "Script": schema.TEXT,
                    **dict.fromkeys(("DoSuspendTest", "RevertBeforePush"), schema.FLAG),
                    "RevertTag": schema.TEXT,
                    "CancelOnScriptFailure": schema.FLAG,
                },
            ),
        },
    )

    def emit(self) -> dict[str, Any]:
        """The request with its state. ``error`` and ``script_result`` are null when there is none, as documented."""
        return {
            "id": self.id,
            "status": self.status,
            "error": {"Message": self.error, "Type": 1} if self.error else None,
            "script_result": self.script_result.emit() if self.script_result else None,
            "request": {
                "RequestId": self.id,
                "Priority": 0,
                "Timestamp": int(self.requested or 0),
                "ReserveExpiryTimestamp": 0,
                "RegistryAddr": self.registry_url,
                "VMID": self.source_id,
                "InstanceID": self.instance_id,
                "NodeID": self.node_id,
                "TemplateID": self.template_id,
                "NewTemplateName": self.new_template,
                "Tag": self.tag,
                "Description": self.description,
                "Suspend": self.suspend,
                "Script": self.script,
                "DoSuspendTest": self.suspend_test,
                "RevertBeforePush": self.revert,
                "RevertTag": self.revert_tag,
                "CancelOnScriptFailure": self.cancel_on_script_failure,
            },
        }
