"""Move a channel of a fleet file back to an older tag of its template, and bring that to the channel's nodes.

To the version before the one that the channel names, or to an older tag (`to`). The registry keeps the newer ones, so
jobs that name no tag still get the newest; the step says so. The fleet file is changed in its one place (to be
committed afterwards), and then the tag is distributed as `reconcile` does; with `distribute: false` only the file is
changed, with `write: false` only the nodes.

A tag that a node holds and the registry no longer has would be lost and needs the plan's digest. Fails (code 7) when a
node did not get the tag; the channel is moved then all the same, and `reconcile` brings it where it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import RefusedError
from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.rules import moving
from anka_ci.rules.drift import Aim
from anka_ci.rules.fleet import Channel
from anka_ci.steps import Runs
from anka_ci.wire.template import Version

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"fleet": "shared/examples/fleet.yml", "channel": "ios-prod", "write": "false"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    fleet: str = arg("Path of the fleet file with the channel.")
    channel: str = arg("The channel to move back.")
    to: str | None = arg("The older tag that it is to name; the one before its tag when left out.", default=None)
    write: bool = arg("Change the fleet file.", default=True)
    distribute: bool = arg("Distribute the tag to the channel's nodes.", default=True)

    def __post_init__(self) -> None:
        if not (self.write or self.distribute):
            raise ValueError("write and distribute are both false, so nothing would be done")


@dataclass(frozen=True, kw_only=True)
class Outputs(moving.Outputs):
    """What became of the channel."""


def plan(inputs: Inputs, anka: Anka) -> Plan:
    def choose(aim: Aim, channels: Mapping[str, Channel]) -> Version:
        assert aim.template is not None
        name = aim.template.name
        if inputs.to is None and aim.wrong:
            hint = "say with `to` which tag the channel is to go back to"
            raise RefusedError(f"the registry has no {aim.title} any more, so what came before is not known", hint=hint)
        to = aim.template.pick(inputs.to) if inputs.to is not None else None
        if aim.wrong and to is not None:
            return to
        now = aim.template.pick(aim.channel.tag)
        older = [each for each in aim.template.versions or () if each.number < now.number]
        if to is not None and to.number >= now.number:
            hint = "`promote` moves a channel forward"
            raise RefusedError(f"{name}:{to.tag} is not older than {now.tag}, which the channel names", hint=hint)
        if not older:
            raise RefusedError(f"{name}:{now.tag} is the oldest version: there is nothing to go back to")
        return to or older[-1]

    how = {"write": inputs.write, "distribute": inputs.distribute}
    return moving.plan("rollback", anka, inputs.fleet, inputs.channel, choose, **how)


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, moving.run(plan, anka))
