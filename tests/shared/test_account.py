"""What people read of results."""

from __future__ import annotations

import pytest

from anka_ci import account
from anka_ci.result import StepResult


def step(status="done", **outputs):
    return StepResult(id="x", step="x", status=status, outputs={key.replace("_", "-"): outputs[key] for key in outputs})


NODES = [{"name": f"node-{number}", "state": "Active" if number else "Offline"} for number in range(8)]


@pytest.mark.parametrize(
    ("done", "words"),
    [
        (step(name="sonoma", tag="v2", outcome="pushed", bytes_sent=10240, bytes_shared=3 << 20), "P"),
        (step("unchanged", name="sonoma", tag="v2", outcome="unchanged", bytes_sent=0), "sonoma:v2, sent 0 B"),
        (step(name="sonoma", tag="v1", already_here=True, bytes_received=0), "sonoma:v1, already here"),
        (step(name="sonoma", tag="v1", download=3 << 20), "sonoma:v1, to download 3.0 MiB"),
        (step(removed=["v1", "v2"], remaining=["base"]), "removed v1 v2, left base"),
        (step(succeeded=["node-1"], failed=[], skipped=["node-3"]), "done on node-1, skipped node-3"),
        (step(succeeded=[f"node-{number}" for number in range(40)]), "done on 40"),
        (step(count=2, nodes=NODES[:2]), "node-0 Offline, node-1 Active"),
        (step(count=8, nodes=NODES), "8 nodes: 1 Offline, 7 Active"),
        (step(count=0, nodes=[]), "0 nodes"),
        (step(runner="anka-ci-me-1", tag="base", labels=["anka-ci-me-1"]), "anka-ci-me-1 is online"),
        (step("unchanged"), "nothing to do"),
        (step(removed=[], frees_most=1 << 20, removals=[{"template": "n"}]), "would go: n, frees at most 1.0 MiB"),
        (step(removed=["n:v0"], removals=[{"template": "n"}]), "removed n:v0"),
        (step(drifted=True, drift=[{}], gone=[]), "1 off their channels"),
        (
            step(channels=[{"wanted": "n:v1", "succeeded": ["a", "b"]}], evicted=["m on a"]),
            "removed m on a, n:v1 on a b",
        ),
        (step(name="n", tag="v1", channels=[{"wanted": "n:v1", "succeeded": ["a"]}]), "n:v1, done on a"),
        (step(drifted=False, drift=[], gone=[]), "no drift"),
        (StepResult(id="x", step="x", status="skipped", notes=("y failed",)), "y failed"),
        (StepResult(id="x", step="x", status="failed", error={"message": "it would lose:\n  - all"}), "it would lose"),
    ],
)
def test_what_happened_in_few_words(done, words):
    assert words.replace("P", "sonoma:v2, pushed, sent 10.0 KiB, shared 3.0 MiB") == account.gist(done)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "no"}, "anka-ci: no\n"),
        ({"message": "no", "hint": "do"}, "anka-ci: no\n  do\n"),
        ({"message": "no", "facts": {"file": "p.yml", "line": 3, "column": 4}}, "anka-ci: p.yml:3:4: no\n"),
        ({"message": "p.yml:3:4: no", "facts": {"file": "p.yml", "line": 3}}, "anka-ci: p.yml:3:4: no\n"),
        ({"message": "no", "facts": {"file": "p.yml"}}, "anka-ci: p.yml: no\n"),
    ],
)
def test_a_failure_says_where_it_is(error, text):
    assert text == account.of_failure(error)


@pytest.mark.parametrize(("count", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (61, "61 s"), (185, "3m5s")])
def test_seconds(count, text):
    assert text == account.seconds(count)


def test_of_a_long_list_the_first_are_told_and_the_others_counted():
    names = [f"n{number}" for number in range(account.MOST + 7)]
    shown = account.cell("succeeded", names)
    assert shown.endswith(f", n{account.MOST - 1} and 7 more")
    assert "n0, n1" == account.cell("succeeded", names[:2])
    assert "-" == account.cell("succeeded", [])
