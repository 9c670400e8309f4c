"""The step ``prune``: a report says what goes and why, its digest removes exactly that, and reality may stop it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, InterruptError, NotFoundError, UnreachableError, UsageError
from anka_ci.result import Said
from anka_ci.rules.retention import policy
from anka_ci.server.state import State
from anka_ci.settings import Context
from anka_ci.wire.manifest import Manifest
from anka_ci.wire.start import Start
from faulty import faulty
from stocked import DAY, SIZES, id_of, push, serving

__all__ = ["faulty"]

PUSHES = [
    (90, "nightly-1", "v0", "a"),
    (80, "nightly-2", "v0", "ab"),
    (70, "sonoma", "base", "c"),
    (60, "sonoma", "v1", "cd"),
    (50, "sonoma", "v2", "cde"),
    (5, "nightly-3", "v0", "abf"),
    (90, "twin", "v0", "g"),
    (90, "twin#2", "v0", "h"),
]
PULLS = [(40, "nightly-1", "v0"), (3, "sonoma", "base")]
NIGHTLY = {"templates": "nightly-*", "not-pulled-for": "30d"}


@pytest.fixture
def world(tmp_path):
    """A stocked registry with two nodes that move no bytes; server, doors and clock."""
    with serving(tmp_path, PUSHES, PULLS) as made:
        yield made


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """The same for all tests that only have reports made."""
    with serving(tmp_path_factory.mktemp("still"), PUSHES, PULLS) as made:
        yield made


def prune(world, inputs=NIGHTLY, anka=None, **more):
    confirm, plan_only = more.pop("confirm", None), more.pop("plan_only", False)
    given = {**inputs, **{key.replace("_", "-"): value for key, value in more.items()}}
    return perform("prune", given, anka or world.anka, confirm=confirm, plan_only=plan_only)


def there(world):
    return {row.id: [each.tag for each in world.anka.registry.by_id(row.id).versions] for row in rows(world)}


def rows(world):
    return world.anka.registry.templates()


def test_a_report_says_what_goes_and_its_digest_removes_exactly_that(world):
    before = there(world)
    report = prune(world)
    assert ("done", 8, []) == (report.status, report.outputs["looked-at"], report.outputs["removed"])
    found = [(row["template"], row["goes"], row["tags"], row["by"]) for row in report.outputs["removals"]]
    assert [(f"nightly-{number}", "template", ["v0"], "delete rule 'inputs'") for number in (1, 2)] == found
    assert before == there(world)
    with pytest.raises(ConfirmationError) as caught:
        prune(world, apply="true", confirm="yes")
    assert f"the template nightly-1 ({id_of('nightly-1')}), 100 B" in caught.value.message
    assert report.outputs["digest"] == caught.value.facts["digest"]
    done = prune(world, apply="true", confirm=report.outputs["digest"])
    assert ("done", ["nightly-1:v0", "nightly-2:v0"]) == (done.status, done.outputs["removed"])
    assert {id_of("nightly-1"), id_of("nightly-2")} == {*before} - {*there(world)}
    assert "removed nightly-1:v0" in [event.text for event in world.told if isinstance(event, Said)]
    again = prune(world, apply="true")
    assert ("unchanged", 0) == (again.status, again.outputs["frees-most"])
    assert "digest" not in again.outputs


def test_bytes_that_stay_because_they_are_shared_are_not_announced(still):
    report = prune(still).outputs
    assert (0, 0) == (report["frees-least"], report["frees-most"])  # nightly-3 has both layers
    every = prune(still, {"templates": "nightly-*"}).outputs
    nightly = SIZES["a"] + SIZES["b"] + SIZES["f"]
    assert (nightly, nightly) == (every["frees-least"], every["frees-most"])
    assert [(0, 0), (0, 0), (nightly, nightly)] == [
        (row["frees-least"], row["frees-most"]) for row in every["removals"]
    ]


def test_a_suffix_goes_and_what_newer_tags_pin_comes_with_a_remedy(still):
    suffix = prune(still, {"templates": "sonoma", "beyond-oldest-tags": "1"}).outputs
    (row,) = suffix["removals"]
    assert ("tags", ["v1", "v2"], SIZES["d"] + SIZES["e"]) == (row["goes"], row["tags"], row["frees-most"])
    (still.folder / "fleet.yml").write_text(
        "version: 1\nchannels:\n  prod: {template: sonoma, tag: v2}\n  other: {template: sonoma, tag: v9}\n"
    )
    pinned = prune(
        still,
        {"templates": "sonoma", "tags": "v1\nv2", "fleet": str(still.folder / "fleet.yml"), "explain": "sonoma:v1"},
    )
    outputs = pinned.outputs
    assert ([], 0) == (outputs["removals"], outputs["frees-most"])
    (row,) = outputs["pinned"]
    assert (["v1"], "v2", "in the channel prod") == (row["tags"], row["pinned-by"], row["because"])
    assert (
        "push v2 flattened as a new template (at most 2.7 KiB), move prod there, then revert sonoma:v1" in row["remedy"]
    )
    assert SIZES["d"] + SIZES["e"] == row["frees-least"] == row["frees-most"]
    assert "sonoma:v1 stays, although the delete rule 'inputs' lets it go: v2 is newer" in outputs["verdict"]
    assert "the channel other names sonoma:v9, which the registry does not have" in pinned.notes


def test_nodes_instances_channels_and_pipeline_files_keep_their_tags(world):
    everything = {"older-than": "1s"}
    assert 6 == len(prune(world, everything).outputs["removals"])
    perform("distribute", {"template": "nightly-1", "nodes": "virtual-1"}, world.anka)
    world.anka.controller.instances.start(Start(template_id=id_of("nightly-2"), tag="v0"))
    (world.folder / "ci.yml").write_text(
        "version: 1\nparameters: {which: {choices: [base, v1]}, t: sonoma}\nsteps:\n"
        "  - use: start-instance\n    with: {template: '${{ params.t }}', tag: '${{ params.which }}'}\n"
        "  - use: pull\n    with: {template: '${{ steps.x.outputs.id }}'}\n"
        "  - use: delete\n    with: {template: nightly-3}\n"
        "  - use: show\n    with: {template: twin}\n"
    )
    done = prune(world, everything, pipelines=str(world.folder / "*.yml"), explain="sonoma:v1")
    assert [("nightly-3", ["v0"]), ("sonoma", ["v2"])] == [
        (row["template"], row["tags"]) for row in done.outputs["removals"]
    ]
    assert f"named at {world.folder}/ci.yml:5" in done.outputs["verdict"]
    assert any("ci.yml:7:" in note and "known only when the file runs" in note for note in done.notes)
    assert "on virtual-1" in prune(world, everything, explain="nightly-1:v0").outputs["verdict"]
    world.anka.controller.distribute(template_id=id_of("nightly-3"), tag="v0", version=0)
    assert "on its way to nodes by the" in prune(world, everything, explain="nightly-3:v0").outputs["verdict"]
    verdict = prune(world, everything, explain="nightly-2:v0").outputs["verdict"]
    assert "nightly-2:v0 stays: used by the instance" in verdict


def test_a_digest_fits_only_what_was_reported(world):
    report = prune(world)
    assert report.outputs["digest"] == prune(world, apply="true", plan_only=True).plan["digest"]
    perform("distribute", {"template": "nightly-2", "nodes": "virtual-1"}, world.anka)
    before = there(world)
    with pytest.raises(ConfirmationError, match="does not fit this plan"):
        prune(world, apply="true", confirm=report.outputs["digest"])
    assert before == there(world)


class Between:
    """What happens while a removal runs: ``does`` is called once, when the first is done."""

    def __init__(self, world, does):
        self.world, self.does, self.done = world, does, False

    def __call__(self, event):
        if isinstance(event, Said) and event.text.startswith("removed") and not self.done:
            self.done = True
            self.does(self.world)


def other(world):
    """Another prune of the same policy reports and removes what is left."""
    prune(world, apply="true", confirm=prune(world).outputs["digest"])


def pull(world):
    url = f"{world.server.registry_url}/v2/{id_of('nightly-2')}/manifests/v0"
    world.clock.advance(1)
    assert 200 == requests.get(url, timeout=10).status_code


def add(world):
    url = f"{world.server.registry_url}/v2/{id_of('nightly-2')}/manifests/"
    manifest = Manifest.read(requests.get(url + "v0", timeout=10).content)
    assert 201 == requests.put(url + "v1", data=replace(manifest, tag="v1").emit(), timeout=10).status_code


def use(world):
    world.clock.advance(20)
    world.anka.controller.instances.start(Start(template_id=id_of("nightly-2"), tag="v0"))


@pytest.mark.parametrize(
    ("does", "said"),
    [
        (other, "nightly-2 is gone since the plan"),
        (pull, "nightly-2 was pulled since the plan"),
        (add, "nightly-2 has changed since the plan: its tags are v0, v1"),
        (use, "nightly-2 is used since the plan: used by the instance"),
    ],
)
def test_it_stops_where_reality_is_another_and_tells_what_is_gone(world, does, said):
    digest = prune(world).outputs["digest"]
    anka = Anka(world.anka.context, clock=world.clock, tell=Between(world, does))
    with pytest.raises(ConfirmationError) as caught:
        prune(world, anka=anka, apply="true", confirm=digest)
    assert said in caught.value.message
    assert ["nightly-1:v0"] == caught.value.outputs["removed"]
    assert 2 == len(caught.value.outputs["removals"])


def test_an_interrupted_one_keeps_the_rest_and_the_next_one_goes_on(world):
    digest = prune(world).outputs["digest"]
    anka = world.doors()
    anka.tell = Between(world, lambda world: anka.cancelled.set("SIGTERM"))
    with pytest.raises(InterruptError) as caught:
        prune(world, anka=anka, apply="true", confirm=digest)
    assert ["nightly-1:v0"] == caught.value.outputs["removed"]
    rest = prune(world).outputs
    assert ["nightly-2"] == [row["template"] for row in rest["removals"]]
    assert digest != rest["digest"]
    assert ["nightly-2:v0"] == prune(world, apply="true", confirm=rest["digest"]).outputs["removed"]


def test_two_templates_of_one_name_are_told_apart(still):
    report = prune(still, {"templates": "twin"})
    assert {id_of("twin"), id_of("twin#2")} == {row["id"] for row in report.outputs["removals"]}
    one = prune(still, {"templates": id_of("twin#2")}, explain=f"{id_of('twin')}:v0")
    assert [id_of("twin#2")] == [row["id"] for row in one.outputs["removals"]]
    assert f"twin ({id_of('twin')}):v0 stays: no rule lets it go" == one.outputs["verdict"]
    with pytest.raises(UsageError, match="2 tags are 'twin:v0'"):
        prune(still, explain="twin:v0")


def test_a_policy_file_and_inputs_go_together(still):
    file = still.folder / "policy.yml"
    file.write_text("version: 1\nkeep: [{tags: v0, younger-than: 85d}]\ndelete: [{templates: twin}]\n")
    done = prune(still, policy=str(file), keep="twin:x*\nnightly-7").outputs
    assert ["nightly-1", "twin", "twin"] == [row["template"] for row in done["removals"]]
    rules = [row["rule"] for row in prune(still, policy=str(file), explain="nightly-1:v0").outputs["explanation"]]
    assert ["keep rule 'keep 1'", "delete rule 'delete 1'", "delete rule 'inputs'"] == rules


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "no rule that deletes"),
        ({"keep": "x"}, UsageError, "no rule that deletes"),
        ({"templates": ""}, UsageError, "given but empty"),
        ({"older-than": "0"}, UsageError, "older-than has to be more than 0"),
        ({"older-than": "1d", "keep": "*"}, UsageError, "can never delete anything"),
        ({"older-than": "1d", "explain": "sonoma:v1", "apply": "true"}, UsageError, "explain only reports"),
        ({"older-than": "1d", "explain": "sonoma"}, NotFoundError, "no template 'sonoma'"),
        ({"older-than": "1d", "explain": "sonoma:v3"}, NotFoundError, "no tag 'v3'"),
        ({"older-than": "1d", "explain": "sonma:v1"}, NotFoundError, "did you mean 'sonoma'"),
        ({"older-than": "1d", "policy": "nowhere.yml"}, UsageError, "nowhere.yml: cannot be read"),
        ({"older-than": "1d", "fleet": "nowhere.yml"}, UsageError, "nowhere.yml: cannot be read"),
        ({"older-than": "1d", "pipelines": "no*where.yml"}, NotFoundError, "no pipeline file 'no\\*where.yml'"),
    ],
)
def test_wrong_inputs(still, inputs, error, said):
    with pytest.raises(error, match=said):
        prune(still, inputs)


def test_without_a_controller_it_says_so_or_judges_without_it(world):
    context = Context(registry_urls=(world.server.registry_url,))
    anka = Anka(context, clock=world.clock)
    with pytest.raises(UsageError, match="nodes and instances that use a tag cannot be seen"):
        prune(world, anka=anka)
    report = prune(world, anka=anka, if_unseen="ignore")
    assert (2, True) == (len(report.outputs["removals"]), "no controller is configured" in report.notes[0])
    done = prune(world, anka=anka, if_unseen="ignore", apply="true", confirm=report.outputs["digest"])
    assert 2 == len(done.outputs["removed"])


def test_the_age_of_a_report_does_not_matter_while_nothing_changes(still):
    digest = prune(still).outputs["digest"]
    still.clock.advance(DAY / 2)  # not so long that a rule decides anew
    assert digest == prune(still).outputs["digest"]


EXAMPLES = Path(__file__).parents[3] / "shared" / "examples"


def test_the_examples_report_and_then_remove_what_was_read(here, server, anka):
    """A nightly template that is older than the others, and that nobody pulled."""
    clock = ManualClock(time.time())
    state = State(server.data, clock)
    for number in range(7):
        clock.advance(-40 * DAY if number == 0 else DAY)
        push(state, f"nightly-{number}", "v0", "a")
    state.pulled(id_of("nightly-0"), "v0")
    state.close()
    sets = [f"policy={EXAMPLES / 'retention.yml'}", f"fleet={EXAMPLES / 'fleet.yml'}"]
    words = ["run", str(EXAMPLES / "prune.yml"), *(word for each in sets for word in ("--set", each))]
    report = here(*words, "--json")
    outputs = json.loads(report.stdout)["steps"][0]["outputs"]
    assert [("nightly-0", "delete rule 'old nightly builds'"), ("nightly-1", "delete rule 'old nightly builds'")] == [
        (row["template"], row["by"]) for row in outputs["removals"]
    ]
    assert ["releases", "in use"] == [rule.name for rule in policy.read(str(EXAMPLES / "retention.yml")).keep]
    done = here(*words, "--set", f"confirm={outputs['digest']}")
    assert (0, True) == (done.returncode, "removed nightly-0:v0 nightly-1:v0" in done.stdout), done
    assert 6 == len(anka.registry.templates())


def test_a_controller_that_does_not_answer_is_an_error_or_is_done_without(still):
    url = "http://127.0.0.1:1"
    anka = Anka(Context(registry_urls=(still.server.registry_url,), controller_url=url), clock=still.clock)
    with pytest.raises(UnreachableError, match="connection refused"):
        prune(still, anka=anka)
    report = prune(still, anka=anka, if_unseen="ignore")
    assert "tags on nodes and of instances were not looked at: the controller" in report.notes[0]


def test_a_removal_whose_answer_is_lost_is_told_as_one(faulty):
    world = faulty('http: [{match: "DELETE /registry/vm", does: lose, times: 1}]')
    world.second_template()
    inputs = {"templates": "ventura", "apply": "true"}
    digest = perform("prune", inputs, world.anka, plan_only=True).plan["digest"]
    with pytest.raises(UnreachableError) as caught:
        perform("prune", inputs, world.anka, confirm=digest)
    assert ["ventura:base"] == caught.value.outputs["removed"]
    assert ["sonoma"] == [row.name for row in world.anka.registry.templates()]
