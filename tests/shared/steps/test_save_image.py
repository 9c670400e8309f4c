"""The step ``save-image``: a running instance becomes a tag, once, and never for a failed job."""

import pytest

from anka_ci.desk import perform
from anka_ci.errors import (
    NotFoundError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from anka_ci.server.seed import ID
from anka_ci.wire.start import Start
from faulty import faulty

__all__ = ["faulty"]


def save(anka, confirm="yes", plan_only=False, **inputs):
    values = {"tag": "v2"} | {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("save-image", values, anka, confirm=confirm, plan_only=plan_only)


def start(anka, name):
    inputs = {"template": "sonoma", "name": name}
    return perform("start-instance", inputs, anka).outputs["instance-id"]


def versions(anka, name="sonoma"):
    return [(version.tag, version.number) for version in anka.registry.template(name).versions]


def states(anka):
    return {each.name: each.state for each in anka.controller.instances.all()}


@pytest.mark.parametrize("status", ["failure", "cancelled", "UNSTABLE", "successful-ish", "unknown"])
def test_a_failed_job_saves_nothing(anka, status):
    done = save(anka, None, instance="whatever", job_status=status)
    assert ("unchanged", "skipped") == (done.status, done.outputs["outcome"])
    assert f"the job's status is {status}: nothing is saved" in done.notes[0]


@pytest.mark.parametrize("status", ["", "success", " SUCCESS\n"])
def test_any_other_job_goes_on(anka, status):
    with pytest.raises(NotFoundError, match="no instance 'one'"):
        save(anka, instance="one", job_status=status)


# What a controller says when it goes wrong on its side: told by scripted faults, on virtual nodes, which save nothing.


@pytest.fixture
def saved(faulty):
    """A controller with an instance ``one`` to which the faults happen, and its doors."""

    def make(script):
        world = faulty(script)
        (found,) = world.anka.controller.instances.start(Start(template_id=ID, tag="v1", name="one"))
        world.clock.advance(60)
        assert "Started" == world.anka.controller.instances.get(found).state
        return world

    return make


def test_a_request_that_never_arrived_is_told_and_not_repeated(saved):
    world = saved('http: [{match: "POST /api/v1/image", times: 1, does: drop}]')
    with pytest.raises(UnreachableError, match="and nothing was begun"):
        save(world.anka, instance="one")
    assert ("looking whether it was taken" in world.warnings(), "Started") == (True, states(world.anka)["one"])


def test_a_controller_that_cannot_save_says_so_with_its_release(saved):
    world = saved('http: [{match: "* /api/v1/image", does: answer, status: 404}]')
    with pytest.raises(RefusedError, match=r"this controller cannot save instances \(.*licence enterprise"):
        save(world.anka, instance="one")


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "input 'instance' is missing"),
        ({"instance": "one"}, NotFoundError, "no instance 'one'"),
        ({"instance": "one", "tag": "a b"}, UsageError, "white space"),
        ({"instance": "one", "template": "a", "new_template": "b"}, UsageError, "template or new-template, not both"),
        ({"instance": "one", "script": "a", "script_file": "b"}, UsageError, "script or script-file, not both"),
        ({"instance": "one", "script_file": "nowhere.sh"}, UsageError, "nowhere.sh cannot be read"),
        ({"instance": "one", "new_template": ""}, UsageError, "is given but empty"),
    ],
)
def test_bad_input(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        save(anka, **inputs)
