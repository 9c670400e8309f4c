"""The outputs file read back as ``ankaCi.groovy`` reads it."""

from __future__ import annotations

from typing import Any


def read(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The facts and the outputs."""
    facts: dict[str, Any] = {}
    found: dict[str, Any] = {}
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        kind, _, rest = line.partition(" ")
        key, _, value = rest.partition("=")
        value = value.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
        place = facts if kind == "fact" else found
        if "." in key:
            step, _, key = key.partition(".")
            place = found[step]
        if kind == "item":
            place[key].append(value)
        else:
            place[key] = {"step": {}, "list": [], "flag": value == "true"}.get(kind, value)
    return facts, found
