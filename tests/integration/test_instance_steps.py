"""The steps ``start-instance`` and ``save-image`` with real guests, which take real time to start and to save."""

import pytest

from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, FellShortError, RefusedError
from anka_ci.rules import lease
from anka_ci.server.seed import ID
from faulty import faulty

__all__ = ["faulty"]


def begin(anka, **inputs):
    values = {"template": "sonoma"} | {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("start-instance", values, anka)


def save(anka, confirm="yes", **inputs):
    values = {"tag": "v2"} | {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("save-image", values, anka, confirm=confirm)


def versions(anka):
    return [(version.tag, version.number) for version in anka.registry.template("sonoma").versions]


def states(anka):
    return {each.name: each.state for each in anka.controller.instances.all()}


def test_real_guests_with_a_script_that_succeeds_and_one_that_fails(anka, tmp_path):
    told = []
    anka.tell = told.append
    file = tmp_path / "setup.sh"
    file.write_text("echo ready; pwd\n")
    done = begin(anka, node="node-1", name="one", owner="build-42", lease="1h", script_file=str(file), vcpu="2")
    (shown,) = anka.controller.instances.all()
    outputs = done.outputs
    assert (shown.id, "one", "Started", "node-1", "127.0.0.1", "v1", 1) == tuple(
        outputs[key] for key in ("instance-id", "name", "state", "node", "host", "tag", "version")
    )
    assert "ready" == outputs["script-output"].split()[0]
    held = lease.read(shown.external_id)
    assert (outputs["external-id"], "build-42", outputs["expires"], 2) == (
        shown.external_id,
        held.owner,
        held.until,
        shown.vm.cpu_cores,
    )
    assert 3500 < held.expiry - anka.clock.now() <= 3601
    assert any("is Started on node-1" in event.text for event in told if hasattr(event, "text"))
    with pytest.raises(FellShortError, match=r"startup script exit code 3; .* is kept\n") as caught:
        begin(anka, node="node-1", script="echo first; echo no such tool >&2; exit 3", on_failure="keep")
    assert "\n  | first\n  | no such tool" in caught.value.hint
    assert (True, False) == tuple(key in caught.value.outputs for key in ("external-id", "state"))
    assert ["Started", "Error"] == [each.state for each in anka.controller.instances.all()]


def test_a_script_that_fails_cancels_and_then_it_is_saved_as_a_tag_and_the_other_as_a_template(faulty):
    # the answer to the third request, the new template, is lost on the way
    lost = '{match: "POST /api/v1/image", after: 2, times: 1, does: lose}'
    world = faulty(f"http: [{lost}]", virtual_nodes=0, nodes=1, groups={}, run_guests=True)
    anka = Anka(world.anka.context, tell=world.told.append)  # real guests take real time
    one = begin(anka, name="one").outputs["instance-id"]
    begin(anka, name="two")
    with pytest.raises(FellShortError, match="Script execution failed; the instance runs on") as caught:
        save(anka, instance="one", script="echo not clean; exit 1")
    assert "its script said:\n  | not clean" == caught.value.hint
    assert {"request-id", "tag", "id", "template"} == set(caught.value.outputs)
    with pytest.raises(ConfirmationError, match=f"the instance one .{one}., which ends once it is saved"):
        save(anka, None, instance="one")
    assert ({"one": "Started", "two": "Started"}, 2) == (states(anka), len(versions(anka)))
    done = save(anka, instance=one, script="echo saved > note", description="by a job")
    assert ("done", "saved", ID, "sonoma", "v2", 2) == (
        done.status,
        *(done.outputs[key] for key in ("outcome", "id", "template", "tag", "version")),
    )
    assert ([("base", 0), ("v1", 1), ("v2", 2)], {"two": "Started"}) == (versions(anka), states(anka))
    assert "by a job" == anka.registry.template("sonoma").newest.description
    with pytest.raises(RefusedError, match=r"the tag exists: sonoma:v2 \(version 2\)"):
        save(anka, instance="two")
    with pytest.raises(RefusedError, match="the registry has a template named sonoma"):
        save(anka, instance="two", new_template="sonoma")
    assert "looking whether" not in world.warnings()
    done = save(anka, instance="two", new_template="ventura", tag="v1")
    assert "looking whether it was taken all the same" in world.warnings()
    assert (0, "ventura", anka.registry.template("ventura").id) == tuple(
        done.outputs[key] for key in ("version", "template", "id")
    )
    assert ({}, ["error", "done", "done"]) == (
        states(anka),
        [each.status for each in anka.controller.instances.images()],
    )
