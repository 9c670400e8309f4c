"""The main job as a person runs it: the examples, through the command, on the embedded server and fleet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anka_ci.anka import Anka
from conftest import Command

EXAMPLES = Path(__file__).parent.parent / "shared" / "examples"
SETS = {
    "undo.yml": {"tag": "v1"},
    "promote.yml": {"fleet": str(EXAMPLES / "fleet.yml")},
    "prune.yml": {"policy": str(EXAMPLES / "retention.yml"), "fleet": str(EXAMPLES / "fleet.yml")},
}
"""Parameters that an example wants here."""
PIPELINES = [path.name for path in EXAMPLES.glob("*.yml") if "\nsteps:" in path.read_text()]


def run(cli: Command, name: str, *more: str, code: int = 0) -> dict[str, Any]:
    """The result document of one run of an example."""
    done = cli("run", str(EXAMPLES / name), "--json", *more)
    assert code == done.returncode, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert "anka-ci/result/1" == document["schema"]
    return document


def by_id(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {step["id"]: step for step in document["steps"]}


def test_refresh_undo_and_a_second_run_that_moves_nothing(cli: Command, here: Command, anka: Anka) -> None:
    first = by_id(run(cli, "refresh-template.yml"))
    assert {"done"} == {step["status"] for step in first.values()}
    pushed = first["push"]["outputs"]
    assert ("pushed", 2) == (pushed["outcome"], pushed["version"])
    base = anka.registry.template("sonoma").pick("v1")
    assert base.size == pushed["bytes-shared"]
    assert 8_000_000 < pushed["bytes-sent"] < 8_100_000
    assert ["node-1", "node-2"] == sorted(first["distribute"]["outputs"]["succeeded"])
    held = {node.name: node.tag_of(base_id(anka)) for node in anka.controller.nodes()}
    assert {"node-1": "v2", "node-2": "v2", "node-3": None} == held

    again = by_id(run(here, "refresh-template.yml"))
    assert (0, "skipped") == (again["push"]["outputs"]["bytes-sent"], again["push"]["outputs"]["outcome"])
    assert "unchanged" == again["distribute"]["status"]
    assert ["node-1", "node-2"] == again["distribute"]["outputs"]["already"]
    assert 1 == len(anka.controller.distributions())
    assert 2 == again["verify"]["outputs"]["count"]

    undone = by_id(run(cli, "undo.yml"))
    assert ["v2"] == undone["revert"]["outputs"]["removed"]
    assert ["base", "v1"] == [version.tag for version in anka.registry.template("sonoma").versions or ()]
    assert "pushed" == by_id(run(here, "refresh-template.yml"))["push"]["outputs"]["outcome"]


def base_id(anka: Anka) -> str:
    return anka.registry.template("sonoma").id


@pytest.mark.parametrize("name", PIPELINES)
def test_every_example_is_checked_and_planned_without_a_write(
    name: str, here: Command, anka: Anka, connected: dict[str, str], tmp_path: Path
) -> None:
    settings = tmp_path / "settings.yml"
    settings.write_text("contexts:\n  staging: {protected: false}\n  production: {protected: false}\n")
    connected["ANKA_CI_SETTINGS"] = str(settings)
    before = anka.registry.template("sonoma")
    assert 0 == here("check", str(EXAMPLES / name)).returncode
    sets = [word for key, value in SETS.get(name, {}).items() for word in ("--set", f"{key}={value}")]
    planned = here("plan", str(EXAMPLES / name), *sets, "--json")
    assert 0 == planned.returncode, planned.stderr
    assert {"planned", "checked-when-run"} >= {step["status"] for step in json.loads(planned.stdout)["steps"]}
    assert before == anka.registry.template("sonoma")
    assert [] == anka.controller.distributions()


def test_a_required_count_that_is_not_reached_fails_and_says_which_nodes(here: Command) -> None:
    document = run(here, "refresh-template.yml", "--set", "at-least=3", code=7)
    assert "3 nodes were asked for, 2 are left: node-1, node-2" in document["error"]["message"]


def test_try_runs_both_acts_and_leaves_nothing_behind(cli: Command, tmp_path: Path) -> None:
    done = cli("try", "--sample-size", "2MiB")
    assert 0 == done.returncode, done.stderr
    assert "Refresh the template: done" in done.stdout
    assert "Undo: done" in done.stdout
    assert "sent to the registry: 7.6 MiB" in done.stdout
    assert [] == list(tmp_path.glob("anka-ci-try-*"))


def test_try_runs_a_persons_file_and_keeps_the_data_when_asked(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("version: 1\nsteps:\n  - use: list\n")
    done = cli("try", "mine.yml", "--sample-size", "2MiB", "--keep")
    assert 0 == done.returncode, done.stderr
    assert 1 == len(list(tmp_path.glob("anka-ci-try-*")))
    assert "serve it again: anka-ci serve --data" in done.stderr


def test_try_says_what_is_wrong_before_it_makes_anything(here: Command) -> None:
    assert "--set goes with a file" in here("try", "--set", "tag=v3").stderr
    assert "--sample-size" in here("try", "--sample-size", "big").stderr
    missing = here("try", "nowhere.yml")
    assert (2, True) == (missing.returncode, "nowhere.yml: cannot be read" in missing.stderr)
