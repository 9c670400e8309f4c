"""Diagnosis of the context: which one it is, where each of its settings comes from, and what it names.

Facts in, findings out; reads no file and no environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anka_ci.errors import UsageError
from anka_ci.rules.diagnosis import Finding, Told


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of the context that is not the default: its value as text (a secret as ``***``) and its origin."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class ContextFacts:
    """The context. ``file`` is the settings file, ``exists`` whether it is there.

    ``chosen`` says what named the context. ``unreadable`` are the files that it names and that cannot be read.
    ``failure`` is the error for which it cannot be used; ``settings`` are then those that could be read all the same.
    """

    name: str
    file: str
    exists: bool
    chosen: str = ""
    settings: tuple[Setting, ...] = ()
    unreadable: tuple[str, ...] = ()
    failure: Mapping[str, object] | None = None


def findings(facts: ContextFacts) -> list[Finding]:
    """The context and its settings."""
    told = Told("context")
    where = facts.file if facts.exists else f"no file ({facts.file})"
    if facts.failure is not None:
        do = str(facts.failure.get("hint") or "correct it: no step can be run until then")
        told.problem("settings", str(facts.failure["message"]), do, UsageError.code)
        if not facts.settings:
            for name in ("controller", "registry"):
                told.unknown(name, "the settings could not be read")
            return told.findings
    elif facts.name:
        told.ok("settings", f"context {facts.name} of {where}, named by {facts.chosen}")
    else:
        told.ok("settings", f"no context; {where}")
    for setting in facts.settings:
        told.ok(setting.name, f"{setting.value} (from {setting.origin})")
    for file in facts.unreadable:
        told.problem("ca", f"{file} cannot be read", "correct `ca` or ANKA_CI_CA: a PEM file", UsageError.code)
    names = {setting.name for setting in facts.settings}
    if not names & {"controller", "registry"}:
        do = "set ANKA_CI_CONTROLLER_URL or ANKA_CI_REGISTRY_URL, or name a context with --context"
        told.problem("servers", "neither a controller nor a registry is named", do, UsageError.code)
    elif "controller" not in names:
        told.unknown("controller", "none is named: there are no nodes, groups, distributions or instances")
    return told.findings
