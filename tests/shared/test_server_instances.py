"""Instances over raw HTTP: VMs on real nodes with their scripts, and thousands of places on virtual ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from anka_ci.clock import ManualClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from instances import VM, guests, node, restart, shown, start, state, until
from raw import ask, ok


def test_the_whole_life_of_two_instances(server: Server) -> None:
    options = {"count": "2", "node_id": "node-1", "external_id": "job-7", "name": "seven", "disk": {}, "nonsense": 1}
    options["name_template"] = "$template_name-on-$node_id"
    rules = [{"name": "ssh", "guest_port": "22"}, {"name": "web", "guest_port": 80, "host_port": "8080"}]
    one, two = ok(server, "POST", VM, {"vmid": ID, **options, "port_forwarding_override": rules, "metadata": {"a": 1}})
    assert {"Scheduling", "Pulling", "Started"} >= set(until(server, one, "Started"))
    until(server, two, "Started")
    found, other = shown(server, one), shown(server, two)
    assert ("v1", 1, "node-1", "arm64", "job-7", "seven", {"a": 1}) == tuple(
        found[key] for key in ("tag", "version", "node_id", "arch", "external_id", "name", "metadata")
    )
    vm = found["vminfo"]
    assert ("running", "127.0.0.1", "127.0.0.1", "8G", 4) == tuple(
        vm[key] for key in ("status", "host_ip", "ip", "ram", "cpu_cores")
    )
    names = sorted(each["vminfo"]["name"] for each in (found, other))
    assert ["mgmtManaged-sonoma-on-node-1"] * 2 == [names[0], names[1][: len(names[0])]]
    assert names[0] != names[1]
    ports = [rule["host_port"] for each in (found, other) for rule in each["vminfo"]["port_forwarding"]]
    assert [8080, 8080, 10000, 10001] == sorted(ports)
    assert sorted([found["vminfo"]["uuid"], other["vminfo"]["uuid"]]) == sorted(guests(server, "node-1"))
    assert [2, [ID]] == [
        node(server, "node-1")["vm_count"],
        [template["uuid"] for template in node(server, "node-1")["templates"]],
    ]
    assert [("job-7", one), ("job-7", two)] == [
        (row["external_id"], row["vm"]["instance_id"]) for row in ok(server, "GET", VM)
    ]
    assert ok(server, "PUT", f"{VM}?id={one}", {"name": "eight", "external_id": "job-8"}) is None
    assert ("eight", "job-8", {"a": 1}) == tuple(shown(server, one)[key] for key in ("name", "external_id", "metadata"))
    restart(server, one)
    assert ok(server, "DELETE", VM, {"id": one}) is None
    assert {"Terminating", "Terminated"} >= set(until(server, one, "Terminated"))
    assert [two] == [row["instance_id"] for row in ok(server, "GET", VM) if row["vm"]["instance_state"] == "Started"]
    assert ("instance terminated by controller", False) == (
        shown(server, one)["message"],
        "vminfo" in shown(server, one),
    )
    assert [other["vminfo"]["uuid"]] == guests(server, "node-1")
    assert 1 == node(server, "node-1")["vm_count"]


class Simulated:
    """Three virtual nodes, two of them in a group, on a clock that stands still."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server, self.clock = server, clock

    def started(self, instance: str) -> str:
        """The node on which an instance is started; the clock moves until it is."""
        for _ in range(100):
            found = shown(self.server, instance)
            if found["instance_state"] == "Started":
                return str(found["node_id"])
            self.clock.advance(10)
        raise AssertionError(found)


@pytest.fixture
def simulated(seeded: Path, tmp_path: Path) -> Iterator[Simulated]:
    data, clock = Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True)), ManualClock()
    with Server(data, virtual_nodes=3, groups={"ios": ("virtual-1",), "rest": ("virtual-2",)}, clock=clock) as server:
        yield Simulated(server, clock)


def test_a_minute_after_its_end_it_is_gone(simulated: Simulated) -> None:
    server, clock = simulated.server, simulated.clock
    one, waiting = start(server, node_id="virtual-1"), [start(server, node_id="virtual-1") for _ in range(2)][-1]
    simulated.started(one)
    assert "Scheduling" == state(server, waiting)
    for instance in (waiting, one):
        ok(server, "DELETE", VM, {"id": instance})
    until(server, one, "Terminated")
    clock.advance(59)
    assert ("Terminated", "Terminating") == (state(server, one), state(server, waiting))
    clock.advance(1)
    for instance in (one, waiting):
        status, found = ask(server, "GET", f"{VM}?id={instance}")
        assert (400, f"Not found: instance {instance}") == (status, found["message"])
        assert 400 == ask(server, "DELETE", VM, {"id": instance})[0]


def test_who_gets_a_place(simulated: Simulated) -> None:
    server = simulated.server
    groups = {group["name"]: group["id"] for group in ok(server, "GET", "/api/v1/group")}
    ok(server, "PUT", f"/api/v1/group?id={groups['ios']}", {"fallback_group_id": groups["rest"]})
    first = [start(server, group_id=groups["ios"]) for _ in range(4)]
    assert ["virtual-1", "virtual-1", "virtual-2", "virtual-2"] == [simulated.started(each) for each in first]
    waiting, urgent = start(server, group_id=groups["ios"]), start(server, group_id=groups["ios"], priority="1")
    assert ("Scheduling", False) == (state(server, waiting), "node_id" in shown(server, waiting))
    free = start(server)
    assert "virtual-3" == simulated.started(free)
    assert [2, 2, 1] == [each["vm_count"] for each in ok(server, "GET", "/api/v1/node")]
    ok(server, "DELETE", VM, {"id": first[2]})
    assert "virtual-2" == simulated.started(urgent)
    assert "Scheduling" == state(server, waiting)


def test_a_node_that_drains_starts_none_and_what_runs_on_it_goes_on(simulated: Simulated) -> None:
    server = simulated.server
    config = "/api/v1/node/config"
    running = start(server, node_id="virtual-1")
    assert "virtual-1" == simulated.started(running)
    ok(server, "POST", config, {"node_id": "virtual-1", "drain_mode": True})
    waiting = start(server, node_id="virtual-1")
    simulated.clock.advance(1000)
    assert ["Started", "Scheduling"] == [state(server, running), state(server, waiting)]
    ok(server, "POST", config, {"node_id": "virtual-1", "drain_mode": False, "max_vm_count": 1})
    assert "Scheduling" == state(server, waiting)
    ok(server, "DELETE", VM, {"id": running})
    assert "virtual-1" == simulated.started(waiting)


def test_a_node_that_holds_the_tag_comes_first(simulated: Simulated) -> None:
    server, clock = simulated.server, simulated.clock
    ok(server, "POST", "/api/v1/registry/vm/distribute", {"template_id": ID, "tag": "base", "node_ids": ["virtual-3"]})
    clock.advance(1000)
    instance = start(server, tag="base")
    assert "virtual-3" == simulated.started(instance)
    assert "Pulling" == state(server, start(server, tag="v1"))


UNKNOWN = "00000000-0000-43dc-54dc-000000000000"
BAD: list[tuple[str, str, Any]] = [
    *[
        ("POST", VM, {"vmid": ID, **wrong})
        for wrong in (
            *({"vmid": each} for each in ("", None, UNKNOWN, 5, [ID], {"a": 1}, "\u0000")),
            *({"tag": each} for each in ("v9", "V1", 1, ["v1"])),
            *({"version": each} for each in (9, -1, "one", True, 1.5, "9" * 5000)),
            {"tag": "v1", "version": 0},
            *({"count": each} for each in (0, -1, 101, "many", 1.5, True, [1], 10**30)),
            *({"node_id": each} for each in ("none", 1, ["virtual-1"])),
            *({"group_id": each} for each in ("none", 1)),
            *({"priority": each} for each in (0, 10001, "first", -5)),
            *({"startup_script": each} for each in ("%", "abc", 1, ["ZQ=="], "é")),
            *({"startup_script_condition": each} for each in (2, "x")),
            {"script_monitoring": "maybe"},
            *({"script_timeout": each} for each in (0, -1, "long")),
            {"script_fail_handler": 3},
            *({"metadata": each} for each in ("a", [1], 1)),
            *({"external_id": each} for each in (1, ["a"], {"a": 1})),
            {"name": 1},
            *({"name_template": each} for each in ("x" * 200, "a\tb", "x/../y", 1)),
            *({"vcpu": each} for each in (0, -1, "two")),
            {"vram": 0},
            *({"mac_address": each} for each in ("nonsense", "02:00:00:00:00", 5)),
            {"vlan_tag": 5000},
            *({key: "nonsense"} for key in ("video_controller", "hvapic", "csr_active_config", "network_local")),
            *({"disk": each} for each in ("256G", {"size": "big"}, {"size": 5}, {"skip_container_resize": 1}, [1])),
            *(
                {"port_forwarding_override": each}
                for each in (
                    {"a": 1},
                    ["ssh"],
                    [{}],
                    [{"name": "ssh"}],
                    [{"name": "", "guest_port": "22"}],
                    [{"name": "ssh", "guest_port": "0"}],
                    [{"name": "ssh", "guest_port": "65536"}],
                    [{"name": "ssh", "guest_port": "x"}],
                    [{"name": "ssh", "guest_port": 22, "host_port": "x"}],
                    [{"name": "ssh", "guest_port": 22, "host_port": 70000}],
                    [{"name": 5, "guest_port": 22}],
                )
            ),
        )
    ],
    *[("POST", VM, body) for body in (None, [], "x", 5)],
    *[("GET", f"{VM}?id={each}", None) for each in ("none", "%00", "x" * 5000)],
    *[("PUT", f"{VM}{each}", {"name": "x"}) for each in ("", "?id=", "?id=none")],
    ("PUT", f"{VM}?id=none", {"metadata": 1}),
    *[("DELETE", VM, body) for body in (None, {}, {"id": ""}, {"id": "none"}, {"id": 5}, {"id": ["a"]}, [])],
    *[("POST", "/api/v1/rpc/vm/restart", body) for body in (None, {}, {"instance_id": "none"}, {"instance_id": 1})],
    *[
        ("POST", "/api/v1/image", {"id": "none", "tag": "v2", "target_vm_id": ID, **wrong})
        for wrong in (
            {},
            {"id": ""},
            {"id": 5},
            {"tag": ""},
            {"tag": "a b"},
            {"tag": ["v2"]},
            {"tag": "v1"},
            {"target_vm_id": UNKNOWN},
            {"target_vm_id": None},
            {"new_template_name": "x"},
            {"script": "%"},
            {"suspend": "perhaps"},
            {"revert_before_push": True, "revert_tag": "base"},
            {"revert_before_push": "x"},
        )
    ],
    ("POST", "/api/v1/image", {"id": "none", "tag": "v2", "new_template_name": "a\nb"}),
    ("GET", "/api/v1/image?id=none", None),
]


def test_bad_input_is_refused_and_changes_nothing(simulated: Simulated) -> None:
    server = simulated.server
    instance = start(server, name="first")
    simulated.started(instance)
    before = ok(server, "GET", VM)
    for method, path, body in BAD:
        status, found = ask(server, method, path, body)
        assert (400, "FAIL", {"status", "message"}) == (status, found["status"], set(found)), (method, path, body)
        assert found["message"], (method, path, body)
    assert before == ok(server, "GET", VM)
    assert [] == ok(server, "GET", "/api/v1/image")
    assert (
        "virtual node"
        in ask(server, "POST", "/api/v1/image", {"id": instance, "tag": "x", "target_vm_id": ID})[1]["message"]
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"vmid": UNKNOWN}, "VM not in the registry"),
        ({"vmid": ID, "tag": "v9"}, "No such tag v9"),
        ({"vmid": ID, "version": 9}, "No such version 9"),
    ],
)
def test_messages_that_clients_compare(simulated: Simulated, body: object, message: str) -> None:
    assert {"status": "FAIL", "message": message} == ask(simulated.server, "POST", VM, body)[1]
