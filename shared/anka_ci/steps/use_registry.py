"""Make a registry the default of this user's `anka` command, or add, list or forget the registries that it knows.

For scripts and plugins that call `anka` without naming a registry; the steps here name theirs on every call and never
need it. The default is one for all that this user runs on the host, so builds at the same time see each other's.

`add` remembers a registry under a name, the context's own when no `url` is given, and makes it the default; it does
nothing where that is so already, and refuses a name that stands for another address. `set` makes a known one the
default. `forget` drops one, with what Anka keeps of how it is signed in to, so it needs a confirmation, for which `yes`
is enough.

With `temporary: true` a pipeline file puts the former default back at the end of its run, however that ends, and
forgets what was added. A command, an action or a Jenkins variable ends with itself: there `former` and `added` tell
what to put back in a step that always runs, such as `--action set --name FORMER`, or `--action forget --name NAME
--then FORMER`. A run that is killed outright puts nothing back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, FellShortError
from anka_ci.inputs import arg, build
from anka_ci.plan import Loss, Plan
from anka_ci.rules import remotes
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.HOST
READS = False
EXAMPLE: Mapping[str, str] = {"action": "add", "name": "example"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    action: str = arg("What to do.", default="set", choices=("add", "set", "forget", "list"))
    name: str | None = arg("Name of the registry for the `anka` command; needed unless they are listed.", default=None)
    url: str | None = arg("Address to add; the context's registry when left out.", default=None)
    force: bool = arg("Add it without asking whether it is there (Anka 3.0 and later).", default=False)
    then: str | None = arg("Registry to make the default once another is forgotten.", default=None)
    temporary: bool = arg("Put the former default back at the end of the pipeline file's run.", default=False)

    def __post_init__(self) -> None:
        if (self.action == "list") != (self.name is None):
            raise ValueError("list takes no name" if self.action == "list" else f"{self.action} needs a name")
        for word, given, wanted in (
            ("url", self.url, "add"),
            ("force", self.force, "add"),
            ("then", self.then, "forget"),
        ):
            if given and self.action != wanted:
                raise ValueError(f"{word} goes with {wanted}, not with {self.action}")
        if self.temporary and self.action not in ("add", "set"):
            raise ValueError(f"temporary goes with add and set, not with {self.action}")


@dataclass(frozen=True, kw_only=True)
class Outputs:
    registries: tuple[dict[str, Any], ...] = arg("The registries that are known now: name, url, default.")
    added: bool = arg("Whether the registry was added.", default=False)
    name: str | None = arg("The default registry now; absent when none is.", default=None)
    url: str | None = arg("Its address.", default=None)
    former: str | None = arg("The default registry before; absent when none was.", default=None)


def plan(inputs: Inputs, anka: Anka) -> Plan:
    known = anka.host.remotes()
    former = remotes.default(known)
    if inputs.action == "list" or inputs.name is None:
        return Plan(step="use-registry", expects=_expected(former, former))
    loses: tuple[Loss, ...] = ()
    if inputs.action == "add":
        actions = remotes.adding(known, inputs.name, inputs.url or anka.registry.url, force=inputs.force)
    elif inputs.action == "set":
        actions = remotes.choosing(known, inputs.name)
    else:
        actions = remotes.forgetting(known, inputs.name, inputs.then)
        text = f"what the anka command knows of the registry {inputs.name}: its address and how it is signed in to"
        loses = (Loss(text=text, little=True),)
    added = any(action.verb == "add" for action in actions)
    expects = _expected(former, former if inputs.action == "forget" else inputs.name)
    if inputs.action == "forget":
        expects.pop("name", None)  # which one Anka takes when the default goes is not documented
        expects |= {"name": inputs.then} if inputs.then else {}
    notes = (
        (f"at the end of a pipeline file's run {former or 'none'} is the default again",) if inputs.temporary else ()
    )
    return Plan(
        step="use-registry", actions=tuple(actions), loses=loses, expects=expects | {"added": added}, notes=notes
    )


def _expected(former: str | None, now: str | None) -> dict[str, object]:
    return {key: value for key, value in (("former", former), ("name", now)) if value is not None}


def run(plan: Plan, anka: Anka) -> Outputs:
    begun: dict[str, object] = {}
    try:
        for action in plan.actions:
            remotes.carry_out(anka, action)
            begun = {key: plan.expects[key] for key in ("former", "added") if key in plan.expects}
        known = anka.host.remotes()
    except AnkaCiError as error:
        error.outputs = begun
        raise
    found = dict(plan.expects) | {"registries": [remotes.row(each) for each in known]}
    now = next((each for each in known if each.default), None)
    wanted = plan.expects.get("name")
    if wanted is not None and (now is None or now.name != wanted):
        is_now = now.name if now else "none"
        fell = FellShortError(f"anka was told to use the registry {wanted}, but its default is {is_now}")
        fell.outputs = found
        raise fell
    if now is not None:
        found |= {"name": now.name, "url": now.url}
    return build(Outputs, found)


def undo(inputs: Inputs, outputs: Mapping[str, object]) -> Mapping[str, object] | None:
    """What puts the former default back at the end of a run, as inputs; None when there is nothing to put back."""
    former = outputs.get("former")
    if not inputs.temporary:
        return None
    if outputs.get("added"):
        return {"action": "forget", "name": inputs.name} | ({"then": former} if former else {})
    return {"action": "set", "name": former} if former and former != inputs.name else None
