"""Blast radius: what hangs on a tag is told before it goes, and is part of what is confirmed."""

from __future__ import annotations

import pytest

from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotFoundError, UsageError
from anka_ci.rules import blast
from anka_ci.settings import Context
from anka_ci.wire.start import Start
from faulty import faulty
from stocked import id_of, serving

__all__ = ["faulty"]

PUSHES = [(9, "sonoma", "base", "a"), (8, "sonoma", "v1", "ab"), (7, "sonoma", "v2", "abc"), (6, "fork", "v0", "abd")]
WORKFLOW = """\
on:
  workflow_dispatch:
    inputs:
      tag: {type: choice, options: [v1, v2]}
jobs:
  build:
    steps:
      - uses: actions/checkout@v5
        with: {template: sonoma}
      - uses: OWNER/anka-ci/actions/start-instance@v1
        with: {template: sonoma, tag: "${{ inputs.tag }}"}
      - uses: ./actions/revert
        with: {template: sonoma, tag: v1}
"""


BYTES = "frees 400 B; 300 B stay, because other versions have them too"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """``v2`` is on a node and has an instance, ``v1`` is in a channel; ``fork`` shares two layers."""
    folder = tmp_path_factory.mktemp("blast")
    with serving(folder, PUSHES) as made:
        perform("distribute", {"template": "sonoma", "nodes": "virtual-1"}, made.anka)
        (instance,) = made.anka.controller.instances.start(
            Start(template_id=id_of("sonoma"), tag="v2", name="job", node_id="virtual-1")
        )
        made.instance = instance
        (folder / "fleet.yml").write_text(
            "version: 1\nchannels:\n  prod: {template: sonoma, tag: v1}\n  else: {template: fork, tag: v9}\n"
        )
        (folder / "ci.yml").write_text(WORKFLOW)
        made.looking = {"fleet": str(folder / "fleet.yml"), "pipelines": str(folder / "ci.yml")}
        yield made


def planned(world, step, anka=None, **inputs):
    given = {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform(step, {"template": "sonoma", **given}, anka or world.anka, plan_only=True)


def test_a_revert_tells_who_uses_what_goes_and_which_bytes_come_free(world):
    notes = planned(world, "revert", tag="v2").notes
    assert ("in use: on virtual-1", f"in use: used by the instance job ({world.instance})", BYTES) == notes
    ci = world.looking["pipelines"]
    more = planned(world, "revert", tag="v1", **world.looking).notes
    named = ["in use: in the channel prod", f"in use: named at {ci}:11"]
    assert {*notes[:2], *named, BYTES} == {*more}


def test_a_channel_that_a_file_takes_stands_for_its_tag(world, tmp_path):
    file = tmp_path / "by-channel.yml"
    lines = [
        f"  - {{use: pull, with: {{channel: {name}, fleet: {world.looking['fleet']}}}}}\n" for name in ("prod", "x")
    ]
    file.write_text("version: 1\nsteps:\n" + "".join(lines))
    notes = planned(world, "revert", tag="v1", pipelines=str(file)).notes
    assert f"in use: named at {file}:3" in notes
    assert any(note.startswith(f"{file}:4:") and "known only when the file runs" in note for note in notes)
    file.write_text("version: 1\nsteps:\n  - {use: pull, with: {channel: prod, fleet: nowhere.yml}}\n")
    with pytest.raises(UsageError, match=r"nowhere.yml: cannot be read"):
        planned(world, "revert", tag="v1", pipelines=str(file))


def test_a_delete_does_too(world):
    notes = planned(world, "delete", bytes="yes").notes
    assert BYTES == notes[-1]
    assert "was not worked out" in planned(world, "delete", bytes="no").notes[-1]


def test_a_large_registry_is_not_asked_for_every_template_unasked(world, monkeypatch):
    monkeypatch.setattr(blast, "MOST", 1)
    assert "was not worked out; `bytes: yes` does" in planned(world, "revert", tag="v2").notes[-1]
    assert BYTES == planned(world, "revert", tag="v2", bytes="yes").notes[-1]


def test_an_evict_tells_of_instances_and_channels(world):
    found = planned(world, "evict", all="true", fleet=world.looking["fleet"])
    running = f"in use: used there by the instance job ({world.instance})"
    assert (running, "in use: in the channel prod, which brings sonoma:v1 to nodes") == found.notes
    assert () == planned(world, "evict", nodes="virtual-2").notes


def test_who_uses_it_is_part_of_what_is_confirmed(world):
    digest = planned(world, "revert", tag="v1").plan["digest"]
    with pytest.raises(ConfirmationError, match="does not fit this plan"):
        perform("revert", {"template": "sonoma", "tag": "v1", **world.looking}, world.anka, confirm=digest)


def test_what_cannot_be_looked_at_is_said_and_hinders_nothing(world):
    for url, said in ((None, "no controller is configured"), ("http://127.0.0.1:1", "were not looked at")):
        context = Context(registry_urls=(world.server.registry_url,), controller_url=url)
        notes = planned(world, "revert", Anka(context, clock=world.clock), tag="v2").notes
        assert (2, True) == (len(notes), said in notes[0]), notes
    with pytest.raises(NotFoundError, match="no pipeline file"):
        planned(world, "revert", tag="v2", pipelines="no*where.yml")


def test_an_evict_needs_no_permission_to_list_instances(faulty):
    world = faulty('http: [{match: "GET /api/v1/vm", does: answer, status: 403, message: no}]')
    world.distribute()
    planned = perform("evict", {"template": "sonoma", "all": "true"}, world.anka, plan_only=True)
    (note,) = planned.notes
    assert "instances that use it there were not looked at: this controller does not let us list instances" in note
    done = perform("evict", {"template": "sonoma", "all": "true"}, world.anka, confirm=planned.plan["digest"])
    assert 2 == len(done.outputs["succeeded"])
