"""Start a CI runner in an instance of a template, and wait until it is online.

The runner takes one job and is gone afterwards. Let a job run on it by its name, which is a label of its own, and end
it with `stop-runner`. It needs a CI system: a token in the environment, and a `scope` whose runners it may make. The
template has to hold the runner's agent in `folder`, or the `script` has to bring it.

What the agent signs in with is good for this one runner and this one job. It reaches the guest in the startup script of
the instance, so it is where Anka keeps that script; it stands in no plan, log, output or external id.

A `channel` of a fleet file names the template and the tag in place of `template` and `tag`; where it starts is still
said by `node` and `group`.

The instance has a lease, as with `start-instance`. When the runner is not online in time, or the wait is interrupted,
the instance is ended and the runner removed, unless `on-failure: keep`; what is left all the same is `sweep`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError
from anka_ci.inputs import Duration, Size, arg, build, show_duration
from anka_ci.plan import Action, Plan
from anka_ci.rules import hosting, instances, lease, naming, placing, runners, selection
from anka_ci.steps import Runs
from anka_ci.wire.start import Start

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.runners import Registered

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"template": "sonoma-runner", "scope": "mobile/app", "owner": "build-42"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    template: str | None = arg("Template name or id.", default=None)
    tag: str | None = arg("Tag to start; the latest when left out.", default=None)
    channel: str | None = arg("Channel that names the template and its tag, in place of both.", default=None)
    fleet: str | None = arg("Path of the fleet file that has the channel.", default=None)
    scope: str | None = arg("Whose runner it is: `OWNER/NAME` or `ORGANISATION`; else the context's.", default=None)
    runners_token: str | None = arg(
        "Token of the CI system; else what its own variable holds, such as ANKA_CI_GITHUB_TOKEN.",
        default=None,
        secret=True,
    )
    runner_group: str | None = arg("Runner group, by name or number; else the context's.", default=None)
    labels: tuple[str, ...] | None = arg(
        "More labels beside the runner's name; any job with such a label may take it.", default=None
    )
    node: str | None = arg("Node that is to run it, by name or id.", default=None)
    group: str | None = arg("Node group whose nodes may run it, by name or id.", default=None)
    owner: str = arg("Whose it is: 28 letters, digits and `. _ -` at most, such as a build's number.", default="anyone")
    lease: Duration = arg("How long it may run at most before `sweep` ends it.", default=Duration(7200))
    folder: str = arg("Folder of the runner's agent in the guest, from its home.", default=hosting.FOLDER)
    script: str | None = arg("Text of a script that runs in the guest before the agent.", default=None)
    script_file: str | None = arg("Path of a file with that script.", default=None)
    script_timeout: Duration = arg("How long that script may take.", default=Duration(90))
    online_within: Duration = arg("How long the runner may take then to be online.", default=Duration(300))
    vcpu: int | None = arg("Virtual CPU cores; the template's when left out.", default=None)
    memory: Size | None = arg("Memory, to the next whole MiB; the template's when left out.", default=None)
    on_failure: str = arg(
        "What becomes of a runner that is not online in time.", default="end", choices=("end", "keep")
    )

    def __post_init__(self) -> None:
        naming.check(self.template, self.channel, self.fleet, tag=self.tag)
        hosting.check_owner(self.owner)
        lease.check_length(self.lease)
        selection.not_both(script=self.script, script_file=self.script_file)
        if self.script_timeout < 1 or self.online_within < 1:
            raise ValueError("script-timeout and online-within have to be one second at least")
        instances.check_size(self.vcpu, self.memory)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    runner: str = arg("The runner's name, and the label of it alone: a job with `runs-on` this runs on it.")
    labels: tuple[str, ...] = arg("All its labels.")
    instance_id: str = arg("The id of the instance.")
    where: str = arg("Where the runner is registered, as a URL.")
    id: str = arg("The template's id.")
    template: str = arg("The template's name.")
    tag: str = arg("The tag that was started.")
    version: int = arg("The number of its version.")
    external_id: str = arg("The instance's lease, as the controller shows it.")
    expires: str = arg("Until when it may run, in UTC, such as 20260131T120000Z.")
    node: str | None = arg("Name of the node that runs it.", default=None)
    host: str | None = arg("Address of that node, for SSH.", default=None)
    ssh_port: int | None = arg("Port of the node that leads to the guest's SSH, where a rule does.", default=None)
    ip: str | None = arg("The guest's own address, where it is told.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    meant = runners.meant(inputs.scope, inputs.runners_token)
    where = meant.door(anka).where
    named = naming.meant(inputs.template, inputs.tag, inputs.channel, inputs.fleet, anka.context.name)
    placed = placing.place(anka, "start a runner", named, inputs.node, inputs.group)
    with_ = {
        **meant.emit(),
        "runner-group": inputs.runner_group or anka.context.runners.group,
        "labels": list(inputs.labels or ()),
        "node": placed.node,
        "group": placed.group,
        "owner": inputs.owner,
        "lease": float(inputs.lease),
        "folder": inputs.folder,
        "script": instances.script(inputs.script, inputs.script_file),
        "script-timeout": int(inputs.script_timeout),
        "online-within": float(inputs.online_within),
        "vcpu": inputs.vcpu,
        "vram": None if inputs.memory is None else -(-inputs.memory // (1 << 20)),
        "on-failure": inputs.on_failure,
    }
    title = f"{placed.template.name}:{placed.version.tag}"
    lasts = f"for {inputs.owner}, for {show_duration(inputs.lease)} at most"
    register = Action(verb="register", text=f"register a runner at {where}", with_={"where": where})
    start = Action(verb="start", text=f"start {title} {placed.where} {lasts}, and the runner in it", with_=with_)
    expects = placed.known | {"where": where}
    return Plan(step="start-runner", actions=(register, start), bytes=None, expects=expects, notes=named.notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    known, with_ = dict(plan.expects), plan.actions[1].with_
    meant, keep = runners.Meant.read(with_), with_["on-failure"] == "keep"
    held = lease.make(str(with_["owner"]), float(str(with_["lease"])), anka.clock.now())
    named = hosting.make(held.owner, runners.home(anka, meant.door(anka)), anka.clock.now())
    labels = [named.text, *_texts(with_["labels"])]
    known |= {"runner": named.text, "labels": labels, "external-id": held.external_id, "expires": held.until}
    made = runners.register(anka, meant, named, labels, _text(with_["runner-group"]))
    id_: str | None = None
    try:
        known["instance-id"] = id_ = instances.begin(anka, _wanted(known, with_, made), keep=keep)
        found = instances.await_started(anka, id_, stall=max(instances.QUIET, float(str(with_["lease"]))))
        runners.await_online(anka, meant, made.runner, id_, float(str(with_["online-within"])))
        facts = instances.facts(anka, found)
        return build(Outputs, known | {key: facts[key] for key in ("node", "host", "ssh-port", "ip") if key in facts})
    except AnkaCiError as error:
        said = (
            f"{named.text} and its instance are kept" if keep else runners.take_down(anka, meant, made.runner.id, id_)
        )
        error.message += f"; {said}"
        error.outputs = known
        raise


def _wanted(known: Mapping[str, Any], with_: Mapping[str, Any], made: Registered) -> Start:
    return Start(
        template_id=known["id"],
        tag=known["tag"],
        version=known["version"],
        name=known["runner"],
        external_id=known["external-id"],
        metadata=instances.mark() | {hosting.MARK: known["runner"]},
        node_id=with_["node"],
        group_id=with_["group"],
        script=hosting.script(made.start, with_["folder"], with_["script"]),
        script_monitored=True,
        script_timeout=with_["script-timeout"],
        vcpu=with_["vcpu"],
        vram=with_["vram"],
    )


def _text(found: object) -> str | None:
    return None if found is None else str(found)


def _texts(found: object) -> tuple[str, ...]:
    return tuple(map(str, found)) if isinstance(found, (list, tuple)) else ()
