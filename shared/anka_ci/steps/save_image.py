"""Save a running instance as a new tag of a template, or as a new template.

The way to push from inside an Anka VM, where there is no `anka` command: the controller stops the instance and has its
node push it. Goes to the instance's own template, to `template`, or to a `new-template`. Waits until it is done and the
registry shows the tag. Success ends the instance, so it needs a confirmation, for which `yes` is enough; after a
failure it runs on. A tag that exists is refused before anything begins, and nothing is ever replaced.

A failed job saves nothing: where the job's status is passed as `job-status`, anything but `success` (or nothing) skips
the step and leaves the instance running. A `script` runs in the guest before, to clean it up; when that fails nothing
is pushed, unless `on-script-failure: save`. It is shown in the plan, so keep secrets out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Loss, Plan
from anka_ci.rules import instances, saving, selection
from anka_ci.steps import Runs
from anka_ci.wire.start import Save

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"instance": "example", "tag": "v2"}
EXAMPLE_AFTER = (("start-instance", {"template": "sonoma", "name": "example"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    instance: str = arg("The running instance, by id or name.")
    tag: str = arg("Tag to save it as.")
    template: str | None = arg("Template that gets the tag, by name or id; its own when left out.", default=None)
    new_template: str | None = arg("Name of a template to make instead.", default=None)
    description: str = arg("Description of the version.", default="", may_be_empty=True)
    job_status: str = arg(
        "Status of the job, such as GitHub's `job.status`; nothing is saved unless it is success or empty.",
        default="",
        may_be_empty=True,
    )
    suspend: bool = arg("Suspend the VM rather than stop it, so that it starts sooner.", default=True)
    script: str | None = arg("Text of a script that a shell in the guest runs before.", default=None)
    script_file: str | None = arg("Path of a file with that script.", default=None)
    on_script_failure: str = arg("What to do when the script fails.", default="cancel", choices=("cancel", "save"))

    def __post_init__(self) -> None:
        selection.not_both(template=self.template, new_template=self.new_template)
        selection.not_both(script=self.script, script_file=self.script_file)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    outcome: str = arg("What was done: saved, or skipped because of the job's status.")
    tag: str = arg("The tag.")
    id: str | None = arg("The template's id.", default=None)
    template: str | None = arg("The template's name.", default=None)
    version: int | None = arg("The number of the version, from 0.", default=None)
    request_id: str | None = arg("Id of the controller's save-image request.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    selection.check_new_tag(inputs.tag, anka.context.tag_pattern)
    if inputs.job_status.strip().lower() not in ("", "success"):
        note = f"the job's status is {inputs.job_status.strip()}: nothing is saved, and the instance runs on"
        return Plan(step="save-image", expects={"outcome": "skipped", "tag": inputs.tag}, notes=(note,))
    script = instances.script(inputs.script, inputs.script_file)
    instance = instances.pick(anka.controller.instances.all(), inputs.instance)
    saving.check_running(instance)
    expects: dict[str, object] = {"outcome": "saved", "tag": inputs.tag}
    if inputs.new_template is not None:
        name, text = saving.check_new(anka, inputs.new_template), "a new template"
        expects |= {"template": name, "version": 0}
    else:
        sought = inputs.template
        target = anka.registry.template(sought) if sought else anka.registry.by_id(instance.template_id)
        saving.check_absent(target, inputs.tag)
        name, number = target.name, target.newest.number + 1 if target.versions else 0
        text = f"version {number}"
        expects |= {"id": target.id, "template": name, "version": number}
    title = instances.title(instance)
    with_ = {
        "instance": instance.id,
        "title": title,
        "new-template": inputs.new_template is not None,
        "description": inputs.description,
        "suspend": inputs.suspend,
        "script": script,
        "on-script-failure": inputs.on_script_failure,
    }
    text = f"save the instance {title} as {name}:{inputs.tag} ({text})" + (", after a script in it" if script else "")
    lost = Loss(text=f"the instance {title}, which ends once it is saved", little=True)
    action = Action(verb="save", text=text, with_=with_)
    return Plan(step="save-image", actions=(action,), loses=(lost,), bytes=None, expects=expects)


def run(plan: Plan, anka: Anka) -> Outputs:
    known: dict[str, Any] = dict(plan.expects)
    if not plan.actions:
        return build(Outputs, known)
    with_: Mapping[str, Any] = plan.actions[0].with_
    target = {"new_template": known["template"]} if with_["new-template"] else {"template_id": known["id"]}
    wanted = Save(
        instance_id=with_["instance"],
        tag=known["tag"],
        description=with_["description"],
        suspend=with_["suspend"],
        script=with_["script"],
        cancel_on_script_failure=with_["on-script-failure"] == "cancel",
        **target,
    )
    known["request-id"] = saving.begin(anka, wanted)
    try:
        saving.follow(anka, known["request-id"])
        template, version = saving.arrived(anka, wanted.tag, **target)
    except AnkaCiError as error:
        told = ("tag", "id", "template", "request-id")
        error.outputs = {key: known[key] for key in told if key in known}
        raise
    return build(Outputs, known | {"id": template.id, "template": template.name, "version": version.number})
