"""Truth: whether nodes report a tag themselves, whatever the controller says of their part of a distribution.

Changes nothing. A node that reports no templates at all (before 1.20 none does) cannot be checked, which is no failure;
nor can one that reported the tag before, because a node reports a tag's name and not its content.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anka_ci.errors import FellShortError, NotAuthorisedError, RefusedError, UnreachableError
from anka_ci.rules import distribution, selection, watch

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.node import Node
    from anka_ci.wire.template import Template

GRACE = 60.0
"""Seconds within which a node that is done has to report the tag. Nodes talk to the controller every few seconds; how
often they tell of their templates is undocumented."""
PARTING = 3.0
"""Seconds for a last look when the deadline is over."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """``nodes`` are all nodes of the controller by id, as they were last seen."""

    nodes: Mapping[str, Node]
    template_id: str
    tag: str

    def of(self, node_id: str) -> bool | None:
        """Whether a node reports the tag; None when it cannot be told."""
        node = self.nodes.get(node_id)
        if node is None:
            return False
        return None if node.templates is None else node.tag_of(self.template_id) == self.tag

    def reason(self, node_id: str) -> str:
        """What a node that does not report the tag has instead."""
        node = self.nodes.get(node_id)
        if node is None:
            return "it is no longer at the controller"
        other = node.tag_of(self.template_id)
        return f"it reports the tag {other}" if other else "it does not report the template"


def replacing(anka: Anka, template: Template, tag: str, *, keep: bool) -> list[str]:
    """Notes on nodes that report a tag which is to be replaced; ``RefusedError`` when there are any, unless ``keep``.

    They would keep the old content under the same name, and nothing tells the two apart then. A controller that does
    not answer is a note, too: a push has no need of it.
    """
    if anka.context.controller_url is None or not anka.registry.STACK:
        return []
    title = f"{template.name}:{tag}"
    try:
        nodes = anka.controller.nodes()
    except (NotAuthorisedError, RefusedError, UnreachableError) as error:
        return [f"whether nodes hold {title} as it was is not known: {error.message}"]
    names = [node.name for node in nodes if node.tag_of(template.id) == tag]
    if names and not keep:
        raise RefusedError(
            f"{title} is on {selection.listed(names)}, where it stays as it was under the same name",
            hint="evict it there first, push another tag, or say if-held: keep and distribute it with again: true",
        )
    return [f"{title} stays as it was on {selection.listed(names)} until it is distributed with again: true"] * bool(
        names
    )


def ask(anka: Anka, template_id: str, tag: str, node_ids: Collection[str]) -> Truth:
    """Look at the nodes until all of these report the tag that can, for ``GRACE`` seconds at most.

    When the deadline is over it is looked once more. ``UnreachableError`` when there is no answer, ``FellShortError``
    when there is none to that last look.
    """
    began = anka.clock.monotonic()

    def look(doors: Anka = anka) -> Truth:
        nodes = {node.id: node for node in doors.controller.nodes()}
        if node_ids and not nodes:  # old controllers can say OK and nothing more
            raise UnreachableError("the controller lists no nodes just now")
        return Truth(nodes=nodes, template_id=template_id, tag=tag)

    def seen() -> watch.Seen[Truth]:
        found = look()
        late = [node for node in node_ids if found.of(node) is False]
        return watch.Seen(value=found, ended=not late or anka.clock.monotonic() - began >= GRACE)

    if anka.deadline.left() != 0:
        try:
            return watch.poll(seen, anka, what=f"nodes are done and are to report {tag}")
        except FellShortError:  # the deadline, and nothing else: no look fails, and there is no limit to standing still
            pass
    after = anka.afterwards(PARTING)
    what = f"whether nodes report {tag}"
    return watch.poll(lambda: watch.Seen(value=look(after), ended=True), after, what=what, slowest=watch.FIRST)


def checked(known: distribution.Known, anka: Anka, names: Mapping[str, str]) -> distribution.Known:
    """Outputs that tell which nodes succeeded, by their names, with those as failed that do not report the tag.

    ``unverified`` are those that report nothing. ``names`` maps ids to names.
    """
    tag, succeeded = str(known["tag"]), known["succeeded"]
    assert isinstance(succeeded, list)
    done = {node: name for node, name in names.items() if name in {*succeeded}}
    found = ask(anka, str(known["id"]), tag, done)
    told = {name: found.of(node) for node, name in done.items()}
    lacking = {
        name: f"its part is done, but {found.reason(node)}" for node, name in done.items() if told[name] is False
    }
    unverified = [name for name in succeeded if told.get(name, True) is None]
    return (
        known
        | distribution.fallen(known, lacking)
        | {"succeeded": [name for name in succeeded if name not in lacking]}
        | ({"unverified": unverified} if unverified else {})
    )
