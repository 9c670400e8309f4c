"""``anka-ci check --live``: every name in a pipeline file is looked for where it has to be."""

from __future__ import annotations

import os

import pytest

from anka_ci import cli
from stocked import id_of, serving

PUSHES = [(9, "sonoma", "base", "a"), (8, "sonoma", "v1", "ab"), (7, "twin", "v0", "c"), (7, "twin#2", "v0", "d")]
RIGHT = """\
version: 1
parameters:
  template: sonoma
  from: {help: x., choices: [base, v1]}
  tag: {help: y.}
steps:
  - {id: look, use: show, with: {template: "${{ params.template }}", tag: "${{ params.from }}"}}
  - {use: pull, with: {template: sonoma, tag: latest}}
  - {use: push, with: {template: a-vm, onto: sonoma, tag: v9}}
  - {use: distribute, with: {template: "${{ steps.look.outputs.id }}", tag: "${{ params.tag }}", nodes: [virtual-1]}}
  - {use: distribute, with: {template: sonoma, tag: v9, all: true}}
  - {use: show, with: {template: sonoma, version: 1}}
  - {use: revert, with: {template: old, tag: v1, context: lab}}
  - {use: pull, with: {template: old, tag: gone, local: true}}
  - run: anka list
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("live"), PUSHES) as made:
        yield made


@pytest.fixture
def check(world, monkeypatch, capsys, tmp_path):
    """Exit code, stdout and stderr of ``check --live`` of a text."""

    def run(text, *more):
        for name in [name for name in os.environ if name.startswith("ANKA_CI_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        (tmp_path / "p.yml").write_text(text)
        connection = ["--controller-url", world.server.controller_url, "--registry-url", world.server.registry_url]
        code = cli.main(["check", "p.yml", "--live", *(more or connection)])
        return (code, *capsys.readouterr())

    return run


def test_names_that_are_there_and_those_that_only_a_run_tells(check):
    code, out, err = check(RIGHT)
    assert (0, "") == (code, err)
    assert "p.yml: p: 9 steps, nothing wrong; 6 names are there" == out.split(", 2 known")[0]
    assert "known only when it runs (p.yml:10:40, p.yml:10:77), 2 in the context lab, which" in out


def wrong(line):
    return f"version: 1\nsteps:\n  - {line}\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{use: show, with: {template: sonma}}", "p.yml:3:34: no template 'sonma' in http"),
        ("{use: show, with: {template: sonma}}", "did you mean 'sonoma'?"),
        ("{use: show, with: {template: sonoma, tag: v2}}", "p.yml:3:47: no tag 'v2' in template sonoma"),
        ("{use: show, with: {template: sonoma, version: 7}}", "p.yml:3:51: no version '7' in template sonoma"),
        ("{use: show, with: {template: twin}}", "p.yml:3:34: 2 templates are named 'twin'"),
        ("{use: push, with: {template: a-vm, tag: v1, onto: old}}", "p.yml:3:55: no template 'old'"),
        ("{use: nodes, with: {group: ios}}", "p.yml:3:32: no group 'ios' in http"),
        ('{use: drain, with: {nodes: "virtual-1\\nvirtual-7"}}', "no node 'virtual-7' in http"),
        ("{use: start-instance, with: {template: sonoma, node: n1}}", "no node 'n1' in http"),
        ("{use: audit, with: {fleet: fleet.yml, channels: [prd]}}", "no channel 'prd' in fleet.yml"),
        ("{use: audit, with: {fleet: fleet.yml}}", "fleet.yml:3:3: no tag 'v3' in template sonoma"),
        ("{use: pull, with: {fleet: fleet.yml, channel: prd}}", "p.yml:3:51: no channel 'prd' in fleet.yml"),
        ("{use: pull, with: {fleet: fleet.yml, channel: prod}}", "fleet.yml:3:3: no tag 'v3' in template sonoma"),
        ("{use: promote, with: {fleet: fleet.yml, channel: prod, from-channel: p}}", "no channel 'p' in fleet.yml"),
        ("{use: audit, with: {fleet: fleet.yml}}", "fleet.yml:3:3: no group 'spare'"),
        ("{use: audit, with: {fleet: nowhere.yml}}", "nowhere.yml: cannot be read"),
    ],
)
def test_a_name_that_is_not_there_is_told_with_its_place(check, tmp_path, line, said):
    fleet = "version: 1\nchannels:\n  prod: {template: sonoma, tag: v3, groups: spare}\n"
    (tmp_path / "fleet.yml").write_text(fleet)
    code, out, err = check(wrong(line))
    assert (4, "", True) == (code, out, said in err), err


def test_only_the_channels_that_a_step_names_are_looked_up(check, tmp_path):
    (tmp_path / "fleet.yml").write_text(
        "version: 1\nchannels:\n  a: {template: sonoma, tag: v1}\n  b: {template: old, tag: v1}\n"
    )
    assert 0 == check(wrong("{use: pull, with: {fleet: fleet.yml, channel: a}}"))[0]
    assert 4 == check(wrong("{use: pull, with: {fleet: fleet.yml, channel: b}}"))[0]


def test_all_of_them_are_told_at_once(check):
    text = (
        wrong("{use: show, with: {template: a}}") + f"  - {{use: show, with: {{template: {id_of('twin')}, tag: b}}}}\n"
    )
    code, _, err = check(text)
    assert (4, True) == (code, err.startswith("anka-ci: p.yml: 2 problems\n")), err


def test_an_anka_that_cannot_be_asked_is_told_as_such(check):
    code, _, err = check(wrong("{use: nodes, with: {group: ios}}"), "--registry-url", "http://127.0.0.1:1")
    assert (2, True) == (code, "no controller is configured" in err)
    assert 2 == check("version: 1\nsteps: []\n")[0]


def test_an_oci_registry_is_asked_for_the_repositories_that_are_named(check, world, tmp_path):
    url = world.server.registry_url.replace("http", "oci+http")
    text = wrong(f"{{use: show, with: {{template: {id_of('sonoma')}, tag: v1}}}}")
    code, out, err = check(text, "--registry-url", url)
    assert (0, True) == (code, "2 names are there" in out), err
    code, _, err = check(text.replace("tag: v1", "tag: v8"), "--registry-url", url)
    assert (4, True) == (code, "no tag 'v8'" in err), err
    code, _, err = check(wrong("{use: show, with: {template: No Name, tag: v1}}"), "--registry-url", url)
    assert (4, True) == (code, "p.yml:3:34: " in err), err
    code, _, err = check(wrong("{use: show, with: {template: gone, tag: v1}}"), "--registry-url", url)
    assert (4, True) == (code, err.startswith("anka-ci: p.yml:3:34: no template 'gone' in oci+http")), err
