"""The step ``sweep``: what is overdue ends, and nothing else."""

import json

import pytest

from actions.github_double import runners as agents
from actions.github_double.server import TOKEN, Double
from anka_ci.desk import perform
from anka_ci.errors import FellShortError, NotAuthorisedError, RefusedError, UsageError
from anka_ci.rules import hosting, lease
from anka_ci.server.seed import ID
from anka_ci.wire.start import Start
from faulty import faulty
from hosted import SCOPE, hosted

__all__ = ["faulty", "hosted"]


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
    assert ["anka-ci/me/soon", "anka-ci/me"] == [note.split("'")[1] for note in done.notes if "is left" in note]
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


def reconcile(world, anka=None, plan_only=False, **inputs):
    return world.step("sweep", anka, plan_only=plan_only, **({"scope": SCOPE} | inputs))


def both(world, **inputs):
    done = world.start(**inputs).outputs
    return done["runner"], done["instance-id"]


def test_runners_and_instances_that_lost_their_other_side_go_and_nothing_else(hosted):
    world = hosted(virtual_nodes=8)
    pair, alone, orphan, busy = both(world), both(world), both(world, owner="build-42"), both(world)
    world.github.put(f"repos/{SCOPE}", "mac-mini-4")
    far = alone[0].replace(alone[0][-16:], "00000000deadbeef")
    world.github.put(f"repos/{SCOPE}", far)
    other = foreign(world, "job-7")
    world.github.end_job(alone[0])  # the runner ran its job, and nobody stopped its instance
    for name, id_ in (orphan, busy):  # a node lost power, say
        world.anka.controller.instances.terminate(id_)
        world.github.named(name).line = None
    world.github.begin_job(busy[0])
    world.clock.advance(hosting.GRACE - 60)
    assert ("unchanged", []) == ((early := reconcile(world)).status, early.outputs["ended"])
    world.clock.advance(60)
    planned = reconcile(world, plan_only=True)
    assert [f"whose runner {alone[0]} is gone", f"the runner {orphan[0]}, whose instance is gone"] == [
        each["text"][-len(said) :]
        for each, said in zip(
            planned.plan["actions"],
            (f"whose runner {alone[0]} is gone", f"the runner {orphan[0]}, whose instance is gone"),
            strict=True,
        )
    ]
    assert (f"{far}: left, of another controller or another URL of this one",) == planned.notes
    assert "unchanged" == reconcile(world, owner="nobody").status
    done = reconcile(world).outputs
    assert ([alone[1]], [pair[1]], [orphan[0]], []) == tuple(
        done[key] for key in ("ended", "left", "removed", "not-removed")
    )
    assert [pair[0], busy[0], "mac-mini-4", far] == world.names
    assert {pair[1], other} == {*world.left}
    world.github.named(busy[0]).busy = False
    assert [busy[0]] == reconcile(world).outputs["removed"]
    assert "unchanged" == reconcile(world).status


def test_a_runner_that_a_moving_list_lacks_keeps_its_instance(hosted):
    world = hosted(virtual_nodes=8)
    (_, id_), _ = both(world), both(world)
    world.clock.advance(hosting.GRACE)
    held = world.github.held[f"repos/{SCOPE}"]
    hidden = {}

    def move(request):
        """While the pages are read, the first runner moves from the second page to the first."""
        held.update(hidden) if "name" in request.query else hidden.update({1: held.pop(1)} if 1 in held else {})

    world.double.faults.append(move)
    assert ("unchanged", 1) == (reconcile(world).status, len(hidden))
    assert id_ in world.left


def test_the_runner_of_an_overdue_instance_goes_with_it_unless_it_runs_a_job(hosted):
    world = hosted(virtual_nodes=8)
    idle, busy = both(world, lease="10m"), both(world, lease="10m")
    world.github.begin_job(busy[0])
    world.clock.advance(700)
    done = reconcile(world).outputs
    assert ({idle[1], busy[1]}, [idle[0]], [busy[0]]) == ({*done["ended"]}, done["removed"], done["not-removed"])
    assert f"{busy[0]} runs a job still: a later sweep removes it" in world.world.warnings()


def test_instances_are_swept_although_no_runner_can_be_looked_at_and_that_is_told(hosted):
    world = hosted(virtual_nodes=8)
    names = [both(world, lease="10m") for _ in range(4)]
    world.clock.advance(700)
    assert [] == world.step("sweep", world.doors(runners_by=None), owner="nobody").outputs["ended"]
    world.env = {"GITHUB_REPOSITORY": SCOPE}
    done = world.step("sweep", world.doors())
    assert {id_ for _, id_ in names} == {*done.outputs["ended"]}
    (note,) = done.notes
    assert note.startswith("no runner was looked at: no token for GitHub")
    other = hosted(virtual_nodes=8)
    name, id_ = both(other, lease="10m")
    other.clock.advance(700)
    next(iter(other.double.tokens.values())).permissions.clear()
    with pytest.raises(NotAuthorisedError, match="GitHub answered 403") as caught:
        reconcile(other)
    assert ([id_], []) == (caught.value.outputs["ended"], other.left)
    unasked = other.step("sweep", other.doors())  # GITHUB_REPOSITORY alone asks for nothing
    assert (True, [name]) == ("GitHub answered 403" in unasked.notes[0], other.names)


def test_a_failure_on_one_side_hides_nothing_of_the_other(hosted):
    world = hosted('http: [{match: "DELETE /api/v1/vm", times: 1, does: answer, status: 403, message: no}]')
    name, id_ = both(world, lease="10m")
    world.clock.advance(700)
    with pytest.raises(FellShortError, match="does not let us end instances") as caught:
        reconcile(world)
    assert ([id_], [name]) == (caught.value.outputs["failed"], caught.value.outputs["removed"])
    name, id_ = both(world, lease="10m")
    world.clock.advance(700)
    world.double.fail(422, on="DELETE", message="no")
    with pytest.raises(RefusedError, match="GitHub answered 422") as caught:
        reconcile(world)
    assert (True, [name]) == (id_ in caught.value.outputs["ended"], caught.value.outputs["not-removed"])


def test_the_command_looks_at_the_runners_of_the_ci_system_and_shows_no_token(cli):
    with Double() as double:
        double.add(SCOPE)
        agents.of(double).put(f"repos/{SCOPE}", "mac-mini-4")
        done = cli("sweep", "--json", "-v", "--scope", SCOPE, env=double.env)
        assert ["/runners"] == [each.path.removeprefix(f"/repos/{SCOPE}/actions") for each in double.seen]
        agents.of(double).close()
    assert (0, False) == (done.returncode, TOKEN in done.stdout + done.stderr), done.stderr
    assert ("unchanged", []) == ((step := json.loads(done.stdout)["steps"][0])["status"], step.get("notes", []))
