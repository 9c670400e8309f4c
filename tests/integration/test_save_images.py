"""Save image over raw HTTP: a running instance becomes a version, or runs on when that fails."""

from __future__ import annotations

from typing import Any

import requests

from anka_ci.clock import SystemClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from instances import script, start, until
from raw import ok


def refused(server: Server, body: object) -> str:
    found = requests.post(f"{server.controller_url}/api/v1/image", json=body, timeout=10)
    assert (400, "FAIL") == (found.status_code, found.json()["status"])
    return str(found.json()["message"])


def begun(server: Server, **options: object) -> str:
    instance = start(server, node_id="node-1", **options)
    until(server, instance, "Started")
    return instance


def saved(server: Server, instance: str, **options: object) -> dict[str, Any]:
    """Save, wait, and show the request as it ended."""
    request = ok(server, "POST", "/api/v1/image", {"id": instance, **options})["request_id"]
    clock = SystemClock()
    end = clock.monotonic() + 90
    while (found := ok(server, "GET", f"/api/v1/image?id={request}"))["status"] == "pending":
        assert clock.monotonic() < end
        clock.sleep(0.05)
    return dict(found)


def versions(server: Server) -> dict[str, int]:
    """The template's tags, and how many layers each needs."""
    found = ok(server, "GET", f"/api/v1/registry/vm?id={ID}")["versions"]
    return {each["tag"]: len(each["images"]) for each in found}


def test_save_images(server: Server) -> None:
    before, instance = versions(server), begun(server)
    assert {"base": 2, "v1": 3} == before
    assert "v1: tag already exists" == refused(server, {"id": instance, "tag": "v1", "target_vm_id": ID})

    failing = {"script": script("echo half > made; exit 3"), "cancel_on_script_failure": True}
    found = saved(server, instance, tag="v2", target_vm_id=ID, **failing)
    assert ("error", "Script execution failed", 3) == (
        found["status"],
        found["error"]["Message"],
        found["script_result"]["return_code"],
    )
    assert before == versions(server)

    found = saved(server, instance, tag="v2", new_template_name="sonoma")  # a name that is taken
    assert ("error", None) == (found["status"], found["script_result"])
    assert "sonoma" in found["error"]["Message"]
    vm = ok(server, "GET", f"/api/v1/vm?id={instance}")
    assert ("Started", "running") == (vm["instance_state"], vm["vminfo"]["status"])
    assert ["sonoma"] == [row["name"] for row in ok(server, "GET", "/api/v1/registry/vm")]

    options = {
        "description": "made",
        "revert_before_push": True,
        "revert_tag": "unknown",
        "do_suspend_sanity_test": True,
    }
    found = saved(server, instance, tag="v2", target_vm_id=ID, script=script("cat made; exit 4"), **options)
    assert ("done", None) == (found["status"], found["error"])
    assert (4, "half\n") == (found["script_result"]["return_code"], found["script_result"]["stdout"])
    asked = found["request"]
    assert (instance, ID, "v2", True, "node-1") == tuple(
        asked[key] for key in ("InstanceID", "TemplateID", "Tag", "DoSuspendTest", "NodeID")
    )
    assert {"base": 2, "v1": 3, "v2": 4} == versions(server)
    assert [] == ok(server, "GET", "/api/v1/vm")
    assert [ID] == [each.name for each in (server.data / "nodes/node-1/vm_lib").glob("*-*")]
    assert ["error", "error", "done"] == [request["status"] for request in ok(server, "GET", "/api/v1/image")]

    again = begun(server, tag="v1")
    found = saved(server, again, tag="v1", target_vm_id=ID, revert_before_push=True, revert_tag="v1", suspend=False)
    assert "done" == found["status"]
    assert {"base": 2, "v1": 3} == versions(server)  # v2 was newer than what was reverted
