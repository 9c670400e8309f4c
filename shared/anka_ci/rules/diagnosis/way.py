"""Diagnosis of the way to a server: proxy, name, connection, TLS with its certificates, and its clock.

Facts in, findings out; asks nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anka_ci.errors import FellShortError, UnreachableError
from anka_ci.inputs import show_duration
from anka_ci.rules.diagnosis import Told, listed

if TYPE_CHECKING:
    from anka_ci.rules.diagnosis.facts import ServerFacts
    from anka_ci.wire.certificate import Certificate

SKEW, SKEW_BAD = 30.0, 300.0
"""Seconds between two clocks that are worth a warning, and those that break things (sessions, leases, certificates)."""
EXPIRY = 21 * 86400.0
"""Seconds before a certificate's end from which it is worth a warning."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def way(facts: ServerFacts, told: Told) -> None:
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
        told.ok("connection", f"port {reach.port}, in {(reach.seconds or 0.0) * 1000:.0f} ms")


def tls(facts: ServerFacts, told: Told) -> None:
    """Encryption, and the server's certificate."""
    reach = facts.reach
    if not reach.secure:
        if facts.signed and reach.host not in LOOPBACK:
            seen = f"none, so that whoever listens can sign in as we do ({facts.signed})"
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
    shaken, certificate = reach.tls, reach.tls.certificate
    named = f" ({certificate.subject}, signed by {certificate.issuer})" if certificate else ""
    if shaken.failure:
        told.problem(
            "tls",
            f"not trusted: {shaken.failure}{named}; checked against {shaken.authorities}",
            _trust(shaken.failure),
            UnreachableError.code,
        )
    elif not shaken.authorities:
        told.warning("tls", f"{shaken.version}, its certificate is not checked{named}", "name its authority with `ca`")
    else:
        told.ok("tls", f"{shaken.version}, trusted{named}; checked against {shaken.authorities}")
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


def expiry(
    told: Told, name: str, certificate: Certificate, now: float, do: str, *, code: int = UnreachableError.code
) -> None:
    """How long a certificate still holds; ``code`` is the class of the problem when it does not."""
    left = certificate.not_after - now
    if left <= 0:
        told.problem(name, f"expired {_days(-left)} ago", do, code)
    elif certificate.not_before > now:
        seen = f"holds only from {_days(certificate.not_before - now)} on"
        told.problem(name, seen, "check the clock of this host, and that of who issued it", code)
    elif left < EXPIRY:
        told.warning(name, f"expires in {_days(left)}", do)
    else:
        told.ok(name, f"holds for {_days(left)}")


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.0f} days" if seconds >= 2 * 86400 else show_duration(seconds)


def clock(facts: ServerFacts, told: Told) -> None:
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
