"""Diagnosis of one server, a controller or a registry: from its name over TLS and sign-in to what it allows.

Facts in, findings out; asks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import FellShortError, NotAuthorisedError, RefusedError, UnreachableError
from anka_ci.inputs import show_duration, show_size
from anka_ci.rules.diagnosis import Finding, Told, listed
from anka_ci.wire.server_status import Disk, ServerStatus

if TYPE_CHECKING:
    from anka_ci.reach import Reach
    from anka_ci.wire.certificate import Certificate

SKEW, SKEW_BAD = 30.0, 300.0
"""Seconds between two clocks that are worth a warning, and those that break things (sessions, leases, certificates)."""
EXPIRY = 21 * 86400.0
"""Seconds before a certificate's end from which it is worth a warning."""
LEAST = 1 << 30
"""Bytes of a disk below which nothing of Anka works any more."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NEEDS: Mapping[str, Sequence[tuple[tuple[int, int], str, str]]] = {
    # https://docs.veertu.com/anka/anka-build-cloud/release-notes/
    "the controller": (
        ((1, 20), "evict, and what the nodes hold (the steps nodes, distribute and evict)", "templates[], vm/remove"),
        ((1, 33), "a distribution's state that is always told", "distribute"),
        ((1, 37), "distributing to nodes in drain mode, FAIL for every failure", "drain mode"),
        ((1, 43), "cancelling a distribution", "DELETE distribute"),
        ((1, 44), "restarting an instance", "rpc/vm/restart"),
    ),
    "the registry": (
        ((1, 13), "sizes in the list of templates", "v2/vm"),
        ((1, 37), "FAIL for every failure", "envelope"),
        ((1, 43), "when a tag was last pulled (retention by use)", "last_pull"),
    ),
}
"""What our steps need of a release: since which, for what (for people), and the call or field that it is about."""
WRITES = {
    "the controller": "distribute, cancel, evict, starting, ending and saving instances, groups, node config",
    "the registry": "push, revert, delete, arch",
}
"""What cannot be tried without changing something."""


@dataclass(frozen=True, kw_only=True)
class Read:
    """One read that was tried. ``status`` is the HTTP status, 0 when no answer came and ``failure`` says why.

    ``ok`` is the envelope's word, None when the reply is none; ``said`` its message, or the reply's own text. ``sent``
    and ``seconds`` are when it was asked and how long it took; ``headers`` in lower case, ``body`` the envelope's.
    """

    name: str
    path: str
    status: int = 0
    ok: bool | None = None
    said: str = ""
    failure: str = ""
    sent: float = 0.0
    seconds: float = 0.0
    date: float | None = None
    headers: Mapping[str, str]
    content: bytes = b""
    body: Any = None

    @property
    def allowed(self) -> bool:
        return self.ok is True and self.status == 200


@dataclass(frozen=True, kw_only=True)
class ServerFacts:
    """What was found about one server. ``signed`` names how we sign in, empty: not at all.

    ``first`` is the read of its status, ``reads`` those that follow when that one worked; ``anonymous`` the read of
    its status without any credentials, None when we have none anyway. ``known`` are the registries that the context
    names. ``now`` in seconds since 1970.
    """

    what: str
    url: str
    reach: Reach
    signed: str
    now: float
    first: Read | None = None
    anonymous: Read | None = None
    reads: tuple[Read, ...] = ()

    @property
    def status(self) -> ServerStatus | None:
        """What the server says of itself; None when it did not."""
        body = self.first.body if self.first is not None and self.first.allowed else None
        return ServerStatus.read(body) if isinstance(body, Mapping) else None

    def read(self, name: str) -> Read | None:
        return next((read for read in self.reads if read.name == name), None)


def findings(facts: ServerFacts) -> list[Finding]:
    """Everything about one server."""
    told = Told(f"{facts.what} {facts.url}")
    _way(facts, told)
    _tls(facts, told)
    if _anka(facts, told):
        _sign_in(facts, told)
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
    _clock(facts, told)
    return told.findings


def _way(facts: ServerFacts, told: Told) -> None:
    """The proxy, the name and the connection."""
    reach = facts.reach
    proxy = reach.proxy
    if proxy.url:
        told.ok("proxy", f"{proxy.url} (named by {proxy.source})")
    elif proxy.bypass:
        told.ok("proxy", f"none: NO_PROXY ({proxy.bypass}) keeps that of {proxy.source} out")
    else:
        told.ok("proxy", "none")
    who = "the proxy" if proxy.url else reach.host
    if reach.failed == "name":
        do = (
            "correct the proxy's URL" if proxy.url else "correct the URL, or teach this host the name (DNS, /etc/hosts)"
        )
        told.problem("name", f"does not resolve: {reach.failure}", do, UnreachableError.code)
        told.unknown("connection", "the name does not resolve")
        return
    if who in reach.addresses:
        told.ok("name", f"{who} is an address; nothing to resolve")
    else:
        told.ok("name", f"{who} is {listed(reach.addresses, 3)}")
    if reach.failed == "connection":
        refused = "refused" in reach.failure.lower()
        do = "is it running, and is the port right?" if refused else "a firewall, a VPN or a route is in the way"
        told.problem("connection", f"port {reach.port}: {reach.failure}", do, UnreachableError.code)
    else:
        told.ok("connection", f"port {reach.port}, after {(reach.seconds or 0.0) * 1000:.0f} ms")


def _tls(facts: ServerFacts, told: Told) -> None:
    """Encryption, and the server's certificate."""
    reach = facts.reach
    if not reach.secure:
        if facts.signed and reach.host not in LOOPBACK:
            seen = f"none: {facts.signed} travels unencrypted"
            told.warning("tls", seen, "serve it over HTTPS, and write https:// in the URL")
        else:
            told.ok("tls", "none: plain HTTP")
        return
    if reach.tls is None:
        if reach.failed == "tls":
            seen, do = f"the handshake failed: {reach.failure}", "does the port speak HTTPS? Try http:// in the URL"
            told.problem("tls", seen, do, UnreachableError.code)
        else:
            told.unknown("tls", "there is no connection")
        return
    tls, certificate = reach.tls, reach.tls.certificate
    named = f" ({certificate.subject}, signed by {certificate.issuer})" if certificate else ""
    if tls.failure:
        told.problem(
            "tls",
            f"not trusted: {tls.failure}{named}; checked against {tls.authorities}",
            _trust(tls.failure),
            UnreachableError.code,
        )
    else:
        told.ok("tls", f"{tls.version}, trusted{named}; checked against {tls.authorities}")
    if certificate is None:
        told.unknown("certificate", "the server's certificate could not be read")
    else:
        expiry(told, "certificate", certificate, facts.now, "renew the server's certificate")


def _trust(failure: str) -> str:
    text = failure.lower()
    if "expired" in text:
        return "renew the server's certificate, and check this host's clock"
    if "hostname" in text or "ip address" in text:
        return "use a name that the certificate holds in the URL, or have it issued for this one"
    if "ca file" in text:
        return "correct `ca` or ANKA_CI_CA: a PEM file that this user may read"
    return "name the certificate authority with `ca` or ANKA_CI_CA"


def expiry(told: Told, name: str, certificate: Certificate, now: float, do: str) -> None:
    """How long a certificate still holds."""
    left = certificate.not_after - now
    if left <= 0:
        told.problem(name, f"expired {_days(-left)} ago", do, UnreachableError.code)
    elif certificate.not_before > now:
        seen = f"holds only from {_days(certificate.not_before - now)} on"
        told.problem(name, seen, "check the clock of this host, and that of who issued it", UnreachableError.code)
    elif left < EXPIRY:
        told.warning(name, f"expires in {_days(left)}", do)
    else:
        told.ok(name, f"holds for {_days(left)}")


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds >= 2 * 86400 else show_duration(seconds)


def _anka(facts: ServerFacts, told: Told) -> bool:
    """Whether what answers is Anka, with or without letting us in."""
    read = facts.first
    if read is None or not read.status:
        why = "there is no way to it" if facts.reach.failed else f"no answer came: {read.failure if read else ''}"
        if read is not None and not facts.reach.failed:
            told.problem("answer", f"GET {read.path}: {read.failure}", "see the server's log", UnreachableError.code)
        else:
            told.unknown("answer", why)
        told.unknown("sign-in", why)
        return False
    if read.ok is None and read.status not in (401, 403):
        seen = f"GET {read.path} gave HTTP {read.status}, and no Anka reply: {read.said}"
        do = f"is this the address of {facts.what}? A proxy or another program may answer there"
        if 300 <= read.status < 400:
            do = f"name the final address: {read.headers.get('location', 'see the Location header')}"
        told.problem("answer", seen, do, UnreachableError.code)
        told.unknown("sign-in", "what answers is not Anka")
        return False
    return True


def _sign_in(facts: ServerFacts, told: Told) -> None:
    """Whether we are let in, and whether we would be without."""
    read, how = facts.first, facts.signed
    assert read is not None
    if read.status in (401, 403) or read.said == "Authentication Required":
        word = "not permitted" if read.status == 403 else "not let in"
        seen = f"{word} with {how or 'no credentials'} (HTTP {read.status}: {read.said})"
        do = "check that it is this server's, and has not expired" if how else "set ANKA_CI_TOKEN to the root token"
        told.problem("sign-in", seen, do, NotAuthorisedError.code)
    elif not read.allowed:
        do = "see the server's log"
        told.problem("answer", f"GET {read.path}: HTTP {read.status}, {read.said}", do, RefusedError.code)
        told.unknown("sign-in", "the server failed")
    elif not how:
        told.ok("sign-in", "none, and none is asked for")
    elif facts.anonymous is not None and facts.anonymous.allowed:
        told.ok("sign-in", f"{how} is sent, but none is asked for: whoever reaches the server may do everything")
    else:
        told.ok("sign-in", f"{how} works")


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
        do = "without Enterprise there are no node groups and no sign-in; leave `group` out, name nodes"
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
    missing = [(since, words) for since, words, _ in NEEDS[facts.what] if release < since]
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
        if read.status in (401, 403):
            do = "give this user's group the permission, or sign in as another"
            told.problem("may not", f"{read.name} (HTTP {read.status}: {read.said})", do, NotAuthorisedError.code)
        elif read.status == 404 and read.ok is None:
            told.warning("has no", f"{read.name} (GET {read.path}: HTTP 404)", "an older release; update it to use it")
        elif read.ok is False and read.status < 500:
            told.warning("refuses", f"{read.name}: {read.said}", "the licence may not hold it (groups need Enterprise)")
        elif read.status:
            seen = f"{read.name}: HTTP {read.status}, {read.said}"
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
    name, size = largest(facts)
    room(told, "disk", disk.free, seen, name, size, "delete or revert what nobody needs, or enlarge the disk")


def largest(facts: ServerFacts) -> tuple[str, int]:
    """The largest template of a registry and its size in bytes; empty and 0 when sizes are not told."""
    read = facts.read("list templates")
    rows = read.body if read is not None and isinstance(read.body, list) else []
    sized = [(row["size"], str(row.get("name"))) for row in rows if isinstance(row, Mapping) and _count(row)]
    size, name = max(sized, default=(0, ""))
    return name, size


def _count(row: Mapping[str, object]) -> bool:
    return isinstance(row.get("size"), int) and not isinstance(row.get("size"), bool)


def room(told: Told, name: str, free: int, seen: str, template: str, size: int, do: str) -> None:
    """Whether the free bytes of a disk hold one more of the largest template."""
    if free < LEAST:
        told.problem(name, seen, do, RefusedError.code)
    elif free < size:
        told.warning(name, f"{seen}, less than {template} has ({show_size(size)})", do)
    else:
        told.ok(name, seen)


def _clock(facts: ServerFacts, told: Told) -> None:
    """The server's clock against ours, from the Date header: it counts whole seconds."""
    read = next((each for each in (facts.first, facts.anonymous) if each is not None and each.date is not None), None)
    if read is None or read.date is None:
        told.unknown("clock", "no reply with a Date header came")
        return
    early, late = read.date - (read.sent + read.seconds), read.date + 1 - read.sent
    off = 0.0 if early <= 0 <= late else min(abs(early), abs(late))
    which = "ahead of" if early > 0 else "behind"
    if off < SKEW:
        told.ok("clock", "the same as here" if off < 2 else f"{off:.0f} s {which} ours")
        return
    seen, do = f"{show_duration(off)} {which} ours", "set both by a time server (NTP): leases and sessions need it"
    if off < SKEW_BAD:
        told.warning("clock", seen, do)
    else:
        told.problem("clock", seen, do, FellShortError.code)


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
