"""End the instances whose lease is over, and reconcile them with the CI system's runners.

Looks at all instances that anka-ci started (their external id is `anka-ci/OWNER/EXPIRY`), or at those of one `owner`,
and ends what is overdue by this machine's clock; run it on a schedule. Instances that another system started are never
touched, and a lease that cannot be read is told and left. Nothing has to be confirmed, because the lease said it all.

Where a CI system is connected, the runners of `start-runner` in a `scope` are looked at too: an instance whose runner
is gone ends, and an offline runner whose instance is gone is removed, each only by the name that `start-runner` gave
for this controller and this scope, and not in its first five minutes. Without a token it says that they were not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import AnkaCiError, BusyError, InterruptError, NotConnectedError
from anka_ci.inputs import Duration, arg, build
from anka_ci.plan import Action, Plan
from anka_ci.result import Said
from anka_ci.rules import hosting, instances, lease, runners, selection
from anka_ci.steps import Runs
from anka_ci.wire.instance import TERMINATED

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.instance import Instance

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"owner": "build-42", "ahead": "1d"}
EXAMPLE_AFTER = (("start-instance", {"template": "sonoma", "owner": "build-42"}),)


@dataclass(frozen=True, kw_only=True)
class Inputs:
    owner: str | None = arg("Owner whose instances are looked at; everybody's when left out.", default=None)
    ahead: Duration = arg("Also end what will be overdue within this time.", default=Duration(0))
    scope: str | None = arg(
        "Whose runners are looked at: `OWNER/NAME` or `ORGANISATION`; else the context's.", default=None
    )
    runners_token: str | None = arg(
        "Token of the CI system; else what its own variable holds, such as ANKA_CI_GITHUB_TOKEN.",
        default=None,
        secret=True,
    )

    def __post_init__(self) -> None:
        if self.owner is not None:
            lease.check_owner(self.owner)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    ended: tuple[str, ...] = arg("Ids of the instances that were ended.")
    left: tuple[str, ...] = arg("Ids of the instances whose lease is not over.")
    unreadable: tuple[str, ...] = arg("Ids of the instances whose lease cannot be read, which are left.")
    failed: tuple[str, ...] = arg("Ids of the instances that are to end and were not ended.")
    removed: tuple[str, ...] = arg("Names of the runners that were removed.", default=())
    not_removed: tuple[str, ...] = arg("Names of the runners that are to be removed and were not.", default=())


def plan(inputs: Inputs, anka: Anka) -> Plan:
    by = anka.clock.now() + inputs.ahead
    ending: dict[str, Action] = {}
    left, unreadable, notes = [], [], []
    found = anka.controller.instances.all()
    for each in found:
        try:
            held = lease.read(each.external_id)
        except ValueError as error:
            unreadable.append(each.id)
            notes.append(f"{instances.title(each)} is left: {error}")
            continue
        if held is None or inputs.owner not in (None, held.owner) or each.state == TERMINATED:
            continue
        if held.overdue(by):
            ending[each.id] = _end(each, f"of {held.owner}, whose lease is over at {held.until}")
        else:
            left.append(each.id)
    removing, said = _runners(inputs, anka, found, ending)
    expects = {
        "ended": [*ending],
        "left": [each for each in left if each not in ending],
        "unreadable": unreadable,
        "failed": [],
        "removed": [str(each.with_["runner"]) for each in removing if "runner" in each.with_],
        "not-removed": [],
    }
    return Plan(step="sweep", actions=(*ending.values(), *removing), expects=expects, notes=(*notes, *said))


def _runners(
    inputs: Inputs, anka: Anka, found: Sequence[Instance], ending: dict[str, Action]
) -> tuple[list[Action], list[str]]:
    """What is to be done with the runners, and notes; adds to ``ending`` the instances whose runner is gone."""
    meant = runners.meant(inputs.scope, inputs.runners_token)
    asked = inputs.scope or inputs.runners_token or anka.context.runners.scope
    try:
        listed, home = runners.look(anka, meant)
    except NotConnectedError as error:
        return [], [f"no runner was looked at: {error.message}"]
    except InterruptError:
        raise
    except AnkaCiError as error:  # the instances whose lease is over end all the same
        said = f"no runner was looked at: {error.message}"
        again = Action(verb="look", text=f"look at the runners again: {said}", with_=meant.emit(), writes=False)
        return ([again] if asked else []), [said]
    hosts = {each.id: named.text for each, named in hosting.hosts(found)}
    names = {hosts[id_]: "of an instance that ends" for id_ in ending if id_ in hosts}
    orphans = hosting.orphans(found, listed, home, anka.clock.now(), inputs.owner)
    names |= {each.name: "whose instance is gone" for each in orphans.runners}
    for each in orphans.instances:
        name = hosts[each.id]
        if not runners.look(anka, meant, name)[0]:  # a list that moves while it is read may have lacked it
            ending.setdefault(each.id, _end(each, f"whose runner {name} is gone"))
    others = selection.listed([each.name for each in orphans.elsewhere])
    notes = [f"{others}: left, of another controller or another URL of this one"] if orphans.elsewhere else []
    removing = [
        Action(
            verb="remove",
            text=f"remove the runner {each.name}, {names[each.name]}",
            with_={"runner": each.name, "runner-id": each.id, **meant.emit()},
        )
        for each in listed
        if each.name in names
    ]
    return removing, notes


def _end(each: Instance, why: str) -> Action:
    title = instances.title(each)
    return Action(verb="end", text=f"end {title} {why}", with_={"instance": each.id, "title": title})


def run(plan: Plan, anka: Anka) -> Outputs:
    targets = {str(each.with_["instance"]): str(each.with_["title"]) for each in plan.actions if each.verb == "end"}
    known = dict(plan.expects)
    failure: AnkaCiError | None = None
    try:
        instances.end(anka, targets)
    except AnkaCiError as error:
        failed = error.facts["instances"]
        assert isinstance(failed, dict)
        known |= {"ended": [each for each in targets if each not in failed], "failed": list(failed)}
        failure = error
    names = {str(each.with_["runner-id"]): str(each.with_["runner"]) for each in plan.actions if each.verb == "remove"}
    removed: set[str] = set()
    try:
        if not isinstance(failure, InterruptError):
            _reconcile(plan, anka, names, removed)
    except AnkaCiError as error:
        failure = failure or error
    known |= {"removed": [each for each in names.values() if each in removed]}
    known |= {"not-removed": [each for each in names.values() if each not in removed]}
    if failure is not None:
        failure.outputs = known
        raise failure
    return build(Outputs, known)


def _reconcile(plan: Plan, anka: Anka, names: Mapping[str, str], removed: set[str]) -> None:
    """Remove the runners (id to name); ``removed`` gets the names. Raises why they could not be looked at, still."""
    for each in plan.actions:
        if each.verb == "look":
            runners.look(anka, runners.Meant.read(each.with_))
            anka.tell(Said(text="the runners can be looked at again: the next sweep reconciles them", level="warning"))
    meant = next((runners.Meant.read(each.with_) for each in plan.actions if each.verb == "remove"), None)
    if meant is None:
        return
    refused = runners.remove(anka, meant, names, {}, wait=False, gone=removed)
    busy = [name for name, error in refused.items() if isinstance(error, BusyError)]
    for name in busy:
        anka.tell(Said(text=f"{name} runs a job still: a later sweep removes it", level="warning"))
    for error in (error for name, error in refused.items() if name not in busy):
        raise error
