"""The step ``distribute``: against nodes that really pull, and against those that cannot."""

import contextlib
import dataclasses
import fcntl
import json
import subprocess
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock, SystemClock
from anka_ci.desk import perform
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError, UsageError
from anka_ci.result import NodeChanged, Said
from anka_ci.rules import distribution
from front import Front


def distribute(anka, **inputs):
    return perform(
        "distribute", {"template": "sonoma", **{key.replace("_", "-"): value for key, value in inputs.items()}}, anka
    )


def doors(anka, **more):
    return Anka(anka.context, **more)


@contextmanager
def busy(server, *names):
    """Another command holds these nodes' libraries, so that what they are to do waits."""
    locks = []
    for name in names:
        place = server.data / "nodes" / name / "vm_lib" / ".locks" / "library"
        place.parent.mkdir(parents=True, exist_ok=True)
        locks.append(place.open("a"))
        fcntl.flock(locks[-1], fcntl.LOCK_EX)
    try:
        yield
    finally:
        for lock in locks:
            lock.close()


def pulling(server):
    """The pulls that run against this server."""
    shown = subprocess.run(["ps", "-A", "-ww", "-o", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in shown.splitlines() if server.registry_url in line and " pull " in line]


def until(holds):
    """Wait until something outside holds, for ten seconds at most."""
    clock = SystemClock()
    deadline = Deadline(clock, 10)
    while not holds():
        deadline.check("what the test waits for")
        clock.sleep(0.05)


def test_a_group_gets_the_latest_and_only_the_group(anka):
    told = []
    done = distribute(doors(anka, tell=told.append), group="ios")
    assert ("done", "v1", 1) == (done.status, done.outputs["tag"], done.outputs["version"])
    assert (["node-1", "node-2"], [], []) == tuple(done.outputs[key] for key in ("succeeded", "failed", "already"))
    assert ["v1", "v1", None] == [node.tag_of(done.outputs["id"]) for node in anka.controller.nodes()]
    assert {"node-1", "node-2"} == {event.node for event in told if event == NodeChanged(node=event.node, state="done")}


def test_nodes_that_have_the_tag_are_left_alone(anka):
    distribute(anka, nodes="node-1", tag="v1")
    before = len(anka.controller.distributions())
    done = distribute(anka, nodes="node-1", version="1")
    assert ("unchanged", ["node-1"]) == (done.status, done.outputs["already"])
    assert "request-id" not in done.outputs
    assert before == len(anka.controller.distributions())
    done = distribute(anka, nodes=["node-1", "node-2"])
    assert (["node-2"], ["node-1"]) == (done.outputs["succeeded"], done.outputs["already"])


def test_again_sends_all_the_same(anka):
    distribute(anka, nodes="node-1")
    done = distribute(anka, nodes="node-1", again=True)
    assert ("done", ["node-1"], []) == (done.status, done.outputs["succeeded"], done.outputs["already"])


def test_a_node_that_fails_falls_short_and_the_others_are_done(server, anka):
    with busy(server, "node-2"):
        (server.data / "nodes" / "node-2" / "img_lib").write_text("in the way")
    with pytest.raises(FellShortError, match="sonoma:v1 failed on 1 of 2 nodes: node-2: ") as caught:
        distribute(anka, group="ios")
    assert ["node-2"] == list(caught.value.facts["nodes"])
    outputs = caught.value.outputs
    assert (["node-1"], ["node-2"], []) == tuple(outputs[key] for key in ("succeeded", "failed", "pending"))
    assert [("node-2", "failed")] == [(row["node"], row["state"]) for row in outputs["reasons"]]
    assert anka.controller.distribution(outputs["request-id"]).ended


@pytest.mark.parametrize(("on_interrupt", "state"), [("cancel", "cancelled"), ("leave", "queued")])
def test_an_interrupted_wait_cancels_the_request_unless_told_to_leave_it(server, anka, near, on_interrupt, state):
    near.nodes = False  # a child that pulls is looked for
    cancelled = Cancelled()

    def tell(event):
        if isinstance(event, NodeChanged) and not cancelled:
            until(lambda: pulling(server))
            cancelled.set("SIGTERM")

    with busy(server, "node-1"):
        with pytest.raises(InterruptError, match="SIGTERM") as caught:
            distribute(doors(anka, cancelled=cancelled, tell=tell), nodes="node-1", on_interrupt=on_interrupt)
        request = anka.controller.distribution(caught.value.facts["request-id"])
        assert state == request.nodes["node-1"].state
        if on_interrupt == "cancel":  # while the node still waits, its child has to end by itself
            until(lambda: not pulling(server))
    assert request.id == caught.value.outputs["request-id"]
    key = "failed" if on_interrupt == "cancel" else "pending"
    assert ["node-1"] == caught.value.outputs[key]


def test_a_deadline_that_is_over_cancels_the_request(server, anka):
    clock = ManualClock()
    with busy(server, "node-1"):
        with pytest.raises(
            FellShortError, match=r"not done within 60 s; node-1: it has not begun; the request was cancelled"
        ) as caught:
            distribute(doors(anka, clock=clock, deadline=Deadline(clock, 60)), nodes="node-1")
        assert "cancelled" == anka.controller.distribution(caught.value.outputs["request-id"]).nodes["node-1"].state


def test_without_waiting_it_only_starts(server, anka):
    with busy(server, "node-1"):
        done = distribute(anka, nodes="node-1", wait=False)
        assert ([], ["node-1"]) == (done.outputs["succeeded"], done.outputs["pending"])
        assert done.outputs["request-id"] == anka.controller.distributions()[0].id


def left(server, anka, **inputs):
    """A distribution that a job has left, as one that was killed does; its id."""
    return distribute(anka, wait=False, **inputs).outputs["request-id"]


def test_a_job_that_is_run_again_follows_what_its_first_run_left(server, anka):
    told = []

    def tell(event):
        told.append(event)
        if isinstance(event, NodeChanged):  # what holds node-2 lets go once it is followed
            locks.close()

    with contextlib.ExitStack() as locks:
        locks.enter_context(busy(server, "node-2"))
        first = left(server, anka, nodes=["node-1", "node-2"])
        until(lambda: anka.controller.node("node-1").tag_of(anka.registry.template("sonoma").id) == "v1")
        planned = perform("distribute", {"template": "sonoma", "group": "ios"}, anka, plan_only=True)
        (action,) = planned.plan["actions"]
        assert f"follow the distribution {first}, which brings sonoma:v1 to node-1, node-2 already" == action["text"]
        assert not action["writes"]
        done = distribute(doors(anka, tell=tell), group="ios")
    assert (first, ["node-1", "node-2"], []) == tuple(
        done.outputs[key] for key in ("request-id", "succeeded", "already")
    )
    assert 1 == len(anka.controller.distributions())
    assert [f"following the distribution {first}, which goes on since an earlier run"] == [
        event.text for event in told if isinstance(event, Said)
    ]


def test_an_interrupted_job_cancels_what_it_followed(server, anka):
    cancelled = Cancelled()

    def tell(event):
        if isinstance(event, NodeChanged) and not cancelled:
            cancelled.set("SIGINT")

    with busy(server, "node-1"):
        first = left(server, anka, nodes="node-1")
        with pytest.raises(InterruptError, match="the request was cancelled"):
            distribute(doors(anka, cancelled=cancelled, tell=tell), nodes="node-1")
    assert "cancelled" == anka.controller.distribution(first).nodes["node-1"].state


def test_what_is_not_surely_the_same_is_not_followed(server, anka):
    def notes(anka, **inputs):
        values = {"template": "sonoma", "nodes": ["node-1"], **inputs}
        planned = perform("distribute", values, anka, plan_only=True)
        assert "distribute" == planned.plan["actions"][0]["verb"]
        return [note for note in planned.plan["notes"] if "start" in note or "goes on" in note]

    with busy(server, "node-1", "node-2"):
        first = left(server, anka, nodes="node-1")
        assert [] == notes(anka, tag="base")
        assert [] == notes(anka, nodes=["node-1", "node-2"])  # more nodes than it has
        assert [] == notes(anka, again="true")
        late = ManualClock(SystemClock().now() + distribution.RECENT + 60)
        assert [f"{first} goes on for 6h or longer: another is started"] == notes(doors(anka, clock=late))
        second = left(server, anka, nodes="node-1", again="true")
        said = f"several distributions bring the same to these nodes already ({second}, {first}): one more is started"
        assert [said] == notes(anka)


def test_a_controller_that_tells_too_little_is_not_believed(server, anka):
    gone: list[str] = []

    def change(came):
        if came.path == "/api/v1/registry/vm/distribute":
            found = json.loads(came.body)
            if gone == ["all"]:
                found = {"status": "FAIL", "message": "unknown call"}
            for each in found.get("body", ()):
                for key in gone:
                    each["request"].pop(key)
                each["distribute_status"] = {node: {"status": False} for node in each["distribute_status"]}
            came.body = json.dumps(found).encode()

    with busy(server, "node-1"), Front(server.controller_url, change) as front:
        first = left(server, anka, nodes="node-1")
        unsure = f"{first} may bring the same to these nodes, but that is not told: another is started"
        poor = Anka(dataclasses.replace(anka.context, controller_url=front.url))
        for gone[:], said in (
            (["tag"], unsure),
            (["time_requested"], unsure),
            (["all"], "whether a distribution of the same goes on already is not known: "),
        ):
            planned = perform("distribute", {"template": "sonoma", "nodes": "node-1"}, poor, plan_only=True)
            assert "distribute" == planned.plan["actions"][0]["verb"]
            assert planned.plan["notes"][0].startswith(said)


def test_offline_and_foreign_nodes_are_explained_and_the_others_are_done(fleet_as, anka):
    doors = fleet_as(node_1={"state": "Offline"}, node_2={"host_arch": "amd64"})
    planned = perform("distribute", {"template": "sonoma", "all": "true"}, doors, plan_only=True)
    assert ["distribute sonoma:v1 to node-3"] == [action["text"] for action in planned.plan["actions"]]
    assert any("node-1 will get nothing, so the step will fall short" in note for note in planned.plan["notes"])
    with pytest.raises(FellShortError, match="failed on 1 of 2 nodes: node-1: the node is offline") as caught:
        distribute(doors, all="true")
    outputs = caught.value.outputs
    assert (["node-3"], ["node-1"], ["node-2"]) == tuple(outputs[key] for key in ("succeeded", "failed", "skipped"))
    assert [None, None, "v1"] == [node.tag_of(outputs["id"]) for node in anka.controller.nodes()]


def test_when_no_node_is_in_reach_nothing_is_sent(fleet_as, anka):
    with pytest.raises(FellShortError, match=r"the node is inactive \(Inactive \(Invalid License\)\)") as caught:
        distribute(fleet_as(node_1={"state": "Inactive (Invalid License)"}), nodes="node-1")
    assert "request-id" not in caught.value.outputs
    assert [] == anka.controller.distributions()


def test_a_template_of_a_foreign_arch_is_sent_nowhere(server, anka):
    template = anka.registry.template("sonoma")
    body = json.dumps({"id": template.id, "arch": "amd64"}).encode()
    urlopen(Request(f"{server.registry_url}/registry/vm/arch", data=body, method="PUT")).close()
    with pytest.raises(RefusedError, match="node-1: the node is arm64, the template is amd64"):
        distribute(anka, all="true")
    assert [] == anka.controller.distributions()


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "exactly one of all, group and nodes"),
        ({"all": "false"}, UsageError, "exactly one of all, group and nodes"),
        ({"all": "true", "group": "ios"}, UsageError, "not all and group"),
        ({"group": ""}, UsageError, "group: is given but empty"),
        ({"nodes": ""}, UsageError, "nodes: is given but empty"),
        ({"nodes": "node-1", "tag": ""}, UsageError, "tag: is given but empty"),
        ({"nodes": "node-9"}, NotFoundError, "no node 'node-9'"),
        ({"group": "tvos"}, NotFoundError, "no group 'tvos'"),
        ({"all": "true", "tag": "v7"}, NotFoundError, "no tag 'v7'"),
        ({"all": "true", "tag": "v1", "version": "0"}, UsageError, "'v1' of sonoma is version 1, not 0"),
        ({"all": "true", "template": "sonomma"}, NotFoundError, "no template 'sonomma'"),
        ({"all": "true", "on_interrupt": "stop"}, UsageError, "'stop' is none of cancel, leave"),
    ],
)
def test_bad_input_sends_nothing(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        distribute(anka, **inputs)
    assert [] == anka.controller.distributions()


def test_the_command_tells_outputs_of_a_failure(cli, server):
    place = server.data / "nodes" / "node-1" / "img_lib"
    place.write_text("in the way")
    done = cli("distribute", "sonoma", "--nodes", "node-1", "--json")
    (step,) = json.loads(done.stdout)["steps"]
    assert (7, "failed", ["node-1"]) == (done.returncode, step["status"], step["outputs"]["failed"])
    assert "node-1: " in done.stderr
