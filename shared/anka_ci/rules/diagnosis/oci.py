"""Diagnosis of an OCI registry: whether it is one, and lets us in.

Facts in, findings out; asks nothing. What a user may do in which repository is only told when it is tried.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from anka_ci.errors import NotAuthorisedError, UnreachableError
from anka_ci.rules.diagnosis import Finding, Told, way
from anka_ci.rules.diagnosis.facts import ServerFacts

FIRST = (3, 9)
"""The first release of Anka that speaks to OCI registries. Source: its page on them."""


def command(version: Mapping[str, object]) -> list[Finding]:
    """Whether this host's ``anka``, by what it tells of itself, can move anything to and from one."""
    match = re.match(r"(\d+)\.(\d+)", str(version.get("version") or ""))
    if match is None or (int(match.group(1)), int(match.group(2))) >= FIRST:
        return []
    told = Told("this host")
    seen = f"anka {version['version']} speaks to no OCI registry, so size, pull and push cannot be used"
    told.warning("anka and OCI", seen, "update Anka to 3.9 or newer (the stand-in: ANKA_STANDIN_GENERATION=3.9)")
    return told.findings


def findings(facts: ServerFacts) -> list[Finding]:
    """Everything about one OCI registry."""
    told = Told(f"{facts.what} {facts.url}")
    way.way(facts, told)
    way.tls(facts, told)
    read = facts.first
    who = facts.signed or "nobody, or who `docker login` says"
    if read is None or facts.reach.failed:
        told.unknown("answer", "there is no way to it")
        told.unknown("sign-in", "there is no way to it")
    elif read.ok:
        told.ok("answer", "speaks the OCI distribution API")
        told.ok("sign-in", f"let in as {who}")
        told.unknown("may change", "a registry tells only when a repository is pushed to")
    elif read.code == NotAuthorisedError.code:
        told.ok("answer", "speaks the OCI distribution API")
        told.problem("sign-in", f"not let in as {who}: {read.failure}", read.hint, NotAuthorisedError.code)
    else:
        do = read.hint or "is this the address of an OCI registry?"
        told.problem("answer", f"GET {read.path}: {read.failure}", do, read.code or UnreachableError.code)
        told.unknown("sign-in", "what answers is no OCI registry")
    return told.findings
