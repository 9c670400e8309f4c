"""Where an instance is to start: the template's version, and the node or the group whose nodes may run it.

Only reads. Which nodes can start it is judged here; which one does is the controller's to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.rules import instances, selection
from anka_ci.rules.naming import Meant

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version


@dataclass(frozen=True, kw_only=True)
class Placed:
    """``node`` and ``group`` are ids, empty where none was chosen; ``where`` says it to people."""

    template: Template
    version: Version
    node: str
    group: str
    where: str

    @property
    def known(self) -> dict[str, object]:
        """What it says of the outputs of a step."""
        found = {"id": self.template.id, "template": self.template.name, "tag": self.version.tag}
        return {**found, "version": self.version.number}


def place(anka: Anka, what: str, meant: Meant, node: str | None, group: str | None) -> Placed:
    """Choose by names or ids; ``what`` names the work in errors.

    ``NotFoundError`` for what is not there, ``RefusedError`` when none of the nodes can start the template.
    """
    found = anka.registry.stack(what).template(meant.template, arch=meant.arch or None)
    version = found.pick(meant.tag)
    chosen = anka.controller.group(group) if group else None
    nodes = selection.choose(anka, group=chosen.id if chosen else None, names=(node,) if node else None)
    if not (chosen and chosen.fallback_group_id):  # otherwise other nodes help out
        instances.check_startable(nodes, found, version)
    return Placed(
        template=found,
        version=version,
        node=nodes[0].id if node else "",
        group=chosen.id if chosen else "",
        where=f"on {nodes[0].name}" if node else f"in {chosen.name}" if chosen else "on any node",
    )
