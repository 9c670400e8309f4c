"""Instances that host a CI runner: the one name that ties both together, the guest's script, and what is left alone.

The name is the mark: a runner that bears no such name is never removed from here, and an instance without a lease of
ours is never ended. Nothing here knows a CI system.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from anka_ci.rules import lease
from anka_ci.secret import Secret
from anka_ci.wire.instance import TERMINATED, Instance

if TYPE_CHECKING:
    from anka_ci.runners import Runner

PREFIX = "anka-ci-"
MARK = "anka-ci-runner"
"""The key in an instance's ``metadata`` that holds its runner's name; an instance that failed may tell no name."""
LONGEST_OWNER = 28
"""Characters that an owner may have, so that a name has no more than 64: more is safe in no CI system."""
GRACE = 300.0
"""Seconds for which one side may be there without the other: the runner is registered first, then the instance."""
FOLDER = "actions-runner"
_NAME = re.compile(rf"{PREFIX}([A-Za-z0-9._-]{{1,{LONGEST_OWNER}}})-([0-9]{{10}})-([0-9a-f]{{8}})[0-9a-f]{{8}}")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A runner's name, and what it says: whose it is, when it was made (Unix seconds), and its ``home``."""

    text: str
    owner: str
    began: int
    home: str


def make(owner: str, home: str, now: float) -> Named:
    """A name that no other runner has."""
    check_owner(owner)
    text = f"{PREFIX}{owner}-{int(now):010}-{home}{uuid4().hex[:8]}"
    return Named(text=text, owner=owner, began=int(now), home=home)


def read(name: object) -> Named | None:
    """What a name says; None for a runner or an instance that is none of ours."""
    match = _NAME.fullmatch(name) if isinstance(name, str) else None
    return match and Named(text=match[0], owner=match[1], began=int(match[2]), home=match[3])


def check_owner(owner: str) -> None:
    """``ValueError`` for an owner that has no place in a runner's name."""
    lease.check_owner(owner)
    if len(owner) > LONGEST_OWNER:
        raise ValueError(f"the owner {owner!r} stands in the runner's name and may have {LONGEST_OWNER} characters")


def runner_of(instance: Instance) -> Named | None:
    """The runner that an instance of ours hosts; None when it hosts none, is not ours, or is gone."""
    if instance.state == TERMINATED or not lease.ours(instance.external_id):
        return None
    return read(instance.name) or read(instance.metadata.get(MARK))


def hosts(found: Sequence[Instance]) -> list[tuple[Instance, Named]]:
    """The instances that host a runner of ours, with its name."""
    return [(each, named) for each in found if (named := runner_of(each))]


def script(start: Secret, folder: str, setup: str = "") -> str:
    """The whole startup script: ``setup`` in a shell of its own, then the agent in its ``folder`` below the home.

    The agent outlives the script, so that the script can be monitored. The text holds what the agent signs in with.
    """
    lines = ["set -eu", "cd ~"]
    if setup:
        lines.append(f"sh -euc {shlex.quote(setup)} </dev/null")
    missing = f"there is no folder {folder} in the guest: its template has to hold the runner's agent, or a script has"
    lines.append(f"cd -- {shlex.quote(folder)} || {{ echo {shlex.quote(missing + ' to bring it')} >&2; exit 1; }}")
    return "\n".join([*lines, start.reveal(), ""])


@dataclass(frozen=True, kw_only=True)
class Orphans:
    """What is there without its other side: instances whose runner is gone, runners whose instance is gone.

    ``elsewhere`` are runners of anka-ci whose instances another controller has, or this one under another name.
    """

    instances: tuple[Instance, ...]
    runners: tuple[Runner, ...]
    elsewhere: tuple[Runner, ...]


def orphans(found: Sequence[Instance], runners: Sequence[Runner], home: str, now: float, owner: str | None) -> Orphans:
    """What is left alone, at ``now`` (Unix seconds). What was begun less than ``GRACE`` ago is none, and neither is a
    runner that is online or busy: a CI system tells only after a while that one is gone."""
    ours = [(each, named) for each in runners if (named := read(each.name)) and owner in (None, named.owner)]
    names, hosted = {each.name for each in runners}, {named.text for _, named in hosts(found)}

    def alone(named: Named, others: Collection[str]) -> bool:
        return named.home == home and named.text not in others and now - named.began >= GRACE

    return Orphans(
        instances=tuple(each for each, named in hosts(found) if owner in (None, named.owner) and alone(named, names)),
        runners=tuple(each for each, named in ours if alone(named, hosted) and not (each.online or each.busy)),
        elsewhere=tuple(each for each, named in ours if named.home != home and named.text not in hosted),
    )
