"""Push a VM of this host to the registry as a new tag.

The tag becomes a version of the template of the VM's id (of `onto` where that is given); the template is made with the
first push. Only layers that the registry does not have are sent. Where the tag exists with the very same content,
judged by the names of its layer files, nothing is done, whatever `if-exists` says. Inside an Anka VM
there is no `anka` command: `save-image` pushes the VM from there.

`if-exists: replace` puts the VM in place of the newest version; what that version was is lost and needs a confirmation,
for which `yes` is enough. An older version is never replaced, because every newer one would go with it. Nodes that hold
the old content would keep it under the same name, so that nothing tells the two apart: where a controller is configured
that reports such nodes, it is refused. Evict it there first, or say `if-held: keep` and distribute the tag with
`again: true` afterwards. A local tag of that name with another content, as a revert in the registry leaves it behind,
is lost as well, and `yes` is enough.

With `shallow` the registry gets one layer that holds what all layers of the VM hold, so that the tag needs no older one
and shares nothing with it: the way to leave behind what older tags keep of what was deleted since. The names of its
layers are known only once it is there, so that after a failure it cannot be told whether it has arrived, and the
failure stays one. The `anka` command has it since 3.0, and takes no client certificate then.

With `local` no registry is asked, and what the VM is only becomes a local tag: since 3.0 a clone shares the layers of a
tagged VM only. `if-exists` is about the local tag then.

In an OCI registry (`oci://HOST/PREFIX`) the VM becomes the repository `PREFIX/NAME`. Versions have no numbers there and
nothing goes with a tag, so any tag can be replaced; the tag `latest` becomes an alias of what was pushed last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, FellShortError, InterruptError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Loss, Plan
from anka_ci.result import Said
from anka_ci.rules import lineage, selection, truth
from anka_ci.rules.lineage import Content
from anka_ci.steps import Runs
from anka_ci.wire.vm import Moved

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.vm import Vm

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "tag": "v2"}
EXAMPLE_AFTER = (("pull", {"template": "sonoma"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str = arg("The VM of this host to push, by name or id.")
    tag: str = arg("Tag to push it as.")
    description: str = arg("Description of the version.", default="", may_be_empty=True)
    onto: str | None = arg("Existing template of the registry to add the version to, by name or id.", default=None)
    if_exists: str = arg(
        "What to do when the tag exists with another content.", default="fail", choices=("fail", "skip", "replace")
    )
    if_held: str = arg(
        "What to do when nodes hold the tag that is replaced: they keep its old content.",
        default="refuse",
        choices=("refuse", "keep"),
    )
    shallow: bool = arg("Push one layer that holds what all layers hold (Anka 3.0 and later).", default=False)
    local: bool = arg("Ask no registry, and only make a local tag.", default=False)

    def __post_init__(self) -> None:
        if self.local and (self.onto is not None or self.shallow):
            raise ValueError("local does not go with onto or shallow: they are about what a registry gets")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The template's id in the registry.")
    name: str = arg("The template's name in the registry.")
    tag: str = arg("The tag.")
    version: int | None = arg("The number of its version, from 0; none in an OCI registry or of a local tag.")
    outcome: str = arg("What was done: pushed, replaced, tagged, skipped, or unchanged for the same content.")
    bytes_sent: int | None = arg("Bytes that were sent, where the command tells.", default=None)
    bytes_shared: int | None = arg("Bytes that the registry had before, where the command tells.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    selection.check_new_tag(inputs.tag, anka.context.tag_pattern)
    vm = anka.host.vm(selection.local_vm(anka.host.vms(), inputs.template).id)
    selection.check_stopped(vm, f"push {vm.name}")
    content = Content.of_config(anka.host.config(vm.id))
    if inputs.local:
        return _local(inputs, anka, vm, content)
    target = lineage.target(anka, vm, inputs.onto)
    versions = (target.versions or ()) if target else ()
    there = next((version for version in versions if version.tag == inputs.tag), None)
    name = target.name if target else vm.name
    title = f"{name}:{inputs.tag}"
    expects: dict[str, object] = {"id": target.id if target else vm.id, "name": name, "tag": inputs.tag}
    if there is not None and (content.same(Content.of_version(there)) or inputs.if_exists == "skip"):
        same = content.same(Content.of_version(there))
        said = "exists with the very same content" if same else "exists with another content, and if-exists is skip"
        expects |= {"version": there.numbered, "outcome": "unchanged" if same else "skipped", "bytes-sent": 0}
        return Plan(step="push", expects=expects, notes=(f"{title} {said}: nothing is sent",))
    if there is not None and target is not None:
        lost: Loss | None = lineage.replaced(target, there, wanted=inputs.if_exists == "replace")
        notes = truth.replacing(anka, target, inputs.tag, keep=inputs.if_held == "keep")
    else:
        notes = []
        lost = lineage.leftover(anka, vm, inputs.tag, content, versions)
    force = there is not None or lost is not None
    anka.host.check(anka.registry.url, shallow=inputs.shallow, force=force)
    number = lineage.number(anka, target, there)
    expects |= {"version": number, "outcome": "replaced" if there else "pushed"}
    label = "" if number is None else f" (version {number})"
    text = f"push {vm.name} in place of {title}" if there else f"push {vm.name} as {title}{label}"
    text += ("" if target else ", a new template") + (", as one layer" if inputs.shallow else "")
    old = Content.of_version(there) if there is not None else None
    home = anka.registry.sought(target) if target else vm.id if anka.registry.STACK else vm.name
    anka.registry.repository(home)  # which a name may be unfit for
    with_ = {
        "vm": vm.id,
        "onto": anka.registry.sought(target) if target and inputs.onto else None,
        "home": home,
        "description": inputs.description,
        "registry": anka.registry.url,
        "local": False,
        "shallow": inputs.shallow,
        "replaces": {"top": old.top, "state": old.state} if old else None,
        "force": force,
        "top": content.top,
        "state": content.state,
    }
    action = Action(verb="push", text=text, with_=with_)
    losses = (lost,) if lost else ()
    return Plan(step="push", actions=(action,), loses=losses, bytes=None, expects=expects, notes=tuple(notes))


def _local(inputs: Inputs, anka: Anka, vm: Vm, content: Content) -> Plan:
    """Only make a local tag."""
    outcome, lost = lineage.retagged(anka, vm, inputs.tag, content, if_exists=inputs.if_exists)
    title = f"{vm.name}:{inputs.tag}"
    expects: dict[str, object] = {"id": vm.id, "name": vm.name, "tag": inputs.tag, "version": None, "outcome": outcome}
    expects |= {"bytes-sent": 0}
    if outcome in ("unchanged", "skipped"):
        said = "with the very same content" if outcome == "unchanged" else "with another content, and if-exists is skip"
        return Plan(step="push", expects=expects, notes=(f"the local tag {title} exists {said}: nothing is done",))
    force = lost is not None or inputs.tag in anka.host.tags(vm.id)
    anka.host.check("", force=force)
    with_ = {"vm": vm.id, "local": True, "description": inputs.description, "force": force, "top": content.top}
    action = Action(verb="push", text=f"make what {vm.name} is now the local tag {title}", with_=with_)
    return Plan(step="push", actions=(action,), loses=(lost,) if lost else (), expects=expects)


def run(plan: Plan, anka: Anka) -> Outputs:
    known = dict(plan.expects)
    if not plan.actions:
        return build(Outputs, known)
    with_: Mapping[str, Any] = plan.actions[0].with_
    if with_["local"]:
        vm, tag = with_["vm"], str(known["tag"])
        anka.host.tag(vm, tag, description=with_["description"], force=with_["force"])
        if (at := anka.host.vm(vm).tag) != tag:
            raise FellShortError(f"anka made the local tag {tag} and reported success, but the VM is at {at or 'none'}")
        return build(Outputs, known)
    home, tag = str(with_["home"]), str(known["tag"])
    content = Content(top=with_["top"], state=with_["state"])
    try:
        moved = anka.host.push(
            with_["vm"],
            tag,
            registry_url=with_["registry"],
            description=with_["description"],
            onto=with_["onto"],
            force=with_["force"],
            shallow=with_["shallow"],
        )
    except InterruptError:
        raise
    except AnkaCiError as error:
        if with_["shallow"] or lineage.rescued(anka, home, tag, content) is None:
            raise
        moved = Moved()
        text = f"{error.message}; but the registry has {tag} with exactly these layers, so the push has arrived"
        anka.tell(Said(text=text, level="warning"))
    number = moved.version
    old = Content(**with_["replaces"]) if with_["replaces"] else None
    if number is None or old:
        alike = content if old and not with_["shallow"] else None
        number = lineage.arrived(anka, home, tag, content=alike, unlike=old).numbered
    known["version"] = number
    found = {"bytes-sent": moved.moved, "bytes-shared": moved.shared}
    return build(Outputs, known | {key: value for key, value in found.items() if value is not None})
