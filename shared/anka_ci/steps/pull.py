"""Pull a template tag onto this host.

Downloads the layers that are not here and checks the tag out: the VM of that template becomes what the tag is. A tag
that is here already is checked out as well, which resets a VM that was changed, its settings included. Changes that
were not pushed, and with `shrink` other local tags that the registry does not have, would be lost and need a
confirmation; `confirm: yes` is enough for the unpushed changes of the one VM. A running VM is refused.

A download that does not fit is refused before it begins; what `shrink` removes is needed until it is complete. With
`make-room: true` as much as it needs is removed first: VMs and local tags of this host that the registry has with the
very same content, least recently used first, and never what a VM runs from or is made of. A VM of which the `anka`
command does not tell that, such as a clone that was started, may be made of anything, so then nothing is removed.

With `if-unreachable: use-local` a registry that cannot be reached is no failure where the tag (the VM's current one
when none is given) is on this host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import FellShortError, UnreachableError
from anka_ci.inputs import arg, build, show_size
from anka_ci.plan import Action, Loss, Plan
from anka_ci.result import Said
from anka_ci.rules import checkout, room
from anka_ci.rules.lineage import Content
from anka_ci.steps import Runs
from anka_ci.wire.vm import DownloadSize

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "tag": "base"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("Template name or id; the host's architecture narrows a name.")
    tag: str | None = arg("Tag to pull; the latest when left out.", default=None)
    version: int | None = arg("Version number to pull, from 0; must agree with tag.", default=None)
    shrink: bool = arg("Afterwards remove the template's other local tags.", default=False)
    make_room: bool = arg(
        "Remove what was not used for longest from this host when the download does not fit.", default=False
    )
    if_unreachable: str = arg(
        "What to do when the registry cannot be reached.", default="fail", choices=("fail", "use-local")
    )


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    tag: str = arg("The tag that is checked out.")
    already_here: bool = arg("Whether the tag was on this host before.")
    version: int | None = arg("The number of its version; absent when the registry was not reached.", default=None)
    bytes_received: int | None = arg("Bytes that were downloaded.", default=None)
    bytes_shared: int | None = arg("Bytes of the tag that were here before.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    try:
        arch = anka.host.arch()
        template = anka.registry.template(inputs.template, arch=arch)
        version = template.pick(inputs.tag, inputs.version)
        vms = anka.host.vms()
        vm = checkout.own_vm(vms, template, version, arch)
        content = Content.of_config(anka.host.config(vm.id)) if vm else None
        same = vm is not None and content is not None and checkout.reached(vm, content, version)
        size = DownloadSize.none(version.size) if same else room.sized(anka, template, version.tag)
    except UnreachableError as error:
        if inputs.if_unreachable == "fail":
            raise
        return _local(inputs, anka, error)
    title = f"{template.name}:{version.tag}"
    current = vm is not None and vm.tag == version.tag
    here = vm is not None and size.download == 0 and (current or version.tag in anka.host.tags(vm.id))
    evictions: list[Action] = []
    if inputs.make_room:
        evictions = room.make(anka, vms, template, version, size, shrink=inputs.shrink)
    else:
        checkout.check_room(title, size, shrink=inputs.shrink)
    losses: list[Loss] = []
    notes: list[str] = []
    if vm is not None:
        going = anka.host.tags(vm.id) if inputs.shrink else ()
        losses, notes = checkout.local_losses(anka, vm, template, version.tag, going=going, content=content)
    text = f"pull {title}{version.label}: {show_size(size.download)} to download"
    if here:
        text = f"check out {title}{version.label}, which is here already"
        notes.append(f"{title} is here already: nothing is downloaded, and the VM is reset to it")
    with_ = {"id": template.id, "tag": version.tag, "shrink": inputs.shrink, "registry": anka.registry.url}
    with_["sought"] = anka.registry.sought(template)
    total = size.size if size.size is not None else version.size
    with_ |= {
        "local": False,
        "current": current,
        "download": size.download,
        "shared": None if total is None else total - size.download,
    }
    expects: dict[str, object] = {"id": template.id, "name": template.name, "tag": version.tag}
    expects |= {} if version.numbered is None else {"version": version.number}
    expects["already-here"] = here
    return Plan(
        step="pull",
        actions=(
            *evictions,
            Action(verb="pull", text=text + (", without other local tags" if inputs.shrink else ""), with_=with_),
        ),
        loses=tuple(losses),
        bytes=size.download,
        expects=expects,
        notes=tuple(notes),
    )


def _local(inputs: Inputs, anka: Anka, error: UnreachableError) -> Plan:
    """Check out what is here, because the registry cannot be asked."""
    vm, tag = checkout.local_tag(anka, inputs.template, inputs.tag, inputs.version, error)
    note = f"{error.message}; using {vm.name}:{tag} as it is on this host"
    with_ = {
        "id": vm.id,
        "sought": vm.id,
        "tag": tag,
        "shrink": inputs.shrink,
        "registry": "",
        "local": True,
        "current": vm.tag == tag,
        "download": 0,
        "shared": None,
    }
    return Plan(
        step="pull",
        actions=(Action(verb="pull", text=f"check out {vm.name}:{tag} from this host", with_=with_),),
        loses=tuple(checkout.offline_losses(anka, vm, tag, shrink=inputs.shrink)),
        expects={"id": vm.id, "name": vm.name, "tag": tag, "already-here": True},
        notes=(note,),
    )


def run(plan: Plan, anka: Anka) -> Outputs:
    *evictions, action = plan.actions
    with_: Mapping[str, Any] = action.with_
    if evictions:
        template = anka.registry.template(with_["id"])
        size = room.clear(anka, evictions, lambda: room.sized(anka, template, with_["tag"]))
        checkout.check_room(f"{template.name}:{with_['tag']}", size)
    if with_["local"]:
        anka.tell(Said(text=plan.notes[0], level="warning"))
    moved = anka.host.pull(
        with_["sought"], with_["tag"], registry_url=with_["registry"], shrink=with_["shrink"], local=with_["local"]
    )
    # A VM that was at the tag before cannot be at another now.
    current = with_["tag"] if with_["current"] else anka.host.vm(with_["id"]).tag
    if current != with_["tag"]:
        raise FellShortError(
            f"anka pulled {with_['tag']} and reported success, but the VM is at {current or 'no tag'}",
            hint="is `pull_checkout` off in `anka config`? Check the tag out: anka registry pull --local",
        )
    received = with_["download"] if moved.moved is None else moved.moved
    shared = with_["shared"] if moved.shared is None else moved.shared
    known = dict(plan.expects) | {"bytes-received": received}
    return build(Outputs, known if shared is None else known | {"bytes-shared": shared})
