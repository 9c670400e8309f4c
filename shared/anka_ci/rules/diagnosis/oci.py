"""Diagnosis of an OCI registry: whether it is one, and lets us in.

Facts in, findings out; asks nothing. What a user may do in which repository is only told when it is tried.
"""

from __future__ import annotations

from anka_ci.errors import NotAuthorisedError, UnreachableError
from anka_ci.rules.diagnosis import Finding, Told, way
from anka_ci.rules.diagnosis.facts import ServerFacts


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
