"""The fleet as it is seen at one moment: who holds, uses or gets which templates.

Only reads; what it means for a tag is in ``rules.usage``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from anka_ci.errors import NotAuthorisedError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.rules import selection
from anka_ci.wire.distribution import Distribution
from anka_ci.wire.instance import TERMINATED, Instance
from anka_ci.wire.node import Node

if TYPE_CHECKING:
    from anka_ci.anka import Anka

FEW = 3
"""So many are named of those who use the same tag."""
STUCK = 86400.0
"""Seconds after which a distribution that has not ended never will: controllers before 1.33 left such behind."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The fleet as it was seen: nodes, the instances that are there, and the distributions that are under way.

    ``notes`` say what could not be seen.
    """

    nodes: Sequence[Node] = ()
    instances: Sequence[Instance] = ()
    distributions: Sequence[Distribution] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def holders(self) -> Mapping[str, Mapping[str, list[str]]]:
        """The names of the nodes that hold a tag, by the template's id in lower case and by the tag."""
        found: dict[str, dict[str, list[str]]] = {}
        for node in self.nodes:
            for held in node.templates or ():
                found.setdefault(held.id.lower(), {}).setdefault(held.tag, []).append(node.name)
        return found

    @cached_property
    def running(self) -> Mapping[str, list[Instance]]:
        """The instances, by their template's id in lower case."""
        found: dict[str, list[Instance]] = {}
        for each in self.instances:
            found.setdefault(each.template_id.lower(), []).append(each)
        return found

    @cached_property
    def moving(self) -> Mapping[str, list[Distribution]]:
        """The distributions, by their template's id in lower case."""
        found: dict[str, list[Distribution]] = {}
        for each in self.distributions:
            found.setdefault(each.template_id.lower(), []).append(each)
        return found


def see(anka: Anka, *, unseen: bool) -> Seen:
    """Look at nodes, instances and distributions.

    Where that cannot be done (no controller, one that does not answer, does not permit it, or does not report what
    nodes hold) it is an error, unless ``unseen`` says that it need not be: then it is a note.
    """
    hint = "or say if-unseen: ignore, and it is judged without them"
    if anka.context.controller_url is None:
        if not unseen:
            hint = f"set ANKA_CI_CONTROLLER_URL, {hint}"
            raise UsageError("without a controller nodes and instances that use a tag cannot be seen", hint=hint)
        return Seen(notes=("no controller is configured: tags on nodes and of instances were not looked at",))
    try:
        return _seen(anka, unseen=unseen, hint=hint)
    except (NotAuthorisedError, RefusedError, NotFoundError, UnreachableError) as error:
        if not unseen:
            raise
        return Seen(notes=(f"tags on nodes and of instances were not looked at: {error.message}",))


def there(anka: Anka) -> list[Instance]:
    """The instances that have not ended for good."""
    return [each for each in anka.controller.instances.all() if each.state != TERMINATED]


def _seen(anka: Anka, *, unseen: bool, hint: str) -> Seen:
    nodes, notes = anka.controller.nodes(), []
    silent = [node.name for node in nodes if node.templates is None]
    if silent:
        notes = [f"the controller does not report what {selection.listed(silent, FEW)} hold (before 1.20 none does)"]
        if not unseen:
            raise UsageError(notes[0], hint=f"update it, {hint}")
    running = there(anka)
    try:
        found = anka.controller.distributions()
    except (NotFoundError, RefusedError) as error:  # an old release tells only of one that is asked for by its id
        found = []
        notes.append(f"distributions that are under way were not looked at: {error.message}")
    since = anka.clock.now() - STUCK
    moving = [each for each in found if not each.ended and (each.requested or since) >= since]
    return Seen(nodes=nodes, instances=running, distributions=moving, notes=tuple(notes))
