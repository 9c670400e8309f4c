"""The step ``drain``: nodes start no more VMs, what runs goes on, and the mode shows at the controller."""

import dataclasses
import json
import urllib.request

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Deadline, ManualClock
from anka_ci.desk import perform
from anka_ci.errors import FellShortError, NotFoundError, UsageError
from anka_ci.rules import watch
from anka_ci.server.app import Server


def drain(anka, **inputs):
    return perform("drain", inputs, anka)


def states(anka):
    return [node.state for node in anka.controller.nodes()]


def test_a_group_is_drained_and_the_same_again_changes_nothing(anka):
    done = drain(anka, group="ios")
    assert ["node-1", "node-2"] == done.outputs["changed"]
    assert ["Drain Mode", "Drain Mode", "Active"] == states(anka)
    again = drain(anka, all="true")
    assert (["node-3"], ["node-1", "node-2"]) == (again.outputs["changed"], again.outputs["already"])
    assert "unchanged" == drain(anka, all="true", wait="true").status


def test_exactly_one_selector_says_which(anka):
    for inputs in ({}, {"all": "true", "group": "ios"}, {"nodes": ""}):
        with pytest.raises(UsageError):
            drain(anka, **inputs)
    with pytest.raises(NotFoundError, match="node-1"):
        drain(anka, nodes="node-11")
    assert ["Active"] * 3 == states(anka)


def test_what_runs_is_left_alone_and_can_be_waited_for(anka):
    def call(method, **body):
        url, sent = f"{anka.context.controller_url}/api/v1/vm", json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(url, sent, method=method), timeout=10) as reply:
            return json.load(reply).get("body")

    def running():
        names = [node.name for node in anka.controller.nodes() if node.running]
        return watch.Seen(value=names, ended=bool(names))

    (instance,) = call("POST", vmid=anka.registry.template("sonoma").id, node_id="node-1")
    assert ["node-1"] == watch.poll(running, anka, what="starting", stall=60)
    done = drain(anka, nodes="node-1\nnode-2")
    assert (["node-1", "node-2"], ["node-1"]) == (done.outputs["changed"], done.outputs["busy"])
    clock = ManualClock()
    impatient = Anka(anka.context, clock=clock, deadline=Deadline(clock, 30))
    with pytest.raises(FellShortError, match="not done within 30 s") as caught:
        perform("drain", {"nodes": "node-1", "wait": "true"}, impatient)
    assert {"node-1": "still runs a VM"} == caught.value.facts["nodes"]
    assert ["node-1"] == caught.value.outputs["busy"]
    call("DELETE", id=instance)
    assert [] == drain(anka, nodes="node-1", wait="true").outputs["busy"]


def test_the_mode_outlives_a_restart_of_the_server(anka, server):
    drain(anka, nodes="node-2")
    server.stop()
    with Server(server.data, nodes=3) as again:
        there = Anka(dataclasses.replace(anka.context, controller_url=again.controller_url))
        assert ["Active", "Drain Mode", "Active"] == states(there)


def test_a_node_whose_state_hides_its_mode_is_told_and_unverified(fleet_as):
    anka = fleet_as(node_1={"state": "Offline"}, node_2={"state": "Active"})
    assert ["node-1"] == drain(anka, nodes="node-1").outputs["unverified"]
    clock = ManualClock()
    stubborn = Anka(anka.context, clock=clock)
    with pytest.raises(FellShortError, match="drain mode") as caught:
        drain(stubborn, nodes="node-2")
    assert {"node-2": "it is still Active"} == caught.value.facts["nodes"]
    assert ["node-2"] == caught.value.outputs["changed"]
