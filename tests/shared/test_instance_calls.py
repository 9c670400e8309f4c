"""The calls for instances as they are documented, raw HTTP in and exact JSON out, and what other clients need of them.

The replies are in ``tests/wire/instances``. ``{instance}`` stands for the instance's id and ``{registry}`` for the
registry's address; of times only the spelling counts. Virtual nodes follow a clock that the test moves.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from anka_ci.clock import ManualClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.wire.instance import Instance

WIRE = Path(__file__).parent.parent / "wire" / "instances"
COURSE: tuple[str | int, ...] = (
    *("no-instances", "unknown-template", "unknown-tag", "start", "pulling", 1000, "started", "list", "update"),
    *("updated", "restart", "terminate", "terminated", 60, "unknown", "terminate-unknown", "update-unknown"),
    *("restart-unknown", "no-images", "unknown-image", "save-unknown", "start-with-everything", 1000),
    "started-with-everything",
)
"""What is asked, in this order; a number lets so many seconds pass. Each file of the folder is in it."""
VM = "/api/v1/vm"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def masked(reply: object) -> object:
    """The same without what depends on how fast a virtual node is."""
    return json.loads(re.sub(r"(mgmtManaged-[a-z0-9-]*-)\d+", r"\1{ts}", TIME.sub("{time}", json.dumps(reply))))


class Raw:
    """A server of one virtual node, on a clock that stands still, and raw calls to it."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server, self.clock = server, clock

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        address = urlsplit(self.server.controller_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers or {})
            reply = connection.getresponse()
            content = reply.read()
            assert ("application/json", "no-store") == (reply.headers["Content-Type"], reply.headers["Cache-Control"])
            return reply.status, json.loads(content)
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        status, found = self.ask(method, path, body, headers)
        assert (200, "OK", "") == (status, found["status"], found["message"])
        return found.get("body")

    def started(self, **options: object) -> str:
        (instance,) = self.ok("POST", VM, {"vmid": ID, **options})
        self.clock.advance(1000)
        assert "Started" == self.ok("GET", f"{VM}?id={instance}")["instance_state"]
        return str(instance)


@pytest.fixture
def raw(seeded: Path, tmp_path: Path) -> Iterator[Raw]:
    data, clock = Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True)), ManualClock()
    with Server(data, virtual_nodes=1, groups={"ios": ("virtual-1",)}, clock=clock) as server:
        yield Raw(server, clock)


def test_the_calls_as_they_are_documented(raw: Raw) -> None:
    (group,) = raw.ok("GET", "/api/v1/group")
    instance = "{instance}"
    for name in COURSE:
        if isinstance(name, int):
            raw.clock.advance(name)
            continue
        text = (WIRE / f"{name}.json").read_text().replace("{group}", group["id"])
        wire = json.loads(text.replace("{instance}", instance).replace("{registry}", raw.server.registry_url))
        status, found = raw.ask(wire["method"], wire["path"], wire["send"])
        if name.startswith("start") and wire["method"] == "POST":
            (instance,) = found["body"]
            wire["reply"]["body"] = [instance]
        assert (wire["status"], masked(wire["reply"])) == (status, masked(found)), name
        assert list(wire["reply"]) == list(found), name
    assert {file.stem for file in WIRE.glob("*.json")} == {name for name in COURSE if isinstance(name, str)}


# What other clients need, who know nothing of us. Each test sends what that client's code sends.


def strings(found: dict[str, Any], *keys: str) -> list[str]:
    """Values that have to be there as texts, and not empty."""
    assert all(isinstance(found[key], str) and found[key] for key in keys), found
    return [found[key] for key in keys]


def has_no_null(value: object) -> bool:
    """org.json says of a null that it is there, and then fails to read it."""
    if isinstance(value, dict):
        return all(map(has_no_null, value.values()))
    return all(map(has_no_null, value)) if isinstance(value, list) else value is not None


def counts(found: dict[str, Any], *keys: str) -> list[int]:
    """Values that a client keeps in unsigned integers."""
    assert all(type(found[key]) is int and found[key] >= 0 for key in keys), found
    return [found[key] for key in keys]


def test_jenkins_and_teamcity(raw: Raw) -> None:
    headers = {"content-type": "application/json"}
    (group,) = raw.ok("GET", "//api/v1/group", headers=headers)
    strings(group, "id", "name")
    assert isinstance(group["description"], str)
    (node,) = raw.ok("GET", "//api/v1/node", headers=headers)
    assert ("active", "number") == (node["state"].lower(), node["capacity_mode"])
    counts(node, "capacity")
    assert "Running" == raw.ok("GET", "//api/v1/status")["status"]
    assert "No such tag v9" == raw.ask("POST", "//api/v1/vm", {"vmid": ID, "tag": "v9"}, headers)[1]["message"]
    wanted = {"vmid": ID, "tag": "v1", "name_template": "$template_name-$node_name-$ts", "group_id": group["id"]}
    wanted |= {"startup_script": base64.b64encode(b"java -jar agent.jar &").decode(), "priority": 500, "vcpu": 4}
    (instance,) = raw.ok("POST", "//api/v1/vm", {**wanted, "name": "n", "external_id": "http://j/computer/1"}, headers)
    raw.clock.advance(1000)
    (row,) = raw.ok("GET", "//api/v1/vm", headers=headers)
    assert has_no_null(row)
    assert [instance, "Started", ID] == [*strings(row, "instance_id"), *strings(row["vm"], "instance_state", "vmid")]
    strings(row["vm"], "cr_time")
    assert "running" == strings(row["vm"]["vminfo"], "uuid", "status")[1]
    assert [10000] == [rule["host_port"] for rule in row["vm"]["vminfo"]["port_forwarding"] if rule["guest_port"] == 22]
    bare = raw.ok("GET", f"//api/v1/vm?id={instance}", headers=headers)
    assert has_no_null(bare)
    assert ("message" in bare, "vm" in bare) == (False, False)
    changes = {"name": "job-7", "external_id": "http://j/job/7", "metadata": {"job_name": "7"}}
    assert raw.ok("PUT", f"//api/v1/vm?id={instance}", changes, headers) is None
    assert [] == raw.ok("GET", "//api/v1/image", headers=headers)
    assert raw.ok("DELETE", "//api/v1/vm", {"id": instance}, headers) is None
    assert raw.ask("GET", "//api/v1/vm?id=none")[1]["status"] == "FAIL"


def test_the_gitlab_executor(raw: Raw) -> None:
    (template,) = raw.ok("GET", "/api/v1/registry/vm?apiVer=v1")
    assert [ID, "sonoma"] == strings(template, "id", "name")
    wanted = {"vmid": ID, "external_id": "https://gitlab/-/jobs/7", "startup_script_condition": 0, "vram": 8192}
    (instance,) = raw.ok("POST", VM, wanted)
    for _ in range(100):
        (found,) = [row for row in raw.ok("GET", VM) if row["vm"]["external_id"] == wanted["external_id"]]
        if found["vm"]["instance_state"] == "Started":
            break
        assert found["vm"]["instance_state"] in ("Scheduling", "Pulling")
        assert 0 <= found["vm"]["progress"] <= 1
        raw.clock.advance(5)
    vm = raw.ok("GET", f"{VM}?id={instance}")
    (rule,) = [
        rule for rule in vm["vminfo"]["port_forwarding"] if (rule["guest_port"], rule["protocol"]) == (22, "tcp")
    ]
    counts(rule, "host_port")
    (node,) = raw.ok("GET", f"/api/v1/node?id={vm['node_id']}")
    assert vm["vminfo"]["host_ip"] == node["ip_address"]
    raw.ok("DELETE", VM, {"id": instance})
    assert "Terminated" == raw.ok("GET", f"{VM}?id={instance}")["instance_state"]


def test_the_github_action(raw: Raw) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic OnRva2Vu"}
    wanted = {"count": 1, "vmid": ID, "script_monitoring": True, "script_fail_handler": 1, "external_id": "action-7"}
    wanted |= {"startup_script": base64.b64encode(b"./svc.sh start").decode(), "vcpu": 2, "vram": 4096}
    (instance,) = raw.ok("POST", VM, wanted, headers)
    raw.clock.advance(1000)
    assert [instance] == [row["instance_id"] for row in raw.ok("GET", VM) if row["external_id"] == "action-7"]
    found = raw.ok("GET", f"{VM}?id={instance}")
    assert ("Started", 0) == (found["instance_state"], found["startup_script"]["return_code"])
    assert raw.ok("DELETE", VM, {"id": instance}, headers) is None
    assert "VM not in the registry" == raw.ask("POST", VM, {**wanted, "vmid": "x"}, headers)[1]["message"]


def test_drone(raw: Raw) -> None:
    headers = {"Authorization": "Basic cm9vdDo=", "Content-Type": "application/json"}  # root, with no token
    status = raw.ok("GET", "/api/v1/status", headers=headers)
    strings(status, "license", "registry_address")
    wanted = {"name": "runner-pool-1", "startup_script": "ZWNobw==", "script_monitoring": True, "disk": {}}
    wanted |= {
        "script_fail_handler": 2,
        "script_timeout": 200,
        "vmid": ID,
        "count": "1",
        "version": "1",
        "priority": "9",
    }
    (instance,) = raw.ok("POST", VM, wanted, headers)
    before = raw.ok("GET", f"{VM}?id={instance}", headers=headers)
    assert (before["instance_state"], before["progress"], "vminfo" in before) == ("Pulling", 0, False)
    raw.clock.advance(1000)
    found = raw.ok("GET", f"{VM}?id={instance}", headers=headers)
    assert (instance, "Started") == (found["instance_id"], found["instance_state"])
    times = [found[key] for key in ("ts", "cr_time")] + [
        found["vminfo"][key] for key in ("creation_date", "start_date")
    ]
    assert all(TIME.fullmatch(time) for time in times)
    assert "stop_date" not in found["vminfo"]  # empty text is no time
    strings(found["vminfo"], "uuid", "name", "ram", "status", "node_id", "host_ip", "ip", "version")
    assert [10000, 22] == counts(found["vminfo"]["port_forwarding"][0], "host_port", "guest_port")
    counts(found["vminfo"], "cpu_cores")
    (row,) = raw.ok("GET", VM, headers=headers)
    counts(row["vm"], "progress")  # kept in an integer, so that 0.0 would break it
    raw.ok("DELETE", VM, {"id": instance}, headers)


def test_the_mcp_server(raw: Raw) -> None:
    headers = {"Content-Type": "application/json"}  # also on a GET
    instance = raw.started(name="assistant")
    found = raw.ok("GET", f"{VM}?id={instance}", headers=headers)
    assert ("Started", "running") == (found["instance_state"], found["vminfo"]["status"])
    assert [ID] == [row["id"] for row in raw.ok("GET", "/api/v1/registry/vm", headers=headers)]
    assert raw.ok("DELETE", VM, {"id": instance}, headers) is None
    assert Instance.read(raw.ok("GET", f"{VM}?id={instance}")).ended


def test_the_prometheus_exporter(raw: Raw) -> None:
    raw.started(group_id=raw.ok("GET", "/api/v1/group")[0]["id"])
    raw.ok("POST", VM, {"vmid": ID, "count": 3})
    raw.ok("GET", VM)
    raw.clock.advance(1000)
    rows = raw.ok("GET", VM)
    assert ["Started"] * 2 + ["Scheduling"] * 2 == [row["vm"]["instance_state"] for row in rows]
    for row in rows:
        assert "arm64" == strings(row["vm"], "vmid", "cr_time", "ts", "arch")[-1]
    (node,) = raw.ok("GET", "/api/v1/node")
    used = ("cpu_count", "ram", "vm_count", "vcpu_count", "vram", "free_disk_space", "anka_disk_usage", "disk_size")
    counts(node, *used, "capacity")
    assert "arm64" == node["host_arch"]
    (template,) = raw.ok("GET", "/api/v1/registry/vm")
    counts(template, "size")
    assert ["base", "v1"] == [each["tag"] for each in raw.ok("GET", f"/api/v1/registry/vm?id={ID}")["versions"]]
    counts(raw.ok("GET", "/api/v1/registry/disk"), "free", "total")
