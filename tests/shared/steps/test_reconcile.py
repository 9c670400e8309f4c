"""The step ``reconcile``: nodes get what their channels name, and nothing that no channel names is touched."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, FellShortError, InterruptError, RefusedError
from faulty import faulty
from front import Front

__all__ = ["faulty"]

FLEET = "version: 1\nchannels:\n  prod: {template: sonoma, tag: v1, groups: ios}\n"


@pytest.fixture
def world(faulty):
    """Three nodes that move no bytes, two of them in the group ``ios``; two templates."""
    made = faulty("http: []", virtual_nodes=3, groups={"ios": ("virtual-1", "virtual-2"), "bare": ()})
    made.second_template()
    return made


def reconcile(world, text=FLEET, confirm=None, plan_only=False, anka=None, **more):
    file = world.server.data / "fleet.yml"
    file.write_text(text)
    given = {"fleet": str(file), **{key.replace("_", "-"): each for key, each in more.items()}}
    return perform("reconcile", given, anka or world.anka, confirm=confirm, plan_only=plan_only)


def held(world):
    nodes = world.anka.controller.nodes()
    return {node.name: sorted(f"{each.name}:{each.tag}" for each in node.templates) for node in nodes}


def test_nodes_get_what_their_channels_name_and_nothing_else_changes(world):
    world.distribute(tag="v1", all="", nodes="virtual-1")
    world.distribute(tag="base", all="", nodes="virtual-2\nvirtual-3")
    planned = reconcile(world, plan_only=True)
    assert ["distribute sonoma:v1 to virtual-2 for prod"] == [each["text"] for each in planned.plan["actions"]]
    done = reconcile(world)
    ends = {"succeeded": ["virtual-2"], "failed": [], "pending": []}
    assert ([{"channel": "prod", "wanted": "sonoma:v1", **ends}], []) == (
        done.outputs["channels"],
        done.outputs["reasons"],
    )
    assert planned.outputs == done.outputs
    assert {"virtual-1": ["sonoma:v1"], "virtual-2": ["sonoma:v1"], "virtual-3": ["sonoma:base"]} == held(world)
    assert ("unchanged", 3) == (reconcile(world).status, len(world.anka.controller.distributions()))


def test_two_channels_each_get_their_turn_and_one_that_is_named_alone(world):
    both = FLEET + "  spare: {template: ventura, tag: base}\n"
    reconcile(world, both, channels="spare", nodes="virtual-3")
    assert {"virtual-1": [], "virtual-2": [], "virtual-3": ["ventura:base"]} == held(world)
    done = reconcile(world, both)
    assert [("prod", 2), ("spare", 2)] == [(row["channel"], len(row["succeeded"])) for row in done.outputs["channels"]]
    all_ = ["sonoma:v1", "ventura:base"]
    assert {"virtual-1": all_, "virtual-2": all_, "virtual-3": ["ventura:base"]} == held(world)


def test_what_only_nodes_have_is_lost_with_a_confirmation_only(world):
    world.distribute(tag="v1")
    world.distribute(template="ventura", tag="base", all="", nodes="virtual-3")
    registry = world.anka.registry
    registry.revert(registry.template("sonoma"), registry.template("sonoma").pick("v1"))
    registry.delete(registry.template("ventura"))
    base = FLEET.replace("v1", "base")
    planned = reconcile(world, base, plan_only=True, evict_gone="true").plan
    gone = [f"sonoma:v1 on virtual-{number}" for number in (1, 2)] + ["ventura:base on virtual-3"]
    assert [f"{each}, which the registry no longer has" for each in gone] == [each["text"] for each in planned["loses"]]
    with pytest.raises(ConfirmationError):
        reconcile(world, base, evict_gone="true", confirm="yes")
    done = reconcile(world, base, evict_gone="true", confirm=planned["digest"])
    assert ["ventura on virtual-3"] == done.outputs["evicted"]
    assert {"virtual-1": ["sonoma:base"], "virtual-2": ["sonoma:base"], "virtual-3": ["sonoma:v1"]} == held(world)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("one: {template: sonoma, tag: v9}", "one .*:4:3.: the registry has no such tag"),
        ("one: {template: sonoma, tag: v1, groups: bare}", "no node is to have it"),
        ("one: {template: sonoma, tag: base}", "a node has one tag of a template"),
    ],
)
def test_channels_that_cannot_be_kept_are_refused_before_anything_is_done(world, line, said):
    with pytest.raises(RefusedError, match=said):
        reconcile(world, f"{FLEET}  {line}\n")
    assert [] == world.anka.controller.distributions()


def test_a_node_that_fails_keeps_no_other_from_its_turn(faulty):
    script = "nodes: [{node: virtual-1, does: full}, {node: virtual-3, does: offline}]"
    world = faulty(script, virtual_nodes=3, groups={"ios": ("virtual-1", "virtual-2")})
    world.second_template()
    world.clock.advance(600)
    both = FLEET + "  spare: {template: ventura, tag: base}\n"
    with pytest.raises(FellShortError, match="3 nodes did not get what they are to have") as caught:
        reconcile(world, both)
    outputs = caught.value.outputs
    assert [(["virtual-2"], ["virtual-1"])] * 2 == [(row["succeeded"], row["failed"]) for row in outputs["channels"]]
    told = [(row["channel"], row["node"], "offline" in row["reason"]) for row in outputs["reasons"]]
    assert [("spare", "virtual-3", True), ("prod", "virtual-1", False), ("spare", "virtual-1", False)] == told


def test_an_interrupted_one_cancels_what_it_began_and_tells_how_far_it_got(world):
    anka = world.doors()
    anka.tell = lambda event: anka.cancelled.set("SIGINT")
    both = FLEET + "  spare: {template: ventura, tag: base}\n"
    with pytest.raises(InterruptError) as caught:
        reconcile(world, both, anka=anka)
    (row,) = caught.value.outputs["channels"]
    assert ("prod", []) == (row["channel"], row["succeeded"])
    assert [True] == [each.ended for each in world.anka.controller.distributions()]


def test_a_node_that_is_done_and_does_not_report_the_tag_has_failed(world):
    def change(came):
        if came.path == "/api/v1/node":
            found = json.loads(came.body)
            found["body"][0]["templates"] = []
            came.body = json.dumps(found).encode()

    with Front(world.server.controller_url, change) as front:
        anka = world.doors()
        anka.context = replace(anka.context, controller_url=front.url)
        with pytest.raises(
            FellShortError, match="prod on virtual-1: its part is done, but it does not report"
        ) as caught:
            reconcile(world, anka=anka)
    (row,) = caught.value.outputs["channels"]
    assert (["virtual-2"], ["virtual-1"]) == (row["succeeded"], row["failed"])
