"""The registry's REST calls, also as the controller's view of the registry offers them.

Accepts every spelling and place of a parameter that Anka's documentation has had since 2019, and refuses
contradictions; never falls back to the latest version when any selector was given.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.server.call import EMPTY, LONG, Call, Parameter, Parameters, Told
from anka_ci.wire import schema
from anka_ci.wire.server_status import Disk, ServerStatus
from anka_ci.wire.template import Template

if TYPE_CHECKING:
    from anka_ci.server.state import State
    from anka_ci.wire.template import Version

UNKNOWN_TEMPLATE = "VM not in the registry"


def pick(template: Template, tag: str | None, number: int | None) -> Version:
    """The version that is meant, the newest when nothing is said; ``RefusedError`` in Anka's words."""
    try:
        return template.pick(tag, number)
    except NotFoundError as error:
        raise RefusedError(f"No such {error.noun} {error.sought}") from None
    except UsageError as error:
        raise RefusedError(error.message) from None


class RegistryCalls:
    """The calls over one ``State``; each takes the parameters and gives the envelope's body."""

    def __init__(self, state: State, version: str) -> None:
        self._state = state
        self._version = version

    def status(self, given: Parameters) -> Any:
        """What the registry says of itself."""
        return ServerStatus(status="Running", version=self._version).emit()

    def disk(self, given: Parameters) -> Any:
        """The disk that the templates are on."""
        free, total = self._state.blobs.free()
        return Disk(free=free, total=total).emit()

    def list_v1(self, given: Parameters) -> Any:
        """The templates as one map of id to name each; with ``id`` that one as it is shown."""
        if "id" in given or "info" in given:
            return self.show(given)
        return [{template.id: template.name} for template in self._state.templates()]

    def list(self, given: Parameters) -> Any:
        """The templates; with ``id`` that one as it is shown.

        ``apiver`` v1 makes them objects still, with only id and name to rely on.
        """
        if "id" in given or "info" in given:
            return self.show(given)
        rows = [template.row() for template in self._state.templates()]
        if given.get("apiver") == "v1":
            rows = [Template(id=row.id, name=row.name, size=0) for row in rows]
        return [row.emit() for row in rows]

    def show(self, given: Parameters) -> Any:
        """One template, or with ``info`` the VM configuration of one of its versions."""
        if "info" in given and str(given["info"]).lower() not in ("0", "false", "no"):
            return self.info(given)
        return self._template(given).emit()

    def info(self, given: Parameters) -> Any:
        """The VM configuration of a version, the newest when nothing is said."""
        template = self._template(given)
        return self._state.config(template, _picked(template, given))

    def delete(self, given: Parameters) -> Any:
        """Remove a template with all its versions."""
        return _freed(self._state.delete(self._template(given)))

    def revert(self, given: Parameters) -> Any:
        """Remove a version and all newer ones, the newest without a selector.

        An empty selector is none to rely on.
        """
        template = self._template(given)
        for name in (name.lower() for selector in (TAG, VERSION) for name in (selector.name, *selector.spellings)):
            if name in given.get(EMPTY, ()):
                raise RefusedError(f"{name} is given but empty")
        return _freed(self._state.revert(template, _picked(template, given)))

    def arch(self, given: Parameters) -> Any:
        """Say which architecture a template is of."""
        self._state.set_arch(self._template(given), given["arch"])

    def log(self, given: Parameters) -> Any:
        """Take a line of an agent's log, which goes into this server's own at debug level."""
        words = [str(given.get(name, ""))[:1000] for name in ("machine_name", "service", "host", "content")]
        logging.getLogger(__name__).debug("log of %r %r %r: %r", *words)

    def _template(self, given: Parameters) -> Template:
        if "id" not in given:
            raise RefusedError("id is missing")
        try:
            return self._state.template(given["id"])
        except NotFoundError:
            raise RefusedError(UNKNOWN_TEMPLATE) from None


def _freed(pinned: int) -> Told | None:
    """What a removal says of bytes that are still there; nothing when all were freed, as Anka says nothing."""
    return (
        Told(f"{pinned} bytes stay for up to an hour, because they were pushed or asked for just now")
        if pinned
        else None
    )


def _picked(template: Template, given: Parameters) -> Version:
    return pick(template, given.get("tag"), given.get("version"))


MAYBE_ID = Parameter("id", "Id of a template.", form="template-id", spellings=("vm_id",))
ID = replace(MAYBE_ID, required=True)
TAG = Parameter("tag", "Tag of a version; the newest version when left out.", form="tag", spellings=("tag_name",))
VERSION = Parameter(
    "version", "Number of a version, from 0 on; has to be the tag's if both are given.", "number", spellings=("number",)
)
INFO = Parameter("info", "Ask for the VM configuration; a flag that needs no value.")
REVERT = (ID, replace(TAG, place="both"), replace(VERSION, place="both"))
LIST = schema.several(Template.ROW)
LIST_V1 = schema.several({**schema.mapping(schema.TEXT), "minProperties": 1, "maxProperties": 1})

_C, _R = "/api/v1/registry", "/registry"
SHOWN = (MAYBE_ID, INFO, TAG, VERSION)
API = Parameter("apiVer", "The registry's list that it is made of; v1 tells id and name only.", choices=("v1", "v2"))
LINE = tuple(
    Parameter(name, text, place="body", longest=LONG)
    for name, text in (
        ("machine_name", "Name of the machine."),
        ("service", "Who says it."),
        ("host", "Address of the machine."),
        ("content", "What is said."),
    )
)
ARCH = Parameter("arch", "Architecture.", place="body", required=True, choices=("arm64", "amd64"))
CALLS = (
    Call("GET", f"{_R}/status", RegistryCalls.status, "registryStatus", answers=ServerStatus.SCHEMA, null=True),
    Call("GET", f"{_R}/disk", RegistryCalls.disk, "registryDisk", answers=Disk.SCHEMA, null=True),
    Call(
        "GET",
        f"{_R}/vm",
        RegistryCalls.list_v1,
        "registryTemplatesV1",
        SHOWN,
        schema.either(LIST_V1, Template.SCHEMA, schema.OPEN),
        null=True,
    ),
    Call(
        "GET",
        f"{_R}/v2/vm",
        RegistryCalls.list,
        "registryTemplates",
        SHOWN,
        schema.either(LIST, Template.SCHEMA, schema.OPEN),
        null=True,
    ),
    Call(
        "GET",
        f"{_R}/vm/info",
        RegistryCalls.info,
        "registryConfig",
        (ID, TAG, VERSION),
        schema.OPEN,
        also=(f"{_R}/v2/vm/info",),
        null=True,
    ),
    Call("DELETE", f"{_R}/vm", RegistryCalls.delete, "registryDelete", (ID,), null=True),
    Call("DELETE", f"{_R}/revert", RegistryCalls.revert, "registryRevert", REVERT, null=True),
    Call(
        "PUT",
        f"{_R}/vm/arch",
        RegistryCalls.arch,
        "registryArch",
        (replace(ID, place="body"), ARCH),
        null=True,
    ),
    Call("POST", "/log", RegistryCalls.log, "log", LINE, null=True),
)
SEEN = (
    Call("GET", f"{_C}/disk", RegistryCalls.disk, "disk", answers=Disk.SCHEMA),
    Call(
        "GET",
        f"{_C}/vm",
        RegistryCalls.list,
        "templates",
        (*SHOWN, API),
        schema.either(LIST, Template.SCHEMA, schema.OPEN),
    ),
    Call("GET", f"{_C}/vm/info", RegistryCalls.info, "config", (ID, TAG, VERSION), schema.OPEN),
    Call("DELETE", f"{_C}/vm", RegistryCalls.delete, "deleteTemplate", (ID,)),
    # The controller hands on the registry's reply to a revert, its null body included.
    Call("DELETE", f"{_C}/revert", RegistryCalls.revert, "revert", REVERT, null=True),
)
"""The controller's view of the registry."""
