"""Diagnosis of this host: the software, the ``anka`` command, its library and the node that the host may be.

Facts in, findings out; asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from anka_ci.errors import RefusedError, UsageError
from anka_ci.inputs import show_size
from anka_ci.rules.diagnosis import Finding, Told, listed
from anka_ci.rules.diagnosis.server import room
from anka_ci.wire.node import ACTIVE, DRAINING, Node

if TYPE_CHECKING:
    from anka_ci.wire.vm import Vm

BARE = "/usr/bin:/bin:/usr/sbin:/sbin"
"""The PATH that launchd gives a service, and sshd an agent, on macOS."""

Found = Literal["configured", "path", "bare path", "usual place", ""]


@dataclass(frozen=True, kw_only=True)
class CommandFacts:
    """The ``anka`` command. ``found`` is how it was found, empty: not at all; ``command`` the argument list.

    ``program`` is the file of its first word, empty when there is none. ``version`` is what it tells of itself, and
    ``failure`` why it does not. ``license`` likewise, empty where it does not tell. ``source`` names the setting.
    """

    found: Found = ""
    command: tuple[str, ...] = ()
    program: str = ""
    source: str = ""
    version: Mapping[str, object]
    license: Mapping[str, object]
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class LibraryFacts:
    """The VM library of this user: where, its disk's free and total bytes, its VMs, and each VM's local tags by id.

    ``failure`` is why something of it is not known.
    """

    folder: str = ""
    free: int | None = None
    total: int = 0
    vms: tuple[Vm, ...] | None = None
    tags: Mapping[str, tuple[str, ...]]
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class HostFacts:
    """What was found here. ``names`` are those that this host goes by, its addresses included.

    ``node`` is what ``--node`` names as this host's node; ``nodes`` are the controller's, None when they could not be
    listed. ``largest`` is the registries' largest template: its name and bytes.
    """

    system: str
    release: str
    machine: str
    python: str
    anka_ci: str
    user: str
    names: tuple[str, ...]
    work: str
    work_free: int | None
    work_total: int = 0
    command: CommandFacts
    library: LibraryFacts
    node: str | None = None
    nodes: tuple[Node, ...] | None = None
    largest: tuple[str, int] = ("", 0)

    @property
    def mac(self) -> bool:
        return self.system == "Darwin"


def findings(facts: HostFacts) -> list[Finding]:
    """Everything about this host."""
    told = Told("this host")
    name = "macOS" if facts.mac else facts.system
    told.ok("software", f"anka-ci {facts.anka_ci}, Python {facts.python}, {name} {facts.release} on {facts.machine}")
    _work(facts, told)
    _command(facts, told)
    if facts.command.version:
        _library(facts, told)
        _node(facts, told)
    return told.findings


def _work(facts: HostFacts, told: Told) -> None:
    if facts.work_free is None:
        told.unknown("disk", f"{facts.work} could not be asked")
        return
    seen = f"{show_size(facts.work_free)} of {show_size(facts.work_total)} free for temporary files ({facts.work})"
    room(told, "disk", facts.work_free, seen, "", 0, "make room, or name another folder with TMPDIR")


def _command(facts: HostFacts, told: Told) -> None:
    """Where ``anka`` is, and who else would find it."""
    anka = facts.command
    words = " ".join(anka.command)
    if not anka.found:
        if not facts.mac:
            told.ok("anka", "none here; the steps that need it (pull, push …) run on a Mac with Anka")
        else:
            do = "install Anka, or set ANKA_CI_ANKA to the command; inside an Anka VM there is none"
            told.warning("anka", f"none on the PATH or in its usual places; {BARE} has none either", do)
        return
    if not anka.program:
        do = f"correct {anka.source or 'ANKA_CI_ANKA'}: write the whole path"
        told.problem("anka", f"{words} (from {anka.source}): no such program", do, UsageError.code)
        return
    where = f"{words} is {anka.program}" if words != anka.program else anka.program
    if anka.failure:
        do = f"run `{words} version` yourself; see ~/Library/Logs/Anka/anka.log"
        told.problem("anka", f"{where}, but `version` failed: {anka.failure}", do, RefusedError.code)
    else:
        version = " ".join(str(anka.version[key]) for key in ("product", "version") if anka.version.get(key))
        told.ok("anka", f"{where}: {version or 'told no version'}")
    if anka.found == "path":
        seen = f"{anka.program} is found only through this shell's PATH; a launchd service or an SSH agent has {BARE}"
        do = f"set `anka: {anka.program}` in the context, or ANKA_CI_ANKA, or link it to /usr/local/bin/anka"
        told.warning("anka elsewhere", seen, do)
    elif anka.found == "usual place":
        told.ok(
            "anka elsewhere", "the steps find it without a PATH; your own scripts under launchd have to name it whole"
        )
    else:
        told.ok("anka elsewhere", "found with any PATH")
    _license(facts, told)


def _license(facts: HostFacts, told: Told) -> None:
    found = facts.command.license
    status, expires = str(found.get("status") or ""), str(found.get("expires") or "-")
    if not status:
        told.unknown("anka licence", "the command does not tell" + (" (it failed)" if facts.command.failure else ""))
    elif status.lower() == "valid":
        told.ok("anka licence", f"valid, expires: {expires}")
    else:
        told.warning("anka licence", f"{status}, expires: {expires}", "`sudo anka license activate` with a valid key")


def _library(facts: HostFacts, told: Told) -> None:
    library = facts.library
    if library.free is None:
        told.unknown("library", library.failure or "the command does not tell where it is")
        return
    seen = f"{library.folder}, of user {facts.user}: {show_size(library.free)} of {show_size(library.total)} free"
    do = "delete templates that are not used (`anka delete`), or move the library to a larger disk"
    room(told, "library", library.free, seen, *facts.largest, do)


def _node(facts: HostFacts, told: Told) -> None:
    """The node that this host is, and whether its library is this user's: root and each user have their own."""
    if facts.nodes is None:
        told.unknown("node", "no controller listed its nodes")
        return
    node = this_node(facts)
    if node is None:
        names = listed(node.name for node in facts.nodes) or "none"
        do = "if it is one of them, say which: --node NAME"
        told.unknown("node", f"none of the controller's nodes goes by a name or address of this host ({names})", do)
        return
    if node.state == ACTIVE:
        told.ok("node", f"this host is {node.name}, {node.state}, with {_count(node)}")
    elif node.state == DRAINING:
        told.warning("node", f"this host is {node.name}, in drain mode", "anka-ci undrain, when its work is done")
    else:
        do = "see `ankacluster status` on this host, its licence and its network"
        told.warning("node", f"this host is {node.name}: {node.state or 'no state told'}", do)
    _whose(facts, node, told)


def _count(node: Node) -> str:
    return "templates untold" if node.templates is None else f"{len(node.templates)} templates"


def this_node(facts: HostFacts) -> Node | None:
    """The node that ``--node`` names, else the one that goes by a name or an address of this host."""
    wanted = {facts.node.lower()} if facts.node else {name.lower() for name in facts.names}
    wanted |= {name.removesuffix(".local") for name in wanted}
    for node in facts.nodes or ():
        name = node.name.lower()
        if node.id.lower() in wanted or name in wanted or name.removesuffix(".local") in wanted:
            return node
        if not facts.node and node.ip and node.ip in wanted:
            return node
    return None


def _whose(facts: HostFacts, node: Node, told: Told) -> None:
    library = facts.library
    if node.templates is None:
        told.unknown("whose library", "this controller does not tell what a node holds (since 1.20)")
        return
    if library.vms is None:
        told.unknown("whose library", library.failure or "the VMs of this user could not be listed")
        return
    held = [template for template in node.templates if template.id]
    if not held:
        told.unknown("whose library", "the node holds no template that could be looked for")
        return
    have = {vm.id.lower(): {vm.tag, *library.tags.get(vm.id.lower(), ())} for vm in library.vms}
    doubtful = [
        each for each in held if each.id.lower() not in have or (each.tag and each.tag not in have[each.id.lower()])
    ]
    untold = [each for each in doubtful if each.id.lower() in have and each.id.lower() not in library.tags]
    lacks = [f"{each.name or each.id}:{each.tag}" for each in doubtful if each not in untold]
    if untold and not lacks:
        names = listed([f"{each.name or each.id}:{each.tag}" for each in untold], 3)
        told.unknown("whose library", library.failure or f"the local tags were not asked for {names}")
    elif lacks:
        seen = f"the controller says {node.name} holds {listed(lacks, 3)}, which {facts.user}'s library lacks"
        do = "root and each user have a library of their own: set `anka: sudo -n /usr/local/bin/anka` in the context, "
        do += "or run the steps as the user whose library the node's agent uses"
        if facts.user == "root":
            do = "root and each user have a library of their own: run as the user that joined the node to the cluster"
        told.warning("whose library", seen, do)
    else:
        told.ok("whose library", f"{facts.user}'s library has all that the node holds")
