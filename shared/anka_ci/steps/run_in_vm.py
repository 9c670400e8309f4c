"""Run a command or a script in a VM of this host, and stop the VM again.

Starts the VM, waits for its network, runs, tells each line as it comes, and then stops the VM, or suspends it or lets
it run with `afterwards`. A VM that runs already is used as it is and runs on. What the run changed is in the VM, ready
for `push`.

A `command` is passed on word by word. A `script` reaches a shell (`sh -eu`, so that it ends with the first command that
fails) on its standard input, whole before it begins; nothing is ever put into a text of ours. Variables travel in a
file that only this user can read; the values of `secret-env` are `***` in the plan and in what is printed.

A status other than 0 fails the step. Then the VM is stopped and set back to its current local tag (`on-failure: reset`,
as Anka advises for a VM that failed), and so it is after a time limit or an interruption. What the VM had of its own
before, which was in no tag, would be lost with that and needs a confirmation, for which `yes` is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, RefusedError
from anka_ci.inputs import Duration, arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import guests, selection
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"vm": "sonoma", "command": "uname"}
EXAMPLE_AFTER = (("pull", {"template": "sonoma"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    vm: str = arg("The VM of this host, by name or id.")
    command: tuple[str, ...] | None = arg("Program and arguments, one per line.", default=None)
    script: str | None = arg("Text of a script instead.", default=None)
    script_file: str | None = arg("Path of a file of this host with that script.", default=None)
    shell: str = arg("Shell that runs the script.", default="sh", choices=guests.SHELLS)
    env: dict[str, str] | None = arg("Variables for it: a mapping, or NAME=value on each line.", default=None)
    secret_env: dict[str, str] | None = arg(
        "Variables that are told nowhere: a mapping, or NAME=value on each line.", default=None, secret=True
    )
    folder: str | None = arg("Folder of the guest to run it in.", default=None)
    wait_network: bool = arg("Wait until the guest has a network.", default=True)
    script_timeout: Duration | None = arg("How long it may run; no limit when left out.", default=None)
    afterwards: str = arg(
        "What to do with a VM that was started for it, once it went well.",
        default="stop",
        choices=("stop", "suspend", "leave"),
    )
    on_failure: str = arg(
        "What to do with it when it failed: stop it and set it back to its tag, only stop it, or keep it as it is.",
        default="reset",
        choices=("reset", "stop", "keep"),
    )

    def __post_init__(self) -> None:
        selection.only_one(command=self.command, script=self.script, script_file=self.script_file)
        guests.values(self.env or {}, self.secret_env or {})


@dataclass(frozen=True, kw_only=True)
class Outputs:
    id: str = arg("The VM's id.")
    name: str = arg("The VM's name.")
    exit_status: int = arg("The status that the command or script ended with; also when the step fails for it.")
    output: str = arg("What it printed on its standard output; of more than 64 KiB the end.")
    state: str = arg("State of the VM afterwards: stopped, suspended or running.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    work = guests.work(inputs.command, inputs.script, inputs.script_file, inputs.shell)
    vm = selection.local_vm(anka.host.vms(), inputs.vm)
    if vm.status == "failed":
        hint = f"set it back to a tag: anka registry pull --local {vm.id}"
        raise RefusedError(f"the VM {vm.name} has failed and does not start", hint=hint, vm=vm.id)
    after = "leave" if vm.running else inputs.afterwards
    back = guests.fallback(anka, vm, inputs.on_failure)
    with_ = {
        "id": vm.id,
        "argv": list(work.argv),
        "script": work.script,
        "env": guests.values(inputs.env or {}, inputs.secret_env or {}),
        "folder": inputs.folder,
        "wait-network": inputs.wait_network,
        "script-timeout": None if inputs.script_timeout is None else float(inputs.script_timeout),
        "start": not vm.running,
        "afterwards": after,
        "on-failure": {"stop": back.stop, "tag": back.tag},
    }
    text = f"run {work.title} in {vm.name}" + ("" if after == "leave" else f", and {after} it afterwards")
    action = Action(verb="run", text=text, with_=with_)
    expects = {"id": vm.id, "name": vm.name, "exit-status": 0}
    return Plan(step="run-in-vm", actions=(action,), loses=back.loses, expects=expects, notes=back.notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    with_: Mapping[str, Any] = plan.actions[0].with_
    vm, known = with_["id"], {key: plan.expects[key] for key in ("id", "name")}
    work = guests.Work(argv=tuple(with_["argv"]), script=with_["script"])
    how = {"folder": with_["folder"], "timeout": with_["script-timeout"], "wait_network": with_["wait-network"]}
    began = False
    try:
        if with_["start"]:
            anka.host.start(vm)
        began = True
        done = guests.run(anka, vm, work, with_["env"], **how)
    except AnkaCiError as error:
        error.outputs = known | error.outputs
        if began or not isinstance(error, RefusedError):  # what Anka refuses to start is as it was
            became = guests.part(anka, vm, **with_["on-failure"])
            error.hint = f"{error.hint}\n  {became}" if error.hint else became
        raise
    known |= {"exit-status": done.status, "output": done.output}
    state = "running"
    try:
        if with_["afterwards"] == "stop":
            anka.host.stop(vm)
            state = "stopped"
        elif with_["afterwards"] == "suspend":
            anka.host.suspend(vm)
            state = anka.host.vm(vm).status
    except AnkaCiError as error:
        error.outputs = known
        raise
    return build(Outputs, known | {"state": state})
