"""Delete a VM of this host, or one of its local tags; the registry keeps what it has.

What no registry has would be lost and needs a confirmation: the VM's changes that were never pushed (for those of one
VM, as of a clone that a job has used, `confirm: yes` is enough), and every local tag that the registry does not have
with the very same content, judged by the names of its layer files. A registry that cannot be asked is taken to have
nothing. Layers that other VMs and tags use stay. A running VM is refused.

Deleting a tag leaves the VM as it is. Before Anka 3.0 only the name of the tag goes, and no space comes free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import FellShortError, NotFoundError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import removal, selection
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"vm": "sonoma"}
EXAMPLE_AFTER = (("pull", {"template": "sonoma"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    vm: str = arg("The VM of this host, by name or id.")
    tag: str | None = arg("Delete only this local tag of it.", default=None)
    if_missing: str = arg("What to do when there is no such VM or tag.", default="fail", choices=("fail", "skip"))


@dataclass(frozen=True, kw_only=True)
class Outputs:
    outcome: str = arg("What was done: deleted, or missing when there was nothing to delete.")
    id: str | None = arg("The VM's id.", default=None)
    name: str | None = arg("The VM's name.", default=None)
    tags: tuple[str, ...] = arg("The local tags that are gone.", default=())


def plan(inputs: Inputs, anka: Anka) -> Plan:
    try:
        vm = selection.local_vm(anka.host.vms(), inputs.vm)
        going = removal.of_tag(anka, vm, inputs.tag) if inputs.tag else removal.of_vm(anka, vm)
    except NotFoundError as error:
        if inputs.if_missing == "fail":
            raise
        expects = {"outcome": "missing", "tags": []}
        return Plan(step="delete-local", expects=expects, notes=(f"{error.message}: nothing is deleted",))
    title = f"{vm.name}:{inputs.tag}" if inputs.tag else vm.name
    text = f"delete the local tag {title}" if inputs.tag else f"delete the VM {title} ({vm.id})"
    if not inputs.tag and going.tags:
        text += f" with its local tags {selection.listed(going.tags)}"
    action = Action(verb="delete", text=text, with_={"id": vm.id, "tag": inputs.tag, "title": title})
    expects = {"outcome": "deleted", "id": vm.id, "name": vm.name, "tags": list(going.tags)}
    return Plan(step="delete-local", actions=(action,), loses=going.loses, expects=expects, notes=going.notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    if plan.actions:
        with_: Mapping[str, Any] = plan.actions[0].with_
        if with_["tag"]:
            anka.host.delete_tag(with_["id"], with_["tag"])
            there = with_["tag"] in anka.host.tags(with_["id"])
        else:
            anka.host.delete(with_["id"])
            there = any(vm.id == with_["id"] for vm in anka.host.vms())
        if there:
            raise FellShortError(f"anka deleted {with_['title']} and reported success, but it is still there")
    return build(Outputs, plan.expects)
