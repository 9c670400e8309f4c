"""The step ``sweep``: what is overdue ends, and nothing else."""

import pytest

from anka_ci.desk import perform
from anka_ci.errors import FellShortError, UsageError
from anka_ci.rules import lease
from anka_ci.server.seed import ID
from anka_ci.wire.start import Start
from faulty import faulty

__all__ = ["faulty"]


def sweep(world, plan_only=False, **inputs):
    return perform("sweep", inputs, world.anka, plan_only=plan_only)


def start(world, owner, seconds):
    return perform("start-instance", {"template": "sonoma", "owner": owner, "lease": str(seconds)}, world.anka).outputs[
        "instance-id"
    ]


def foreign(world, external_id):
    return world.anka.controller.instances.start(Start(template_id=ID, tag="v1", external_id=external_id))[0]


def left(world):
    return {each.id for each in world.anka.controller.instances.all() if not each.state.startswith("Terminat")}


def test_only_what_is_ours_and_overdue_ends(faulty):
    world = faulty("http: []", virtual_nodes=8)
    short, mine, long = start(world, "you", 600), start(world, "me", 700), start(world, "me", 7200)
    overdue = lease.make("me", 1, 0).external_id
    others = [foreign(world, text) for text in ("", "job-7", f"x{overdue}", "anka-ci/me/soon", "anka-ci/me")]
    assert ("unchanged", [short, mine, long]) == (sweep(world).status, sweep(world).outputs["left"])
    world.clock.advance(3600)
    planned = sweep(world, plan_only=True)
    assert [short, mine] == planned.plan["expects"]["ended"]
    assert [each in planned.plan["actions"][i]["text"] for i, each in enumerate((short, mine))] == [True, True]
    assert {short, mine, long, *others} == left(world)  # planning ends nothing
    done = sweep(world, owner="me")
    assert ([mine], [long], others[3:]) == tuple(done.outputs[key] for key in ("ended", "left", "unreadable"))
    assert ["anka-ci/me/soon", "anka-ci/me"] == [note.split("'")[1] for note in done.notes]
    assert [short] == sweep(world).outputs["ended"]
    assert {long, *others} == left(world)
    assert [long] == sweep(world, ahead="2h").outputs["ended"]
    assert ("unchanged", []) == (sweep(world).status, sweep(world).outputs["left"])
    assert {*others} == left(world)


def test_one_that_is_not_ended_does_not_save_the_others(faulty):
    world = faulty('http: [{match: "DELETE /api/v1/vm", times: 1, does: answer, status: 403, message: no}]')
    one, two = start(world, "me", 60), start(world, "me", 60)
    world.clock.advance(3600)
    with pytest.raises(FellShortError, match="does not let us end instances") as caught:
        sweep(world)
    assert ([two], [one]) == (caught.value.outputs["ended"], caught.value.outputs["failed"])
    assert [one] == sweep(world).outputs["ended"]


@pytest.mark.parametrize("inputs", [{"owner": "a/b"}, {"owner": ""}, {"ahead": "soon"}])
def test_bad_input(anka, inputs):
    with pytest.raises(UsageError):
        perform("sweep", inputs, anka)
