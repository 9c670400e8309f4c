"""The step ``evict``: what nodes hold goes from them, only as confirmed, and the registry keeps its own."""

import fcntl

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Deadline, ManualClock
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, FellShortError, NotFoundError, UsageError


def evict(anka, confirm=None, plan_only=False, **inputs):
    return perform("evict", {"template": "sonoma", **inputs}, anka, confirm=confirm, plan_only=plan_only)


@pytest.fixture
def held(anka):
    """``node-1`` holds sonoma:base and ``node-2`` sonoma:v1."""
    for tag, node in (("base", "node-1"), ("v1", "node-2")):
        perform("distribute", {"template": "sonoma", "tag": tag, "nodes": node}, anka)


def tags(anka):
    template = anka.registry.template("sonoma")
    return [node.tag_of(template.id) for node in anka.controller.nodes()]


def test_what_is_lost_is_listed_and_only_the_digest_confirms(anka, held):
    planned = evict(anka, plan_only=True, group="ios").plan
    assert ["sonoma:base on node-1", "sonoma:v1 on node-2"] == [loss["text"] for loss in planned["loses"]]
    for confirm in (None, "yes", "0123456789ab"):
        with pytest.raises(ConfirmationError, match="sonoma:base on node-1"):
            evict(anka, confirm, group="ios")
    assert ["base", "v1", None] == tags(anka)
    done = evict(anka, planned["digest"], group="ios")
    assert ("done", ["node-1", "node-2"]) == (done.status, done.outputs["succeeded"])
    assert [None, None, None] == tags(anka)
    assert 2 == len(anka.registry.template("sonoma").versions)


def test_a_confirmation_is_stale_once_a_node_holds_something_else(anka, held):
    digest = evict(anka, plan_only=True, group="ios").plan["digest"]
    perform("distribute", {"template": "sonoma", "tag": "v1", "nodes": "node-1"}, anka)
    with pytest.raises(ConfirmationError, match="does not fit this plan"):
        evict(anka, digest, group="ios")
    assert ["v1", "v1", None] == tags(anka)


def test_nodes_without_it_are_left_alone(anka, held):
    done = evict(anka, nodes="node-3")
    assert ("unchanged", ["node-3"], []) == (done.status, done.outputs["absent"], done.outputs["succeeded"])


def test_what_the_registry_no_longer_has_can_still_go(anka, held):
    anka.registry.delete(anka.registry.template("sonoma"))
    digest = evict(anka, plan_only=True, all="true").plan["digest"]
    assert ["node-1", "node-2"] == evict(anka, digest, all="true").outputs["succeeded"]
    with pytest.raises(NotFoundError, match="no template 'sonoma'"):
        evict(anka, all="true")


def test_nodes_that_do_not_tell_are_asked_and_unverified_and_those_out_of_reach_fall_short(anka, held, fleet_as):
    doors = fleet_as(node_1={"templates": None}, node_2={"state": "Offline"})
    planned = evict(doors, plan_only=True, all="true").plan
    assert ["whatever node-1 holds of sonoma, which it does not report"] == [loss["text"] for loss in planned["loses"]]
    with pytest.raises(FellShortError, match="node-2: the node is offline") as caught:
        evict(doors, planned["digest"], all="true")
    outputs = caught.value.outputs
    keys = ("succeeded", "unverified", "failed", "absent")
    assert ([], ["node-1"], ["node-2"], ["node-3"]) == tuple(outputs[key] for key in keys)


def test_a_node_that_does_not_let_go_in_time_is_named(server, anka, held):
    clock = ManualClock()
    doors = Anka(anka.context, clock=clock, deadline=Deadline(clock, 60))
    digest = evict(anka, plan_only=True, nodes="node-1").plan["digest"]
    with (server.data / "nodes" / "node-1" / "vm_lib" / ".locks" / "library").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FellShortError, match=r"not done within 60 s") as caught:
            evict(doors, digest, nodes="node-1")
    assert ([], ["node-1"]) == (caught.value.outputs["succeeded"], caught.value.outputs["pending"])


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "exactly one of all, group and nodes"),
        ({"all": "true", "nodes": "node-1"}, UsageError, "not all and nodes"),
        ({"nodes": "node-9"}, NotFoundError, "no node 'node-9'"),
        ({"template": "sonomma", "all": "true"}, NotFoundError, "did you mean|no template 'sonomma'"),
    ],
)
def test_bad_input(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        evict(anka, **inputs)
