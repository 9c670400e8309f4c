"""The step ``start-instance``: started once, with a lease, and ended again when it does not come up."""

import pytest

from anka_ci.clock import Cancelled
from anka_ci.desk import perform
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError, UnreachableError, UsageError
from faulty import faulty

__all__ = ["faulty"]


def start(anka, plan_only=False, **inputs):
    values = {"template": "sonoma"} | {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("start-instance", values, anka, plan_only=plan_only)


def states(anka):
    return [each.state for each in anka.controller.instances.all()]


def test_a_plan_has_the_same_digest_at_any_time_and_starts_nothing(faulty):
    world = faulty("http: []")
    digests = []
    for _ in range(2):
        digests.append(start(world.anka, plan_only=True, script="echo").plan["digest"])
        world.clock.advance(3600)
    assert digests[0] == digests[1]
    assert [] == states(world.anka)


@pytest.mark.parametrize("fault", ["does: lose", 'does: "null"'])
def test_an_instance_whose_answer_is_lost_is_found_and_not_started_twice(faulty, fault):
    world = faulty(f'http: [{{match: "POST /api/v1/vm", times: 1, {fault}}}]')
    done = start(world.anka, owner="me")
    assert ["Started"] == states(world.anka)
    assert world.anka.controller.instances.all()[0].id == done.outputs["instance-id"]
    assert "looking whether it was started all the same" in world.warnings()


@pytest.mark.parametrize(("on_failure", "left"), [("end", "Terminat"), ("keep", "Started")])
def test_a_lost_instance_is_ended_as_well_when_the_search_for_it_is_interrupted(faulty, on_failure, left):
    world = faulty('http: [{match: "POST /api/v1/vm", times: 1, does: lose}]')
    cancelled = Cancelled()
    doors = world.doors(cancelled=cancelled, tell=lambda event: cancelled.set("SIGTERM"))
    with pytest.raises(InterruptError, match=r"interrupted .SIGTERM") as caught:
        start(doors, on_failure=on_failure)
    world.clock.advance(30)
    (shown,) = world.anka.controller.instances.all()
    assert f"it was started as {shown.id}" in caught.value.hint
    assert shown.state.startswith(left)


def test_a_start_that_never_arrived_is_told_and_not_repeated(faulty):
    world = faulty('http: [{match: "POST /api/v1/vm", times: 1, does: drop}]')
    with pytest.raises(UnreachableError, match="and nothing was started"):
        start(world.anka)
    assert [] == states(world.anka)


def test_a_lost_answer_is_not_another_start_of_the_same_second(faulty):
    world = faulty('http: [{match: "POST /api/v1/vm", after: 1, times: 1, does: lose}]')
    began = world.clock.now()
    first = start(world.anka, owner="me").outputs
    world.clock.advance(began - world.clock.now())
    second = start(world.anka, owner="me").outputs
    assert first["external-id"] == second["external-id"]
    assert first["instance-id"] != second["instance-id"]


def test_what_does_not_come_up_in_time_or_is_interrupted_is_ended(faulty):
    world = faulty("http: []", virtual_nodes=1)
    for _ in range(2):
        start(world.anka)
    with pytest.raises(FellShortError, match="no node had a place for it yet; the instance was ended"):
        start(world.doors(timeout=60))
    with pytest.raises(FellShortError, match=r"nothing moved for 10m; it is Scheduling.*the instance was ended"):
        start(world.doors(), lease="5m")
    cancelled = Cancelled()
    told = []

    def tell(event):
        told.append(event)
        cancelled.set("SIGTERM")

    with pytest.raises(InterruptError, match="the instance was ended") as caught:
        start(world.doors(cancelled=cancelled, tell=tell))
    assert caught.value.outputs["instance-id"]
    assert ["Started", "Started"] == [each for each in states(world.anka) if not each.startswith("Terminat")]


def test_somebody_else_ends_it_meanwhile(faulty):
    world = faulty("http: []", virtual_nodes=1)
    doors = world.doors()

    def tell(event):
        for each in doors.controller.instances.all():
            world.anka.controller.instances.terminate(each.id)

    with pytest.raises(FellShortError, match=r"it is Terminating|it is Terminated|somebody ended it"):
        start(world.doors(tell=tell))


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({"node": "node-9"}, NotFoundError, "no node 'node-9'"),
        ({"group": "android"}, NotFoundError, "no group 'android'"),
        ({"template": "tahoe"}, NotFoundError, "no template 'tahoe'"),
        ({"tag": "v9"}, NotFoundError, "v9"),
        ({"owner": "a/b"}, UsageError, "the owner 'a/b' may hold letters"),
        ({"lease": "0"}, UsageError, "the lease has to last"),
        ({"lease": "9999d"}, UsageError, "the lease has to last"),
        ({"script": "a", "script_file": "b"}, UsageError, "script or script-file, not both"),
        ({"script_file": "nowhere.sh"}, UsageError, "nowhere.sh cannot be read"),
        ({"script_timeout": "0"}, UsageError, "script-timeout has to be one second"),
        ({"vcpu": "0"}, UsageError, "more than nothing"),
        ({"node": ""}, UsageError, "node: is given but empty"),
    ],
)
def test_bad_input(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        start(anka, **inputs)


def test_nodes_that_cannot_start_anything_are_told_before(anka, fleet_as):
    doors = fleet_as(
        node_1={"state": "Drain Mode"}, node_2={"state": "Offline"}, node_3={"host_arch": "amd64", "state": "Active"}
    )
    with pytest.raises(
        RefusedError, match=r"node-1: the node is drained.*node-2: the node is offline.*node-3: the node"
    ):
        start(doors)
    assert [] == states(anka)


def test_a_channel_names_the_template_and_the_tag(anka, tmp_path):
    file = tmp_path / "fleet.yml"
    file.write_text("version: 1\nchannels:\n  prod: {template: sonoma, tag: base, arch: arm64}\n")
    given = {"channel": "prod", "fleet": str(file)}
    planned = perform("start-instance", given, anka, plan_only=True)
    assert ("base", ("the channel prod names sonoma:base",)) == (planned.outputs["tag"], planned.notes)
    with pytest.raises(UsageError, match="channel does not go with tag"):
        perform("start-instance", given | {"tag": "v1"}, anka)
    assert [] == states(anka)
