"""The registry door: templates and versions.

Talks to the registry itself, found in the context or told by the controller. A failure raises; it never becomes an
empty list.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from anka_ci.api_keys import ApiKeys
from anka_ci.errors import (
    FellShortError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.offer import offered
from anka_ci.result import Said
from anka_ci.transport import Transport
from anka_ci.wire.address import Address
from anka_ci.wire.manifest import repository
from anka_ci.wire.server_status import Disk, ServerStatus
from anka_ci.wire.template import Template, Version

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.oci import Oci

CACHE = 45.0
"""Seconds until a write must show: the registry caches its list for 30 s (ANKA_VM_LIST_CACHE_TTL)."""
PROBE = 5.0
"""Seconds in which a registry that has others beside it has to say that it runs; it is asked once."""


class Registry:
    """Templates and versions of one registry at ``url``."""

    AT = "/registry"
    """What the paths of the calls begin with."""
    STACK = True
    """Whether versions have numbers and are a stack, which a controller can distribute from."""
    LISTS: tuple[str, ...] = ("/v2/vm", "/vm")
    """Where templates are listed and shown; before 1.13 only the second, v1, was there."""

    def __init__(self, anka: Anka, url: str) -> None:
        self._anka = anka
        self.url = url
        self._rest = Transport(url, anka, what="the registry")
        self.api_keys = ApiKeys(self._rest, "/v1/apikey", status="/registry/status")

    @classmethod
    def open(cls, anka: Anka) -> Registry:
        """The context's registry (the first that answers, in their order), else the one that the controller reports.

        One that is out of reach, fails or is no registry is told and passed over; one that refuses the sign-in is not,
        because that is for a person to put right. ``UnreachableError`` when there are several and none answers.
        """
        urls = anka.context.registry_urls
        if not urls:
            if anka.context.controller_url is None:
                raise UsageError(
                    "no registry is configured",
                    hint="set ANKA_CI_REGISTRY_URL or ANKA_CI_CONTROLLER_URL, or name a context of the settings file",
                )
            reported = anka.controller.status().registry_url
            if not reported:
                raise UsageError("the controller reports no registry", hint="set ANKA_CI_REGISTRY_URL")
            return cls(anka, reported)
        if len(urls) == 1:
            return cls._made(anka, urls[0])
        tried = []
        for url in urls:
            registry = cls._made(anka, url)
            why = registry._trouble()
            if not why:
                return registry
            tried.append(why)
            if len(tried) < len(urls):
                anka.tell(Said(text=f"{why}; trying the next registry", level="warning"))
        raise UnreachableError(
            f"none of the context's {len(urls)} registries answers: {'; '.join(tried)}",
            hint="`anka-ci doctor` looks at each of them",
        )

    @classmethod
    def _made(cls, anka: Anka, url: str) -> Registry:
        """The door to a URL of either kind."""
        address = Address.read(url)
        if address is None:
            return cls(anka, url)
        from anka_ci.oci_registry import OciRegistry

        return OciRegistry(anka, address)

    def _trouble(self) -> str:
        """Why this registry is passed over; empty when it answers as one that runs."""
        path = "/registry/status"
        try:
            body = self._rest.request("GET", path, idempotent=True, tries=1, timeout=PROBE)
        except (UnreachableError, RefusedError) as error:
            return error.message
        except NotFoundError:
            return f"{self.url} is no Anka registry"
        status = ServerStatus.read(body) if isinstance(body, dict) else ServerStatus(status="", version="")
        return "" if status.status.lower() == "running" else f"{self.url} says that it is {status.status or 'nothing'}"

    def status(self) -> ServerStatus:
        """The registry's status and version."""
        # https://docs.veertu.com/anka/anka-build-cloud/working-with-registry-and-api/ : GET /registry/status
        return ServerStatus.read(self._rest.get("/registry/status") or {})

    def disk(self) -> Disk:
        """Free and total bytes of the registry's disk."""
        return Disk.read(self._rest.get(f"{self.AT}/disk") or {})

    def templates(self) -> list[Template]:
        """Every template, without its versions, sorted by name."""
        # GET /registry/v2/vm
        found = [_read(Template.read, row, "a template") for row in _rows(self._first())]
        return sorted(found, key=lambda template: (template.name, template.id))

    def listed(self, wanted: str | None) -> list[Template]:
        """Every template as a list shows it, or only those of the name or id ``wanted``; ``NotFoundError`` for none."""
        found = self.templates()
        rows = [row for row in found if wanted is None or wanted == row.name or wanted.lower() == row.id.lower()]
        if wanted is not None and not rows:
            raise NotFoundError("template", wanted, where=self.url, known=[row.name for row in found])
        return rows

    def template(self, name_or_id: str, *, arch: str | None = None) -> Template:
        """A template with its versions, by exact id, then by exact name.

        Names are not unique: where several match, ``arch`` narrows them, and if several are left, ``UsageError`` lists
        them. ``NotFoundError`` with the nearest name when there is none.
        """
        rows = self.templates()
        matches = [row for row in rows if row.id.lower() == name_or_id.lower()]
        matches = matches or [row for row in rows if row.name == name_or_id]
        if len(matches) > 1 and arch:
            matches = [row for row in matches if row.arch in (arch, "")] or matches
        if len(matches) > 1:
            listed = ", ".join(f"{row.id} ({row.arch or 'arch unknown'})" for row in matches)
            raise UsageError(f"{len(matches)} templates are named {name_or_id!r}", hint=f"give one id: {listed}")
        if not matches:
            raise NotFoundError("template", name_or_id, where=self.url, known=[row.name for row in rows])
        return self.by_id(matches[0].id)

    def by_id(self, template_id: str) -> Template:
        """A template with its versions, by its id."""
        # GET /registry/v2/vm?id= ; a null body with OK has been sent for an unknown id.
        try:
            body = self._first(id=template_id)
        except RefusedError as error:
            if error.facts.get("said") in ("VM not in the registry", "Not found"):
                raise NotFoundError("template", template_id, where=self.url) from error
            raise
        if body is None:
            raise NotFoundError("template", template_id, where=self.url)
        template: Template = _read(Template.read, body, "a template")
        if template.versions is None:
            raise UnreachableError(f"{self.url} told no versions of {template_id}", hint="is it an Anka registry?")
        return template

    def home(self, vm_id: str, name: str, arch: str) -> Template | None:
        """Where a push of a VM goes: the template of its id, with its versions; else one of its name, as listed.

        The second has another id, which is for the caller to refuse. None when it will be a new template.
        """
        rows = self.templates()
        if any(row.id.lower() == vm_id.lower() for row in rows):
            return self.by_id(vm_id)
        return next((row for row in rows if row.name == name and row.arch in (arch, "")), None)

    def sought(self, template: Template) -> str:
        """A template as ``anka`` is told it."""
        return template.id

    def repository(self, template: str) -> str:
        """The repository of a template's data, by what ``sought`` says. ``UsageError`` for a name that can be none."""
        return repository(template)

    def data(self, anka: Anka) -> Oci:
        """The client of its data; that of the embedded registry only, Anka's own protocol is private."""
        from anka_ci.oci import Oci

        return Oci(self.url, anka)

    def stack(self, what: str) -> Registry:
        """This registry, for ``what`` needs versions in a stack; ``RefusedError`` where there is none."""
        return self

    def config(self, template: Template, version: Version) -> dict[str, Any]:
        """The VM configuration of a version, an open mapping."""
        # GET /registry/vm/info; the 2019 page had it as ?info, which old registries still want. What they say to the
        # other is undocumented; one that knows neither may ignore the flag and answer with the template.
        params = {"id": template.id, "tag": version.tag, "version": version.number}
        try:
            body = self._rest.get(f"{self.AT}/vm/info", **params)
        except (NotFoundError, RefusedError):
            body = self._rest.get(f"{self.AT}/vm", info="true", **params)
            body = None if isinstance(body, dict) and "versions" in body else body
        if not isinstance(body, dict):
            raise NotFoundError("configuration", f"{template.name}:{version.tag}", where=self.url)
        return body

    def revert(self, template: Template, version: Version) -> Template | None:
        """Remove a version and everything newer; the template as it is afterwards, None when nothing of it is left.

        The documentation names the selector in several ways (tag, tag_name, version, number; in the query and in the
        body), and a server that ignores a key it does not know would revert the latest. So every spelling is sent, and
        the result is verified, waiting out the registry's list cache.
        """
        selector: dict[str, object] = {"tag": version.tag, "tag_name": version.tag}
        if (template.pick(tag=version.tag)).number != version.number:
            selector = {"version": version.number, "number": version.number}
        self._rest.delete(
            f"{self.AT}/revert", params={"id": template.id, **selector}, body={"id": template.id, **selector}
        )
        expected = [kept.tag for kept in template.versions or () if kept.number < version.number]
        return self._verify(template, expected, f"reverting {template.name}:{version.tag}")

    def set_arch(self, template: Template, arch: str) -> None:
        """Say which architecture a template is of, ``arm64`` or ``amd64``."""
        # PUT /registry/vm/arch : parameters were in the query in 2021-12, and in the body a month later; both are sent.
        given = {"id": template.id, "arch": arch}
        with offered(self._rest, "set an architecture", status="/registry/status"):
            self._rest.request("PUT", "/registry/vm/arch", params=given, body=given, idempotent=True)

    def delete(self, template: Template) -> None:
        """Remove a template with all its versions; verified. Nodes keep what they have."""
        # DELETE /registry/vm?id=
        self._rest.delete(f"{self.AT}/vm", params={"id": template.id})
        self._verify(template, [], f"deleting {template.name}")

    def _first(self, **params: str) -> Any:
        """What the first of the lists answers that is there."""
        *others, last = self.LISTS
        for path in others:
            with contextlib.suppress(NotFoundError):
                return self._rest.get(f"{self.AT}{path}", **params)
        return self._rest.get(f"{self.AT}{last}", **params)

    def _verify(self, template: Template, expected: list[str], what: str) -> Template | None:
        waited = 0.0
        while True:
            try:
                now: Template | None = self.by_id(template.id)
            except NotFoundError:
                now = None
            have = [version.tag for version in (now.versions or ())] if now else []
            if have == expected:
                return now
            if waited >= CACHE or (self._anka.deadline.left(1.0) or 0.0) <= 0.0:
                raise FellShortError(
                    f"{what}: the registry answered OK, but shows {have} where {expected} was to be left",
                    hint="look at the registry before you go on",
                )
            waited += 1.0
            self._anka.clock.sleep(1.0, self._anka.cancelled)
            self._anka.cancelled.check(what)


def _rows(body: object) -> list[Any]:
    if body is None:
        return []
    if isinstance(body, dict):  # the first releases answered with one map of id to name
        return [{key: value} for key, value in body.items()]
    if not isinstance(body, list):
        raise UnreachableError("the registry's list is no list", hint="is it an Anka registry?")
    return body


def _read(read: Any, obj: object, what: str) -> Any:
    try:
        return read(obj)
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UnreachableError(f"{what} came back that cannot be read: {error}", hint="is it Anka?") from None
