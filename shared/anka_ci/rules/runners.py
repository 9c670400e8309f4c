"""Runners of a CI system: registering one for sure, waiting until it is online, and taking it down.

Nothing is removed from here but what a caller names. No CI system is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import (
    AnkaCiError,
    BusyError,
    InterruptError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.inputs import show_duration
from anka_ci.result import Said
from anka_ci.rules import hosting, instances, selection, watch
from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.runners import Registered, Runner, Runners

SLOWEST = 10.0
"""Seconds between two looks at a runner at most: a CI system counts the calls."""


@dataclass(frozen=True, kw_only=True)
class Meant:
    """Whose runners are meant, and the token for them; None: the context's, and the environment's."""

    scope: str | None
    token: Secret | None

    @classmethod
    def read(cls, with_: Mapping[str, object]) -> Meant:
        """What ``emit`` made of it."""
        scope, token = with_["scope"], with_["token"]
        return cls(scope=None if scope is None else str(scope), token=token if isinstance(token, Secret) else None)

    def emit(self) -> dict[str, object]:
        """It as a part of what an action holds."""
        return {"scope": self.scope, "token": self.token}

    def door(self, anka: Anka) -> Runners:
        return anka.runners(self.scope, self.token)


def meant(scope: str | None, token: str | None) -> Meant:
    """Whose runners a step's inputs mean."""
    return Meant(scope=scope, token=None if token is None else Secret(token))


def home(anka: Anka, runners: Runners) -> str:
    """Eight hex digits that stand for this controller and these runners together, as they are spelled here."""
    return hashlib.sha256(f"{anka.context.controller_url}\n{runners.where}".lower().encode()).hexdigest()[:8]


def register(anka: Anka, meant: Meant, named: hosting.Named, labels: Sequence[str], group: str | None) -> Registered:
    """Register a runner; when the answer is lost, or the wait for it is interrupted, what was made of it is removed
    again: how it is started is lost too."""
    try:
        return meant.door(anka).register(named.text, labels, group=group)
    except (UnreachableError, InterruptError) as lost:
        if anka.cancelled.hurried:
            lost.message += f"; {named.text} may be registered all the same: `sweep` removes it"
            raise
        try:
            door = meant.door(anka.afterwards(instances.PARTING))
            for each in door.list(named.text):
                door.remove(each.id)
        except AnkaCiError as error:
            lost.message += f"; {named.text} may be registered all the same ({error.message}): `sweep` removes it"
        raise


def await_online(anka: Anka, meant: Meant, runner: Runner, instance_id: str, within: float) -> Runner:
    """Wait until a runner is online; ``FellShortError`` when it is not ``within`` that many seconds, or never."""
    began = anka.clock.monotonic()

    def look() -> watch.Seen[Runner]:
        failed = ""
        try:
            now = meant.door(anka).get(runner.id)
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


def take_down(anka: Anka, meant: Meant, runner_id: str, instance_id: str | None) -> str:
    """End an instance and remove its runner although everything else is over; what became of them, as a sentence.

    Neither is waited for, and both together get ``instances.PARTING`` seconds, of which the runner gets the last one.
    When even those are not left, the runner is: it costs nothing.
    """
    began, told = anka.clock.monotonic(), []
    if instance_id:
        told.append(instances.end_now(anka, instance_id, instances.PARTING - 1))
    if anka.cancelled.hurried:
        return ", ".join([*told, "the runner is left to `sweep`"])
    try:
        left = began + instances.PARTING - anka.clock.monotonic()
        meant.door(anka.afterwards(max(1.0, left))).remove(runner_id)
        told.append("the runner was removed")
    except NotFoundError:
        told.append("the runner is gone")
    except AnkaCiError as error:
        told.append(f"removing the runner failed ({error.message}): `sweep` removes it")
    return ", ".join(told)


def remove(
    anka: Anka, meant: Meant, runners: Mapping[str, str], hosts: Mapping[str, str], *, wait: bool, gone: set[str]
) -> dict[str, RefusedError]:
    """Remove runners (id to name) and ask that their ``hosts`` (name to instance) end; what was refused, by name.

    ``gone`` gets the name of each that is. With ``wait`` one that is busy is waited for.
    """
    door, pending, refused = meant.door(anka), dict(runners), dict[str, RefusedError]()

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


def look(anka: Anka, meant: Meant, name: str | None = None) -> tuple[Sequence[Runner], str]:
    """The runners of a scope, or those of a name, and the ``home`` of those that are ours and this controller's."""
    door = meant.door(anka)
    return door.list(name), home(anka, door)
