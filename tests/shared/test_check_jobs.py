"""``anka-ci check --live`` of jobs: workflows, Jenkinsfiles and configurations, rendered ones and those of a person."""

from __future__ import annotations

import os

import pytest

from anka_ci import cli
from anka_ci_jenkins import groovy
from stocked import serving

PUSHES = [(9, "sonoma", "base", "a"), (8, "sonoma", "v1", "ab"), (7, "tahoe", "v0", "c")]
FILE = """\
version: 1
name: Refresh
parameters:
  template: {default: sonoma, choices: [sonoma, tahoe]}
  tag: v1
  at-least: {type: int, default: 1}
  word: {required: false}
job: {runner: [macos]}
steps:
  - {use: show, with: {template: "${{ params.template }}"}}
  - {use: show, with: {template: sonoma, tag: "${{ params.tag }}"}}
"""
WORKFLOW = """\
on:
  workflow_dispatch:
    inputs:
      template: {type: choice, options: [sonoma, tahoe]}
      tag: {default: v1}
jobs:
  one:
    runs-on: [self-hosted]
    steps:
      - uses: actions/checkout@v5
      - uses: octo/anka-ci/actions/show@v1
        with: {template: "${{ inputs.template }}", tag: (left out)}
      - uses: ./actions/distribute
        with:
          template: sonoma
          tag: ${{ github.event.inputs.tag }}
          nodes: |
            virtual-1
      - uses: octo/anka-ci@v1
        with:
          file: ci/refresh.yml
          set: |
            template=${{ inputs.template }}
            tag=${{ matrix.tag }}
      - uses: octo/anka-ci/actions/pull@v1
        with: {template: other, context: elsewhere}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("jobs"), PUSHES) as made:
        yield made


@pytest.fixture
def here(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith(("ANKA_CI_", "GITHUB_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in (".git", "ci"):
        (tmp_path / name).mkdir()
    (tmp_path / "ci/refresh.yml").write_text(FILE)
    return tmp_path


@pytest.fixture
def check(world, here, capsys):
    """Exit code, stdout and stderr of ``check --live`` of a file with this text."""

    def run(name, text):
        (here / name).write_text(text)
        connection = ["--controller-url", world.server.controller_url, "--registry-url", world.server.registry_url]
        code = cli.main(["check", name, "--live", *connection])
        return (code, *capsys.readouterr())

    return run


@pytest.fixture
def rendered(here, capsys):
    def run(ci, *more):
        code = cli.main(["job", "render", "--ci", ci, "ci/refresh.yml", *more])
        out, err = capsys.readouterr()
        assert (0, "") == (code, err)
        return out

    return run


def test_a_workflow_of_a_person(check):
    code, out, err = check("w.yml", WORKFLOW)
    assert (0, "") == (code, err)
    # two templates, a tag and a node; the file's tag and the other context are known later
    assert "w.yml: 4 calls; 6 names are there, 1 known only when it runs (w.yml:22:16)" == out.split(", 1 in")[0]
    assert ", 1 in the context elsewhere, which the settings here do not have\n" in out


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("options: [sonoma, tahoe]", "options: [sonoma, thoe]", "w.yml:4:41: no template 'thoe' in http"),
        ("{default: v1}", "{default: v2}", "w.yml:16:16: no tag 'v2' in template sonoma"),
        ("virtual-1", "virtual-9", "w.yml:17:18: no node 'virtual-9' in http"),
        ("ci/refresh.yml", "ci/gone.yml", "w.yml:21:17: no pipeline file 'ci/gone.yml' in "),
        ("tag=${{ matrix.tag }}", "tga=x", "w.yml:22:16: no parameter 'tga' in "),
        ("tag=${{ matrix.tag }}", "tag=v7", "w.yml:22:16: no tag 'v7' in template sonoma"),
    ],
)
def test_what_is_wrong_in_a_workflow_is_told_with_its_place(check, before, after, said):
    code, out, err = check("w.yml", WORKFLOW.replace(before, after))
    assert (4, "", True) == (code, out, said in err), err


JOBS = {
    "w.yml": ("github", "--uses", "octo/made@v1"),
    "config.xml": ("jenkins",),
    "Jenkinsfile": ("jenkins", "--jenkinsfile"),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_rendered_job_is_right_until_its_registry_is_not(check, rendered, here, name):
    text = rendered(*JOBS[name])
    code, out, err = check(name, text)
    assert (0, "", f"{name}: 1 call; 3 names are there\n") == (code, err, out)

    wrong = text.replace('default: "v1"', 'default: "v3"').replace("defaultValue: 'v1'", "defaultValue: 'v3'")
    wrong = wrong.replace("<defaultValue>v1<", "<defaultValue>v3<")
    code, out, err = check(name, wrong)
    assert (4, "", True) == (code, out, "no tag 'v3' in template sonoma" in err), err
    assert err.startswith(f"anka-ci: {name}:"), err

    (here / "ci/refresh.yml").unlink()
    assert (0 if name == "config.xml" else 4) == check(name, text)[0]  # which holds the file


def test_a_job_from_a_repository_is_told_by_its_jenkinsfile(check, rendered, here):
    text = FILE + "jenkins: {kind: scm, scm: {url: 'ssh://git@git.example/a.git', jenkinsfile: ci/Jenkinsfile}}\n"
    (here / "ci/refresh.yml").write_text(text)
    configuration = rendered("jenkins")
    assert (
        "config.xml: 0 calls; 0 names are there, 1 known only when it runs (config.xml:20:1)\n"
        == check("config.xml", configuration)[1]
    )
    (here / "ci/Jenkinsfile").write_text(rendered("jenkins", "--jenkinsfile"))
    assert "config.xml: 1 call; 3 names are there\n" == check("config.xml", configuration)[1]


def test_a_jenkinsfile_of_a_person(check):
    script = """\
        node { // ankaShow template: 'not here'
            def shown = ankaShow(template: 'sonoma', tag: params.TAG)
            ankaDistribute template: "tahoe", tag: shown.tag,
                nodes: ['virtual-1', "virtual-8"]
            ankaPipeline(file: 'ci/refresh.yml', set: [tag: "base", word: env.X])
            ankaList(options)
            lib.ankaPull(template: 'other')
        }
    """
    code, _, err = check("Jenkinsfile", script)
    assert 4 == code
    assert "anka-ci: Jenkinsfile:4:24: no node 'virtual-8' in" in err
    code, out, _ = check("Jenkinsfile", script.replace("virtual-8", "virtual-1"))
    # TAG, the tag that was shown, and the arguments of ankaList
    places = "Jenkinsfile:6:13, Jenkinsfile:2:59, Jenkinsfile:3:52"
    assert (0, f"Jenkinsfile: 3 calls; 6 names are there, 3 known only when it runs ({places})\n") == (
        code,
        out,
    )


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'it\\'s'", "it's"),
        ("'''a\nb\\\\'''", "a\nb\\"),
        ('"a"', "a"),
        ('"${params.TAG}"', "${{ params.TAG }}"),
        ('"v-${params.TAG}"', "${{ }}"),
        ("params['a-b']", "${{ params.a-b }}"),
        ("params.TAG ?: 'v1'", "${{ }}"),
        ("12", "12"),
        ("true", "true"),
        ("name", "${{ }}"),
        ("['a', 'b']", ["a", "b"]),
        ("[:]", {}),
        ("[a: 'b', 'c-d': params.E]", {"a": "b", "c-d": "${{ params.E }}"}),
        ("[a: 'b'] + (params['w'] ? [('w'): params['w']] : [:])", {"a": "b", "w": "${{ params.w }}"}),
        ("[a: 'b'] + other", "${{ }}"),
        ("'a' + 'b'", "${{ }}"),
    ],
)
def test_a_value_of_groovy(source, value):
    (call,) = groovy.invocations(f"f(x: {source}, y: 1)", "J")
    assert ("f", True, {"x", "y"}) == (call.name, call.whole, {*call.arguments})
    assert value == call.arguments["x"].plain()


def test_a_file_that_is_no_job_is_a_pipeline_file(check):
    code, _, err = check("p.yml", "version: 1\njob: {}\nsteps: []\n")
    assert (2, True) == (code, "p.yml" in err)
    assert (0, "Jenkinsfile: 0 calls; 0 names are there\n", "") == check("Jenkinsfile", "node { sh 'make' }")
    assert 3 == check("config.xml", "<flow-definition>")[0]
    assert 2 == check("pom.xml", "<project/>")[0]
