"""Diagnosis of signing in to one server: which way works, which does not, and what to change if none does.

Facts in, findings out; asks nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anka_ci.errors import NotAuthorisedError, RefusedError, UsageError
from anka_ci.rules.diagnosis import Told
from anka_ci.rules.diagnosis.way import expiry

if TYPE_CHECKING:
    from anka_ci.rules.diagnosis.facts import Read, ServerFacts

ANY = "sign in: ANKA_CI_TOKEN (root token), ANKA_CI_CERTIFICATE and ANKA_CI_KEY, ANKA_CI_API_KEY_ID and ANKA_CI_API_KEY"
"""What there is to configure, for who has configured nothing."""


def refused(read: Read) -> bool:
    """Whether a read says that the sign-in is missing, wrong or not enough."""
    return read.status in (401, 403) or read.said == "Authentication Required" or read.code == NotAuthorisedError.code


def http(read: Read) -> str:
    """What came back, in a few words."""
    if not read.status:
        return read.failure
    return f"HTTP {read.status}" + (f": {read.said}" if read.said else "")


def findings(facts: ServerFacts, told: Told) -> None:
    """Whether we are let in, with what, and whether we would be without."""
    read, how = facts.first, facts.signed
    assert read is not None
    if refused(read):
        word = "not permitted" if read.status == 403 else "not let in"
        told.problem("sign-in", f"{word} with {how or 'no sign-in'}: {http(read)}", _do(facts), NotAuthorisedError.code)
    elif read.code == UsageError.code:
        told.problem("sign-in", f"{how} cannot be used: {read.failure}", read.hint or "correct it", UsageError.code)
    elif not read.allowed:
        told.problem("answer", f"GET {read.path}: {http(read)}", "see the server's log", RefusedError.code)
        told.unknown("sign-in", "the server failed")
    elif not how:
        told.ok("sign-in", "none, and none is asked for")
    elif facts.anonymous is not None and facts.anonymous.allowed:
        told.ok("sign-in", f"{how} is sent, but none is asked for: whoever reaches the server may do everything")
    else:
        told.ok("sign-in", f"{how} works")
    _each(facts, told)
    _certificates(facts, told)


def _do(facts: ServerFacts) -> str:
    """What to change when we are not let in."""
    read = facts.first
    assert read is not None
    works = [way.detail for way in facts.ways if way.read.allowed]
    if works:
        return f"use {works[0]} alone, which works"
    do = read.hint or (facts.hint if facts.signed else ANY)
    if facts.provider:
        do += f"; it also names the OpenID provider {facts.provider} (ANKA_CI_CLIENT_ID and ANKA_CI_CLIENT_SECRET)"
    return do


def _each(facts: ServerFacts, told: Told) -> None:
    """Each way on its own, where there are several or one is configured that another stands in front of."""
    if len(facts.ways) < 2 and all(way.used for way in facts.ways):
        return
    for way in facts.ways:
        shown = way.detail + ("" if way.used else ", which another way stands in front of,")
        if way.read.allowed:
            told.ok("way", f"{shown} works alone")
        elif refused(way.read) or way.read.code == UsageError.code:
            told.warning(
                "way", f"{shown} does not work alone: {http(way.read)}", way.read.hint or "renew it, or leave it out"
            )
        else:
            told.unknown("way", f"{shown} got no answer: {http(way.read)}")


def _certificates(facts: ServerFacts, told: Told) -> None:
    """The client certificates: whether they can be read, whom they name, and how long they hold."""
    for client in facts.clients:
        found = client.certificate
        if found is None:
            told.problem(
                "client certificate", client.failure, "give a PEM certificate with its key, or PKCS#12", UsageError.code
            )
            continue
        do = f"renew {client.detail}"
        expiry(told, "client certificate", found, facts.now, do, code=NotAuthorisedError.code)
        # Anka takes the user from CN, and the groups from O, or from OU since 1.48.
        if "CN=" not in found.subject or not ("O=" in found.subject or "OU=" in found.subject):
            seen = f"it names {found.subject or 'nobody'}; Anka wants a user (CN) and at least one group (O)"
            told.warning("client certificate", seen, "have it issued with CN and O")
