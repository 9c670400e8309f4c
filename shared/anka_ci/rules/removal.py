"""Removal: what is gone for good when a VM of this host, or one of its local tags, is removed.

Reads only. A registry that cannot be asked is taken to have nothing, and what cannot be told apart counts as different.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from anka_ci.errors import NotAuthorisedError, NotFoundError, UnreachableError, UsageError
from anka_ci.plan import Loss
from anka_ci.rules import checkout
from anka_ci.rules.selection import check_stopped
from anka_ci.wire.template import Template

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.vm import Vm


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What goes: ``tags`` are the local tags among it, ``loses`` what no registry has, ``notes`` what one has."""

    tags: tuple[str, ...]
    loses: tuple[Loss, ...]
    notes: tuple[str, ...]


def known(anka: Anka, vm: Vm) -> tuple[Template, str]:
    """The template of a VM as the registry has it, without versions when it has none; and why it cannot be asked."""
    nothing = Template(id=vm.id, name=vm.name, versions=())
    try:
        home = anka.registry.home(vm.id, vm.name, vm.arch)
    except (UnreachableError, NotAuthorisedError, UsageError) as error:  # the last: the context names none
        return nothing, error.message
    return (home if home is not None and home.id.lower() == vm.id.lower() else nothing), ""


def of_vm(anka: Anka, vm: Vm) -> Removal:
    """A VM with all its local tags; ``RefusedError`` while it runs."""
    check_stopped(vm, f"delete {vm.name}")
    template, trouble = known(anka, vm)
    tags = tuple(anka.host.tags(vm.id))
    losses, notes = checkout.local_losses(anka, vm, template, None, going=tags)
    return Removal(tags=tags, loses=_explained(losses, trouble), notes=tuple(notes))


def of_tag(anka: Anka, vm: Vm, tag: str) -> Removal:
    """One local tag; the VM stays what it is now. ``NotFoundError`` when it has no such tag.

    ``RefusedError`` while the VM runs from that tag.
    """
    tags = anka.host.tags(vm.id)
    if tag not in tags:
        raise NotFoundError("local tag", tag, where=f"the VM {vm.name}", known=tags)
    if vm.tag == tag:
        check_stopped(vm, f"delete {vm.name}:{tag}")
    template, trouble = known(anka, vm)
    losses, notes = checkout.tag_losses(anka, vm, template, (tag,))
    if vm.tag == tag:
        notes.append(f"the VM {vm.name} stays as it is, without a tag")
    return Removal(tags=(tag,), loses=_explained(losses, trouble), notes=tuple(notes))


def _explained(losses: list[Loss], trouble: str) -> tuple[Loss, ...]:
    return tuple(replace(loss, text=f"{loss.text} ({trouble})") if trouble else loss for loss in losses)
