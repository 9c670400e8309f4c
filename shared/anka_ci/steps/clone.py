"""Clone a VM of this host, so that a job can use the clone and throw it away.

The clone is what the VM is now, or what one of its local tags is (Anka 3.0 and later); it has a new id and no tag. It
shares the layers of what it comes from, unless `copy: true`; Anka 3 shares only the layers of a VM that has a tag. The
VM must not run.

`if-exists: replace` deletes a VM of that name first, and what that loses is told as with `delete-local`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Loss, Plan
from anka_ci.rules import removal, selection
from anka_ci.steps import Runs
from anka_ci.wire.values import check_name

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.vm import Vm

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"vm": "sonoma", "name": "example"}
EXAMPLE_AFTER = (("pull", {"template": "sonoma"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    vm: str = arg("The VM of this host to clone, by name or id.")
    name: str = arg("Name of the clone.")
    tag: str | None = arg("Local tag to clone; what the VM is now when left out.", default=None)
    copy: bool = arg("Copy the layers rather than share them.", default=False)
    if_exists: str = arg("What to do when a VM of that name exists.", default="fail", choices=("fail", "replace"))


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The clone's id.")
    name: str = arg("The clone's name.")
    source: str = arg("Id of the VM that was cloned.")
    source_tag: str | None = arg("Its local tag that was cloned, or that it is at; absent without one.", default=None)
    replaced: str | None = arg("Id of the VM that was deleted before.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    name, vms = check_name(inputs.name), anka.host.vms()
    vm = selection.local_vm(vms, inputs.vm)
    notes: list[str] = []
    if inputs.tag is None:
        selection.check_stopped(vm, f"clone {vm.name}")
        if not vm.tag and not inputs.copy:
            notes.append(
                f"{vm.name} has no tag, and Anka 3 shares layers only with a tag: this may take its whole size"
            )
    elif inputs.tag not in (tags := anka.host.tags(vm.id)):
        raise NotFoundError("local tag", inputs.tag, where=f"the VM {vm.name}", known=tags)
    there = [each for each in vms if each.name == name]
    title = f"{vm.name}:{inputs.tag}" if inputs.tag else vm.name
    text = f"clone {title} as {name}" + (", with layers of its own" if inputs.copy else "")
    loses: tuple[Loss, ...] = ()
    if there:
        old = _replaceable(inputs, vm, there)
        going = removal.of_vm(anka, old)
        loses, text = going.loses, f"{text}, in place of the VM {old.id}"
        notes += going.notes
    with_ = {"id": vm.id, "name": name, "tag": inputs.tag, "copy": inputs.copy, "old": there[0].id if there else None}
    expects = {"name": name, "source": vm.id, "source-tag": inputs.tag or vm.tag or None, "replaced": with_["old"]}
    return Plan(
        step="clone",
        actions=(Action(verb="clone", text=text, with_=with_),),
        loses=loses,
        expects={key: value for key, value in expects.items() if value is not None},
        notes=tuple(notes),
    )


def _replaceable(inputs: Inputs, source: Vm, there: list[Vm]) -> Vm:
    """The VM that a clone takes the place of; refused where that is not asked for, or makes no sense."""
    if any(each.id == source.id for each in there):
        raise UsageError(f"{source.name} cannot be cloned under its own name", hint="choose another name")
    if inputs.if_exists == "fail":
        hint = "choose another name, delete it with delete-local, or say if-exists: replace"
        raise RefusedError(f"a VM named {inputs.name} exists on this host ({there[0].id})", hint=hint)
    return selection.local_vm(there, inputs.name)


def run(plan: Plan, anka: Anka) -> Outputs:
    with_: Mapping[str, Any] = plan.actions[0].with_
    if with_["old"]:
        anka.host.delete(with_["old"])
    made = anka.host.clone(with_["id"], with_["name"], tag=with_["tag"], copy=with_["copy"])
    return build(Outputs, dict(plan.expects) | {"id": made.id})
