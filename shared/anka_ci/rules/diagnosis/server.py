"""Diagnosis of one server, a controller or a registry: whether it is Anka, lets us in, and has what the steps need.

Facts in, findings out; asks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from anka_ci.errors import NotAuthorisedError, RefusedError, UnreachableError, UsageError
from anka_ci.inputs import show_size
from anka_ci.rules.diagnosis import Finding, Told, listed, sign_in, way
from anka_ci.rules.diagnosis.facts import ServerFacts
from anka_ci.wire.server_status import Disk, ServerStatus

LEAST = 1 << 30
"""Bytes of a disk below which nothing of Anka works any more."""
NEEDS: Mapping[str, Sequence[tuple[tuple[int, int], str]]] = {
    "the controller": (
        ((1, 20), "evict, and what the nodes hold (the steps nodes, distribute and evict)"),
        ((1, 33), "a distribution's state that is always told"),
        ((1, 37), "distributing to nodes in drain mode"),
        ((1, 43), "cancelling a distribution"),
        ((1, 44), "restarting an instance"),
    ),
    "the registry": (
        ((1, 13), "sizes in the list of templates"),
        ((1, 37), "one word for every failure"),
        ((1, 43), "when a tag was last pulled"),
    ),
}
"""What our steps need, and since which release it is there. Source: Anka's release notes."""
WRITES = {
    "the controller": "distribute, cancel, evict, starting, ending and saving instances, groups, node config",
    "the registry": "push, revert, delete, arch",
}
"""What cannot be tried without changing something."""


def findings(facts: ServerFacts) -> list[Finding]:
    """Everything about one server."""
    told = Told(f"{facts.what} {facts.url}")
    way.way(facts, told)
    way.tls(facts, told)
    if _anka(facts, told):
        sign_in.findings(facts, told)
    status = facts.status
    if status is None:
        why = "the server did not tell its status"
        for name in ("version", "permissions", *(("licence",) if facts.what == "the controller" else ("disk",))):
            told.unknown(name, why)
    else:
        _state(facts, status, told)
        _version(facts, status, told)
        _permissions(facts, told)
        if facts.what == "the registry":
            _disk(facts, told)
    way.clock(facts, told)
    return told.findings


def _anka(facts: ServerFacts, told: Told) -> bool:
    """Whether what answers is Anka, with or without letting us in."""
    read = facts.first
    if read is not None and (sign_in.refused(read) or read.code == UsageError.code):
        return True
    if read is None or not read.status:
        why = "there is no way to it" if facts.reach.failed else f"no answer came: {read.failure if read else ''}"
        if read is not None and not facts.reach.failed:
            do = read.hint or "see the server's log"
            told.problem("answer", f"GET {read.path}: {read.failure}", do, UnreachableError.code)
        else:
            told.unknown("answer", why)
        told.unknown("sign-in", why)
        return False
    if read.ok is None:
        seen = f"GET {read.path} gave HTTP {read.status}, and no Anka reply: {read.said or 'nothing'}"
        do = f"is this the address of {facts.what}? A proxy or another program may answer there"
        if 300 <= read.status < 400:
            do = f"name the final address: {read.headers.get('location', 'see the Location header')}"
        told.problem("answer", seen, do, UnreachableError.code)
        told.unknown("sign-in", "what answers is not Anka")
        return False
    return True


def _state(facts: ServerFacts, status: ServerStatus, told: Told) -> None:
    """Whether it runs, and what licence it has."""
    if status.status.lower() == "running":
        told.ok("state", "running")
    else:
        told.problem("state", status.status or "no state told", "see the server's log", UnreachableError.code)
    if facts.what != "the controller":
        return
    if not status.registry_status:
        told.unknown("its registry", "this release does not tell")
    elif status.registry_status.lower() == "running":
        told.ok("its registry", f"{status.registry_url} is running, as the controller sees it")
    else:
        seen = f"the controller says {status.registry_status} of {status.registry_url or 'its registry'}"
        do = "start the registry, and check its address in the controller's configuration"
        told.problem("its registry", seen, do, UnreachableError.code)
    if not status.license:
        told.unknown("licence", "this release does not tell")
    elif status.license.lower() == "basic":
        do = "it holds no node groups: name nodes in place of a group"
        told.warning("licence", "basic", do)
    else:
        told.ok("licence", status.license)


def _version(facts: ServerFacts, status: ServerStatus, told: Told) -> None:
    """Whether the release has what our steps need."""
    match = re.match(r"(\d+)\.(\d+)", status.version)
    if not match:
        told.unknown("version", f"it tells {status.version!r}")
        return
    release = (int(match.group(1)), int(match.group(2)))
    if release[0] == 0:  # Anka's own began with 1
        told.ok("version", f"{status.version}, the embedded server")
        return
    missing = [(since, words) for since, words in NEEDS[facts.what] if release < since]
    if missing:
        lacks = "; ".join(f"{words} (since {since[0]}.{since[1]})" for since, words in missing)
        newest = ".".join(map(str, missing[-1][0]))
        told.warning("version", f"{status.version} lacks: {lacks}", f"update it to {newest} or newer")
    else:
        told.ok("version", f"{status.version} has all that the steps need")


def _permissions(facts: ServerFacts, told: Told) -> None:
    """What the reads told of what we may do, and what could not be tried."""
    yes = [read.name for read in facts.reads if read.allowed]
    if yes:
        told.ok("may", listed(yes))
    for read in facts.reads:
        if read.allowed:
            continue
        seen = f"{read.name} ({sign_in.http(read)})"
        if read.status == 403:
            told.warning("may not", seen, "if a step needs it, give this user's group the permission")
        elif read.status == 401:
            told.problem("may not", seen, "sign in as a user who may, or check the sign-in", NotAuthorisedError.code)
        elif read.status == 404 and read.ok is None:
            told.warning("has no", f"{read.name} (GET {read.path}: HTTP 404)", "an older release; update it to use it")
        elif read.ok is False and read.status < 500:
            told.warning("refuses", f"{read.name}: {read.said}", "the licence may not hold it (groups need Enterprise)")
        elif read.status:
            seen = f"{read.name}: {sign_in.http(read)}"
            told.problem("fails", seen, "see the server's log", UnreachableError.code)
        else:
            told.unknown(read.name, f"no answer came: {read.failure}")
    told.unknown("may change", f"trying would change something: {WRITES[facts.what]}")


def _disk(facts: ServerFacts, told: Told) -> None:
    """Room on the registry's disk, measured by its largest template."""
    read = facts.read("read its disk")
    if read is None or not read.allowed or not isinstance(read.body, Mapping):
        told.unknown(
            "disk", f"the registry does not tell ({read.said or read.failure or read.status if read else '-'})"
        )
        return
    disk = Disk.read(read.body)
    seen = f"{show_size(disk.free)} of {show_size(disk.total)} free"
    name, size = largest([facts])
    room(told, "disk", disk.free, seen, name, size, "delete or revert what nobody needs, or enlarge the disk")


def largest(servers: Sequence[ServerFacts]) -> tuple[str, int]:
    """The largest template that any server listed, and its size in bytes; empty and 0 when sizes are not told."""
    reads = [read for facts in servers if (read := facts.read("list templates")) is not None]
    rows = [row for read in reads if isinstance(read.body, list) for row in read.body if isinstance(row, Mapping)]
    size, name = max(((row["size"], str(row.get("name"))) for row in rows if _sized(row)), default=(0, ""))
    return name, size


def _sized(row: Mapping[str, object]) -> bool:
    return isinstance(row.get("size"), int) and not isinstance(row.get("size"), bool)


def room(told: Told, name: str, free: int, seen: str, template: str, size: int, do: str) -> None:
    """Whether the free bytes of a disk hold one more of the largest template."""
    if free < LEAST:
        told.problem(name, seen, do, RefusedError.code)
    elif free < size:
        told.warning(name, f"{seen}, less than {template} has ({show_size(size)})", do)
    else:
        told.ok(name, seen)


def same_templates(controller: ServerFacts, registry: ServerFacts) -> Finding:
    """Whether the controller works with this registry: both show the same templates."""
    told = Told(f"{registry.what} {registry.url}")
    mine, theirs = _ids(registry), _ids(controller)
    if mine is None or theirs is None:
        told.unknown("same", "the templates of the registry or of the controller could not be listed")
    elif mine == theirs:
        told.ok("same", f"shows the same {len(mine)} templates as the controller")
    else:
        only = f"{len(mine - theirs)} only here, {len(theirs - mine)} only at the controller"
        address = controller.status.registry_url if controller.status else ""
        do = f"the controller works with {address or 'another registry'}: name that one, or wait (its list is cached)"
        told.warning("same", f"other templates than the controller shows: {only}", do)
    return told.findings[0]


def _ids(facts: ServerFacts) -> set[str] | None:
    read = facts.read("list templates")
    if read is None or not read.allowed or not isinstance(read.body, (list, type(None))):
        return None
    found: set[str] = set()
    for row in read.body or []:
        if isinstance(row, Mapping):
            found |= {str(row["id"]).lower()} if "id" in row else {str(key).lower() for key in row}
    return found
