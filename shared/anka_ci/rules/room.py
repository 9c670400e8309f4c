"""Room: what may be removed from this host so that a download fits, least recently used first.

Only what the registry has with the very same content, and nothing that another VM is made of. The decision is made on
data alone; gathering it only reads. What cannot be told apart counts as in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from anka_ci.errors import RefusedError
from anka_ci.inputs import show_size
from anka_ci.plan import Action
from anka_ci.result import Said
from anka_ci.rules import selection
from anka_ci.rules.lineage import Content

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version
    from anka_ci.wire.vm import DownloadSize, Vm

SPARE = 64 << 20
"""Bytes that stay free beside the download if that can be had: for configurations, logs, and a VM that is started."""

Chains = Mapping[str, tuple[str, ...]]
"""For the file of a layer, itself and the layers below it, newest first, as registries tell them."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A VM of this host, or one of its local tags: ``files`` are the layers it is made of, None when not known.

    ``kept`` is why it has to stay, empty when the registry has it and nobody uses it. The ``current`` tag of a VM goes
    with the VM only. ``accessed`` in Unix seconds, 0 where it is not told.
    """

    vm: str
    name: str
    tag: str | None = None
    files: frozenset[str] | None = frozenset()
    accessed: float = 0.0
    kept: str = ""
    current: bool = False

    @property
    def title(self) -> str:
        return f"{self.name}:{self.tag}" if self.tag else self.name

    def takes(self, other: Held) -> bool:
        """Whether the other goes when this goes: a VM takes its tags."""
        return other == self or (self.tag is None and other.vm == self.vm)


def chains(templates: Iterable[Template]) -> dict[str, tuple[str, ...]]:
    """A layer never changes once it has its name, and so does not what lies below it."""
    found: dict[str, tuple[str, ...]] = {}
    for template in templates:
        for version in template.versions or ():
            for place, file in enumerate(version.images):
                found.setdefault(file, version.images[place:])
    return found


def choose(held: Sequence[Held], sizes: Mapping[str, int], missing: int) -> tuple[list[tuple[Held, int]], int]:
    """What goes, least recently used first, with the bytes that each frees; and the bytes that all of it frees.

    A VM's older tags go before the VM. What frees nothing stays. Where something is made of layers that are not known
    it may be made of any, so nothing goes at all.
    """
    if any(each.files is None for each in held):
        return [], 0
    left, chosen, freed = list(held), list[tuple[Held, int]](), 0
    ready = [each for each in held if not each.kept and not each.current]
    for each in sorted(ready, key=lambda one: (one.accessed, one.name, one.tag is None)):
        going = [one for one in left if each.takes(one)]
        if freed >= missing:
            break
        if any(one.kept for one in going):
            continue
        stay = [one for one in left if one not in going]
        if count := sum(sizes.get(file, 0) for file in _files(going) - _files(stay)):
            left, freed = stay, freed + count
            chosen.append((each, count))
    return chosen, freed


def _files(held: Iterable[Held]) -> set[str]:
    return {file for each in held for file in each.files or ()}


def survey(anka: Anka, vms: Sequence[Vm], template: Template, tag: str, *, shrink: bool) -> list[Held]:
    """All that this host holds, seen from a pull of a tag: of what each is made, and why it has to stay.

    With ``shrink`` the template's own older tags, which go anyway, count as used before all others.
    """
    homes = {vm.id: _home(anka, vm, template) for vm in vms}
    below = chains([template, *homes.values()])
    found = []
    for vm in vms:
        own = vm.id.lower() == template.id.lower()
        tops = {each: anka.host.top(vm.id, each) or "" for each in anka.host.tags(vm.id)}
        rows = of_vm(vm, homes[vm.id], Content.of_config(anka.host.config(vm.id)), tops, below)
        if own:
            rows = [replace(row, kept="it is what is to be pulled") if row.tag in (None, tag) else row for row in rows]
        found += [replace(row, accessed=-1.0) if own and shrink else row for row in rows]
    return found


def _home(anka: Anka, vm: Vm, template: Template) -> Template:
    """The template of a VM as the registry has it; without versions where it has none."""
    if vm.id.lower() == template.id.lower():
        return template
    home = anka.registry.home(vm.id, vm.name, vm.arch)
    if home is not None and home.id.lower() == vm.id.lower():
        return home
    return replace(template, id=vm.id, name=vm.name, versions=())


def of_vm(vm: Vm, home: Template, content: Content, tops: Mapping[str, str], below: Chains) -> list[Held]:
    """A VM's local tags (``tops``: the newest layer of each) and then the VM itself."""
    versions = {version.tag: version for version in home.versions or ()}
    busy = "" if vm.status in ("stopped", "suspended") else f"the VM is {vm.status or 'in a state that is not told'}"
    rows = []
    for tag, top in tops.items():
        version = versions.get(tag)
        same = version is not None and bool(top) and top in version.images[:1]
        kept = busy or ("" if same else "the registry does not have it")
        files = frozenset(below[top]) if top in below else None
        row = Held(vm=vm.id, name=vm.name, tag=tag, files=files, kept=kept, current=tag == vm.tag)
        rows.append(replace(row, accessed=vm.accessed or 0.0))
    files = frozenset(below[content.top]) if content.top in below else None
    if files is None and content.top and (base := next((row.files for row in rows if row.current), None)) is not None:
        files = base | {content.top}  # what was changed since a tag lies on that tag
    pushed = any(content.same(Content.of_version(version)) for version in versions.values())
    kept = busy or ("" if pushed else "the registry does not have what it is now")
    return [*rows, Held(vm=vm.id, name=vm.name, files=files, accessed=vm.accessed or 0.0, kept=kept)]


def sized(anka: Anka, template: Template, tag: str) -> DownloadSize:
    """What a pull would download, with the free bytes as this machine tells them where the command does not."""
    size = anka.host.download_size(anka.registry.sought(template), tag, anka.registry.url)
    return replace(size, available=anka.host.free()) if size.available is None and size.download else size


def make(
    anka: Anka, vms: Sequence[Vm], template: Template, version: Version, size: DownloadSize, *, shrink: bool
) -> list[Action]:
    """What removes as much as a download needs; nothing when it fits. ``RefusedError`` when it will not fit even so."""
    missing = size.download + SPARE - (size.available or 0)
    if size.available is None or size.download == 0 or missing <= 0:
        return []
    held = survey(anka, vms, template, version.tag, shrink=shrink)
    wanted = Held(vm="", name="the download", files=frozenset(version.images), kept="it is what is to be pulled")
    chosen, freed = choose([*held, wanted], anka.host.weigh(_files(held)), missing)
    if freed < size.download - size.available:
        raise _too_little(f"{template.name}:{version.tag}", size, held, freed)
    return [
        Action(
            verb="evict",
            text=f"remove {each.title} from this host, which frees {show_size(count)}; the registry has it",
            with_={"vm": each.vm, "tag": each.tag, "title": each.title},
        )
        for each, count in chosen
    ]


def _too_little(title: str, size: DownloadSize, held: Sequence[Held], freed: int) -> RefusedError:
    unknown = sorted({each.title for each in held if each.files is None})
    why = f"what can be removed frees {show_size(freed)} ({freed} bytes)"
    if unknown:
        why = f"nothing can be removed, because it is not known of which layers {selection.listed(unknown)} is made"
    kept = [f"{each.title} stays: {each.kept}" for each in held if each.kept]
    return RefusedError(
        f"{title} does not fit: {show_size(size.download)} ({size.download} bytes) are to be downloaded, "
        f"{show_size(size.available or 0)} ({size.available} bytes) are free; {why}",
        hint="\n  ".join([*kept[:20], "delete with delete-local what is not needed"]),
    )


def clear(anka: Anka, actions: Sequence[Action], ask: Callable[[], DownloadSize]) -> DownloadSize:
    """Remove, one after the other, until the download fits as ``ask`` tells; the last answer.

    A VM that has been started meanwhile is left alone.
    """
    size = ask()
    for action in actions:
        if size.download + SPARE <= (size.available or 0):
            break
        with_: Mapping[str, Any] = action.with_
        vm = anka.host.vm(with_["vm"])
        if vm.status not in ("stopped", "suspended"):
            anka.tell(Said(text=f"{with_['title']} stays, because the VM is {vm.status} now", level="warning"))
            continue
        if with_["tag"]:
            anka.host.delete_tag(vm.id, with_["tag"])
        else:
            anka.host.delete(vm.id)
        anka.tell(Said(text=f"removed {with_['title']} to make room"))
        size = ask()
    return size
