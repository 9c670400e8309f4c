"""Selection: which nodes, templates and VMs are meant, and which nodes are out of reach.

Decides and reads only. A selector that matches nothing is an error and never "all".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.inputs import dashed
from anka_ci.wire.node import INACTIVE, OFFLINE, Node
from anka_ci.wire.values import check_tag

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.vm import Vm


EMPTY_GROUP = "add nodes to it, or name another group; nodes that restart lose their groups under Controller 1.50.0"


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names as text, of many the first."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def notes(why: Mapping[str, str], *, most: int = 10) -> list[str]:
    """A note for each node and what is to be said of it; of many one for each thing that is said, with a count."""
    if len(why) <= most:
        return [f"{name} {said}" for name, said in why.items()]
    grouped: dict[str, list[str]] = {}
    for name, said in why.items():
        grouped.setdefault(said, []).append(name)
    return [
        f"{len(names)} nodes, each {said} ({listed(names, most)})" if len(names) > 1 else f"{names[0]} {said}"
        for said, names in grouped.items()
    ]


def only_one(**selectors: object) -> None:
    """``ValueError`` unless exactly one of the selectors is given (neither None nor False)."""
    given = [dashed(name) for name, value in selectors.items() if value is not None and value is not False]
    if len(given) != 1:
        names = [dashed(name) for name in selectors]
        wanted = f"give exactly one of {', '.join(names[:-1])} and {names[-1]}"
        raise ValueError(f"{wanted}, not {' and '.join(given)}" if given else wanted)


def not_both(**pair: object) -> None:
    """``ValueError`` when both of two are given (are not None)."""
    if None not in pair.values():
        raise ValueError(f"give {' or '.join(map(dashed, pair))}, not both")


def choose(
    anka: Anka, *, group: str | None = None, names: Sequence[str] | None = None, among: Sequence[Node] | None = None
) -> list[Node]:
    """The nodes of a group, the nodes that are named (by id, then by name; each once), or all, sorted by name.

    ``among`` are all nodes, where the caller has asked for them already.

    ``NotFoundError`` for an unknown group or node and when none is left, ``UsageError`` for a name that two nodes have.
    """
    found = list(anka.controller.nodes() if among is None else among)
    if group is not None:
        wanted = anka.controller.group(group)
        found = [node for node in found if wanted.id in (each.id for each in node.groups)]
        if not found:
            raise NotFoundError("node in the group", wanted.name, hint=EMPTY_GROUP)
    if names is not None:
        chosen = _named(found, names)
        found = [node for node in found if node.id in chosen]
    if not found:
        raise NotFoundError("node at the controller", anka.controller.url, hint="join nodes to it first")
    return found


def _named(nodes: Sequence[Node], names: Sequence[str]) -> set[str]:
    """The ids of the nodes that are named, by id or by name."""
    ids = {node.id for node in nodes}
    by_name: dict[str, list[str]] = {}
    for node in nodes:
        by_name.setdefault(node.name, []).append(node.id)
    found = set()
    for name in names:
        matches = [name] if name in ids else by_name.get(name, [])
        if len(matches) > 1:
            raise UsageError(f"{len(matches)} nodes are named {name!r}", hint=f"give one id: {', '.join(matches)}")
        if not matches:
            raise NotFoundError("node", name, known=by_name)
        found.add(matches[0])
    return found


def out_of_reach(node: Node) -> str:
    """Why the controller can give a node nothing to do; empty when it can, as far as is known."""
    # Of the documented states, Unhealthy (since 1.33) and Drain Mode (since 1.37) take distributions; of Offline and
    # Inactive nothing is documented, and neither has an agent that answers.
    state = node.state.lower()
    if state == OFFLINE.lower():
        return "the node is offline: the controller has not heard from it for two minutes"
    if state.startswith(INACTIVE.lower().split(" ", 1)[0]):
        return f"the node is inactive ({node.state})"
    return ""


def held(anka: Anka, nodes: Sequence[Node], sought: str) -> tuple[str, str]:
    """Id and name of a template by what nodes report, else by the registry: a node may hold what the registry lost.

    ``UsageError`` for a name that nodes report of several templates, ``NotFoundError`` when nobody knows it.
    """
    reported = {each.id.lower(): each for node in nodes for each in node.templates or ()}
    if sought.lower() in reported:
        return reported[sought.lower()].id, reported[sought.lower()].name
    matches = [each for each in reported.values() if each.name == sought]
    if len(matches) > 1:
        ids = ", ".join(sorted(each.id for each in matches))
        raise UsageError(f"the nodes hold {len(matches)} templates named {sought!r}", hint=f"give one id: {ids}")
    if matches:
        return matches[0].id, matches[0].name
    template = anka.registry.stack(f"find {sought} for the nodes").template(sought)
    return template.id, template.name


def local_vm(vms: Sequence[Vm], sought: str) -> Vm:
    """A VM of this host by exact id, then by exact name."""
    matches = [vm for vm in vms if vm.id.lower() == sought.lower()] or [vm for vm in vms if vm.name == sought]
    if len(matches) > 1:  # Anka can be set to allow it (allow_nonunique_names)
        ids = ", ".join(vm.id for vm in matches)
        raise UsageError(f"{len(matches)} VMs of this host are named {sought!r}", hint=f"give one id: {ids}")
    if not matches:
        hint = "" if vms else "this host (and this user) has no VM at all"
        raise NotFoundError("VM", sought, where="`anka list` of this host", known=[vm.name for vm in vms], hint=hint)
    return matches[0]


def check_stopped(vm: Vm, what: str) -> None:
    """``RefusedError`` when the VM is running."""
    if vm.status == "running":
        raise RefusedError(
            f"{what}: the VM {vm.name} ({vm.id}) is running", hint=f"stop it first: anka stop {vm.id}", vm=vm.id
        )


def check_new_tag(tag: str, pattern: str | None) -> None:
    """``UsageError`` for a tag that does not work everywhere, or that the context's ``tag-pattern`` does not allow."""
    check_tag(tag)
    if pattern and not re.fullmatch(pattern, tag):
        raise UsageError(
            f"the tag {tag!r} does not match the tag-pattern {pattern!r} of this context",
            hint="choose a tag that the pattern matches as a whole",
        )
