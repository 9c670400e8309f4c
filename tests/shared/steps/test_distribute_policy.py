"""When ``distribute`` is content: its policy, the nodes' own word, and rounds to those that failed."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError, UsageError
from anka_ci.inputs import show_size
from anka_ci.result import NodeChanged, Said
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context
from faulty import faulty
from front import Front

__all__ = ["faulty"]

BAD = "nodes: [{node: virtual-1, does: full}, {node: virtual-2, does: silent}]"


def told(world, level):
    return [event.text for event in world.told if isinstance(event, Said) and event.level == level]


@pytest.mark.parametrize("at_least", ["3", "60%"])
def test_enough_nodes_are_enough_and_those_that_failed_are_told(faulty, at_least):
    world = faulty(BAD, virtual_nodes=5)
    began = world.clock.now()
    done = world.distribute(at_least=at_least)
    assert ("done", 3, 3, ["virtual-1", "virtual-2"]) == (
        done.status,
        done.outputs["needed"],
        len(done.outputs["succeeded"]),
        done.outputs["failed"],
    )
    assert 1800 <= world.clock.now() - began < 1830  # the second never tells that it failed
    (said,) = [text for text in told(world, "warning") if "allows" in text]
    assert said.startswith("sonoma:v1 failed on 2 of 5 nodes: virtual-1: no space left on device")
    assert said.endswith("; the policy allows that")


def test_too_few_fall_short_and_say_how_many_were_wanted(faulty):
    world = faulty(BAD, virtual_nodes=5)
    with pytest.raises(FellShortError, match=r"^4 of 5 nodes have to have it \(at-least: 4\), and 3 do; ") as caught:
        world.distribute(at_least="4", stall="2m")
    assert ["virtual-1", "virtual-2"] == list(caught.value.facts["nodes"])
    assert (4, 3) == (caught.value.outputs["needed"], len(caught.value.outputs["succeeded"]))
    assert "nothing moved for 2m" in caught.value.message


def test_a_node_that_must_have_it_fails_all_the_others(faulty):
    world = faulty(BAD, virtual_nodes=5)
    with pytest.raises(FellShortError, match=r"^virtual-1 must have it; sonoma:v1 failed on 2 of 5 nodes"):
        world.distribute(at_least="1", must_have="virtual-1\nvirtual-5", stall="2m")
    assert ["virtual-3", "virtual-4", "virtual-5"] == world.distribute(at_least="1", must_have="virtual-5").outputs[
        "already"
    ]


def test_a_deadline_with_enough_nodes_by_then_is_no_failure(faulty):
    world = faulty("nodes: [{node: virtual-2, does: offline, at: 1s, for: 1h}]", virtual_nodes=3)
    done = world.distribute(world.doors(300), at_least="2")
    assert (["virtual-1", "virtual-3"], ["virtual-2"]) == (done.outputs["succeeded"], done.outputs["failed"])
    (row,) = done.outputs["reasons"]
    assert "the node is offline" in row["reason"]
    assert all(share.ended for share in world.anka.controller.distributions()[0].nodes.values())  # it was cancelled


@pytest.mark.parametrize(
    ("offline", "at_least", "key"),
    [("exclude", "", "skipped"), ("tolerate", "", "failed"), ("", "50%", "failed"), ("exclude", "100%", "skipped")],
)
def test_what_an_offline_node_means_also_when_it_goes_meanwhile(faulty, offline, at_least, key):
    world = faulty(
        "nodes: [{node: virtual-1, does: offline}, {node: virtual-2, does: offline, at: 1s}]", virtual_nodes=4
    )
    world.clock.advance(150)  # the controller shows the first as offline
    done = world.distribute(offline=offline, at_least=at_least, stall="5m")
    assert (["virtual-3", "virtual-4"], ["virtual-1", "virtual-2"]) == (done.outputs["succeeded"], done.outputs[key])


def test_a_policy_that_cannot_be_met_sends_nothing(faulty, fleet_as):
    world = faulty("nodes: [{node: virtual-1, does: offline}]", virtual_nodes=3)
    world.clock.advance(150)
    for inputs, said in (
        ({"offline": "fail"}, "offline: fail, and of virtual-1 that is true, at best; virtual-1: the node is offline"),
        ({"at_least": "3"}, r"3 of 3 nodes have to have it \(at-least: 3\), and 2 do, at best"),
        ({"at_least": "90%"}, r"3 of 3 nodes have to have it"),
        ({"at_least": "1", "must_have": "virtual-1"}, "virtual-1 must have it, at best"),
        ({"at_least": "3", "offline": "exclude"}, r"\(at-least: 3\), and 2 do"),
    ):
        with pytest.raises(RefusedError, match=said):
            world.distribute(**inputs)
    assert [] == world.anka.controller.distributions()
    assert 2 == len(world.distribute(at_least="60%").outputs["succeeded"])


def test_a_foreign_node_that_must_have_it_is_refused(fleet_as):
    doors = fleet_as(node_1={"host_arch": "amd64"}, node_2={"state": "Drain Mode"})
    chosen = {"template": "sonoma", "all": "true"}
    with pytest.raises(RefusedError, match="node-1 must have it, at best; node-1: the node is amd64"):
        perform("distribute", chosen | {"must-have": "node-1"}, doors)
    with pytest.raises(RefusedError, match="wrong-arch: fail, and of node-1 that is true"):
        perform("distribute", chosen | {"wrong-arch": "fail"}, doors)
    done = perform("distribute", chosen | {"draining": "exclude", "wrong-arch": "tolerate"}, doors)
    assert (["node-3"], ["node-2"], ["node-1"]) == tuple(
        done.outputs[key] for key in ("succeeded", "skipped", "failed")
    )
    assert "node-1 will get nothing, which is tolerated: the node is amd64, the template is arm64" in done.notes
    done = perform("distribute", chosen, doors)  # a draining node takes it as any other
    assert (["node-2"], ["node-3"], ["node-1"]) == tuple(
        done.outputs[key] for key in ("succeeded", "already", "skipped")
    )


# the nodes' own word


def test_a_part_that_is_done_is_believed_when_the_node_reports_the_tag(faulty):
    world = faulty("{}", virtual_nodes=3)
    late = world.clock.now() + 40

    def change(came):
        if came.path == "/api/v1/node":
            found = json.loads(came.body)
            for node in found["body"]:
                if node["node_name"] == "virtual-1" or world.clock.now() < late:
                    node["templates"] = []
            came.body = json.dumps(found).encode()

    with Front(world.server.controller_url, change) as front:
        anka = world.doors()
        anka.context = replace(anka.context, controller_url=front.url)
        with pytest.raises(
            FellShortError, match="failed on 1 of 3 nodes: virtual-1: its part is done, but it does not"
        ):
            world.distribute(anka)
        assert 40 <= world.clock.now() - (late - 40) < 80
        assert ["virtual-1"] == world.distribute(anka, at_least="2").outputs["failed"]


def test_nodes_that_report_nothing_are_not_verified_and_not_failed(faulty):
    world = faulty('release: "1.19"', virtual_nodes=2)
    done = world.distribute()
    assert (["virtual-1", "virtual-2"],) * 2 == (done.outputs["succeeded"], done.outputs["unverified"])


def test_another_job_that_waits_asks_the_nodes_too(faulty):
    world = faulty("{}", virtual_nodes=2)
    started = world.distribute(wait="false")
    wait = {"action": "wait", "request-id": started.outputs["request-id"]}
    assert ["virtual-1", "virtual-2"] == perform("distribution", wait, world.anka).outputs["succeeded"]
    world.anka.controller.evict(ID, ["virtual-2"])
    world.clock.advance(60)
    began = world.clock.now()
    with pytest.raises(
        FellShortError, match="virtual-2: its part is done, but it does not report the template"
    ) as caught:
        perform("distribution", wait, world.anka)
    assert (["virtual-1"], ["virtual-2"]) == (caught.value.outputs["succeeded"], caught.value.outputs["failed"])
    assert 60 <= world.clock.now() - began < 70
    world = faulty('release: "1.19"')
    started = world.distribute(wait="false")
    done = perform("distribution", {"action": "wait", "request-id": started.outputs["request-id"]}, world.anka)
    assert (["virtual-1", "virtual-2"],) * 2 == (done.outputs["succeeded"], done.outputs["unverified"])


def test_a_name_that_was_there_before_proves_nothing(faulty):
    world = faulty("{}", virtual_nodes=2)
    assert "unverified" not in world.distribute(all="", nodes="virtual-1").outputs
    done = world.distribute(again="true")
    assert (["virtual-1", "virtual-2"], ["virtual-1"]) == (done.outputs["succeeded"], done.outputs["unverified"])


def test_nodes_that_join_or_leave_meanwhile_are_told(faulty):
    world = faulty("nodes: [{node: virtual-2, does: silent}]", virtual_nodes=4)
    url = f"{world.server.controller_url}/api/v1"
    group = requests.post(f"{url}/group", json={"name": "mac"}, timeout=10).json()["body"]["id"]

    def join(*names):
        requests.post(f"{url}/node/group", json={"group_ids": [group], "node_ids": list(names)}, timeout=10)

    join("virtual-1", "virtual-2", "virtual-3")
    seen = []

    def tell(event):
        world.told.append(event)
        if not seen:
            seen.append(event)
            join("virtual-4")

    hidden = {"virtual-2"}

    def change(came):
        if came.path == "/api/v1/node" and seen:
            found = json.loads(came.body)
            found["body"] = [node for node in found["body"] if node["node_id"] not in hidden]
            came.body = json.dumps(found).encode()

    with Front(world.server.controller_url, change) as front:
        anka = world.doors(tell=tell)
        anka.context = replace(anka.context, controller_url=front.url)
        done = world.distribute(anka, all="", group="mac", at_least="2")
    assert (["virtual-1", "virtual-3"], ["virtual-2"]) == (done.outputs["succeeded"], done.outputs["failed"])
    assert "it is no longer at the controller" in done.outputs["reasons"][0]["reason"]
    assert ["virtual-4 joined meanwhile, and nothing was sent there: distribute again"] == told(world, "notice")


# rounds


def test_only_nodes_that_failed_are_sent_it_again(faulty):
    world = faulty(
        "nodes: [{node: virtual-1, does: full, for: 20s}, {node: virtual-2, does: offline, for: 100s}]", virtual_nodes=4
    )
    done = world.distribute(retries="3")
    assert (4, []) == (len(done.outputs["succeeded"]), done.outputs["failed"])
    requests_ = world.anka.controller.distributions()
    assert [["virtual-1"], ["virtual-1", "virtual-2", "virtual-3", "virtual-4"]] == [
        list(each.nodes) for each in requests_
    ]
    assert requests_[0].id == done.outputs["request-id"]
    assert ["sonoma:v1 is to be sent again in 10 s, to virtual-1"] == told(world, "notice")


def test_a_node_that_was_out_of_reach_is_sent_it_when_it_is_back(faulty):
    world = faulty("nodes: [{node: virtual-1, does: offline, for: 200s}]", virtual_nodes=2)
    world.clock.advance(150)
    done = world.distribute(retries="4", at_least="2")  # not refused: it is tried again
    assert ["virtual-1", "virtual-2"] == done.outputs["succeeded"]
    assert ["virtual-1"] == list(world.anka.controller.distributions()[0].nodes)


def test_one_deadline_counts_all_rounds(faulty):
    world = faulty("nodes: [{node: virtual-1, does: silent}]", virtual_nodes=2)
    began = world.clock.now()
    with pytest.raises(FellShortError, match="virtual-1: ") as caught:
        world.distribute(world.doors(400), retries="10", stall="2m")
    assert 400 <= world.clock.now() - began < 401
    assert ["virtual-1"] == caught.value.outputs["failed"]
    assert 3 == len(world.anka.controller.distributions())
    assert all(share.ended for each in world.anka.controller.distributions() for share in each.nodes.values())


def test_rounds_end_when_the_policy_is_met_or_nothing_can_help(faulty, fleet_as):
    world = faulty(BAD, virtual_nodes=5)
    world.distribute(retries="5", at_least="3", stall="2m")
    assert 1 == len(world.anka.controller.distributions())
    world = faulty("nodes: [{node: virtual-1, does: full}]")
    with pytest.raises(FellShortError, match="failed on 1 of 2 nodes: virtual-1: no space left"):
        world.distribute(retries="2")
    assert 3 == len(world.anka.controller.distributions())


def test_an_interruption_between_rounds_tells_what_is_done(faulty):
    world = faulty("nodes: [{node: virtual-1, does: full}]")

    def tell(event):
        if isinstance(event, Said) and "sent again" in event.text:
            anka.cancelled.set("SIGTERM")

    anka = world.doors(tell=tell)
    with pytest.raises(InterruptError, match="sending sonoma:v1 again: interrupted") as caught:
        world.distribute(anka, retries="1")
    assert (["virtual-2"], ["virtual-1"]) == (caught.value.outputs["succeeded"], caught.value.outputs["failed"])


def test_a_clock_that_is_wrong_by_days_changes_nothing(faulty):
    for wrong in (-3, 3):
        world = faulty(BAD, virtual_nodes=5)

        class Wrong(ManualClock):
            def now(self):
                return world.clock.now() + wrong * 86400  # noqa: B023

            def monotonic(self):
                return world.clock.monotonic()  # noqa: B023

            def sleep(self, seconds, cancelled=None):
                world.clock.sleep(seconds, cancelled)  # noqa: B023

        anka = Anka(world.anka.context, clock=Wrong())
        done = world.distribute(anka, at_least="3", stall="2m")
        assert ["virtual-3", "virtual-4", "virtual-5"] == done.outputs["succeeded"]


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({"at_least": "0"}, UsageError, "at-least: 0 would be content with no node"),
        ({"at_least": "0%"}, UsageError, "at-least: 0% of the nodes is not possible"),
        ({"at_least": "101%"}, UsageError, "at most 100%"),
        ({"at_least": "most"}, UsageError, "write all, 3 or 80%"),
        ({"at_least": "3"}, UsageError, "at-least: 3 is more than the 2 nodes that were chosen"),
        ({"must_have": "virtual-9"}, NotFoundError, "no node 'virtual-9'"),
        ({"all": "", "nodes": "virtual-1", "must_have": "virtual-2"}, UsageError, "must-have: virtual-2 must have it"),
        ({"offline": "ignore"}, UsageError, "'ignore' is none of exclude, tolerate, fail"),
        ({"retries": "-1"}, UsageError, "retries: -1 is not from 0 to 10"),
        ({"retries": "11"}, UsageError, "retries: 11"),
        ({"stall": "5s"}, UsageError, "stall: give 60s or more"),
        ({"wait": "false", "at_least": "1"}, UsageError, "at-least is judged at the end"),
        ({"wait": "false", "must_have": "virtual-1"}, UsageError, "must-have is judged at the end"),
        ({"wait": "false", "retries": "1"}, UsageError, "retries is judged at the end"),
    ],
)
def test_bad_policies_send_nothing(world, inputs, error, said):
    with pytest.raises(error, match=said):
        world.distribute(**inputs)
    assert [] == world.anka.controller.distributions()


@pytest.fixture(scope="module")
def world(seeded, tmp_path_factory):
    """One for all bad inputs, as nothing is ever sent there."""
    generator = faulty.__wrapped__(seeded, tmp_path_factory.mktemp("world"))
    start = next(generator)
    yield start("{}")
    with pytest.raises(StopIteration):
        next(generator)


def test_must_have_takes_ids_and_names_each_once(world):
    planned = perform(
        "distribute",
        {"template": ID, "all": "true", "at-least": "1", "must-have": ["virtual-1", "virtual-1"]},
        world.anka,
        plan_only=True,
    )
    assert ["virtual-1"] == planned.plan["actions"][0]["with"]["prospect"]["policy"]["must-have"]


# preflight


def planned(world, anka=None, **inputs):
    values = {"template": "sonoma", "all": "true", **{key.replace("_", "-"): value for key, value in inputs.items()}}
    return perform("distribute", values, anka or world.anka, plan_only=True)


def test_a_plan_tells_the_bytes_that_are_moved_then(faulty):
    world = faulty("virtual: {bandwidth: 1MiB, registry: 1GiB, spread: 0%}", virtual_nodes=3)
    world.distribute(all="", nodes="virtual-1", tag="base")

    def used():
        return [node.anka_disk_usage for node in world.anka.controller.nodes()]

    before, found = used(), planned(world, bandwidth="1MiB")
    assert found.plan["bytes"] == found.outputs["moves-least"] == found.outputs["moves-most"]
    said, *each = (note for note in found.notes if "moves" in note or "gets" in note)
    assert said.endswith("to 3 nodes in all, which takes 3s at 1.0 MiB/s a node")
    done = world.distribute()
    moved = [after - was for after, was in zip(used(), before, strict=True)]
    assert [f"virtual-{number} gets {show_size(count)}" for number, count in enumerate(moved, 1)] == each
    assert moved[0] < moved[1] == moved[2]
    assert sum(moved) == done.plan["bytes"] == done.outputs["moves-most"]


def test_nodes_without_room_or_time_are_told_and_refused_where_a_policy_cannot_be_met(faulty):
    world = faulty("virtual: {disk: 2MiB, spread: 0%}")
    said = "at least 3.0 MiB are needed, and 2.0 MiB is all that can come free"
    assert [f"virtual-{number} will fail: {said}" for number in (1, 2)] == [
        note for note in planned(world).notes if "will fail" in note
    ]
    for inputs in ({"at_least": "1"}, {"preflight": "refuse"}):
        with pytest.raises(RefusedError, match=f"cannot get as far as it has to, .*, at best; virtual-1: {said}"):
            world.distribute(**inputs)
    assert [] == world.anka.controller.distributions()
    for inputs in ({}, {"at_least": "1", "preflight": "warn"}, {"at_least": "1", "preflight": "off"}):
        with pytest.raises(FellShortError, match="no space left on device"):
            world.distribute(**inputs)
    world = faulty("{}")
    with pytest.raises(
        RefusedError, match=r"virtual-1: moving 3\.0 MiB takes 3s or more at 1\.0 MiB/s, and there are 2s"
    ):
        world.distribute(world.doors(2), bandwidth="1MiB", preflight="refuse")
    assert [] == world.anka.controller.distributions()


def test_what_a_node_evicts_for_it_is_told(faulty):
    world = faulty("virtual: {disk: 4MiB, spread: 0%}")
    world.second_template()
    world.distribute(template="ventura", all="", nodes="virtual-1")
    found = planned(world)
    (said,) = [note for note in found.notes if note.startswith("virtual-1")]
    assert "virtual-1 has 2.0 MiB free for 3.0 MiB, so it evicts other templates it holds (ventura:base)" == said
    assert ["virtual-1", "virtual-2"] == world.distribute(preflight="refuse").outputs["succeeded"]
    (node, _) = world.anka.controller.nodes()
    assert ["sonoma"] == [held.name for held in node.templates]


def test_without_a_preflight_nothing_is_read_for_it(faulty):
    world = faulty("{}")
    found = planned(world, preflight="off")
    assert "moves-least" not in found.outputs
    assert found.plan["bytes"] is None
    with pytest.raises(UsageError, match="bandwidth: 0 moves nothing"):
        planned(world, bandwidth="0")
    assert 2 == len(
        [note for note in planned(world, made_with="4.0").notes if "runs Anka 3.8.5, older than the" in note]
    )


def test_a_controller_that_restarts_in_the_middle_loses_nothing(seeded, tmp_path):
    data, clock = Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True)), ManualClock()
    with ExitStack() as running:
        server = running.enter_context(Server(data, virtual_nodes=5, clock=clock))
        port, served = urlsplit(server.controller_url).port, []

        def tell(event):
            if isinstance(event, NodeChanged) and event.state == "pulling" and not served:
                running.close()
                clock.advance(1)
                served.append(running.enter_context(Server(data, virtual_nodes=5, clock=clock, port=port)))

        context = Context(controller_url=server.controller_url, registry_urls=(server.registry_url,))
        inputs = {"template": "sonoma", "all": "true", "at-least": "5"}
        done = perform("distribute", inputs, Anka(context, clock=clock, tell=tell))
        assert (5, []) == (len(done.outputs["succeeded"]), done.outputs["failed"])
        assert 1 == len(served) == len(Anka(context, clock=clock).controller.distributions())
