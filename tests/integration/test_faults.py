"""Faults of a script that befall nodes which really pull, and pulls and pushes of the stand-in, and every step."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import SystemClock
from anka_ci.desk import perform
from anka_ci.errors import AnkaCiError, RefusedError
from anka_ci.server.seed import ID
from anka_ci.steps import Runs, catalog
from faulty import OTHER, Faulty, faulty
from hosted import Hosted, hosted

__all__ = ["faulty", "hosted"]


def test_real_nodes_suffer_as_virtual_ones_do(faulty: Callable[..., Faulty]) -> None:
    world = faulty(
        """
        nodes:
          - {node: node-1, does: stuck}
          - {node: node-2, does: full, for: 60s}
          - {node: node-3, does: silent, for: 60s}
          - {node: node-4, does: offline, at: 60s, for: 200s}
          - {node: node-4, does: restart, at: 60s}
          - {node: node-2, does: evict, at: 60s}
        """,
        virtual_nodes=0,
        nodes=4,
    )
    controller = world.anka.controller
    world.second_template()
    request = controller.distribute(template_id=ID, tag="v1", version=1)

    def settled(**wanted: tuple[str, float]) -> None:
        """Wait for real children, in real time, on a clock that stands still meanwhile."""
        clock, expected = SystemClock(), {name.replace("_", "-"): found for name, found in wanted.items()}
        for _ in range(400):
            shares = controller.distribution(request).nodes
            if expected == {name: (share.state, share.progress) for name, share in shares.items() if name in expected}:
                return
            clock.sleep(0.05)
        raise AssertionError(shares)

    settled(node_1=("pulling", 1), node_2=("failed", 0), node_3=("pulling", 0.42), node_4=("done", 1))
    assert "no space left on device" == controller.distribution(request).nodes["node-2"].error
    assert ["v1", None, None, "v1"] == [node.tag_of(ID) for node in controller.nodes()]
    world.clock.advance(61)
    assert [1, 1, 1, 0] == [len(node.groups) for node in controller.nodes()]
    world.clock.advance(120)
    assert ["Active", "Active", "Active", "Offline"] == [node.state for node in controller.nodes()]
    controller.cancel_distribution(request)
    assert ["cancelled", "failed", "cancelled", "done"] == [
        share.state for share in controller.distribution(request).nodes.values()
    ]
    for template, tag, version in ((ID, "v1", 1), (OTHER, "base", 0)):
        request = controller.distribute(template_id=template, tag=tag, version=version, node_ids=["node-2"])
        settled(node_2=("done", 1))
    assert [OTHER] == [template.id for template in controller.node("node-2").templates or ()]
    request = controller.distribute(template_id=OTHER, tag="base", version=0, node_ids=["node-4"])
    settled(node_4=("queued", 0))
    world.clock.advance(100)
    settled(node_4=("done", 1))


def test_pull_and_push_survive_what_passes_and_name_what_stays(faulty: Callable[..., Faulty]) -> None:
    world = faulty(
        """
        http:
          - {match: GET /v2/*/blobs/*, does: drop, times: 1}
          - {match: GET /v2/*/manifests/*, does: answer, status: 503, times: 1}
          - {match: PATCH /v2/*/blobs/uploads/*, does: lose, times: 1}
          - {match: POST /v2/*/blobs/uploads/*, does: answer, status: 429, retry-after: 0s, times: 1}
          - {match: POST /v2/*/blobs/uploads/*, does: answer, status: 507, message: no room, after: 3}
        """,
        virtual_nodes=0,
        run_guests=True,
        groups={},
    )
    anka = Anka(world.anka.context)

    def change(text: str) -> None:
        for words in (["run", "sonoma", "sh", "-c", f"echo {text} > note"], ["stop", "sonoma"]):
            subprocess.run([world.server.anka, *words], check=True, capture_output=True, timeout=60)

    assert "done" == perform("pull", {"template": "sonoma", "tag": "v1"}, anka).status
    change("first")
    pushed = perform("push", {"template": "sonoma", "tag": "v2"}, anka)
    assert ("v2", 2) == (pushed.outputs["tag"], pushed.outputs["version"])
    assert ["base", "v1", "v2"] == [version.tag for version in anka.registry.template("sonoma").versions or ()]
    change("second")  # the first push asked for three uploads, of which one was put off
    with pytest.raises(RefusedError, match="no room"):
        perform("push", {"template": "sonoma", "tag": "v3"}, anka)
    assert ["base", "v1", "v2"] == [version.tag for version in anka.registry.template("sonoma").versions or ()]


FAULTS = {
    "does: drop": "the connection broke",
    "does: cut": "the connection broke|no Anka reply",
    "does: 'null'": "",
    "does: answer, status: 401, message: Authentication Required": "not signed in",
    "does: answer, status: 404": "no call|this controller cannot",
    "does: answer, status: 418, message: I am a teapot": "I am a teapot",
    "does: answer, status: 429, retry-after: 1s": "429",
    "does: answer, status: 502": "502",
}
"""Faults, and what an error says of each; of OK with nothing it depends on what was asked."""


@pytest.mark.parametrize("name", [name for name in catalog.BUILT if catalog.load(name).RUNS is Runs.ANYWHERE])
def test_no_fault_surprises_a_step(faulty: Callable[..., Faulty], hosted: Callable[..., Hosted], name: str) -> None:
    """Each step either gets there or ends with an error that explains itself, whichever request it happens to."""
    step = catalog.load(name)
    inputs = {key: value.replace("node-", "virtual-") for key, value in step.EXAMPLE.items() if key != "confirm"}
    runners = name.endswith("-runner")
    if "template" in inputs:
        inputs["template"] = "sonoma"
    for fault, said in FAULTS.items():
        told = []
        for after in range(4):
            script = f"http: [{{match: '* *', after: {after}, {fault}}}]"
            begun = hosted(script, groups={"ios": ("*",)}) if runners else None
            world = begun.world if begun else faulty(script, groups={"ios": ("*",)})
            anka = (begun or world).doors(timeout=900)
            try:
                planned = perform(name, inputs, anka, plan_only=True)
                perform(name, inputs, anka, confirm=str(planned.plan["digest"]))
            except AnkaCiError as error:
                told.append(error.message)
            finally:
                world.server.stop()
        assert not said or re.search(said, told[0]), fault
