"""Instances that host a CI runner: the one name that ties both together, the guest's script, and what is left alone.

The name is the mark: a runner that bears no such name is never removed from here, and an instance without a lease of
ours is never ended. Nothing here knows a CI system.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from anka_ci.errors import AnkaCiError, BusyError, InterruptError, NotFoundError, RefusedError, UnreachableError
from anka_ci.inputs import show_duration
from anka_ci.result import Said
from anka_ci.rules import instances, lease, selection, watch
from anka_ci.secret import Secret
from anka_ci.wire.instance import TERMINATED, Instance

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.runners import Registered, Runner, Runners

PREFIX = "anka-ci-"
MARK = "anka-ci-runner"
"""The key in an instance's ``metadata`` that holds its runner's name; an instance that failed may tell no name."""
LONGEST_OWNER = 28
"""Characters that an owner may have, so that a name has no more than 64: more is safe in no CI system."""
GRACE = 300.0
"""Seconds for which one side may be there without the other: the runner is registered first, then the instance."""
SLOWEST = 10.0
"""Seconds between two looks at a runner at most: a CI system counts the calls."""
FOLDER = "actions-runner"
_NAME = re.compile(rf"{PREFIX}([A-Za-z0-9._-]{{1,{LONGEST_OWNER}}})-([0-9]{{10}})-([0-9a-f]{{8}})[0-9a-f]{{8}}")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A runner's name, and what it says: whose it is, when it was made (Unix seconds), and its ``home``."""

    text: str
    owner: str
    began: int
    home: str


def home(anka: Anka, runners: Runners) -> str:
    """Eight hex digits that stand for this controller and these runners together, as they are spelled here."""
    return hashlib.sha256(f"{anka.context.controller_url}\n{runners.where}".lower().encode()).hexdigest()[:8]


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


def register(anka: Anka, scope: str | None, named: Named, labels: Sequence[str], group: str | None) -> Registered:
    """Register a runner; when the answer is lost, what was made of it is removed again, for its start is lost too."""
    try:
        return anka.runners(scope).register(named.text, labels, group=group)
    except UnreachableError as lost:
        try:
            door = anka.afterwards(instances.PARTING).runners(scope)
            for each in (each for each in door.list() if each.name == named.text):
                door.remove(each.id)
        except AnkaCiError as error:
            lost.message += f"; {named.text} may be registered all the same ({error.message}): `sweep` removes it"
        raise


def await_online(anka: Anka, scope: str | None, runner: Runner, instance_id: str, within: float) -> Runner:
    """Wait until a runner is online; ``FellShortError`` when it is not ``within`` that many seconds, or never."""
    began = anka.clock.monotonic()

    def look() -> watch.Seen[Runner]:
        failed = ""
        try:
            now = anka.runners(scope).get(runner.id)
        except NotFoundError:
            return watch.Seen(value=runner, ended=False, failed="it is gone: it ran a job already, or was removed")
        if not now.online:
            try:
                host = anka.controller.instances.get(instance_id)
                failed = f"its instance {instance_id}: {instances.failure(host)}" if host.ended else ""
            except NotFoundError:
                failed = f"its instance {instance_id} is gone: somebody ended it"
            if not failed and anka.clock.monotonic() - began >= within:
                failed = f"it was not online within {show_duration(within)}; its agent may say why in the guest"
        return watch.Seen(value=now, ended=now.online, failed=failed)

    anka.tell(Said(text=f"waiting for {runner.name} to be online"))
    return watch.poll(look, anka, what=f"starting the runner {runner.name}", slowest=SLOWEST)


def take_down(anka: Anka, scope: str | None, runner_id: str, instance_id: str | None) -> str:
    """End an instance and remove its runner although everything else is over; what became of them, as a sentence.

    Neither is waited for, and both together get ``instances.PARTING`` seconds, of which the runner gets the last one.
    """
    began, told = anka.clock.monotonic(), []
    if instance_id:
        told.append(instances.end_now(anka, instance_id, instances.PARTING - 1))
    try:
        left = began + instances.PARTING - anka.clock.monotonic()
        anka.afterwards(max(1.0, left)).runners(scope).remove(runner_id)
        told.append("the runner was removed")
    except NotFoundError:
        told.append("the runner is gone")
    except AnkaCiError as error:
        told.append(f"removing the runner failed ({error.message}): `sweep` removes it")
    return ", ".join(told)


def remove(
    anka: Anka, scope: str | None, runners: Mapping[str, str], hosts: Mapping[str, str], *, wait: bool, gone: set[str]
) -> dict[str, RefusedError]:
    """Remove runners (id to name) and ask that their ``hosts`` (name to instance) end; what was refused, by name.

    ``gone`` gets the name of each that is. With ``wait`` one that is busy is waited for.
    """
    door, pending, refused = anka.runners(scope), dict(runners), dict[str, RefusedError]()

    def look() -> watch.Seen[None]:
        busy = {each.id for each in door.list() if each.busy} if wait else set()
        for id_, name in [(id_, name) for id_, name in pending.items() if id_ not in busy]:
            try:
                door.remove(id_)
            except NotFoundError:
                pass
            except RefusedError as error:
                if wait and isinstance(error, BusyError):
                    continue
                refused[name] = error
            if name not in refused:
                gone.add(name)
                if name in hosts:
                    _ask_to_end(anka, hosts[name])
            del pending[id_]
        return watch.Seen(value=None, ended=not pending, mark=len(pending))

    try:
        if pending:
            watch.poll(look, anka, what=f"removing {selection.listed(sorted(pending.values()))}", slowest=SLOWEST)
    except AnkaCiError as error:
        if wait and pending:
            error.message += f"; {selection.listed(sorted(pending.values()))} ran a job still when last looked at"
        raise
    return refused


def _ask_to_end(anka: Anka, instance_id: str) -> None:
    """Ask that an instance ends; whoever waits for its end is told why it does not."""
    try:
        anka.controller.instances.terminate(instance_id)
    except InterruptError:
        raise
    except AnkaCiError:
        pass


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


def look(anka: Anka, scope: str | None) -> tuple[Sequence[Runner], str]:
    """The runners of a scope, and the ``home`` of those that are ours and this controller's."""
    door = anka.runners(scope)
    return door.list(), home(anka, door)
