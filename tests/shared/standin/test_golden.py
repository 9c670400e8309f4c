"""Every row of the golden table against the stand-in: exit code, stdout and stderr to the last byte."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import namedtuple
from importlib import import_module
from pathlib import Path

import pytest

from anka_ci.clock import ManualClock
from anka_ci.server.app import Server
from anka_ci.standin import modify, registry
from anka_ci.standin.commands import COMMANDS
from anka_ci.standin.properties import PROPERTIES
from anka_ci.standin.words import CONNECTION
from conftest import plain_env
from shared.standin.golden import START, Minutes, Scene, Stage, scenes, shown

Usage = namedtuple("Usage", "total used free")
TABLE = list(scenes())


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a sample of a few KiB, made at the beginning of every scene."""
    data = tmp_path_factory.mktemp("small") / "data"
    with Server(data, sample=True, sample_bytes=16 << 10, clock=ManualClock(START)):
        pass
    return data


@pytest.mark.parametrize("scene", TABLE, ids=[f"{scene.file}: {scene.title}" for scene in TABLE])
def test_every_row(
    scene: Scene,
    small: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(500 << 30, 400 << 30, 100 << 30))
    data = tmp_path / "data"
    shutil.copytree(small, data, symlinks=True)
    clock = Minutes()
    wrong = []
    with Server(data, clock=clock) as server:
        stage = Stage(tmp_path, server.registry_url, plain_env(tmp_path), capsys, clock)
        for words in scene.given:
            stage.prepare(words)
        for row in scene.rows:
            for persona in row.personas:
                found = stage.call(row, persona)
                if found != (row.code, row.out, row.err):
                    wrong.append(f"{row.place}: anka {row.words} ({persona}) gave\n{shown(*found)}")
    assert not wrong, "\n\n".join(wrong)


def test_every_option_of_every_registry_command_has_a_row() -> None:
    """A new option or spelling without a row fails here."""
    seen: dict[str, set[str]] = {}
    for row in (row for scene in TABLE for row in scene.rows):
        words = [word.partition("=")[0] for word in shlex.split(row.words) if word not in ("-j", "--machine-readable")]
        place = next((number for number, word in enumerate(words) if word in registry.COMMANDS), None)
        if words[:1] == ["registry"]:
            seen.setdefault("registry", set()).update(words[1:place])
        if place is not None:
            name = words[place] if words[0] == "registry" else f"top {words[0]}"
            seen.setdefault(name, set()).update(words[place + 1 :])
    wanted = {name: set(command.options) for name, command in registry.COMMANDS.items()}
    wanted |= {f"top {name}": set(known) for name, known in registry.TOP.items()}
    wanted["registry"] = {*CONNECTION, *registry.FLAGS}
    clusters = {
        name: {f"-{letter}" for word in found if re.fullmatch("-[a-z0-9]{2,}", word) for letter in word[1:]}
        for name, found in seen.items()
    }
    lacking = {
        name: sorted(known - seen.get(name, set()) - clusters.get(name, set())) for name, known in wanted.items()
    }
    assert [] == [f"{name} {word}" for name, words in lacking.items() for word in words]
    assert set(wanted) <= set(seen)


def test_every_option_and_property_of_every_local_command_has_a_row() -> None:
    """The same for the commands that ask no registry, and for what ``modify`` and ``show`` can be asked for."""
    seen: dict[str, set[str]] = {}
    for row in (row for scene in TABLE for row in scene.rows):
        words = [word.partition("=")[0] for word in shlex.split(row.words)]
        while words and words[0] in ("-j", "--machine-readable", "--debug"):
            words.pop(0)
        for word in words[1:]:
            letters = word[1:] if re.fullmatch("-[a-zA-Z]{2,}", word) else ""
            seen.setdefault(words[0], set()).update({word, *(f"-{letter}" for letter in letters)})
    local = {name: command for name, command in COMMANDS.items() if name not in ("registry", "pull", "push")}
    wanted: dict[str, set[str]] = {
        name: set(getattr(import_module(f"anka_ci.standin.{command.room}"), "OPTIONS", {}).get(name, {}))
        for name, command in local.items()
    }
    wanted["modify"] |= {*modify.SET, *modify.ADD, *modify.DELETE, *modify.VERBS, *modify.ALIASES}
    wanted["modify"].update(
        *(known for table in (modify.SET, modify.ADD, modify.DELETE) for known, _ in table.values())
    )
    wanted["show"] |= {*PROPERTIES, "tag", "tags", "uuid", "name", "ip", "status", "description"}
    lacking = {name: sorted(known - seen.get(name, set())) for name, known in wanted.items()}
    assert {} == {name: words for name, words in lacking.items() if words}


def test_what_is_machine_readable_is_one_line_without_an_end() -> None:
    """The table holds what its readers need: one JSON object, nothing else on either stream."""
    rows = [row for scene in TABLE for row in scene.rows if row.words.startswith(("-j ", "--machine-readable "))]
    assert rows
    for row in rows:
        assert ("", False) == (row.err, "\n" in row.out), row.place
        found = json.loads(row.out)
        assert {"status", "body", "message", "code"} <= set(found), row.place
        assert (row.code, row.code == 0) == (found["code"], found["status"] == "OK"), row.place
