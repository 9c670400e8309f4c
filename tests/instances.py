"""Instances over raw HTTP, for the tests that start some: one call, and what is waited for."""

from __future__ import annotations

import base64
import subprocess
from typing import Any

from anka_ci.clock import SystemClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from raw import Answering, ok

VM = "/api/v1/vm"


def start(server: Answering, **options: object) -> str:
    (instance,) = ok(server, "POST", VM, {"vmid": ID, **options})
    return str(instance)


def shown(server: Answering, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = ok(server, "GET", f"{VM}?id={instance}")
    return found


def state(server: Answering, instance: str) -> str:
    return str(shown(server, instance)["instance_state"])


def until(server: Answering, instance: str, *states: str) -> list[str]:
    """The states that were seen, up to the first of ``states``."""
    clock = SystemClock()
    end, seen = clock.monotonic() + 90, [""]
    while seen[-1] not in states:
        assert clock.monotonic() < end, seen
        found = state(server, instance)
        seen += [found] if found != seen[-1] else []
        clock.sleep(0.02)
    return seen[1:]


def script(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def node(server: Answering, name: str) -> dict[str, Any]:
    (found,) = ok(server, "GET", f"/api/v1/node?id={name}")
    return dict(found)


def guests(server: Server, name: str) -> list[str]:
    """The VMs in a node's library that are no template."""
    return [each.name for each in (server.data / "nodes" / name / "vm_lib").glob("*-*") if each.name != ID]


def restart(server: Answering, instance: str) -> None:
    """It stays ``Started`` all the while, and what tells that it is over is another start date."""
    before, clock = shown(server, instance)["vminfo"]["start_date"], SystemClock()
    ok(server, "POST", "/api/v1/rpc/vm/restart", {"instance_id": instance})
    found = shown(server, instance)
    while found["vminfo"]["start_date"] == before:
        assert ("Started", 'Unexpected VM state: "stopped"') == (found["instance_state"], found["message"])
        clock.sleep(0.02)
        found = shown(server, instance)
    assert ("running", False) == (found["vminfo"]["status"], "message" in found)


def runs(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet buried does not."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return told.strip()[:1] not in ("", "Z")
