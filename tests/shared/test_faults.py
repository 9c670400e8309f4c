"""Faults that real deployments have had, each from a script: the steps survive it, or name what it was."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled
from anka_ci.desk import perform
from anka_ci.errors import (
    FellShortError,
    InterruptError,
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.oci import Oci
from anka_ci.result import StepResult
from anka_ci.server import faults
from anka_ci.server.app import Server
from anka_ci.server.faults import Faults
from anka_ci.server.seed import ID
from anka_ci.wire.manifest import Manifest
from faulty import Faulty, faulty

__all__ = ["faulty"]

DISTRIBUTE = "/api/v1/registry/vm/distribute"


# connections and replies


@pytest.mark.parametrize(
    "fault",
    [
        "does: drop",
        "does: cut",
        "does: lose",
        "{does: answer, status: 503}",
        "{does: answer, status: 500, message: no}",
    ],
)
def test_a_fault_that_passes_is_not_noticed(faulty: Callable[..., Faulty], fault: str) -> None:
    fault = fault.strip("{}")
    world = faulty(f'http: [{{match: "GET *", after: 1, times: 3, {fault}}}]')
    assert ["virtual-1", "virtual-2"] == world.distribute().outputs["succeeded"]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("does: drop", "the controller: http.*: the connection broke"),
        ("does: cut", "the connection broke|no Anka reply came back"),
        ("does: answer, status: 502", r"server error 502: <html><head><title>502 Bad Gateway"),
        ("does: answer, status: 500, message: the store is down", "server error 500: the store is down"),
        ("does: answer, status: 429, retry-after: 2s", "429"),
    ],
)
def test_a_fault_that_stays_is_named(faulty: Callable[..., Faulty], fault: str, cause: str) -> None:
    world = faulty(f"http: [{{match: GET /api/v1/node, {fault}}}]")
    with pytest.raises(UnreachableError, match=cause):
        perform("nodes", {}, world.anka)


def test_a_stall_is_waited_for_or_named_when_the_time_is_over(faulty: Callable[..., Faulty]) -> None:
    world = faulty(
        """
        http:
          - {match: GET /api/v1/node, does: stall, for: 0.1s, times: 1}
          - {match: GET /api/v1/group, does: stall, for: 60s}
        """
    )
    assert 2 == len(perform("nodes", {}, world.anka).outputs["nodes"])  # type: ignore[arg-type]
    with pytest.raises(FellShortError, match=r"/api/v1/group \(the last try: the controller: http.*: timed out\)"):
        perform("groups", {}, world.doors(timeout=0.2))


def test_a_controller_that_asks_to_wait_is_given_the_time(faulty: Callable[..., Faulty]) -> None:
    world = faulty(
        f"""
        http:
          - {{match: GET /api/v1/node, does: answer, status: 429, retry-after: 40s, times: 1}}
          - {{match: POST {DISTRIBUTE}, does: answer, status: 429, retry-after: 20s, times: 2}}
        """
    )
    began = world.clock.now()
    assert "done" == world.distribute().status
    assert 80 <= world.clock.now() - began < 95
    assert "the controller asks to come back in 40 s" in world.warnings()
    away = faulty("http: [{match: GET /api/v1/node, does: answer, status: 429, retry-after: 40s}]")
    with pytest.raises(FellShortError, match=r"the last try: it answered 429\): not done within 10 s"):
        perform("nodes", {}, away.doors(timeout=10))


# requests whose answers are lost


@pytest.mark.parametrize("fault", ["does: drop", "does: lose", "does: answer, status: 502"])
def test_a_distribution_whose_answer_is_lost_is_found_again_or_sent_again(
    faulty: Callable[..., Faulty], fault: str
) -> None:
    world = faulty(f"http: [{{match: POST {DISTRIBUTE}, times: 1, {fault}}}]")
    done = world.distribute()
    (request,) = world.anka.controller.distributions()
    assert (request.id, ["virtual-1", "virtual-2"]) == (done.outputs["request-id"], done.outputs["succeeded"])
    assert "looking whether it was taken all the same" in world.warnings()


def test_a_distribution_that_never_gets_through_says_why(faulty: Callable[..., Faulty]) -> None:
    world = faulty(f"http: [{{match: POST {DISTRIBUTE}, does: answer, status: 502}}]")
    with pytest.raises(UnreachableError, match=f"POST .*{DISTRIBUTE}: server error 502"):
        world.distribute()
    assert [] == world.anka.controller.distributions()


def test_a_removal_whose_answer_is_lost_is_asked_for_again(faulty: Callable[..., Faulty]) -> None:
    world = faulty("http: [{match: DELETE /api/v1/registry/vm/remove, does: lose, times: 1}]")
    world.distribute()
    inputs = {"template": "sonoma", "nodes": "virtual-2"}
    done = perform("evict", inputs, world.anka, confirm=digest("evict", inputs, world.anka))
    assert ["virtual-2"] == done.outputs["succeeded"]


def digest(step: str, inputs: dict[str, str], anka: Anka) -> str:
    return str(perform(step, inputs, anka, plan_only=True).plan["digest"])


# OK with a null body


def test_nothing_instead_of_a_status_is_asked_again_for_two_minutes(faulty: Callable[..., Faulty]) -> None:
    world = faulty(f"http: [{{match: GET {DISTRIBUTE}, does: 'null', times: 4}}]")  # one of them to the plan
    assert ["virtual-1", "virtual-2"] == world.distribute().outputs["succeeded"]
    assert 3 == world.warnings().count("just now; still waiting")
    lost = f"http: [{{match: GET {DISTRIBUTE}, does: 'null'}}]"
    world = faulty(f"{{{lost}, nodes: [{{node: virtual-2, does: silent}}]}}")
    began = world.clock.now()
    with pytest.raises(NotFoundError, match="no distribution") as caught:
        world.distribute()
    assert 120 <= world.clock.now() - began < 130
    outputs = caught.value.outputs  # what the nodes report themselves is known all the same
    assert (["virtual-1"], ["virtual-2"], []) == tuple(outputs[key] for key in ("succeeded", "failed", "pending"))
    assert "the controller no longer knows the request" in str(outputs["reasons"])
    world = faulty(lost)
    assert ["virtual-1", "virtual-2"] == world.distribute().outputs["succeeded"]
    with pytest.raises(NotFoundError, match="no distribution"):
        perform("distribution", {"request-id": str(outputs["request-id"])}, world.anka)


def test_an_empty_node_list_is_neither_all_nodes_nor_a_removal_that_is_done(faulty: Callable[..., Faulty]) -> None:
    world = faulty("http: [{match: GET /api/v1/node, does: 'null', after: 4}]")
    world.distribute()
    inputs = {"template": "sonoma", "nodes": "virtual-2"}
    confirm = digest("evict", inputs, world.anka)
    with pytest.raises(NotFoundError, match="no node"):  # it is planned again, and there is no node-2 any more
        perform("evict", inputs, world.anka, confirm=confirm)
    with pytest.raises(NotFoundError, match="no node at the controller"):
        world.distribute(again="true")
    world = faulty("http: [{match: GET /api/v1/node, does: 'null', after: 5}]")
    world.distribute()
    confirm = digest("evict", inputs, world.anka)
    with pytest.raises(FellShortError, match="removing from virtual-2: nothing moved for 10m"):
        perform("evict", inputs, world.anka, confirm=confirm)


def test_a_distribution_that_is_taken_without_an_id_is_found(faulty: Callable[..., Faulty]) -> None:
    world = faulty(f"http: [{{match: POST {DISTRIBUTE}, does: 'null', times: 1}}]")
    done = world.distribute()
    assert [done.outputs["request-id"]] == [each.id for each in world.anka.controller.distributions()]


# nodes


def test_a_node_that_stays_at_progress_1_is_asked_itself(faulty: Callable[..., Faulty]) -> None:
    world = faulty("nodes: [{node: virtual-1, does: stuck}]")
    began = world.clock.now()
    done = world.distribute()
    assert (["virtual-1", "virtual-2"], []) == (done.outputs["succeeded"], done.outputs["pending"])
    assert 60 < world.clock.now() - began < 80
    assert "virtual-1 is never told as done but reports v1: it counts as done" in world.warnings()


def test_progress_1_without_the_tag_is_no_success(faulty: Callable[..., Faulty]) -> None:
    """An older controller that does not tell what nodes hold: there is nothing to be sure by."""
    world = faulty('{release: "1.19", nodes: [{node: virtual-1, does: stuck}]}')
    with pytest.raises(FellShortError, match="nothing moved for 30m; virtual-1: it stays at progress 1") as caught:
        world.distribute()
    assert (["virtual-2"], ["virtual-1"]) == (caught.value.outputs["succeeded"], caught.value.outputs["pending"])
    assert "this controller cannot cancel a distribution" in caught.value.message


def test_a_failure_that_is_never_reported_is_a_stall_and_named(faulty: Callable[..., Faulty]) -> None:
    world = faulty("nodes: [{node: virtual-2, does: silent}]")
    with pytest.raises(
        FellShortError, match="nothing moved for 30m; virtual-2: it stands at 42% and tells no error; the request was"
    ) as caught:
        world.distribute()
    assert {"virtual-2": "it stands at 42% and tells no error"} == caught.value.facts["nodes"]
    assert (["virtual-1"], ["virtual-2"]) == (caught.value.outputs["succeeded"], caught.value.outputs["failed"])
    (row,) = caught.value.outputs["reasons"]  # type: ignore[misc]
    assert "request canceled (it stands at 42% and tells no error)" == row["reason"]


def test_a_node_that_comes_back_is_waited_for_and_one_that_does_not_is_named(faulty: Callable[..., Faulty]) -> None:
    world = faulty("nodes: [{node: virtual-2, does: offline, at: 1s, for: 10m}]")
    began = world.clock.now()
    assert ["virtual-1", "virtual-2"] == world.distribute().outputs["succeeded"]
    assert 600 < world.clock.now() - began < 610
    world = faulty("nodes: [{node: virtual-2, does: offline, at: 1s}]")
    with pytest.raises(FellShortError, match=r"virtual-2: .*; the node is offline: the controller has not heard"):
        world.distribute()
    assert ["Active", "Offline"] == [node.state for node in world.anka.controller.nodes()]
    done = world.distribute(all="", nodes="virtual-1")
    assert ["virtual-1"] == done.outputs["already"]
    with pytest.raises(FellShortError, match="failed on 1 of 1 nodes: virtual-2: the node is offline"):
        world.distribute(all="", nodes="virtual-2")


def test_a_node_that_restarts_begins_anew_and_is_in_no_group(faulty: Callable[..., Faulty]) -> None:
    world = faulty("nodes: [{node: virtual-1, does: restart, at: 1500ms}]".replace("1500ms", "1.5s"))
    done = world.distribute(all="", group="ios")
    assert ["virtual-1", "virtual-2"] == done.outputs["succeeded"]
    assert [0, 1] == [len(node.groups) for node in world.anka.controller.nodes()]
    assert ["virtual-2"] == world.distribute(all="", group="ios").outputs["already"]
    group, node = world.anka.controller.group("ios"), world.anka.controller.node("virtual-1")
    body = {"group_ids": [group.id], "node_ids": [node.id]}
    requests.post(f"{world.server.controller_url}/api/v1/node/group", json=body, timeout=10)
    assert ["virtual-1", "virtual-2"] == world.distribute(all="", group="ios").outputs["already"]
    world = faulty("nodes: [{node: '*', does: restart, at: 1s}]")
    world.clock.advance(2)
    with pytest.raises(NotFoundError, match="no node in the group 'ios'") as caught:
        world.distribute(all="", group="ios")
    assert "nodes that restart lose their groups under Controller 1.50.0" in caught.value.hint


def test_a_node_without_room_is_named(faulty: Callable[..., Faulty]) -> None:
    world = faulty("{virtual: {disk: 2MiB, spread: 0%}, nodes: [{node: virtual-1, does: full}]}")
    with pytest.raises(FellShortError, match=r"virtual-1: no space left on device: .*; virtual-2: no space") as caught:
        world.distribute()
    assert "bytes are needed, 2097152 are free" in caught.value.facts["nodes"]["virtual-2"]  # type: ignore[index]
    assert [(), ()] == [node.templates for node in world.anka.controller.nodes()]


@pytest.mark.parametrize(
    "script", ["virtual: {disk: 4MiB, spread: 0%}", "nodes: [{node: virtual-1, does: evict}]"], ids=["disk", "evict"]
)
def test_what_a_node_evicted_to_make_room_is_sent_again(faulty: Callable[..., Faulty], script: str) -> None:
    world = faulty(script)
    world.second_template()
    only = {"all": "", "nodes": "virtual-1"}
    world.distribute(**only)
    assert ["virtual-1"] == world.distribute(template="ventura", **only).outputs["succeeded"]
    (node, _) = perform("nodes", {}, world.anka).outputs["nodes"]  # type: ignore[misc]
    assert ["ventura:base"] == node["templates"]
    assert ["virtual-1"] == world.distribute(**only).outputs["succeeded"]
    (node, _) = perform("nodes", {}, world.anka).outputs["nodes"]  # type: ignore[misc]
    assert ["sonoma:v1"] == node["templates"]


# instances


def start(world: Faulty, **inputs: str) -> StepResult:
    given = {"template": "sonoma", "owner": "test", "lease": "1h"} | inputs
    return perform("start-instance", given, world.anka)


@pytest.mark.parametrize("fault", ["does: lose", "does: 'null'", "does: cut"])
def test_an_instance_whose_answer_is_lost_is_found_and_not_started_twice(
    faulty: Callable[..., Faulty], fault: str
) -> None:
    world = faulty(f"http: [{{match: POST /api/v1/vm, times: 1, {fault}}}]")
    done = start(world)
    assert [done.outputs["instance-id"]] == [each.id for each in world.anka.controller.instances.all()]


def test_an_instance_on_a_node_without_room_says_so_and_is_ended(faulty: Callable[..., Faulty]) -> None:
    world = faulty("nodes: [{node: '*', does: full}]")
    with pytest.raises(FellShortError, match=r"it is Error: no space left on device.*; the instance was ended"):
        start(world)


def test_an_instance_whose_node_goes_offline_is_waited_for_until_it_is_back(faulty: Callable[..., Faulty]) -> None:
    world = faulty("nodes: [{node: virtual-1, does: offline, at: 1s, for: 20m}]")
    began = world.clock.now()
    assert "virtual-1" == start(world, node="virtual-1").outputs["node"]
    assert 1200 < world.clock.now() - began < 1210


@pytest.mark.parametrize("times", ["times: 4", ""], ids=["passes", "stays"])
def test_nothing_instead_of_an_instance_does_not_mean_that_it_has_ended(
    faulty: Callable[..., Faulty], times: str
) -> None:
    world = faulty(f"http: [{{match: GET /api/v1/vm, does: 'null', after: 1, {times}}}]".replace(", }", "}"))
    if times:
        assert "Started" == start(world).outputs["state"]
        return
    with pytest.raises(UnreachableError, match=r"the controller said OK and nothing about .*; the instance was ended"):
        start(world)


def test_an_empty_list_of_instances_does_not_mean_that_they_have_ended(faulty: Callable[..., Faulty]) -> None:
    world = faulty("http: [{match: GET /api/v1/vm, does: 'null', after: 7, times: 2}]")
    id_ = str(start(world).outputs["instance-id"])
    assert [id_] == perform("stop-instance", {"instance": id_}, world.anka).outputs["ended"]
    assert f"the controller said OK and nothing about {id_}; still waiting" in world.warnings()
    assert {"Terminated"} >= {each.state for each in world.anka.controller.instances.all()}


# the data plane; with whole commands in tests/integration


def test_blobs_come_and_go_through_what_passes(faulty: Callable[..., Faulty], tmp_path: Path) -> None:
    world = faulty(
        """
        http:
          - {match: GET /v2/*/manifests/v1, does: answer, status: 503, retry-after: 30s, times: 1}
          - {match: GET /v2/*/blobs/*, does: drop, times: 2}
          - {match: P* /v2/*/blobs/uploads/*, does: lose, times: 2}
        """
    )
    began, oci = world.clock.now(), Oci(world.server.registry_url, world.anka)
    manifest = Manifest.read(oci.manifest(ID, "v1")[0])
    assert manifest is not None
    assert 30 <= world.clock.now() - began < 31
    layer = manifest.layers[-1]
    assert layer.size == oci.pull(ID, layer.digest, layer.size, tmp_path / "part")
    content = (tmp_path / "part").read_bytes()[::-1]
    (tmp_path / "part").write_bytes(content)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    oci.push(ID, digest, tmp_path / "part", tmp_path / "ticket")
    assert len(content) == oci.blob_size(ID, digest)


# older controllers


def test_an_older_controller_that_cannot_cancel_is_named(faulty: Callable[..., Faulty]) -> None:
    world = faulty('release: "1.42"')
    assert "1.42.0" == world.anka.controller.status().version
    cancelled = Cancelled()
    stopped = world.doors(cancelled=cancelled, tell=lambda event: cancelled.set("SIGTERM"))
    with pytest.raises(InterruptError, match="this controller cannot cancel a distribution") as caught:
        world.distribute(stopped)
    inputs = {"request-id": str(caught.value.facts["request-id"]), "action": "cancel"}
    with pytest.raises(RefusedError, match="cannot cancel a distribution") as refused:
        perform("distribution", inputs, world.anka)
    assert "since 1.43" in refused.value.hint
    done = perform("distribution", inputs | {"action": "wait"}, world.anka)
    assert ["virtual-1", "virtual-2"] == done.outputs["succeeded"]


def test_an_older_controller_without_removal_from_nodes_is_named(faulty: Callable[..., Faulty]) -> None:
    world = faulty('release: "1.19.3"')
    assert [None, None] == [node.templates for node in world.anka.controller.nodes()]
    assert ["virtual-1", "virtual-2"] == world.distribute().outputs["succeeded"]
    assert ["virtual-1", "virtual-2"] == world.distribute().outputs["succeeded"]  # nobody tells that they have it
    inputs = {"template": "sonoma", "all": "true"}
    with pytest.raises(RefusedError, match="this controller cannot remove templates from nodes") as caught:
        perform("evict", inputs, world.anka, confirm=digest("evict", inputs, world.anka))
    assert "since 1.20" in caught.value.hint


# the script


def test_the_documented_script_reads(tmp_path: Path) -> None:
    sample = (faults.__doc__ or "").partition("every key there is:\n")[2].partition("\n``drop``")[0]
    sample = sample.partition("\nAn older")[0]
    file = tmp_path / "faults.yml"
    file.write_text(dedent(sample))
    found = Faults.read(file)
    assert ("1.42.0", 100 << 20) == (found.version, found.pace.bandwidth)
    assert [("virtual-1*", "offline", 1030.0, 1330.0)] == [
        (each.node, each.does, each.at, each.until) for each in found.nodes(1000)
    ]
    met = [found.meet("GET", "/api/v1/node") for _ in range(4)]
    assert [None, "answer", "answer", None] == [each and each.does for each in met]
    stall = found.meet("PATCH", "/v2/x/blobs/uploads/1")
    assert ("stall", 10) == (stall and stall.does, stall and stall.for_)


def test_the_example_reads() -> None:
    found = Faults.read(Path(__file__).parents[2] / "shared" / "examples" / "faults" / "bad-day.yml")
    assert ["stuck", "full", "offline"] == [each.does for each in found.nodes(0)]


@pytest.mark.parametrize(
    ("script", "place", "said", "hint"),
    [
        ("htp: []", "1:1", "a fault script: unknown key 'htp'", "did you mean 'http'?"),
        ("http: {}", "1:7", "http has to be a list", ""),
        ("http:\n  - match: GET /x\n    doess: drop", "3:5", "unknown input 'doess'", "did you mean 'does'?"),
        ("http:\n  - match: GET /x\n    does: vanish", "3:5", "does: 'vanish'", ""),
        ("http:\n  - does: drop", "2:5", "input 'match' is missing", "Method and path"),
        ("http: [{match: /x, does: drop}]", "1:8", "is not a method and a path", ""),
        ("http: [{match: GET /x, does: answer}]", "1:8", "does: answer and a status go together", ""),
        ("http: [{match: GET /x, does: answer, status: 200}]", "1:8", "200 is no failure", ""),
        ("http: [{match: GET /x, does: drop, times: 0}]", "1:8", "times from 1", ""),
        ("nodes: [{node: x, does: offline, at: soon}]", "1:34", "at: 'soon' is not a duration", ""),
        ("nodes: [{node: x, does: sleep}]", "1:19", "does: 'sleep'", ""),
        ("nodes: [x]", "1:9", "a node's fault has to be a mapping", ""),
        ("virtual: {bandwidth: 0}", "1:10", "a bandwidth of 0 moves nothing", ""),
        ("virtual: {pace: 1}", "1:11", "unknown input 'pace'", ""),
        ("release: new", "1:10", "release: 'new' is none; write it like 1.42", ""),
        ("release: 1.42\nrelease: 1.43", "2:1", "key 'release' is given twice", ""),
    ],
)
def test_a_script_that_is_wrong_is_refused_with_line_and_column(
    tmp_path: Path, script: str, place: str, said: str, hint: str
) -> None:
    file = tmp_path / "faults.yml"
    file.write_text(script)
    with pytest.raises(UsageError) as caught:
        Server(tmp_path / "data", faults=file)
    assert caught.value.message.startswith(f"{file}:{place}: ")
    assert said in caught.value.message
    assert hint in caught.value.hint
