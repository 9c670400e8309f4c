"""What goes wrong on purpose: a script of faults that real deployments have had, read from YAML.

Nothing here happens by chance, and nothing unless the script says so. A script, with every key there is:

    release: "1.42"                  # an older controller, without the calls and keys that came later
    virtual:                         # pace and size of virtual nodes; per second, and each node's own by `spread`
      {bandwidth: 100MiB, registry: 1GiB, disk: 500GiB, spread: 20%, setup: 2s}
    http:                            # the first fault that fits a request and is due happens to it
      - match: GET /api/v1/node      # method and path, * for any characters; the query does not count
        does: answer                 # or drop, lose, cut, stall, null
        status: 429                  # of `answer`; with a message a FAIL envelope, else a page as proxies send it
        retry-after: 5s              # of `answer`
        message: too many requests   # of `answer`
        after: 1                     # so many requests that fit pass first
        times: 2                     # to so many it happens; to all when left out
      - {match: "* /v2/*", does: stall, for: 10s}
    nodes:
      - node: virtual-1*             # pattern of names, real or virtual
        does: offline                # or restart, full, evict, stuck, silent
        at: 30s                      # counted from the server's start
        for: 5m                      # for ever when left out; a restart takes no time

An older release has no cancel of distributions (1.43), no restart of instances (1.44), and no ``templates`` of nodes
and no ``vm/remove`` (1.20).

``drop`` closes the connection before anything is done, ``lose`` after it was done, and ``cut`` in the middle of the
reply; ``stall`` keeps the caller waiting for as long in real time, whatever the injected clock says, because a
connection knows no other; ``null`` does it and answers ``OK`` with a null body.

While a node is ``offline`` its pulls stand still (a real node finishes the one it is at), and after two minutes the
controller shows it as Offline. A ``restart`` takes it out of all its groups, as with Controller 1.50.0; a virtual node
begins its pull anew. A pull that has to move anything and begins while the node is ``full`` fails for want of room;
``evict`` makes it first give up all other templates; ``stuck`` leaves its part at progress 1 and status false for ever
although the node has the tag (Controller before 1.33); with ``silent`` it fails on the way and nobody ever reports that
(before 1.42).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from anka_ci import document
from anka_ci.errors import UsageError
from anka_ci.inputs import Duration, Percent, Size, arg, bind

T = TypeVar("T")

FOREVER = float("inf")
SILENT_AT = 0.42
"""The progress at which a pull stays whose failure is never reported."""
SINCE = (
    ((1, 43), "DELETE", "/api/v1/registry/vm/distribute"),
    ((1, 20), "DELETE", "/api/v1/registry/vm/remove"),
    ((1, 44), "POST", "/api/v1/rpc/vm/restart"),
)
"""The release that brought a call, by Anka's release notes."""
TEMPLATES_SINCE = (1, 20)


@dataclass(frozen=True, kw_only=True)
class HttpFault:
    """Something that happens to requests. ``absent`` beside the documented ones: an older release lacks the call."""

    match: str = arg("Method and path, such as `GET /api/v1/node`.")
    does: str = arg("What happens.", choices=("drop", "lose", "cut", "stall", "answer", "null"))
    status: int | None = arg("HTTP status of `answer`.", default=None)
    retry_after: Duration | None = arg("Retry-After of `answer`.", default=None)
    message: str | None = arg("Message of `answer`.", default=None)
    for_: Duration = arg("How long a `stall` is.", default=Duration(30))
    after: int = arg("Requests that pass first.", default=0)
    times: int | None = arg("Requests to which it happens.", default=None)

    def __post_init__(self) -> None:
        if (self.does == "answer") != (self.status is not None):
            raise ValueError("does: answer and a status go together")
        if self.status is not None and not 400 <= self.status < 600:
            raise ValueError(f"status: {self.status} is no failure; write one from 400 to 599")
        if len(self.match.split()) != 2:
            raise ValueError(f"match: {self.match!r} is not a method and a path; write it like GET /api/v1/node")
        if self.after < 0 or (self.times is not None and self.times < 1):
            raise ValueError("after counts from 0 and times from 1")

    def fits(self, method: str, path: str) -> bool:
        wanted, pattern = self.match.split()
        return fnmatchcase(method, wanted.upper()) and fnmatchcase(path, pattern)


@dataclass(frozen=True, kw_only=True)
class NodeFault:
    """Something that befalls the nodes whose names fit the pattern ``node``, from ``at`` to ``until``.

    In a script both are seconds after the server's start, afterwards Unix seconds.
    """

    node: str
    does: str
    at: float = 0.0
    until: float = FOREVER

    def befalls(self, name: str, does: str) -> bool:
        return self.does == does and fnmatchcase(name, self.node)


@dataclass(frozen=True, kw_only=True)
class _NodeEntry:
    node: str = arg("Pattern of node names.")
    does: str = arg("What befalls it.", choices=("offline", "restart", "full", "evict", "stuck", "silent"))
    at: Duration = arg("When, after the server's start.", default=Duration(0))
    for_: Duration | None = arg("For how long.", default=None)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Pace and size of virtual nodes as a script gives them; None: as the model has it."""

    bandwidth: Size | None = arg("Bytes per second of a node.", default=None)
    registry: Size | None = arg("Bytes per second of the registry, shared by a distribution's nodes.", default=None)
    disk: Size | None = arg("Bytes of a node's disk.", default=None)
    spread: Percent | None = arg("By how much a node may differ.", default=None)
    setup: Duration | None = arg("What a pull takes beside its bytes.", default=None)

    def __post_init__(self) -> None:
        if 0 in (self.bandwidth, self.registry):
            raise ValueError("a bandwidth of 0 moves nothing")


class Faults:
    """The faults of one server. ``http`` faults count requests, so an object serves one server only."""

    def __init__(
        self,
        *,
        release: tuple[int, ...] | None = None,
        http: Sequence[HttpFault] = (),
        nodes: Sequence[NodeFault] = (),
        pace: Pace | None = None,
    ) -> None:
        self.release = release
        self.pace = pace or Pace()
        self._http = list(http)
        self._met = [0] * len(self._http)
        self._nodes = list(nodes)

    @classmethod
    def read(cls, path: Path) -> Faults:
        """Read a script. ``UsageError`` with line and column for what is wrong with it."""
        found = document.read(path).only({"release", "virtual", "http", "nodes"}, "a fault script")
        entries = [_bind(_NodeEntry, node, "a node's fault") for node in _items(found, "nodes")]
        return cls(
            release=_release(found["release"]) if "release" in found else None,
            http=[_bind(HttpFault, node, "an http fault") for node in _items(found, "http")],
            nodes=[
                NodeFault(
                    node=each.node,
                    does=each.does,
                    at=float(each.at),
                    until=float(each.at + each.for_) if each.for_ else FOREVER,
                )
                for each in entries
            ],
            pace=_bind(Pace, found["virtual"], "virtual") if "virtual" in found else None,
        )

    @property
    def version(self) -> str:
        """The release as the controller tells it; empty when the script names none."""
        return ".".join(map(str, (*self.release, 0)[:3])) if self.release else ""

    def nodes(self, started: float) -> list[NodeFault]:
        """The nodes' faults for a server that started at ``started`` (Unix seconds)."""
        return [replace(each, at=started + each.at, until=started + each.until) for each in self._nodes]

    def lacks(self, since: tuple[int, int]) -> bool:
        """Whether the release is older than ``since``."""
        return self.release is not None and self.release[:2] < since

    def meet(self, method: str, path: str) -> HttpFault | None:
        """What happens to this request, which counts; None: nothing."""
        for since, verb, call in SINCE:
            if (method, path) == (verb, call) and self.lacks(since):
                return HttpFault(match=f"{verb} {call}", does="absent")
        due = None
        for number, fault in enumerate(self._http):
            if fault.fits(method, path):
                self._met[number] += 1
                happens = fault.after < self._met[number] <= fault.after + (fault.times or FOREVER)
                due = due or (fault if happens else None)
        return due


def befallen(faults: Iterable[NodeFault], name: str, does: str, now: float) -> float | None:
    """Since when a fault befalls a node; None when it does not."""
    return next((each.at for each in faults if each.befalls(name, does) and each.at <= now < each.until), None)


def _items(found: dict[str, document.Node], key: str) -> list[document.Node]:
    return found[key].items(key) if key in found else []


def _bind(cls: type[T], node: document.Node, what: str) -> T:
    """A mapping as an instance of ``cls``; an error names the place of the key."""

    def where(key: str) -> dict[str, object]:
        return node.keys.get(key, node.place).facts()

    values = node.mapping(what)
    try:
        plain = {key: value.plain() for key, value in values.items()}
        if "does" in plain and plain["does"] is None:
            plain["does"] = "null"  # which YAML reads as nothing when it is not quoted
        return bind(cls, plain, what=what, where=where)
    except UsageError as error:
        place = "{file}:{line}:{column}".format(**error.facts)
        raise UsageError(f"{place}: {error.message}", hint=error.hint, **error.facts) from None


def _release(node: document.Node) -> tuple[int, ...]:
    parts = node.text("release").split(".")
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise UsageError(f"{node.place}: release: {node.value!r} is none; write it like 1.42", **node.place.facts())
    return tuple(int(part) for part in parts)
