"""Move a channel of a fleet file to another tag of its template, and bring that to the channel's nodes.

To a `tag`, or to the tag that another channel names (`from-channel`), such as one that was tried by fewer nodes. The
tag has to be in the registry already: nothing is copied. The fleet file is changed in its one place (to be committed
afterwards), and then the tag is distributed as `reconcile` does; with `distribute: false` only the file is changed,
with `write: false` only the nodes.

A tag that a node holds and the registry no longer has would be lost and needs the plan's digest. Fails (code 7) when a
node did not get the tag; the channel is moved then all the same, and `reconcile` brings it where it is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.inputs import arg, build
from anka_ci.plan import Plan
from anka_ci.rules import moving, selection
from anka_ci.rules.drift import Aim
from anka_ci.rules.fleet import Channel
from anka_ci.steps import Runs
from anka_ci.wire.template import Version

if TYPE_CHECKING:
    from anka_ci.anka import Anka

RUNS = Runs.ANYWHERE
READS = False
EXAMPLE: Mapping[str, str] = {"fleet": "shared/examples/fleet.yml", "channel": "ios-prod", "tag": "v1"}


@dataclass(frozen=True, kw_only=True)
class Inputs:
    fleet: str = arg("Path of the fleet file with the channel.")
    channel: str = arg("The channel to move.")
    tag: str | None = arg("The tag that it is to name.", default=None)
    from_channel: str | None = arg("The channel of the same template whose tag it is to name.", default=None)
    write: bool = arg("Change the fleet file.", default=True)
    distribute: bool = arg("Distribute the tag to the channel's nodes.", default=True)

    def __post_init__(self) -> None:
        selection.only_one(tag=self.tag, from_channel=self.from_channel)
        if not (self.write or self.distribute):
            raise ValueError("write and distribute are both false, so nothing would be done")


@dataclass(frozen=True, kw_only=True)
class Outputs(moving.Outputs):
    """What became of the channel."""


def plan(inputs: Inputs, anka: Anka) -> Plan:
    def choose(aim: Aim, channels: Mapping[str, Channel]) -> Version:
        assert aim.template is not None
        if inputs.tag is not None:
            return aim.template.pick(inputs.tag)
        other = channels.get(str(inputs.from_channel))
        if other is None:
            raise NotFoundError("channel", str(inputs.from_channel), where=inputs.fleet, known=channels)
        if other.template.lower() not in (aim.template.id.lower(), aim.template.name.lower()):
            said = f"the channel {other.name} is of {other.template}, and {inputs.channel} of {aim.template.name}"
            raise RefusedError(said, hint="a channel is moved within its template; change the template in the file")
        return aim.template.pick(other.tag)

    how = {"write": inputs.write, "distribute": inputs.distribute}
    return moving.plan("promote", anka, inputs.fleet, inputs.channel, choose, **how)


def run(plan: Plan, anka: Anka) -> Outputs:
    return build(Outputs, moving.run(plan, anka))
