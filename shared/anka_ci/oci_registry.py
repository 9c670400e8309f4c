"""The registry door for an OCI registry: a template is the repository ``PREFIX/NAME``, and its tags are the versions.

A context names one as ``oci://HOST/PREFIX`` (``oci+http://`` without TLS); ``anka`` is then told ``--remote URL
--oci-version v2 --prefix PREFIX``, which Anka's command has since 3.9. The steps ``list``, ``show``, ``size``, ``pull``
and ``push`` work with it. What differs from an Anka registry: versions have no numbers and are no stack, so any tag can
be replaced and nothing else goes with it; the tag ``latest`` is an alias of the tag that was pushed last; templates are
listed only where the registry lists its repositories; and a controller knows nothing of it. Whatever needs numbers, a
stack or a controller is refused with these words: nothing here makes numbers up.

What a tag holds is read from its manifest where that is ours. Anka's own is not documented; of another's only the size
is told. Source: Anka's page on OCI registries, and the OCI distribution specification.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NoReturn

from anka_ci.errors import AnkaCiError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.oci import LARGEST_CONTENT, Oci
from anka_ci.oci.lanes import side_by_side
from anka_ci.registry import Registry
from anka_ci.wire.address import Address
from anka_ci.wire.manifest import Manifest, oci_tag
from anka_ci.wire.server_status import Disk, ServerStatus
from anka_ci.wire.template import Template, Version

if TYPE_CHECKING:
    from anka_ci.anka import Anka

LATEST = "latest"
_ATTACHED = re.compile(r"sha256-[0-9a-f]{64}(\..*)?")
"""Tags under which signatures and the like are kept beside what they belong to."""


class OciRegistry(Registry):
    """Templates of one OCI registry at ``address``; its sign-in is the registry's own, never the controller's."""

    STACK = False

    def __init__(self, anka: Anka, address: Address) -> None:
        self._anka = anka
        self.address = address
        self.url = address.emit()
        self._oci = Oci(address.url, anka, foreign=True)
        self._names: dict[str, str] = {}
        self._manifests: dict[str, tuple[Manifest | None, int]] = {}

    def status(self) -> ServerStatus:
        """``Running`` when it answers and lets us in; it tells no version."""
        self._oci.ping()
        return ServerStatus(status="Running", version="", registry_url=self.url)

    def _trouble(self) -> str:
        try:
            self._oci.ping()
        except (UnreachableError, RefusedError, NotFoundError) as error:
            return error.message
        return ""

    def templates(self) -> list[Template]:
        """The repositories below the prefix, by name; ``RefusedError`` where the registry does not list them."""
        found = self._oci.repositories()
        if found is None:
            raise RefusedError(
                f"{self.url} does not list its repositories, which an OCI registry need not", hint="name the template"
            )
        start = f"{self.address.prefix}/" if self.address.prefix else ""
        names = [name.removeprefix(start) for name in found if name.startswith(start)]
        return [Template(id=name, name=name, stacked=False) for name in sorted(names) if "/" not in name]

    def listed(self, wanted: str | None) -> list[Template]:
        return self.templates() if wanted is None else [self.template(wanted)]

    def template(self, name_or_id: str, *, arch: str | None = None) -> Template:
        """A template by its name, with its tags; the one of ``latest`` is the newest. An id only once it was seen here.

        ``NotFoundError`` when there is no such repository, or no tag in it.
        """
        name = self._names.get(name_or_id.lower(), name_or_id)
        repository = self.repository(name)
        tags = [tag for tag in self._oci.tags(repository) or () if not _ATTACHED.fullmatch(tag)]
        read = side_by_side(self._oci, self._anka, tags, lambda oci, tag: self._read(oci, repository, tag))
        known = {tag: each for tag, each in zip(tags, read, strict=True) if each is not None}
        if not known:
            raise NotFoundError(
                "template", name, where=self.url, hint=f"there is no tag in the repository {repository}"
            )
        last = known.pop(LATEST, None)
        versions = {tag: _version(tag, *each[1:]) for tag, each in known.items()}
        newest = ""
        if last is not None:
            digest, manifest, _ = last
            named = manifest.tag if manifest is not None else LATEST
            same = [version.tag for tag, version in versions.items() if known[tag][0] == digest]
            newest = named if named in same else next(iter(sorted(same)), named)
            if not same:  # what latest was pushed as is gone, or it was pushed as latest
                versions[LATEST] = _version(LATEST, *last[1:])
                newest = versions[LATEST].tag
        ours = next((each[1] for each in (last, *known.values()) if each is not None and each[1] is not None), None)
        archs = {version.arch for version in versions.values()}
        found = Template(
            id=ours.id if ours else name,
            name=ours.name if ours else name,
            arch=archs.pop() if len(archs) == 1 else "",
            versions=tuple(sorted(versions.values(), key=lambda version: (version.tag == newest, version.tag))),
            stacked=False,
            latest=newest,
        )
        self._names[found.id.lower()] = name
        return found

    def by_id(self, template_id: str) -> Template:
        return self.template(template_id)

    def home(self, vm_id: str, name: str, arch: str) -> Template | None:
        """The template of that name, which may have another id; None when there is none, or can be none."""
        try:
            self.address.repository(name)
        except ValueError:
            return None
        try:
            return self.template(name, arch=arch)
        except NotFoundError:
            return None

    def config(self, template: Template, version: Version) -> dict[str, Any]:
        """The VM configuration of a version; ``NotFoundError`` where the manifest is not ours."""
        repository = self.repository(self.sought(template))
        found = self._read(self._oci, repository, oci_tag(version.tag))
        manifest = found[1] if found else None
        if manifest is None or manifest.config_size > LARGEST_CONTENT:
            raise NotFoundError("configuration", f"{template.name}:{version.tag}", where=self.url)
        try:
            read = json.loads(self._oci.content(repository, manifest.config_digest))
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict):
            raise NotFoundError("configuration", f"{template.name}:{version.tag}", where=self.url)
        return read

    def sought(self, template: Template) -> str:
        """A template as ``anka`` is told it: by its name, which is the repository's."""
        return self._names.get(template.id.lower(), template.name)

    def repository(self, template: str) -> str:
        try:
            return self.address.repository(template)
        except ValueError as error:
            raise UsageError(f"{self.url}: {error}", hint="rename the VM, or push it onto another name") from None

    def data(self, anka: Anka) -> Oci:
        return self._oci

    def stack(self, what: str) -> NoReturn:
        why = "it keeps tags, no stack of versions, and no controller knows it"
        hint = "name an Anka registry for that; single tags are removed with the OCI registry's own tools"
        raise RefusedError(f"{what}: {self.url} is an OCI registry: {why}", hint=hint)

    def revert(self, template: Template, version: Version) -> Template | None:
        self.stack("revert")

    def delete(self, template: Template) -> None:
        self.stack("delete")

    def set_arch(self, template: Template, arch: str) -> None:
        self.stack("set an architecture")

    def disk(self) -> Disk:
        self.stack("read its disk")

    def _read(self, oci: Oci, repository: str, tag: str) -> tuple[str, Manifest | None, int] | None:
        """The digest of a tag's manifest, the manifest if it is ours, and its bytes; None when it is gone or a list."""
        digest = oci.manifest_digest(repository, tag)
        if digest is None:
            return None
        if digest not in self._manifests:
            try:
                content, digest = oci.manifest(repository, digest)
            except NotFoundError:
                return None
            self._manifests[digest] = _taken(content)
        return (digest, *self._manifests[digest])


def _taken(content: bytes) -> tuple[Manifest | None, int]:
    """What a manifest says: all if it is ours, else how many bytes its layers have."""
    try:
        manifest = Manifest.read(content)
    except (ValueError, AnkaCiError):
        manifest = None
    if manifest is not None:
        return manifest, sum(layer.size for layer in manifest.layers if layer.role != "nvram")
    try:
        layers = json.loads(content).get("layers") or ()
        return None, sum(int(layer["size"]) for layer in layers)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None, 0


def _version(tag: str, manifest: Manifest | None, size: int) -> Version:
    if manifest is None:
        return Version(number=Version.NO_NUMBER, tag=tag, size=size)
    true = manifest.tag if oci_tag(manifest.tag) == tag else tag  # it may have been given another tag since
    return Version(
        number=Version.NO_NUMBER,
        tag=true,
        images=tuple(layer.file for layer in manifest.of_role("disk")),
        state_files=tuple(layer.file for layer in manifest.of_role("state")),
        nvram="nvram" if manifest.of_role("nvram") else "",
        description=manifest.description,
        size=size,
        arch=manifest.arch,
    )
