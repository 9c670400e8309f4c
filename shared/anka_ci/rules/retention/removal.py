"""Carrying out a retention plan: one template after the other, each only if it still is what was confirmed.

Stops at the first that is not, or that somebody uses now; what was removed before stays removed, and is told. Between
the last look and the removal there is a moment in which a push can come in: Anka's calls know no condition.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, ConfirmationError, NotFoundError
from anka_ci.plan import Action
from anka_ci.result import Said
from anka_ci.rules.retention.report import pulled
from anka_ci.rules.sight import Seen, see
from anka_ci.rules.usage import Usage, titles

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template

LOOK = 15.0
"""Seconds after which nodes and instances are looked at again before the next template goes."""
PARTING = 1.0
"""Seconds for asking what became of a removal that was cut off."""
AGAIN = "look at the report again: what is left has a new digest"


class Removals:
    """The removals of one plan, and the last look at nodes and instances."""

    def __init__(self, anka: Anka) -> None:
        self._anka = anka
        self._seen = Seen()
        self._until = -inf
        self._sent = ""
        """The id of the template whose removal was asked for last."""

    def run(self, actions: tuple[Action, ...]) -> list[str]:
        """Remove; what is gone as ``TEMPLATE:TAG``. An error's ``outputs`` have the same of what is gone by then."""
        removed: list[str] = []
        try:
            for action in actions:
                self._anka.cancelled.check("prune")
                self._one(action.with_)
                removed += titled(action)
                self._anka.tell(Said(text=f"removed {', '.join(titled(action))}"))
        except AnkaCiError as error:
            error.outputs = {"removed": removed + self._went(action)}
            raise
        return removed

    def _went(self, action: Action) -> list[str]:
        """What of the last removal was carried out although it failed, as far as the registry tells at once."""
        with_: Mapping[str, Any] = action.with_
        if self._sent != with_["id"]:
            return []
        try:
            versions = self._anka.afterwards(PARTING).registry.by_id(with_["id"]).versions or ()
        except NotFoundError:
            return titled(action)
        except AnkaCiError:  # then nobody knows, and the next report does
            return []
        there = {each.tag for each in versions}
        return [f"{with_['name']}:{tag}" for tag in with_["tags"] if tag not in there]

    def _one(self, with_: Mapping[str, Any]) -> None:
        name, registry = with_["name"], self._anka.registry
        try:
            template = registry.by_id(with_["id"])
        except NotFoundError as error:
            raise ConfirmationError(f"{name} is gone since the plan; nothing was done to it", hint=AGAIN) from error
        versions = template.versions or ()
        if [each.tag for each in versions] != with_["all"]:
            now = ", ".join(each.tag for each in versions) or "none"
            raise ConfirmationError(f"{name} has changed since the plan: its tags are {now}", hint=AGAIN)
        going = [each for each in versions if each.number >= with_["number"]]
        if pulled(going) != with_["pulled"]:
            raise ConfirmationError(f"{name} was pulled since the plan", hint=AGAIN)
        self._check_unused(template, with_)
        self._sent = with_["id"]
        if with_["whole"]:
            registry.delete(template)
        else:
            registry.revert(template, going[0])

    def _check_unused(self, template: Template, with_: Mapping[str, Any]) -> None:
        """``ConfirmationError`` when a node holds, or an instance uses, what is to go."""
        now = self._anka.clock.monotonic()
        if now >= self._until:
            self._seen, self._until = see(self._anka, unseen=with_["unseen"]), now + LOOK
        usage = Usage(templates=[template]).of_fleet(self._seen)
        keys = [key for key in usage.by if key[1] >= with_["number"]]
        if keys:
            told = "; ".join(titles(usage.by, keys))
            raise ConfirmationError(f"{with_['name']} is used since the plan: {told}", hint=AGAIN)


def titled(action: Action) -> list[str]:
    """What an action removes, as ``TEMPLATE:TAG``."""
    with_: Mapping[str, Any] = action.with_
    return [f"{with_['name']}:{tag}" for tag in with_["tags"]]
