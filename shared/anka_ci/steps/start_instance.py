"""Start an instance of a template on a build node, and wait until it can be used.

It gets a lease: its external id is `anka-ci/OWNER/EXPIRY`, and `sweep` ends it when that is over, should nothing have
ended it before. A template that the node lacks is pulled first. With a `script` the instance counts as started only
when that has succeeded, unless `script-monitor: false`; the script is shown in the plan, so keep secrets out of it.

A `channel` of a fleet file names the template and the tag in place of `template` and `tag`; where it starts is still
said by `node` and `group`.

When it does not come up, or the wait is interrupted or times out, the instance is ended unless `on-failure: keep`. When
the controller's answer is lost, the instance is looked for and never started twice. The wait gives up when nothing
moved for as long as the lease, ten minutes at least.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError
from anka_ci.inputs import Duration, Size, arg, build, show_duration
from anka_ci.plan import Action, Plan
from anka_ci.rules import instances, lease, naming, placing, selection
from anka_ci.steps import Runs
from anka_ci.wire.instance import STARTED
from anka_ci.wire.start import Start

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma", "name": "example", "owner": "build-42"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str | None = arg("Template name or id.", default=None)
    tag: str | None = arg("Tag to start; the latest when left out.", default=None)
    channel: str | None = arg("Channel that names the template and its tag, in place of both.", default=None)
    fleet: str | None = arg("Path of the fleet file that has the channel.", default=None)
    node: str | None = arg("Node that is to run it, by name or id.", default=None)
    group: str | None = arg("Node group whose nodes may run it, by name or id.", default=None)
    name: str | None = arg("Name of the instance.", default=None)
    owner: str = arg("Whose it is: letters, digits and `. _ -`, such as a build's number.", default="anyone")
    lease: Duration = arg("How long it may run at most before `sweep` ends it.", default=Duration(7200))
    script: str | None = arg("Text of a script that a shell in the guest runs at the start.", default=None)
    script_file: str | None = arg("Path of a file with that script.", default=None)
    script_when: str = arg(
        "When the script runs: when the network is up, or at boot.", default="network", choices=("network", "boot")
    )
    script_monitor: bool = arg("Wait for the script, and fail when it fails.", default=True)
    script_timeout: Duration = arg("How long a monitored script may take.", default=Duration(90))
    vcpu: int | None = arg("Virtual CPU cores; the template's when left out.", default=None)
    memory: Size | None = arg("Memory, to the next whole MiB; the template's when left out.", default=None)
    on_failure: str = arg("What becomes of an instance that does not come up.", default="end", choices=("end", "keep"))

    def __post_init__(self) -> None:
        naming.check(self.template, self.channel, self.fleet, tag=self.tag)
        lease.check_owner(self.owner)
        lease.check_length(self.lease)
        selection.not_both(script=self.script, script_file=self.script_file)
        if self.script_timeout < 1:
            raise ValueError("script-timeout has to be one second at least")
        instances.check_size(self.vcpu, self.memory)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    instance_id: str = arg("The instance's id.")
    id: str = arg("The template's id.")
    template: str = arg("The template's name.")
    tag: str = arg("The tag that was started.")
    version: int = arg("The number of its version.")
    state: str = arg("The instance's state.")
    external_id: str = arg("Its lease, as the controller shows it.")
    expires: str = arg("Until when it may run, in UTC, such as 20260131T120000Z.")
    name: str | None = arg("The instance's name.", default=None)
    node: str | None = arg("Name of the node that runs it.", default=None)
    host: str | None = arg("Address of that node, for SSH.", default=None)
    ssh_port: int | None = arg("Port of the node that leads to the guest's SSH, where a rule does.", default=None)
    ip: str | None = arg("The guest's own address, where it is told.", default=None)
    script_output: str | None = arg("What a monitored script printed.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    meant = naming.meant(inputs.template, inputs.tag, inputs.channel, inputs.fleet, anka.context.name)
    placed = placing.place(anka, "start an instance", meant, inputs.node, inputs.group)
    script = instances.script(inputs.script, inputs.script_file)
    with_ = {
        "name": inputs.name or "",
        "node": placed.node,
        "group": placed.group,
        "owner": inputs.owner,
        "lease": float(inputs.lease),
        "script": script,
        "at-boot": inputs.script_when == "boot",
        "monitor": inputs.script_monitor,
        "script-timeout": int(inputs.script_timeout),
        "vcpu": inputs.vcpu,
        "vram": None if inputs.memory is None else -(-inputs.memory // (1 << 20)),
        "on-failure": inputs.on_failure,
    }
    named = f"{placed.template.name}:{placed.version.tag}"
    text = f"start {named} {placed.where} for {inputs.owner}, for {show_duration(inputs.lease)} at most"
    expects = placed.known | {"state": STARTED} | ({"name": inputs.name} if inputs.name else {})
    action = Action(verb="start", text=text + (", and run a script in it" if script else ""), with_=with_)
    return Plan(step="start-instance", actions=(action,), bytes=None, expects=expects, notes=meant.notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    known, with_ = dict(plan.expects), plan.actions[0].with_
    held = lease.make(str(with_["owner"]), float(str(with_["lease"])), anka.clock.now())
    known |= {"external-id": held.external_id, "expires": held.until}
    keep = with_["on-failure"] == "keep"
    known["instance-id"] = id_ = instances.begin(anka, _wanted(known, with_), keep=keep)
    try:
        found = instances.await_started(anka, id_, stall=max(instances.QUIET, float(str(with_["lease"]))))
        return build(Outputs, known | instances.facts(anka, found))
    except AnkaCiError as error:
        said = f"{id_} is kept" if keep else instances.end_now(anka, id_)
        error.message += f"; {said}"
        error.outputs = {key: value for key, value in known.items() if key != "state"}
        raise


def _wanted(known: Mapping[str, Any], with_: Mapping[str, Any]) -> Start:
    return Start(
        template_id=known["id"],
        tag=known["tag"],
        version=known["version"],
        name=with_["name"],
        external_id=known["external-id"],
        metadata=instances.mark(),
        node_id=with_["node"],
        group_id=with_["group"],
        script=with_["script"],
        script_at_boot=with_["at-boot"],
        script_monitored=with_["monitor"],
        script_timeout=with_["script-timeout"] if with_["monitor"] else None,
        vcpu=with_["vcpu"],
        vram=with_["vram"],
    )
