"""Virtual nodes: what they are at a moment follows from their orders and the clock, before a restart as after."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context
from anka_ci.wire.node import Node


class Simulated:
    """A server of virtual nodes on a clock that stands still, and raw calls to it."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server, self.clock = server, clock
        self._session = requests.Session()

    def call(self, method: str, path: str, body: object = None) -> Any:
        found = self._session.request(method, f"{self.server.controller_url}/api/v1{path}", json=body, timeout=30)
        assert "OK" == found.json()["status"], found.text
        return found.json().get("body")

    def distribute(self, tag: str = "v1", **more: object) -> str:
        return str(self.call("POST", "/registry/vm/distribute", {"template_id": ID, "tag": tag, **more})["request_id"])

    def shares(self, request: str) -> dict[str, dict[str, Any]]:
        return dict(self.call("GET", f"/registry/vm/distribute?id={request}")["distribute_status"])

    def states(self, request: str) -> Counter[str]:
        return Counter(
            "done" if share["status"] else share.get("error") or "pulling" for share in self.shares(request).values()
        )

    def group(self, name: str) -> str:
        return next(str(group["id"]) for group in self.call("GET", "/group") if group["name"] == name)

    def node(self, name: str) -> Node:
        return Node.read(self.call("GET", f"/node?id={name}")[0])

    def tags(self, name: str) -> list[str]:
        return [template.tag for template in self.node(name).templates or ()]


@pytest.fixture
def data(seeded: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True))


@pytest.fixture
def fleet(data: Path) -> Iterator[Simulated]:
    clock = ManualClock()
    with Server(
        data, virtual_nodes=4, groups={"ios": ("virtual-1", "virtual-2"), "all": ("*",)}, clock=clock
    ) as server:
        yield Simulated(server, clock)


def test_progress_comes_with_the_clock_and_not_with_looking(fleet: Simulated) -> None:
    request = fleet.distribute()
    first = fleet.shares(request)
    assert first == fleet.shares(request)
    assert [(False, 0)] * 4 == [(share["status"], share["progress"]) for share in first.values()]
    fleet.clock.advance(1)
    halfway = fleet.shares(request)
    assert halfway == fleet.shares(request)
    assert all(0.3 < share["progress"] < 0.7 and not share["status"] for share in halfway.values())
    assert [] == fleet.tags("virtual-1")
    assert 0 < (fleet.node("virtual-1").anka_disk_usage or 0) < 3 << 20
    fleet.clock.advance(60)
    assert {"done": 4} == fleet.states(request)
    node = fleet.node("virtual-1")
    assert ["v1"] == fleet.tags("virtual-1")
    assert node.disk_size == (node.free_disk or 0) + (node.anka_disk_usage or 0)
    assert 3 << 20 <= (node.anka_disk_usage or 0) < 4 << 20


def test_another_tag_moves_only_what_is_missing_and_takes_the_place(fleet: Simulated) -> None:
    base = fleet.distribute("base")
    fleet.clock.advance(60)
    v1 = fleet.distribute("v1")
    assert ({"done": 4}, ["base"]) == (fleet.states(base), fleet.tags("virtual-1"))
    fleet.clock.advance(3)
    assert ({"done": 4}, ["v1"]) == (fleet.states(v1), fleet.tags("virtual-1"))
    assert {"done": 4} == fleet.states(fleet.distribute("v1"))  # they have it: done at once


def test_a_cancel_ends_what_has_not_ended(fleet: Simulated) -> None:
    done = fleet.distribute(node_ids=["virtual-1"])
    fleet.clock.advance(60)
    request = fleet.distribute("base", group_id=fleet.group("ios"))
    behind = fleet.distribute(node_ids=["virtual-2"])  # waits until the node has done the one before
    fleet.clock.advance(1)
    fleet.call("DELETE", f"/registry/vm/distribute?id={request}")
    fleet.call("DELETE", f"/registry/vm/distribute?id={done}")
    assert {"request canceled": 2} == fleet.states(request)
    before = fleet.shares(request)
    fleet.clock.advance(60)
    assert before == fleet.shares(request)
    assert {"done": 1} == fleet.states(done) == fleet.states(behind)
    assert (["v1"], ["v1"], []) == tuple(fleet.tags(f"virtual-{number}") for number in (1, 2, 3))
    fleet.call("DELETE", f"/registry/vm/distribute?id={behind}")
    assert {"done": 1} == fleet.states(behind)


def test_a_removal_takes_its_time(fleet: Simulated) -> None:
    fleet.distribute()
    fleet.clock.advance(60)
    asked = fleet.call("DELETE", f"/registry/vm/remove?id={ID}", {"node_ids": ["virtual-1"]})
    assert {"requests_sent": 1, "node_ids": ["virtual-1"]} == asked
    assert ["v1"] == fleet.tags("virtual-1")
    fleet.clock.advance(2)
    assert ([], ["v1"]) == (fleet.tags("virtual-1"), fleet.tags("virtual-2"))


def test_a_restart_changes_nothing(fleet: Simulated, data: Path) -> None:
    def seen(served: Simulated) -> object:
        return (
            [served.shares(request) for request in requested],
            [
                {**node, "groups": sorted(group["name"] for group in node["groups"])}
                for node in served.call("GET", "/node")
            ],
        )

    requested = [fleet.distribute("base"), fleet.distribute(node_ids=["virtual-1", "virtual-3"])]
    fleet.clock.advance(1)
    fleet.call("DELETE", f"/registry/vm/distribute?id={requested[0]}")
    fleet.distribute("base", node_ids=["virtual-2"])
    fleet.clock.advance(1)
    before = seen(fleet)
    fleet.server.stop()
    with Server(data, virtual_nodes=4, clock=fleet.clock) as server:
        again = Simulated(server, fleet.clock)
        assert before == seen(again)
        fleet.clock.advance(60)
        assert (["v1"], ["base"]) == (again.tags("virtual-1"), again.tags("virtual-2"))


def test_virtual_nodes_and_real_ones_take_the_same_distribution(data: Path) -> None:
    with Server(data, nodes=1, virtual_nodes=1) as server:
        controller = Anka(Context(controller_url=server.controller_url)).controller
        assert ["node-1", "virtual-1"] == [node.name for node in controller.nodes()]
        request = controller.distribute(template_id=ID, tag="v1", version=1)
        assert ["node-1", "virtual-1"] == list(controller.distribution(request).nodes)
        controller.cancel_distribution(request)
        assert controller.distribution(request).ended
