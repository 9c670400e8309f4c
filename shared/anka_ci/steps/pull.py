"""Pull a template tag onto this host.

Downloads the layers that are not here and checks the tag out: the VM of that template becomes what the tag is. A tag
that is here already is checked out as well, which resets a VM that was changed, its settings included. Changes that
were not pushed, and with `shrink` other local tags that the registry does not have, would be lost and need a
confirmation; `confirm: yes` is enough for the unpushed changes of the one VM. A running VM is refused.

A download that does not fit is refused before it begins; what `shrink` removes is needed until it is complete. With
`make-room: true` as much as it needs is removed first: VMs and local tags of this host that the registry has with the
very same content, least recently used first, and never what a VM runs from or is made of. A VM of which the `anka`
command does not tell that, such as a clone that was started, may be made of anything, so then nothing is removed.

With `fetch-only` the tag becomes a local tag and the VM stays what it is, so that a later pull has nothing to
download. With `local` no registry is asked: that sets a VM back to a tag that is here.

A `channel` of a fleet file names the template and the tag in place of `template` and `tag`.

With `if-unreachable: use-local` a registry that cannot be reached is no failure where the tag (the VM's current one
when none is given) is on this host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import UnreachableError
from anka_ci.inputs import arg, build, show_size
from anka_ci.plan import Action, Loss, Plan
from anka_ci.result import Said
from anka_ci.rules import checkout, naming, room
from anka_ci.rules.lineage import Content
from anka_ci.steps import Runs
from anka_ci.wire.vm import DownloadSize

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.vm import Vm

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "tag": "base"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str | None = arg("Template name or id; the host's architecture narrows a name.", default=None)
    tag: str | None = arg("Tag to pull; the latest when left out.", default=None)
    version: int | None = arg("Version number to pull, from 0; must agree with tag.", default=None)
    channel: str | None = arg("Channel that names the template and its tag, in place of both.", default=None)
    fleet: str | None = arg("Path of the fleet file that has the channel.", default=None)
    shrink: bool = arg("Afterwards remove the template's other local tags.", default=False)
    make_room: bool = arg(
        "Remove what was not used for longest from this host when the download does not fit.", default=False
    )
    fetch_only: bool = arg("Only fetch the tag, and leave the VM as it is (Anka 3.0 and later).", default=False)
    local: bool = arg("Ask no registry, and check out the tag as it is on this host.", default=False)
    if_unreachable: str = arg(
        "What to do when the registry cannot be reached.", default="fail", choices=("fail", "use-local")
    )

    def __post_init__(self) -> None:
        naming.check(self.template, self.channel, self.fleet, tag=self.tag, version=self.version)
        if self.fetch_only and (self.shrink or self.local or self.if_unreachable != "fail"):
            raise ValueError("fetch-only does not go with shrink, local or if-unreachable: they are about a checkout")
        if self.local and self.make_room:
            raise ValueError("local downloads nothing, so there is no room to make")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    tag: str = arg("The tag that is checked out, or that was fetched.")
    already_here: bool = arg("Whether the tag was on this host before.")
    version: int | None = arg("The number of its version; absent when the registry was not asked.", default=None)
    bytes_received: int | None = arg("Bytes that were downloaded.", default=None)
    bytes_shared: int | None = arg("Bytes of the tag that were here before.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    meant = naming.meant(inputs.template, inputs.tag, inputs.channel, inputs.fleet, anka.context.name)
    if inputs.local:
        return _local(inputs, anka, *checkout.local_tag(anka, meant.template, meant.tag, inputs.version), *meant.notes)
    try:
        if inputs.fetch_only:
            anka.host.check(anka.registry.url, fetch_only=True)
        arch = anka.host.arch()
        naming.check_arch(meant, arch)
        template = anka.registry.template(meant.template, arch=arch)
        version = template.pick(meant.tag, inputs.version)
        vms = anka.host.vms()
        vm = checkout.own_vm(vms, template, version, arch)
        content = Content.of_config(anka.host.config(vm.id)) if vm else None
        same = vm is not None and content is not None and checkout.reached(vm, content, version)
        size = DownloadSize.none(version.size) if same else room.sized(anka, template, version.tag)
    except UnreachableError as error:
        if inputs.if_unreachable == "fail":
            raise
        vm, tag = checkout.stand_in(anka, meant.template, meant.tag, inputs.version, error)
        note = f"{error.message}; using {vm.name}:{tag} as it is on this host"
        return _local(inputs, anka, vm, tag, note, *meant.notes)
    title = f"{template.name}:{version.tag}"
    at = vm.tag if vm is not None else ""
    here = vm is not None and size.download == 0 and (at == version.tag or version.tag in anka.host.tags(vm.id))
    evictions: list[Action] = []
    if inputs.make_room:
        evictions = room.make(anka, vms, template, version, size, shrink=inputs.shrink)
    else:
        checkout.check_room(title, size, shrink=inputs.shrink)
    losses: list[Loss] = []
    notes: list[str] = [*meant.notes]
    if vm is not None and not inputs.fetch_only:
        going = anka.host.tags(vm.id) if inputs.shrink else ()
        losses, more = checkout.local_losses(anka, vm, template, version.tag, going=going, content=content)
        notes += more
    text = f"{'fetch' if inputs.fetch_only else 'pull'} {title}{version.label}: {show_size(size.download)} to download"
    if here:
        text = f"check out {title}{version.label}, which is here already"
        done = "nothing is done" if inputs.fetch_only else "nothing is downloaded, and the VM is reset to it"
        notes.append(f"{title} is here already: {done}")
    total = size.size if size.size is not None else version.size
    with_ = {
        "id": template.id,
        "sought": anka.registry.sought(template),
        "tag": version.tag,
        "registry": anka.registry.url,
        "shrink": inputs.shrink,
        "fetch-only": inputs.fetch_only,
        "at": at,
        "local": False,
        "download": size.download,
        "shared": None if total is None else total - size.download,
    }
    pull = Action(verb="pull", text=text + (", without other local tags" if inputs.shrink else ""), with_=with_)
    expects: dict[str, object] = {"id": template.id, "name": template.name, "tag": version.tag, "already-here": here}
    expects |= {} if version.numbered is None else {"version": version.number}
    return Plan(
        step="pull",
        actions=() if here and inputs.fetch_only else (*evictions, pull),
        loses=tuple(losses),
        bytes=size.download,
        expects=expects,
        notes=tuple(notes),
    )


def _local(inputs: Inputs, anka: Anka, vm: Vm, tag: str, *notes: str) -> Plan:
    """Check out what is here; the registry is not asked, or cannot be, which the notes say."""
    with_ = {
        "id": vm.id,
        "sought": vm.id,
        "tag": tag,
        "registry": "",
        "shrink": inputs.shrink,
        "fetch-only": False,
        "at": vm.tag,
        "local": True,
        "download": 0,
        "shared": None,
    }
    return Plan(
        step="pull",
        actions=(Action(verb="pull", text=f"check out {vm.name}:{tag} from this host", with_=with_),),
        loses=tuple(checkout.offline_losses(anka, vm, tag, shrink=inputs.shrink)),
        expects={"id": vm.id, "name": vm.name, "tag": tag, "already-here": True},
        notes=notes,
    )


def run(plan: Plan, anka: Anka) -> Outputs:
    if not plan.actions:
        return build(Outputs, dict(plan.expects) | {"bytes-received": 0})
    *evictions, action = plan.actions
    with_: Mapping[str, Any] = action.with_
    if evictions:
        template = anka.registry.template(with_["id"])
        size = room.clear(anka, evictions, lambda: room.sized(anka, template, with_["tag"]))
        checkout.check_room(f"{template.name}:{with_['tag']}", size)
    if with_["local"]:
        for note in plan.notes:
            anka.tell(Said(text=note, level="warning"))
    moved = anka.host.pull(
        with_["sought"],
        with_["tag"],
        registry_url=with_["registry"],
        shrink=with_["shrink"],
        local=with_["local"],
        fetch_only=with_["fetch-only"],
    )
    checkout.verify(anka, with_["id"], with_["tag"], at=with_["at"], fetched=with_["fetch-only"])
    received = with_["download"] if moved.moved is None else moved.moved
    shared = with_["shared"] if moved.shared is None else moved.shared
    known = dict(plan.expects) | {"bytes-received": received}
    return build(Outputs, known if shared is None else known | {"bytes-shared": shared})
