"""End a CI runner that `start-runner` started: the runner is removed, and its instance ended.

Means one `runner` by its name, or all of an `owner`. One that runs a job now is refused, or waited for with
`while-busy: wait`, for as long as `timeout` allows; the CI system itself refuses to remove one that has just begun. The
runner is removed first, so that it takes no job any more. What is gone already, as a runner is after its job, is
nothing to do, so the step may run twice. A runner that anka-ci did not start is never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, BusyError, NotOursError, RefusedError
from anka_ci.inputs import arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import hosting, instances, runners
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"owner": "build-42", "scope": "mobile/app"}
EXAMPLE_AFTER = (("start-runner", {"template": "sonoma-runner", "scope": "mobile/app", "owner": "build-42"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    runner: str | None = arg("Name of the runner, an output of `start-runner`.", default=None)
    owner: str | None = arg("Owner whose runners are meant.", default=None)
    scope: str | None = arg("Whose runners they are: `OWNER/NAME` or `ORGANISATION`; else the context's.", default=None)
    runners_token: str | None = arg(
        "Token of the CI system; else what its own variable holds, such as ANKA_CI_GITHUB_TOKEN.",
        default=None,
        secret=True,
    )
    while_busy: str = arg("What to do while it runs a job.", default="refuse", choices=("refuse", "wait"))

    def __post_init__(self) -> None:
        if (self.runner is None) == (self.owner is None):
            raise ValueError("give runner or owner")
        if self.owner is not None:
            hosting.check_owner(self.owner)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    removed: tuple[str, ...] = arg("Names of the runners that were removed, or were gone by themselves meanwhile.")
    ended: tuple[str, ...] = arg("Ids of the instances that were ended.")
    pending: tuple[str, ...] = arg("Names of the runners that are there still, or whose instance is.")


def plan(inputs: Inputs, anka: Anka) -> Plan:
    if inputs.runner is not None and hosting.read(inputs.runner) is None:
        raise NotOursError(
            f"the runner {inputs.runner!r} bears no name that anka-ci gives",
            hint="name one of `start-runner`, or remove it in the CI system",
        )
    meant = runners.meant(inputs.scope, inputs.runners_token)
    listed, home = runners.look(anka, meant, inputs.runner)

    def chosen(named: hosting.Named | None) -> bool:
        if named is None or inputs.runner is not None:
            return named is not None and named.text == inputs.runner
        return named.owner == inputs.owner and named.home == home

    found = {each.name: each for each in listed if chosen(hosting.read(each.name))}
    hosts = {named.text: each for each, named in hosting.hosts(anka.controller.instances.all()) if chosen(named)}
    busy = [name for name, each in found.items() if each.busy]
    if busy and inputs.while_busy == "refuse":
        raise BusyError(
            f"{', '.join(busy)} runs a job now",
            hint="wait for it with `while-busy: wait`, or cancel the job; `stop-instance` ends its instance at once",
        )
    actions = []
    for name in sorted({*found, *hosts}):
        with_ = {"runner": name, **meant.emit(), "wait": inputs.while_busy == "wait"}
        with_ |= {"runner-id": found[name].id} if name in found else {}
        with_ |= {"instance": hosts[name].id} if name in hosts else {}
        text = f"end the runner {name} and its instance" if name in hosts else f"remove the runner {name}"
        text = text if name in found else f"end the instance that hosted {name}"
        actions.append(Action(verb="end", text=text, with_=with_))
    expects = {"removed": sorted(found), "ended": [each.id for _, each in sorted(hosts.items())], "pending": []}
    notes = () if actions else ("there is no such runner any more: nothing to do",)
    return Plan(step="stop-runner", actions=tuple(actions), expects=expects, notes=notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    told = [each.with_ for each in plan.actions]
    names = {str(each["runner-id"]): str(each["runner"]) for each in told if "runner-id" in each}
    hosts = {str(each["runner"]): str(each["instance"]) for each in told if "instance" in each}
    gone, left = {*hosts} - {*names.values()}, {*hosts.values()}
    refused: Mapping[str, RefusedError] = {}
    try:
        if told:
            meant, wait = runners.Meant.read(told[0]), bool(told[0]["wait"])
            refused = runners.remove(anka, meant, names, hosts, wait=wait, gone=gone)
        ending = {id_: name for name, id_ in hosts.items() if name not in refused}
        instances.end(anka, ending)
        left -= {*ending}
        if refused:
            listed = "; ".join(f"{name}: {why.message}" for name, why in refused.items())
            first = next(iter(refused.values()))
            raise type(first)(f"{len(refused)} of {len(names)} were not removed: {listed}", hint=first.hint)
    except AnkaCiError as error:
        kept = error.facts.get("instances")
        left = {*kept} | {hosts[name] for name in refused if name in hosts} if isinstance(kept, dict) else left
        error.outputs = _told(names, hosts, gone, left)
        raise
    return build(Outputs, _told(names, hosts, gone, left))


def _told(names: Mapping[str, str], hosts: Mapping[str, str], gone: set[str], left: set[str]) -> dict[str, object]:
    """The outputs: ``gone`` are names of runners, ``left`` ids of instances."""
    pending = {*names.values()} - gone | {name for name, id_ in hosts.items() if id_ in left}
    ended = [id_ for _, id_ in sorted(hosts.items()) if id_ not in left]
    return {"removed": sorted({*names.values()} & gone), "ended": ended, "pending": sorted(pending)}
