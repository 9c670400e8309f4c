"""The step ``rollback``: a channel goes back to an older tag, in its file and on its nodes; the registry keeps all."""

from __future__ import annotations

import pytest

from anka_ci.desk import perform
from anka_ci.errors import NotFoundError, RefusedError
from stocked import serving

PUSHES = [(9, "sonoma", tag, "abc"[: number + 1]) for number, tag in enumerate(("base", "v1", "v2"))]
FLEET = "version: 1\nchannels:\n  prod: {template: sonoma, tag: v2}\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("rollback"), PUSHES) as made:
        made.file = made.folder / "fleet.yml"
        yield made


def rollback(world, text=FLEET, **more):
    world.file.write_text(text)
    return perform("rollback", {"fleet": str(world.file), "channel": "prod", **more}, world.anka)


def test_the_version_before_or_an_older_tag_comes_back(world):
    done = rollback(world)
    assert ("v2", "v1", True) == tuple(done.outputs[key] for key in ("former", "tag", "written"))
    assert ("jobs that name no tag still get the newest, sonoma:v2",) == done.notes
    assert FLEET.replace("v2", "v1") == world.file.read_text()
    assert {"v1"} == {each.tag for node in world.anka.controller.nodes() for each in node.templates}
    assert "base" == rollback(world, to="base").outputs["tag"]
    assert 3 == len(world.anka.registry.template("sonoma").versions)


@pytest.mark.parametrize(
    ("tag", "inputs", "error", "said"),
    [
        ("base", {}, RefusedError, "sonoma:base is the oldest version: there is nothing to go back to"),
        ("v1", {"to": "v2"}, RefusedError, "sonoma:v2 is not older than v1"),
        ("v2", {"to": "v9"}, NotFoundError, "no tag 'v9'"),
        ("v9", {}, RefusedError, "the registry has no sonoma:v9 any more"),
    ],
)
def test_what_cannot_be_gone_back_to(world, tag, inputs, error, said):
    text = FLEET.replace("v2", tag)
    with pytest.raises(error, match=said):
        rollback(world, text, **inputs)
    assert text == world.file.read_text()


def test_a_tag_that_was_reverted_is_left_behind_by_name(world):
    assert "v1" == rollback(world, FLEET.replace("v2", "v9"), to="v1", distribute="false").outputs["tag"]
