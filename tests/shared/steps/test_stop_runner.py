"""The step ``stop-runner``: a runner and its instance go together, and never in the middle of a job."""

import subprocess

import pytest

from actions.github_double import runners as agents
from anka_ci.anka import Anka
from anka_ci.clock import Deadline
from anka_ci.errors import BusyError, FellShortError, NotOursError, UnreachableError, UsageError
from faulty import faulty
from hosted import SCOPE, hosted

__all__ = ["faulty", "hosted"]


def stop(world, anka=None, **inputs):
    return world.step("stop-runner", anka, **({"scope": SCOPE} | inputs))


def both(world, **inputs):
    done = world.start(**inputs).outputs
    return done["runner"], done["instance-id"]


def test_a_runner_goes_with_its_instance_and_going_twice_is_nothing_to_do(hosted):
    world = hosted()
    name, id_ = both(world)
    other, other_id = both(world)
    assert ("done", [name], [id_], []) == (
        (done := stop(world, runner=name)).status,
        *(done.outputs[key] for key in ("removed", "ended", "pending")),
    )
    again = stop(world, runner=name)
    assert ("unchanged", ("there is no such runner any more: nothing to do",)) == (again.status, again.notes)
    assert ([other], [other_id]) == (world.names, world.left)


def test_all_of_an_owner_and_what_is_left_of_one(hosted):
    world = hosted(virtual_nodes=4)
    mine = [both(world, owner="build-42") for _ in range(3)]
    yours = both(world, owner="build-4")
    world.github.end_job(mine[0][0])  # it ran its job, and is no runner any more
    world.world.anka.controller.instances.terminate(mine[1][1])
    done = stop(world, owner="build-42").outputs
    assert sorted(name for name, _ in mine[1:]) == done["removed"]
    assert {mine[0][1], mine[2][1]} <= {*done["ended"]}
    assert ([yours[0]], [yours[1]]) == (world.names, world.left)


def test_one_that_runs_a_job_is_refused_or_waited_for(hosted):
    world = hosted()
    (name, id_), (idle, _) = both(world), both(world)
    world.github.begin_job(name)
    with pytest.raises(BusyError, match=f"{name} runs a job now"):
        stop(world, runner=name)
    with pytest.raises(FellShortError, match=f"not done within 60 s; {name} ran a job still") as caught:
        stop(world, world.doors(deadline=Deadline(world.clock, 60)), owner="anyone", while_busy="wait")
    assert ([idle], [name]) == (caught.value.outputs["removed"], caught.value.outputs["pending"][:1])
    assert ([name], [id_]) == (world.names, world.left)
    sleep, looks = world.clock.sleep, []

    def pause(seconds, cancelled=None):
        looks.append(seconds)
        sleep(seconds, cancelled)
        if len(looks) == 4:
            world.github.end_job(name)

    world.clock.sleep = pause
    assert [name] == stop(world, runner=name, while_busy="wait").outputs["removed"]
    assert ([], [], True) == (world.names, world.left, max(looks) <= 10)


def test_one_that_begins_a_job_between_the_look_and_the_removal_is_left(hosted):
    world = hosted()
    (busy, kept), (idle, ended) = both(world), both(world)

    def begin(request):
        if request.verb == "DELETE":
            world.github.begin_job(busy)

    world.double.faults.append(begin)
    with pytest.raises(BusyError, match=r"1 of 2 were not removed: .*is still running a job") as caught:
        stop(world, owner="anyone")
    assert {"removed": [idle], "ended": [ended], "pending": [busy]} == caught.value.outputs
    assert ([busy], [kept]) == (world.names, world.left)


def test_an_instance_that_does_not_end_is_told(hosted):
    world = hosted('http: [{match: "DELETE /api/v1/vm", does: answer, status: 403, message: no}]')
    name, id_ = both(world)
    with pytest.raises(FellShortError, match=r"1 of 1 were not ended: .*does not let us end instances") as caught:
        stop(world, runner=name)
    assert {"removed": [name], "ended": [], "pending": [name]} == caught.value.outputs
    assert ([], [id_]) == (world.names, world.left)


def test_what_is_not_ours_or_cannot_be_asked_for_is_left(hosted):
    world = hosted()
    name, id_ = both(world)
    world.github.put(f"repos/{SCOPE}", "mac-mini-4", online=True)
    with pytest.raises(NotOursError, match="'mac-mini-4' bears no name that anka-ci gives"):
        stop(world, runner="mac-mini-4")
    elsewhere = name.replace("anyone", "someone")
    world.github.put(f"repos/{SCOPE}", elsewhere[:-16] + "00000000deadbeef")
    assert "unchanged" == stop(world, owner="someone").status
    for wrong in ({}, {"runner": name, "owner": "anyone"}, {"owner": "a/b"}, {"runner": ""}, {"while_busy": "kill"}):
        with pytest.raises(UsageError):
            stop(world, **wrong)
    world.double.fail(502, times=9)
    with pytest.raises(UnreachableError, match="GitHub answered 502"):
        stop(world, runner=name)
    assert (3, [id_]) == (len(world.names), world.left)


def test_the_whole_way_with_a_real_guest_and_an_agent_in_it(hosted):
    world = hosted(virtual_nodes=0, nodes=1, groups={}, run_guests=True)
    world.agents = False
    doors = Anka(world.anka.context, tell=world.tell, runners_by=world.open)  # real guests take real time
    with pytest.raises(FellShortError, match=r"startup script exit code 1.*ended, the runner was removed") as caught:
        world.start(doors)
    assert "there is no folder actions-runner in the guest" in caught.value.hint
    old = "mkdir -p actions-runner; echo 'echo too old; exit 7' >actions-runner/run.sh; chmod +x actions-runner/*"
    with pytest.raises(FellShortError, match="startup script exit code 1") as caught:
        world.start(doors, script=old)
    assert "the agent ended at once, and said:\n  | too old" in caught.value.hint
    started = world.start(doors, script=agents.setup())
    name = started.outputs["runner"]
    held = world.github.named(name)
    assert ("node-1", True, "Started") == (
        started.outputs["node"],
        held.line is not None,
        world.anka.controller.instances.get(started.outputs["instance-id"]).state,
    )
    config = [sent.body["encoded_jit_config"] for _, sent in world.double.told if sent.status == 201][-1]
    running = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    assert (True, False, False) == ("ACTIONS_RUNNER_INPUT" in running, held.secret in running, config in running)
    world.world.anka.controller.instances.terminate(started.outputs["instance-id"])
    with world.github.changed:  # the agent ends with its VM
        assert world.github.changed.wait_for(lambda: held.line is None, 30)
    done = stop(world, doors, runner=name)
    assert ([name], [], []) == (done.outputs["removed"], world.names, world.left)
