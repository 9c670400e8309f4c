"""The step ``promote``: a channel moves in its file, in that one place, and then on its nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, FellShortError, NotFoundError, RefusedError, UsageError
from anka_ci.plan import Action, Plan
from anka_ci.rules import fleet, moving
from stocked import serving

PUSHES = [(9, "sonoma", tag, "abcd"[: number + 1]) for number, tag in enumerate(("base", "v1", "v2", "v3,b"))]
FLEET = """\
# What the fleet is to have.
version: 1
channels:
  prod:   {template: sonoma, tag: base}   # since Monday
  next:
    template: sonoma
    tag: "v2"  # to be tried
  lab: {template: sonoma, tag: v1, context: lab}
  twin: {template: other, tag: v1}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("promote"), [*PUSHES, (9, "other", "v1", "e")]) as made:
        yield made


@pytest.fixture
def world(served):
    """The file as it was, whatever a test before did."""
    served.file = served.folder / "fleet.yml"
    served.file.write_text(FLEET)
    return served


def promote(world, channel="prod", step="promote", confirm=None, plan_only=False, anka=None, **more):
    given = {
        "fleet": str(world.file),
        "channel": channel,
        **{key.replace("_", "-"): each for key, each in more.items()},
    }
    return perform(step, given, anka or world.anka, confirm=confirm, plan_only=plan_only)


def held(world):
    return {node.name: [each.tag for each in node.templates] for node in world.anka.controller.nodes()}


def test_the_file_is_changed_in_one_place_and_the_nodes_get_the_tag(world):
    planned = promote(world, from_channel="next", plan_only=True)
    assert FLEET == world.file.read_text()
    done = promote(world, from_channel="next")
    assert ("done", "base", "v2", True) == (done.status, *(done.outputs[key] for key in ("former", "tag", "written")))
    assert planned.outputs == done.outputs
    assert FLEET.replace("tag: base", "tag: v2") == world.file.read_text()
    assert {"virtual-1": ["v2"], "virtual-2": ["v2"]} == held(world)
    assert ("jobs that name no tag still get the newest, sonoma:v3,b",) == done.notes
    again = promote(world, from_channel="next")
    assert ("unchanged", False) == (again.status, again.outputs["written"])


def test_a_tag_that_yaml_would_misread_is_quoted_and_only_the_file_is_changed(world):
    before = held(world)
    done = promote(world, channel="next", tag="v3,b", distribute="false")
    assert FLEET.replace('"v2"', '"v3,b"') == world.file.read_text()
    assert ([], before) == (done.outputs["channels"], held(world))


def test_only_the_nodes_are_changed(world):
    done = promote(world, tag="v1", write="false")
    assert (False, FLEET) == (done.outputs["written"], world.file.read_text())
    assert {"virtual-1": ["v1"], "virtual-2": ["v1"]} == held(world)


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "give exactly one of tag and from-channel"),
        ({"tag": "v1", "from_channel": "next"}, UsageError, "exactly one"),
        ({"tag": "v1", "write": "false", "distribute": "false"}, UsageError, "nothing would be done"),
        ({"tag": "v9"}, NotFoundError, "no tag 'v9'"),
        ({"from_channel": "nxt"}, NotFoundError, "did you mean 'next'"),
        ({"from_channel": "twin"}, RefusedError, "the channel twin is of other, and prod of sonoma"),
        ({"channel": "prd", "tag": "v1"}, NotFoundError, "did you mean 'prod'"),
    ],
)
def test_wrong_inputs(world, inputs, error, said):
    with pytest.raises(error, match=said):
        promote(world, **inputs)
    assert FLEET == world.file.read_text()


def test_a_channel_of_another_context_or_without_its_template_is_refused(world):
    world.file.write_text(FLEET.replace("other", "gone"))
    with pytest.raises(UsageError, match=r"fleet.yml:9:3: channel twin: the registry has no template 'gone'"):
        promote(world, channel="twin", tag="v1")
    anka = Anka(replace(world.anka.context, name="production"), clock=world.clock)
    with pytest.raises(UsageError, match="the channel lab is meant for another context than production"):
        promote(world, channel="lab", tag="v1", anka=anka)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("{template: sonoma, tag: 'v''1'}", "{template: sonoma, tag: v2}"),
        ("{template: sonoma, tag: base, arch: arm64}", "{template: sonoma, tag: v2, arch: arm64}"),
        ("{tag: v1, template: v1}", "{tag: v2, template: v1}"),
        ("{template: &x sonoma, tag: *x}", None),
        ("{template: sonoma, tag: &t v1}\n  b: {template: sonoma, tag: *t}", None),
        ('{template: sonoma, tag: "v\n   1"}', None),
        ("\n    template: sonoma\n    tag: >-\n      v1", None),
        ("\n    template: sonoma\n    tag: 13.10 # 13.10", "\n    template: sonoma\n    tag: v2 # 13.10"),
    ],
)
def test_what_is_written_differently_is_changed_or_refused_and_never_spoilt(written, line):
    text = "\ufeffversion: 1\r\nchannels:\n  a: {}\n".replace("{}", written)
    if line is None:
        with pytest.raises(RefusedError, match="the tag of a cannot be changed as it is written here"):
            fleet.moved(text, "f.yml", "a", "v2")
    else:
        assert text.replace(written, line) == fleet.moved(text, "f.yml", "a", "v2")


def test_a_file_that_was_changed_since_the_plan_is_left(world):
    planned = promote(world, tag="v1", distribute="false", plan_only=True).plan
    world.file.write_text(FLEET.replace("tag: base", "tag: v2"))
    told = planned["actions"][0]
    action = Action(verb=told["verb"], text=told["text"], with_=told["with"])
    plan = Plan(step="promote", actions=(action,), expects=dict(planned["expects"]))
    with pytest.raises(ConfirmationError, match="has changed since the plan: prod names v2"):
        moving.run(plan, world.anka)


def test_a_file_behind_a_link_is_changed_and_the_link_stays(world, tmp_path):
    link = tmp_path / "fleet.yml"
    link.symlink_to(world.file)
    world.file.chmod(0o640)
    world.file = link
    promote(world, tag="v2", distribute="false")
    assert (True, 0o640) == (link.is_symlink(), link.stat().st_mode & 0o777)
    assert FLEET.replace("tag: base", "tag: v2") == link.read_text()
    assert [] == list(tmp_path.glob(".*"))


def test_nodes_that_do_not_get_it_make_it_fall_short_and_the_channel_is_moved(fleet_as, tmp_path):
    anka = fleet_as(node_1={"state": "Offline"})
    file = tmp_path / "fleet.yml"
    file.write_text("version: 1\nchannels:\n  prod: {template: sonoma, tag: base, groups: ios}\n")
    with pytest.raises(FellShortError, match="prod on node-1: the node is offline") as caught:
        perform("promote", {"fleet": str(file), "channel": "prod", "tag": "v1"}, anka)
    assert (True, ["node-2"]) == (caught.value.outputs["written"], caught.value.outputs["channels"][0]["succeeded"])
    assert "tag: v1" in file.read_text()
