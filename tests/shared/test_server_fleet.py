"""The fleet: groups and distributions that outlive a restart, and nodes whose failures are told."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import SystemClock
from anka_ci.errors import UsageError
from anka_ci.server.app import Server
from anka_ci.settings import Context

pulls = pytest.mark.skipif(
    importlib.util.find_spec("anka_ci.standin") is None, reason="the stand-in that nodes run is not built"
)


def settle(anka: Anka, request: str) -> dict[str, str]:
    clock = SystemClock()
    for _ in range(600):
        found = anka.controller.distribution(request)
        if found.ended:
            return {node: share.state for node, share in found.nodes.items()}
        clock.sleep(0.05)
    raise AssertionError("the distribution did not end")


def test_a_group_of_an_unknown_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names the unknown node 'node-9'"):
        Server(tmp_path / "data", nodes=2, groups={"ios": ("node-1", "node-9")}).start()


def test_groups_and_distributions_outlive_a_restart(server: Server, anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    request = anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1"])
    group = anka.controller.group("ios")
    server.stop()
    with Server(server.data, nodes=3) as again:
        anka = Anka(Context(controller_url=again.controller_url))
        assert group == anka.controller.group("ios")
        assert ["node-1"] == list(settle(anka, request))


@pulls
def test_nodes_really_pull(anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    request = anka.controller.distribute(template_id=template.id, tag="v1", version=1)
    assert {"node-1": "done", "node-2": "done", "node-3": "done"} == settle(anka, request)
    assert ["v1"] * 3 == [node.tag_of(template.id) for node in anka.controller.nodes()]


@pulls
def test_an_evicted_template_is_gone_from_the_node(anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    settle(anka, anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1"]))
    assert ["node-1"] == anka.controller.evict(template.id, ["node-1"])
    clock = SystemClock()
    while anka.controller.node("node-1").tag_of(template.id) is not None:
        clock.sleep(0.05)
