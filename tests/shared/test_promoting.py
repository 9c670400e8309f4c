"""A tag goes from one registry to another, and a channel with it: the example, on two servers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from anka_ci import cli as roof
from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.server.app import Server
from anka_ci.settings import Context

EXAMPLES = Path(__file__).parents[2] / "shared" / "examples"


@pytest.fixture
def staging(seeded, tmp_path):
    data = tmp_path / "staging"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data) as made:
        yield Anka(Context(name="staging", registry_urls=(made.registry_url,)))


@pytest.fixture
def run(server, staging, anka, near, tmp_path, monkeypatch, capsys):
    settings = tmp_path / "settings.yml"
    settings.write_text(
        f"contexts:\n  staging: {{registry: '{staging.registry.url}', anka: '{server.anka}'}}\n"
        f"  production: {{controller: '{server.controller_url}', anka: '{server.anka}'}}\n"
    )
    shutil.copy(EXAMPLES / "fleet.yml", tmp_path)

    def run(*words):
        with monkeypatch.context() as patch:
            patch.setenv("ANKA_CI_SETTINGS", str(settings))
            patch.chdir(tmp_path)
            code = roof.main([*words[:1], str(EXAMPLES / "promote.yml"), *words[1:]])
        return (code, *capsys.readouterr())

    return run


def shown(anka):
    return {each.tag: each.images for each in anka.registry.template("sonoma").versions}


def test_a_tag_goes_to_the_other_registry_and_to_the_channels_nodes(run, staging, anka, tmp_path):
    perform("revert", {"template": "sonoma", "tag": "v1"}, anka, confirm="yes")
    assert ["base"] == list(shown(anka))
    code, _, err = run("check", "--live")
    assert (4, True) == (code, "fleet.yml:6:3: no tag 'v1' in template sonoma" in err), err
    file = tmp_path / "fleet.yml"
    file.write_text(file.read_text().replace("tag: v1", "tag: base"))
    code, out, err = run("check", "--live")
    # the template and the tag in staging, and the channel; the tag that the push makes is told when it runs
    assert (0, True) == (code, "3 names are there, 1 known only when it runs" in out), out + err

    code, _, err = run("run")
    assert 0 == code, err
    assert shown(staging) == shown(anka)
    held = {node.name: [each.tag for each in node.templates] for node in anka.controller.nodes()}
    assert {"node-1": ["v1"], "node-2": ["v1"], "node-3": []} == held

    before = file.read_bytes()
    assert b"    tag: v1\n" in before
    code, out, err = run("run")
    assert (0, 2) == (code, out.count("unchanged")), out + err
    assert before == file.read_bytes()


def test_within_a_registry_it_is_a_new_tag_over_the_same_layers(run, anka, tmp_path):
    code, _, err = run("run", "--set", "from=production", "--set", "as=stable-1")
    assert 0 == code, err
    there = shown(anka)
    assert there["v1"] == there["stable-1"]
    assert "    tag: stable-1\n" in (tmp_path / "fleet.yml").read_text()
