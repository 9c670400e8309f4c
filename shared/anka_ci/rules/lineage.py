"""Lineage: how a VM of this host and the versions of a registry hang together, by the names of their layer files.

Anka never changes a layer once it has its name, so the same newest layer is the same disk. Reads only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, NotFoundError, RefusedError
from anka_ci.inputs import show_size
from anka_ci.plan import Loss
from anka_ci.rules import watch

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version
    from anka_ci.wire.vm import Vm

CACHE = 45.0
"""Seconds until a push must show: the registry caches its list for 30 s (ANKA_VM_LIST_CACHE_TTL)."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a VM or a version is: the files of its newest disk layer and of its newest state, empty when none."""

    top: str
    state: str = ""

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Content:
        """Of a VM configuration, an open mapping (``anka describe``)."""
        drives = config.get("hard_drives")
        first = drives[0] if isinstance(drives, list) and drives else {}
        top = first.get("file") if isinstance(first, Mapping) else None
        return cls(top=str(top or ""), state=str(config.get("state_file") or ""))

    @classmethod
    def of_version(cls, version: Version) -> Content:
        return cls(top=next(iter(version.images), ""), state=next(iter(version.state_files), ""))

    def same(self, other: Content) -> bool:
        """Whether both are known and equal."""
        return bool(self.top) and self == other


def landed(anka: Anka, template_id: str, tag: str, content: Content, *, newest: bool = False) -> Version | None:
    """The registry's version with that tag and content (with ``newest``: only the newest); None when there is none."""
    try:
        versions = anka.registry.by_id(template_id).versions or ()
    except NotFoundError:
        return None
    found = next((version for version in versions if version.tag == tag), None)
    if found is None or not content.same(Content.of_version(found)) or (newest and found != versions[-1]):
        return None
    return found


def arrived(
    anka: Anka, template_id: str, tag: str, *, content: Content | None = None, unlike: Content | None = None
) -> Version:
    """The version that a push made, waiting out the registry's cache; ``FellShortError`` when it does not show.

    The tag has to be there; with ``content`` as the newest version and of that content, with ``unlike`` of another
    content than that.
    """

    def look() -> watch.Seen[Version | None]:
        if content is not None:
            version = landed(anka, template_id, tag, content, newest=True)
        else:
            try:
                known = anka.registry.by_id(template_id).versions or ()
            except NotFoundError:
                known = ()
            version = next(
                (each for each in known if each.tag == tag and not (unlike and unlike.same(Content.of_version(each)))),
                None,
            )
        return watch.Seen(value=version, ended=version is not None)

    found = watch.poll(
        look, anka, what=f"the push of {tag} reported success and is to show in the registry", stall=CACHE
    )
    assert found is not None
    return found


def rescued(anka: Anka, template_id: str, tag: str, content: Content) -> Version | None:
    """After a push that failed: the version, if it is there with our layers all the same; None when it is not known.

    It need not be the newest: another push may have arrived since.
    """
    try:
        return landed(anka, template_id, tag, content)
    except AnkaCiError:
        return None


def target(anka: Anka, vm: Vm, onto: str | None) -> Template | None:
    """The template that gets the version, None when it will be a new one; refuses what Anka would refuse half-way."""
    if onto is not None:
        template = anka.registry.template(onto, arch=vm.arch or anka.host.arch())
        if template.arch and vm.arch and template.arch != vm.arch:
            raise RefusedError(f"{vm.name} is a VM for {vm.arch}, the template {template.name} is for {template.arch}")
        return template
    home = anka.registry.home(vm.id, vm.name, vm.arch)
    if home is not None and home.id.lower() != vm.id.lower():
        raise RefusedError(
            f"the registry has a template named {vm.name} with another id ({home.id}), the VM's is {vm.id}",
            hint=f"push it as a version of that one with onto: {anka.registry.sought(home)}, or rename the VM",
        )
    return home


def number(anka: Anka, target: Template | None, there: Version | None) -> int | None:
    """The number that a push gets, in place of ``there`` if it is given; None in an OCI registry, which has none."""
    if not anka.registry.STACK:
        return None
    versions = (target.versions or ()) if target else ()
    return there.number if there else (versions[-1].number + 1 if versions else 0)


def replaced(template: Template, there: Version, *, wanted: bool) -> Loss:
    """What replacing an existing tag loses; ``RefusedError`` where it is not asked for, or not the newest."""
    title = f"{template.name}:{there.tag}"
    if not wanted:
        raise RefusedError(
            f"the tag exists: {title}{there.label} with another content",
            hint="choose another tag, or say if-exists: skip, or replace for the newest version",
        )
    newer = ", ".join(version.tag for version in template.newer_than(there))
    if newer:
        raise RefusedError(
            f"{title} is not the newest version, so it cannot be replaced without losing {newer}",
            hint=f"choose another tag, or revert {title} first, which removes the newer ones too",
        )
    what = f"{there.label[2:-1]}, {show_size(there.size or 0)} in all".removeprefix(", ")
    text = f"{title} as it is ({what}): its content is replaced"
    return Loss(text=text, little=True)


def leftover(anka: Anka, vm: Vm, tag: str, content: Content, versions: Sequence[Version]) -> Loss | None:
    """The local tag of that name with another content, which a push under it takes away; None when nothing is lost.

    It is there when the tag was reverted in the registry after a push, or was only ever made on this host.
    """
    if tag not in anka.host.tags(vm.id):
        return None
    top = anka.host.top(vm.id, tag)
    if top == content.top or (top and any(top in version.images[:1] for version in versions)):
        return None
    return Loss(
        text=f"the local tag {vm.name}:{tag} with another content, which the registry does not have", little=True
    )


def retagged(anka: Anka, vm: Vm, tag: str, content: Content, *, if_exists: str) -> tuple[str, Loss | None]:
    """What making a local tag comes to: tagged, replaced, skipped or unchanged, and what is lost with an old one.

    ``RefusedError`` where the tag is here with another content and ``if_exists`` is ``fail``.
    """
    if tag not in anka.host.tags(vm.id):
        return "tagged", None
    top = anka.host.top(vm.id, tag)
    if content.same(Content(top=top or "")):  # of a tag's suspended state nothing is told
        return "unchanged" if vm.tag == tag else "tagged", None
    if if_exists == "skip":
        return "skipped", None
    title = f"{vm.name}:{tag}"
    if if_exists == "fail":
        raise RefusedError(
            f"the local tag exists: {title}, with another content",
            hint="choose another tag, or say if-exists: skip, or replace",
        )
    return "replaced", Loss(text=f"the local tag {title} as it is; the registry is not asked for it", little=True)
