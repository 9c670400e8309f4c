"""Remove from the registry what a retention policy lets go, or report what that would be.

The default is a report, which removes nothing. `apply: true` removes, and needs the report's `digest` as `confirm`; it
stops at the first template that is no longer what was reported. After an interruption what is left is reported with a
new digest.

Tags are a stack: removing one removes the newer ones. So what goes is all of a template, or its newest tags down to one
that stays. A tag that a rule lets go and a newer one pins is reported as `pinned`, with the remedy and its bytes.

A rule deletes what meets all of its conditions, and one that matches is enough; a rule that keeps beats it. The rules
are in a `policy` file, and the inputs below make one more. Always kept is what a node holds or is about to get, what an
instance uses, and what a channel of the `fleet` file or one of the `pipelines` names. A push counts as a pull, and a
time that the registry does not tell (before 1.43 none) lets nothing go. `explain` says which rule decides about a tag.

The bytes that come free are those of layers; a registry does not tell a layer's size, so they are a range where the
sizes of versions do not determine them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError
from anka_ci.inputs import Duration, arg, build
from anka_ci.plan import Action, Plan
from anka_ci.rules import retention, usage
from anka_ci.rules.retention import policy as policies
from anka_ci.rules.retention import removal, report
from anka_ci.steps import Runs

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"templates": "sonoma", "beyond-oldest-tags": "1", "keep": "sonoma:base"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    policy: str | None = arg("Path of a file with the policy.", default=None)
    templates: tuple[str, ...] | None = arg(
        "Templates to delete from, by id or by patterns of names such as nightly-*, one per line.", default=None
    )
    tags: tuple[str, ...] | None = arg("Tags to delete, by patterns, one per line.", default=None)
    not_pulled_for: Duration | None = arg("Delete what was neither pulled nor pushed for this long.", default=None)
    not_pushed_for: Duration | None = arg("Delete what was not pushed for this long.", default=None)
    older_than: Duration | None = arg("Delete what is older than this.", default=None)
    beyond_newest_templates: int | None = arg(
        "Delete all but so many of the templates that match, those that were pushed last.", default=None
    )
    beyond_newest_tags: int | None = arg("Delete all but so many of the newest tags of each template.", default=None)
    beyond_oldest_tags: int | None = arg("Delete all but so many of the oldest tags of each template.", default=None)
    keep: tuple[str, ...] | None = arg("What always stays, as TEMPLATE or TEMPLATE:TAG patterns.", default=None)
    fleet: str | None = arg("Path of a fleet file, whose channels keep their tags.", default=None)
    pipelines: tuple[str, ...] | None = arg(
        "Pipeline files whose templates and tags stay: paths or patterns such as ci/*.yml.", default=None
    )
    if_unseen: str = arg(
        "What to do when nodes or instances cannot be looked at: fail, or judge without them.",
        default="fail",
        choices=("fail", "ignore"),
    )
    explain: str | None = arg("A tag, as TEMPLATE:TAG: say which rule keeps it or lets it go.", default=None)
    apply: bool = arg("Remove what the report says, with its digest as confirmation.", default=False)

    def __post_init__(self) -> None:
        if self.apply and self.explain is not None:
            raise ValueError("explain only reports; leave out apply")
        self.rules()

    def rules(self) -> policies.Policy:
        """The rules that the inputs themselves make."""
        names = ("beyond_newest_templates", "beyond_newest_tags", "beyond_oldest_tags")
        counts = {name.removeprefix("beyond_"): getattr(self, name) for name in names}
        times = {"pulled": self.not_pulled_for, "pushed": self.not_pushed_for, "age": self.older_than}
        mine = policies.made("inputs", self.templates, self.tags, {**times, **counts})
        return policies.Policy(keep=policies.kept(self.keep or ()), delete=mine.delete)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    digest: str | None = arg("What confirms the removal; absent when nothing would go.", default=None)
    looked_at: int = arg("How many tags were judged.")
    frees_least: int = arg("Bytes that come free at least.")
    frees_most: int | None = arg(
        "Bytes that come free at most; absent where the registry tells no sizes.", default=None
    )
    removed: tuple[str, ...] = arg("What was removed, as TEMPLATE:TAG; nothing in a report.")
    removals: tuple[dict[str, Any], ...] = arg(
        "What goes: template, tags, whether the whole template, by which rule, bytes, id."
    )
    pinned: tuple[dict[str, Any], ...] = arg(
        "What a rule lets go and newer tags pin: template, tags, by what, the remedy, bytes, id."
    )
    verdict: str | None = arg("What becomes of the tag to explain, and why.", default=None)
    explanation: tuple[dict[str, Any], ...] = arg("What each rule says of it: rule, says, why.", default=())


def plan(inputs: Inputs, anka: Anka) -> Plan:
    rules = (policies.read(inputs.policy) if inputs.policy else policies.Policy()) + inputs.rules()
    policies.check(rules)
    unseen = inputs.if_unseen == "ignore"
    templates = usage.inventory(anka, "prune")
    used = usage.gather(anka, templates, channels=inputs.fleet, pipelines=inputs.pipelines or (), unseen=unseen)
    judged = retention.Retention(templates, rules, used.by, anka.clock.now())
    found = report.Report(templates, judged, used, unseen=unseen)
    removal_ = Plan(step="prune", actions=found.actions(), loses=found.losses(), notes=found.notes())
    expects: dict[str, Any] = {
        **({"digest": removal_.digest} if removal_.actions else {}),
        "looked-at": sum(len(case.tags) for case in judged.cases),
        "frees-least": found.frees.least,
        **({} if found.frees.most is None else {"frees-most": found.frees.most}),
        "removed": [],
        "removals": found.removals(),
        "pinned": found.pinned(),
    }
    if inputs.explain is not None:
        verdict, rows = found.explained(inputs.explain)
        expects |= {"verdict": verdict, "explanation": rows}
    if inputs.apply:
        expects["removed"] = [tag for action in removal_.actions for tag in removal.titled(action)]
        return Plan(step="prune", actions=removal_.actions, loses=removal_.loses, expects=expects, notes=removal_.notes)
    text = f"report what the policy lets go: {len(found.going)} of {len(templates)} templates, {found.frees}"
    action = Action(verb="report", text=text, writes=False)
    return Plan(step="prune", actions=(action,), expects=expects, notes=removal_.notes)


def run(plan: Plan, anka: Anka) -> Outputs:
    try:
        removal.Removals(anka).run(tuple(action for action in plan.actions if action.writes))
    except AnkaCiError as error:
        error.outputs = {**plan.expects, **error.outputs}
        raise
    return build(Outputs, plan.expects)
