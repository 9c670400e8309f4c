"""The step ``audit``: what nodes hold, against the channels of a fleet file and against the registry."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import DriftError, NotFoundError, UsageError
from anka_ci.server.app import Server
from anka_ci.settings import Context
from stocked import id_of, stock

FLEET = """\
version: 1
channels:
  prod: {template: sonoma, tag: v1, groups: ios}
  next: {template: sonoma, tag: v2, groups: [spare]}
  lab: {template: sonoma, tag: v9, context: lab}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two nodes of the group ``ios`` with v1 and base, one of ``spare`` with v2 and with a template that is gone."""
    clock, folder = ManualClock(), tmp_path_factory.mktemp("audit")
    pushes = [(9, "sonoma", tag, "abc"[: number + 1]) for number, tag in enumerate(("base", "v1", "v2"))]
    stock(folder / "data", clock, [*pushes, (9, "old", "v0", "d"), (9, "twin", "v0", "e"), (9, "twin#2", "v0", "f")])
    names = {f"virtual-{number}": "ios" if number < 3 else "spare" for number in (1, 2, 3)}
    groups = {group: [name for name in names if names[name] == group] for group in ("ios", "spare")} | {"bare": []}
    with Server(folder / "data", virtual_nodes=3, groups=groups, clock=clock) as server:
        context = Context(name="production", controller_url=server.controller_url, registry_urls=(server.registry_url,))
        anka = Anka(context, clock=clock)
        for tag, node in (("v1", 1), ("base", 2), ("v2", 3)):
            perform("distribute", {"template": "sonoma", "tag": tag, "nodes": f"virtual-{node}"}, anka)
        perform("distribute", {"template": "old", "nodes": "virtual-3"}, anka)
        anka.registry.delete(anka.registry.template("old"))
        yield SimpleNamespace(anka=anka, file=folder / "fleet.yml")


def audit(world, text=FLEET, **more):
    world.file.write_text(text)
    return perform(
        "audit", {"fleet": str(world.file), **{key.replace("_", "-"): each for key, each in more.items()}}, world.anka
    )


def told(rows):
    return [(row["channel"], row["node"], row["wanted"], row["has"], row["why"]) for row in rows]


def test_what_differs_is_told_node_by_node_and_fails_with_its_own_code(world):
    with pytest.raises(DriftError) as caught:
        audit(world)
    assert 9 == caught.value.code
    assert "prod: virtual-2: it has another tag, virtual-3 holds old:v0: template gone" in caught.value.message
    outputs = caught.value.outputs
    assert [("prod", "virtual-2", "sonoma:v1", "sonoma:base", "it has another tag")] == told(outputs["drift"])
    assert [("virtual-3", "old", "v0", "template gone")] == [
        (row["node"], row["template"], row["tag"], row["registry"]) for row in outputs["gone"]
    ]
    held = {(row["node"], row["template"], row["tag"]): row["channels"] for row in outputs["held"]}
    sonoma = {("virtual-1", "sonoma", "v1"): ["prod"], ("virtual-2", "sonoma", "base"): []}
    assert {**sonoma, ("virtual-3", "sonoma", "v2"): ["next"], ("virtual-3", "old", "v0"): []} == held


def test_what_is_right_passes(world):
    done = audit(world, nodes="virtual-1", channels="prod")
    assert ("done", False, []) == (done.status, done.outputs["drifted"], done.outputs["drift"])
    assert audit(world, on_drift="report").outputs["drifted"]
    planned = perform("audit", {"fleet": str(world.file)}, world.anka, plan_only=True)
    assert ("planned", True) == (planned.status, planned.outputs["drifted"])
    assert not perform("audit", {"group": "ios"}, world.anka).outputs["drifted"]


@pytest.mark.parametrize(
    ("channel", "node", "has", "why"),
    [
        ("{template: sonma, tag: v1}", None, None, "the registry has no such template"),
        ("{template: sonoma, tag: v9}", None, None, "the registry has no such tag"),
        ("{template: sonoma, tag: v1, groups: io}", None, None, "the controller has no group 'io'"),
        ("{template: sonoma, tag: v1, groups: bare}", None, None, "no node is to have it"),
        ("{template: sonoma, tag: v1, arch: amd64, groups: ios}", None, None, "no node is to have it"),
        (f"{{template: {id_of('twin')}, tag: v0, groups: spare}}", "virtual-3", None, "it does not have the template"),
    ],
)
def test_a_channel_that_cannot_be_kept_is_drift(world, channel, node, has, why):
    outputs = audit(world, f"version: 1\nchannels:\n  one: {channel}\n", on_drift="report").outputs
    assert [("one", node, has, why)] == [
        (row["channel"], row["node"], row["has"], row["why"]) for row in outputs["drift"]
    ]


def test_two_channels_that_want_different_tags_on_a_node_contradict_each_other(world):
    text = (
        "version: 1\nchannels:\n  one: {template: sonoma, tag: v1}\n  two: {template: sonoma, tag: v2, groups: ios}\n"
    )
    drift = told(audit(world, text, nodes="virtual-1", on_drift="report").outputs["drift"])
    why = "the channel one wants sonoma:v1 there, and a node has one tag of a template"
    assert [("two", "virtual-1", "sonoma:v2", "sonoma:v1", why)] == drift


def test_wrong_inputs(world):
    with pytest.raises(UsageError, match="channels needs the fleet file"):
        perform("audit", {"channels": "prod"}, world.anka)
    with pytest.raises(NotFoundError, match="no channel 'prd'") as caught:
        audit(world, channels="prd")
    assert "did you mean 'prod'?" == caught.value.hint
    with pytest.raises(UsageError, match=r"fleet.yml:3:3: channel one: 2 templates are named 'twin'"):
        audit(world, "version: 1\nchannels:\n  one: {template: twin, tag: v0}\n")


def test_nodes_that_do_not_report_are_neither_right_nor_wrong(fleet_as, tmp_path):
    anka = fleet_as(node_1={"templates": None}, node_2={"state": "Offline"})
    file = tmp_path / "fleet.yml"
    file.write_text("version: 1\nchannels:\n  prod: {template: sonoma, tag: v1, groups: ios}\n")
    outputs = perform("audit", {"fleet": str(file), "on-drift": "report"}, anka).outputs
    assert ["node-1"] == outputs["unverified"]
    ((_, node, _, has, why),) = told(outputs["drift"])
    assert ("node-2", None, True) == (node, has, why.startswith("the node is offline"))
