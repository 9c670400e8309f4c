"""The step ``stop-instance``: what is meant ends, twice is once, and another system's is left alone."""

import pytest

from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, FellShortError, NotOursError, UsageError
from anka_ci.server.seed import ID
from anka_ci.wire.start import Start
from faulty import faulty

__all__ = ["faulty"]


def start(world, **inputs):
    return perform("start-instance", {"template": "sonoma", **inputs}, world.anka).outputs["instance-id"]


def stop(anka, confirm=None, **inputs):
    return perform("stop-instance", inputs, anka, confirm=confirm)


def left(world):
    return [each.id for each in world.anka.controller.instances.all() if not each.state.startswith("Terminat")]


@pytest.fixture
def world(faulty):
    return faulty("http: []", virtual_nodes=3)


def test_by_id_by_name_by_owner_and_again(world):
    one, two, three, four = (
        start(world, name=name, owner=owner) for name, owner in (("a", "me"), ("b", "me"), ("a", "you"), ("b", "you"))
    )
    done = stop(world.anka, instance=one)
    assert ("done", [one], []) == (done.status, done.outputs["ended"], done.outputs["pending"])
    again = stop(world.anka, instance=one)
    assert ("unchanged", []) == (again.status, again.outputs["ended"])
    with pytest.raises(UsageError, match="2 instances are named 'b'"):
        stop(world.anka, name="b")
    assert [two] == stop(world.anka, name="b", owner="me").outputs["ended"]
    assert [three] == stop(world.anka, name="a").outputs["ended"]  # the other one of that name has ended
    assert [four] == stop(world.anka, owner="you").outputs["ended"]
    assert [] == left(world)
    for inputs in ({"owner": "you"}, {"name": "b"}, {"instance": "nothing"}):
        assert "unchanged" == stop(world.anka, **inputs).status


def test_another_systems_is_ended_only_by_its_id_and_confirmed(world):
    wanted = Start(template_id=ID, tag="v1", name="theirs", external_id="jenkins-7")
    (theirs,) = world.anka.controller.instances.start(wanted)
    ours = start(world, name="ours", owner="me")
    with pytest.raises(NotOursError, match=f"theirs .{theirs}. was not started by anka-ci"):
        stop(world.anka, name="theirs")
    with pytest.raises(ConfirmationError, match="which anka-ci did not start"):
        stop(world.anka, instance=theirs)
    assert {theirs, ours} == {*left(world)}
    assert [theirs] == stop(world.anka, "yes", instance=theirs).outputs["ended"]
    assert [ours] == left(world)


def test_one_that_the_controller_does_not_let_go_is_told(faulty):
    refusing = '{match: "DELETE /api/v1/vm", times: 1, does: answer, status: 400, message: not now}'
    world = faulty(f"http: [{refusing}]")
    one, two = start(world, owner="me"), start(world, owner="me")
    with pytest.raises(FellShortError, match=r"1 of 2 were not ended.*not now") as caught:
        stop(world.anka, owner="me")
    assert ([two], [one]) == (caught.value.outputs["ended"], caught.value.outputs["pending"])
    assert [one] == left(world)
    assert [one] == stop(world.anka, owner="me").outputs["ended"]


@pytest.mark.parametrize(
    "inputs", [{}, {"instance": "a", "name": "b"}, {"instance": "a", "owner": "b"}, {"owner": "a/b"}, {"name": ""}]
)
def test_bad_input(anka, inputs):
    with pytest.raises(UsageError):
        stop(anka, **inputs)
