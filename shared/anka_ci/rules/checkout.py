"""Checking a tag out on this host: whether it may be done, and what it would lose.

Reads only. What is lost is said exactly where that can be known, and assumed where it cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anka_ci.errors import FellShortError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.inputs import show_size
from anka_ci.plan import Loss
from anka_ci.rules.lineage import Content
from anka_ci.rules.selection import check_stopped, local_vm

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version
    from anka_ci.wire.vm import DownloadSize, Vm


def own_vm(vms: Sequence[Vm], template: Template, version: Version, arch: str | None) -> Vm | None:
    """The VM of this host that the pull would change; ``RefusedError`` where it must not, before anything moves."""
    title = f"{template.name}:{version.tag}"
    if template.arch and arch and template.arch != arch:
        raise RefusedError(f"{title} is for {template.arch} and does not run on this host ({arch})")
    vm = next((each for each in vms if each.id.lower() == template.id.lower()), None)
    other = next((each for each in vms if each.name == template.name and each is not vm), None)
    if other is not None:
        raise RefusedError(
            f"this host has a VM named {template.name} with another id ({other.id}), the registry's is {template.id}",
            hint="rename or delete that VM; Anka refuses a pull over it",
        )
    if vm is not None:
        check_stopped(vm, f"pull {title}")
    return vm


def check_room(title: str, size: DownloadSize, *, shrink: bool = False) -> None:
    """``RefusedError``, with the numbers, when a download does not fit; a size that is not told is no obstacle."""
    if size.available is not None and size.download > size.available:
        later = "; what shrink removes is needed until the download is complete, so it does not count" if shrink else ""
        raise RefusedError(
            f"{title} does not fit: {show_size(size.download)} ({size.download} bytes) are to be downloaded, "
            f"{show_size(size.available)} ({size.available} bytes) are free{later}",
            hint="say make-room: true to remove what was not used for longest and the registry has, or delete VMs and "
            "tags that are not needed (delete-local)",
        )


def local_tag(anka: Anka, sought: str, tag: str | None, number: int | None) -> tuple[Vm, str]:
    """The VM and tag of this host that are meant without a registry: the VM's current tag when none is given."""
    if number is not None and tag is None:
        raise UsageError(
            f"version {number} cannot be told without the registry", hint="give the tag, which is known on this host"
        )
    vm = local_vm(anka.host.vms(), sought)
    tags = anka.host.tags(vm.id)
    wanted = tag or next(iter(tags), "")
    if wanted not in tags:
        raise NotFoundError("local tag", wanted or "(any)", where=f"the VM {vm.name}", known=tags)
    check_stopped(vm, f"pull {vm.name}:{wanted}")
    return vm, wanted


def stand_in(anka: Anka, sought: str, tag: str | None, number: int | None, error: UnreachableError) -> tuple[Vm, str]:
    """What stands in for a registry that cannot be reached, as ``local_tag`` tells; ``error`` when nothing does."""
    try:
        return local_tag(anka, sought, tag, number)
    except UsageError as wrong:
        raise UsageError(f"{wrong.message}: {error.message}", hint=wrong.hint) from error
    except NotFoundError as missing:
        error.hint = f"and this host cannot help out: {missing.message}"
        raise error from missing


def reached(vm: Vm, content: Content, version: Version) -> bool:
    """Whether a VM is what a version is already, judged by the names of its newest layers: nothing has to move."""
    return vm.tag == version.tag and content.same(Content.of_version(version))


def local_losses(
    anka: Anka,
    vm: Vm,
    template: Template,
    tag: str | None,
    *,
    going: Sequence[str] = (),
    content: Content | None = None,
) -> tuple[list[Loss], list[str]]:
    """What checking out ``tag`` (None: removing the VM) would lose, and notes on what goes and can be pulled again.

    Lost are the VM's changes that neither the registry nor a local tag has, and the local tags that are ``going`` as
    well and that the registry does not have with that content. ``content`` is what the VM is, where that is known.
    """
    versions = template.versions or ()
    content = content or Content.of_config(anka.host.config(vm.id))
    losses = []
    pushed = any(content.top and content.top in version.images[:1] for version in versions)
    stateless = not content.state or any(content.state in version.state_files for version in versions)
    if not (pushed and stateless) and not (vm.tag != tag and tagged(anka, vm, content)):
        since = f"since its tag {vm.tag}" if vm.tag else "and what it is: it has no tag"
        losses.append(Loss(text=f"what was changed in the VM {vm.name} {since}, which was not pushed", little=True))
    more, notes = tag_losses(anka, vm, template, [other for other in going if other != tag])
    return losses + more, notes


def tag_losses(anka: Anka, vm: Vm, template: Template, tags: Sequence[str]) -> tuple[list[Loss], list[str]]:
    """What removing local tags would lose, and notes on those that the registry has with the very same content."""
    losses, notes = [], []
    for tag in tags:
        version = next((each for each in template.versions or () if each.tag == tag), None)
        top = anka.host.top(vm.id, tag) if version else None
        if version and top and top in version.images[:1]:
            notes.append(f"the local tag {tag} goes; the registry has it")
            continue
        why = "does not have it"
        if version:
            why = "has another content under that tag" if top else "may have another content: its layers are not told"
        losses.append(Loss(text=f"the local tag {vm.name}:{tag}; the registry {why}"))
    return losses, notes


def offline_losses(anka: Anka, vm: Vm, tag: str, *, shrink: bool) -> list[Loss]:
    """The same when the registry is not asked: only what a local tag keeps is known to be kept."""
    losses = []
    if not tagged(anka, vm, Content.of_config(anka.host.config(vm.id))):
        losses.append(
            Loss(text=f"what was changed in the VM {vm.name} since its tag {vm.tag or '(none)'}", little=True)
        )
    others = [other for other in anka.host.tags(vm.id) if other != tag] if shrink else []
    return losses + [
        Loss(text=f"the local tag {vm.name}:{other}; the registry is not asked for it") for other in others
    ]


def tagged(anka: Anka, vm: Vm, content: Content) -> bool:
    """Whether the VM is still as its current local tag has it."""
    return bool(vm.tag) and not content.state and content.top == anka.host.top(vm.id, vm.tag)


def verify(anka: Anka, vm_id: str, tag: str, *, at: str, fetched: bool) -> None:
    """``FellShortError`` when ``anka`` reported success and the VM is not at the tag.

    ``at`` is the tag that it was at (empty: none, or no VM); where the tag was only ``fetched`` it has to be at that
    still. A VM that was at the tag before cannot be at another now, so it is not looked at again.
    """
    if not fetched:
        current = tag if at == tag else anka.host.vm(vm_id).tag
        if current != tag:
            raise FellShortError(
                f"anka pulled {tag} and reported success, but the VM is at {current or 'no tag'}",
                hint="is `pull_checkout` off in `anka config`? Check the tag out: anka registry pull --local",
            )
        return
    current = anka.host.vm(vm_id).tag
    if tag not in anka.host.tags(vm_id):
        raise FellShortError(f"anka fetched {tag} and reported success, but it is no local tag")
    if at and current != at:
        raise FellShortError(
            f"anka was to fetch {tag} only, but the VM was at {at} and is at {current or 'no tag'}",
            hint="pull the tag that it was at",
        )
