"""``anka-ci doctor --json`` as tests read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from anka_ci.server.app import Server
from front import Came

Doctor = Callable[..., "Examined"]
Told = Callable[..., tuple[int, str, str]]


class Examined:
    """What ``doctor --json`` told, and its exit code."""

    def __init__(self, code: int, out: str) -> None:
        self.code = code
        self.out = out
        self.document: dict[str, Any] = json.loads(out)

    def find(self, name: str, area: str = "") -> dict[str, Any]:
        """The one finding of that name (in the areas that begin with ``area``)."""
        (found,) = (
            each for each in self.document["findings"] if each["name"] == name and each["area"].startswith(area)
        )
        return dict(found)

    def tell(self, name: str, area: str = "") -> tuple[str, str]:
        """A finding's level, and what was seen and what to do as one text."""
        found = self.find(name, area)
        return found["level"], found["seen"] + " | " + found.get("do", "")


def of(server: Server) -> dict[str, str]:
    return {"ANKA_CI_CONTROLLER_URL": server.controller_url, "ANKA_CI_REGISTRY_URL": server.registry_url}


def nothing(came: Came) -> None:
    """Change nothing."""
