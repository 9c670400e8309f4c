"""The registry's REST calls, also as the controller's view of the registry offers them.

Accepts every spelling and place of a parameter that Anka's documentation has had since 2019, and refuses
contradictions; never falls back to the latest version when any selector was given.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.wire.server_status import Disk, ServerStatus

if TYPE_CHECKING:
    from anka_ci.server.state import State
    from anka_ci.wire.template import Template, Version

UNKNOWN_TEMPLATE = "VM not in the registry"
Parameters = Mapping[str, Any]
"""Query and body together, keys in lower case; what was given but empty is absent, and named under ``EMPTY``."""
EMPTY = ""
SELECTORS = ("tag", "tag_name", "version", "number")


def parameters(query: Iterable[tuple[str, Any]], content: bytes) -> dict[str, Any]:
    """Query and JSON body as one mapping; ``RefusedError`` for malformed JSON and for two values that disagree."""
    found: dict[str, Any] = {}
    body: object = {}
    query = list(query)
    if content.strip():
        try:
            body = json.loads(content)
        except (ValueError, RecursionError):
            raise RefusedError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise RefusedError("the body is no JSON object")
    try:  # half of a surrogate pair cannot be kept, searched or sent back
        json.dumps([query, body], ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        raise RefusedError("the request holds text that is not Unicode") from None
    for key, value in [*query, *body.items()]:
        name = key.lower()
        if value is None or (value == "" and name != "info"):
            if value == "":
                found.setdefault(EMPTY, []).append(name)
            continue
        if name in found and str(found[name]) != str(value):
            raise RefusedError(f"two values for {key}")
        found[name] = value
    return found


def _first(given: Parameters, *names: str) -> Any:
    values = [given[name] for name in names if name in given]
    if len({str(value) for value in values}) > 1:
        raise RefusedError(f"{' and '.join(names)} contradict each other")
    return values[0] if values else None


def text(given: Parameters, *names: str) -> str | None:
    """A parameter that is a text; None when it is not there."""
    found = _first(given, *names)
    if found is not None and not isinstance(found, str):
        raise RefusedError(f"{names[0]} has to be a text")
    return found


def number(given: Parameters, *names: str) -> int | None:
    """A parameter that is a whole number from 0 on, also as a text; None when it is not there."""
    found = _first(given, *names)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, (int, str)) or not re.fullmatch(r"[0-9]{1,9}", str(found)):
        raise RefusedError(f"{names[0]} {str(found)[:100]!r} is no number from 0 on")
    return int(found)


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
        return ServerStatus(status="Running", version=self._version).emit()

    def disk(self, given: Parameters) -> Any:
        free, total = self._state.blobs.free()
        return Disk(free=free, total=total).emit()

    def list_v1(self, given: Parameters) -> Any:
        if "id" in given or "info" in given:
            return self.show(given)
        return [{template.id: template.name} for template in self._state.templates()]

    def list(self, given: Parameters) -> Any:
        if "id" in given or "info" in given:
            return self.show(given)
        return [template.row().emit() for template in self._state.templates()]

    def show(self, given: Parameters) -> Any:
        """One template, or with ``info`` the VM configuration of one of its versions."""
        if "info" in given and str(given["info"]).lower() not in ("0", "false", "no"):
            return self.info(given)
        return self._template(given).emit()

    def info(self, given: Parameters) -> Any:
        template = self._template(given)
        return self._state.config(template, _picked(template, given))

    def delete(self, given: Parameters) -> Any:
        """Remove a template with all its versions."""
        return _freed(self._state.delete(self._template(given)))

    def revert(self, given: Parameters) -> Any:
        """Remove a version and all newer ones, the newest without a selector; an empty selector is none to rely on."""
        template = self._template(given)
        for name in SELECTORS:
            if name in given.get(EMPTY, ()):
                raise RefusedError(f"{name} is given but empty")
        return _freed(self._state.revert(template, _picked(template, given)))

    def arch(self, given: Parameters) -> Any:
        template, arch = self._template(given), _first(given, "arch")
        if arch not in ("arm64", "amd64"):
            raise RefusedError("arch has to be arm64 or amd64")
        self._state.set_arch(template, arch)

    def _template(self, given: Parameters) -> Template:
        found = text(given, "id", "vm_id")
        if found is None:
            raise RefusedError("id is missing")
        try:
            return self._state.template(found)
        except NotFoundError:
            raise RefusedError(UNKNOWN_TEMPLATE) from None


@dataclass(frozen=True)
class Told:
    """A success without a body that has something to say."""

    message: str


def _freed(pinned: int) -> Told | None:
    """What a removal says of bytes that are still there; nothing when all were freed, as Anka says nothing."""
    return (
        Told(f"{pinned} bytes stay for up to an hour, because they were pushed or asked for just now")
        if pinned
        else None
    )


def _picked(template: Template, given: Parameters) -> Version:
    return pick(template, text(given, "tag", "tag_name"), number(given, "version", "number"))
