"""Workflows of pipeline files: the golden ones, and what GitHub cannot do.

``tests/pipelines/NAME.workflow.yml`` is what ``anka-ci job render --ci github`` prints for ``NAME.yml``, which is there
or among the examples. After a change that is meant: ``ANKA_CI_GOLDEN=write`` writes them anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from anka_ci import cli, document
from anka_ci.adapter.system import Source
from anka_ci.errors import UsageError
from anka_ci.pipeline.model import Job as Wanted
from anka_ci.pipeline.model import Parameter, Pipeline
from anka_ci_actions import section, workflow
from anka_ci_actions.workflow import Uses

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests" / "pipelines"
GOLDEN = sorted(FILES.glob("*.workflow.yml"))
NAMES = [file.name.removesuffix(".workflow.yml") for file in GOLDEN]
TEXTS = st.text(min_size=1, max_size=20).filter(lambda text: "${{" not in text)
USES = "octo/anka-ci@0123456789abcdef0123456789abcdef01234567 # v1"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A working copy with every pipeline file below ``ci``."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "ci").mkdir()
    for file in (*FILES.glob("*.yml"), *(ROOT / "shared" / "examples").glob("*.yml")):
        if not file.name.endswith(".workflow.yml"):
            shutil.copy(file, tmp_path / "ci")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANKA_CI_USES", USES)
    monkeypatch.setenv("ANKA_CI_SETTINGS", str(tmp_path / "settings.yml"))
    return tmp_path


@pytest.fixture
def rendered(checkout, capsys):
    """What the command prints for a pipeline file, a text or one of those that are there."""

    def render(name, text=None, *more, code=0):
        if text is not None:
            (checkout / "ci" / f"{name}.yml").write_text(text)
        assert code == cli.main(["job", "render", "--ci", "github", f"ci/{name}.yml", *more])
        said = capsys.readouterr()
        return said.err if code else said.out

    return render


@pytest.mark.parametrize("name", NAMES)
def test_a_golden_workflow(name, rendered):
    text = rendered(name)
    golden = FILES / f"{name}.workflow.yml"
    if os.environ.get("ANKA_CI_GOLDEN") == "write":
        golden.write_text(text)
    assert golden.read_text() == text


def test_the_golden_workflows_are_many_and_name_their_pipeline_files():
    assert {"everything", "least", "unattended", "sweep", "refresh-template", "change-in-vm"} <= {*NAMES}
    for name, file in zip(NAMES, GOLDEN, strict=True):
        steps = yaml.safe_load(file.read_text())["jobs"]["run"]["steps"]
        assert f"ci/{name}.yml" == steps[-1]["with"]["file"]
        assert not [step for step in steps if "run" in step], "nothing of the pipeline file becomes a script"


def test_the_linters_have_nothing_to_say():
    found = Path(sys.executable).parent
    zizmor = ("zizmor", "--quiet", "--offline", "--no-progress", "--persona", "pedantic")
    for name, *options in (
        ("check-jsonschema", "--builtin-schema", "vendor.github-workflows"),
        zizmor,
        ("actionlint",),
    ):
        if not (found / name).exists():
            pytest.skip(f"{name} is not installed here: .ci/venv lint brings it, and make lint judges the same files")
        done = subprocess.run([found / name, *options, *GOLDEN], cwd=ROOT, capture_output=True, text=True, check=False)
        assert 0 == done.returncode, done.stdout + done.stderr


STEPS = "steps: [{use: list}]\n"
SHOW = "steps: [{use: show, with: {template: '${{ params.t }}'}}]"
PULL = "{use: pull, with: {template: '${{ steps.show.outputs.id }}'}}]"
JOB = "job: {runner: mac}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STEPS, "p.yml: no runner is named\n  name the labels of the runner"),
        (f"job: {{runner: mac, triggers: {{manual: false}}}}\n{STEPS}", "nothing starts the job"),
        (
            f"{JOB}github: {{permission: x}}\n{STEPS}",
            "p.yml:3:10: github: unknown key 'permission'\n  did you mean 'perm",
        ),
        (f"{JOB}github: {{permissions: {{contents: all}}}}\n{STEPS}", "no permission contents: 'all'"),
        (f"{JOB}github: {{workflow: a/b.yml}}\n{STEPS}", "'a/b.yml' is no name of a workflow file"),
        (f"{JOB}github: {{workflow: b.txt}}\n{STEPS}", "'b.txt' is no name of a workflow file"),
        (f"{JOB}github: {{env: {{A-B: x}}}}\n{STEPS}", "'A-B' is no name of a variable"),
        (f"{JOB}github: {{env: {{A: x}}}}\nsecrets: [A]\n{STEPS}", "A is a secret of the file"),
        (f"{JOB}github: {{queue: all}}\n{STEPS}", "p.yml:3:17: no queue 'all'\n  max lets up to 100 runs wait"),
        (f"{JOB}github: {{paths: [a]}}\n{STEPS}", "`github: paths` narrows a push"),
        (f"{JOB}github: {{paths: a}}\n{STEPS}", "github: paths has to be a list"),
        (f"{JOB}secrets: [GITHUB_PAT]\n{STEPS}", "GitHub has no secret GITHUB_PAT"),
        (f"name: Look ${{{{ github.actor }}}}\n{JOB}{STEPS}", "name: 'Look ${{ github.actor }}' holds an expression"),
        (f"{JOB}parameters: {{a: {{help: '${{{{ x }}}}'}}}}\n{STEPS}", "parameter a: '${{ x }}' holds an expression"),
        (f"job: {{runner: '${{{{ x }}}}'}}\n{STEPS}", "runner: '${{ x }}' holds an expression"),
        (f"job: {{runner: m, concurrency: '${{{{ run.id }}}}'}}\n{STEPS}", "concurrency: 'run.id' cannot be used here"),
        (f"job: {{runner: m, concurrency: '${{{{ params.b }}}}'}}\nparameters: {{a: x}}\n{STEPS}", "no parameter 'b'"),
        (f"{JOB}parameters: {{tag: x, Tag: y}}\n{STEPS}", "GitHub takes 'tag' and 'Tag' for one input"),
        (f"{JOB}parameters: {{{', '.join(f'p{n}: x' for n in range(26))}}}\n{STEPS}", "26 parameters, and a workflow"),
        (f"job: {{runner: m, triggers: {{push: [a]}}}}\nparameters: {{tag: }}\n{STEPS}", "nobody gives tag when a"),
    ],
)
def test_what_github_cannot_do_is_said_with_what_to_do(text, said, rendered):
    assert said in rendered("p", f"version: 1\n{text}", code=2)


@settings(max_examples=60, deadline=None)
@given(name=TEXTS, help=TEXTS, default=TEXTS, choice=TEXTS, label=TEXTS)
def test_any_text_of_the_file_is_text_in_the_workflow(name, help, default, choice, label):
    place = document.Place(file="p.yml", line=1, column=1)
    made = [
        Parameter(name="a", help=help, default=default, place=place),
        Parameter(name="b", default=choice, choices=(choice,), place=place),
    ]
    file = Pipeline(file="p.yml", name=name, parameters={each.name: each for each in made}, job=Wanted(runner=(label,)))
    source, uses = Source(path="ci/p.yml", pipeline=file), Uses.read(USES, "here")
    text = workflow.job(source, section.read(source), uses=uses, checkout=uses).text
    text.encode()
    found = yaml.safe_load(text)
    inputs = found[True]["workflow_dispatch"]["inputs"]
    assert (name, [label]) == (found["name"], found["jobs"]["run"]["runs-on"])
    assert (help, default) == (inputs["a"].get("description", ""), inputs["a"]["default"])
    assert (choice, [choice]) == (inputs["b"]["default"], inputs["b"]["options"])


def test_a_file_whose_name_makes_no_workflow_has_to_name_one(rendered):
    text = f"version: 1\n{JOB}{STEPS}"
    assert "`github: {workflow: NAME.yml}`" in rendered("ä b", text, code=2)
    assert "sha256" in rendered("ä b", f"{text}github: {{workflow: ab.yml}}\n")


def test_a_file_that_is_wrong_is_not_rendered(rendered):
    assert "no step 'lst'" in rendered("p", f"version: 1\n{JOB}steps: [{{use: lst}}]\n", code=2)


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("steps: [{use: show, with: {template: a}}, {use: pull, with: {template: a}}]", "anka-template-a"),
        ("steps: [{use: show, with: {template: a}}, {use: show, with: {template: b}}]", "anka-ci-p"),
        (
            f"parameters: {{t: it's}}\n{SHOW}",
            "anka-template-${{ github.event.inputs.t || 'it''s' }}",
        ),
        (f"parameters: {{t: }}\n{SHOW}", "anka-template-${{ github.event.inputs.t }}"),
        (
            f"parameters: {{t: a}}\n{SHOW[:-1]}, {PULL}",
            "anka-template-${{ github.event.inputs.t || 'a' }}",
        ),
        ("steps: [{use: list}]", "anka-ci-p"),
    ],
)
def test_jobs_of_one_template_never_run_at_once(text, group, rendered):
    found = yaml.safe_load(rendered("p", f"version: 1\n{JOB}{text}\n"))
    assert {"group": group, "cancel-in-progress": False} == found["concurrency"]


def test_more_than_the_newest_run_may_wait(rendered):
    text = rendered("p", f"version: 1\n{JOB}github: {{queue: max}}\n{STEPS}")
    wanted = {"group": "anka-ci-p", "cancel-in-progress": "false", "queue": "max"}
    assert wanted == {key: node.plain() for key, node in document.parse(text, "p").value["concurrency"].value.items()}


def test_the_settings_say_where_the_actions_are(checkout, rendered, monkeypatch):
    monkeypatch.delenv("ANKA_CI_USES")
    assert "where the actions of anka-ci are is not known" in rendered("least", code=2)
    settings = "github: {uses: there/anka-ci@v1, checkout: there/checkout@v9}\n"
    (checkout / "settings.yml").write_text(settings)
    assert ["there/checkout@v9", "there/anka-ci@v1"] == uses_of(rendered("least"))
    monkeypatch.setenv("ANKA_CI_USES", "here/anka-ci@v2")
    assert "here/anka-ci@v2" == uses_of(rendered("least"))[1]
    assert "./" == uses_of(rendered("least", None, "--uses", "./"))[1]
    (checkout / "settings.yml").write_text("github: {use: x}\n")
    assert "unknown key 'use'\n  did you mean 'uses'?" in rendered("least", code=2)


def uses_of(text):
    return [step["uses"] for step in yaml.safe_load(text)["jobs"]["run"]["steps"]]


@pytest.mark.parametrize(
    "text", ["anka-ci@v1", "octo/anka-ci", "https://github.com/octo/anka-ci@v1", "o/r@v1 ${{ x }}", "o/r@v1\n# x", ""]
)
def test_what_names_no_action_is_refused(text):
    with pytest.raises(UsageError, match="names no action"):
        Uses.read(text, "--uses")


def test_a_template_of_ones_own_extends_ours(checkout, rendered):
    folder = checkout / "templates"
    folder.mkdir()
    own = folder / "workflow.yml.j2"
    own.write_text(
        '[% extends "anka-ci/workflow.yml.j2" %]\n[% block after %]\n      - run: echo done\n[% endblock %]\n'
    )
    ours, theirs = rendered("everything"), rendered("everything", None, "--templates", "templates")
    assert [*ours.splitlines()[1:], "      - run: echo done"] == theirs.splitlines()[1:]
    own.write_text("name: [[ name | yaml ]]\non: push\njobs: {}\n")
    assert rendered("least", None, "--templates", "templates").endswith('name: "least"\non: push\njobs: {}\n')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [[ nme ]]\n", "workflow.yml.j2:1: the template fails: 'nme' is undefined"),
        ("a: b\n[% if %]\n", "workflow.yml.j2:2: the template fails"),
        ("a: [[ 1 / 0 ]]\n", "workflow.yml.j2:1: the template fails: division by zero"),
        ('[% extends "workflow.yml.j2" %]\n', "the template fails: "),
        ("a: [\n", "the workflow that templates/workflow.yml.j2 gives"),
        ("text\n", "has to be a mapping"),
    ],
)
def test_a_template_that_fails_is_told_with_its_place(text, said, checkout, rendered):
    (checkout / "templates").mkdir()
    (checkout / "templates" / "workflow.yml.j2").write_text(text)
    assert said in rendered("least", None, "--templates", "templates", code=2)


def test_a_folder_of_templates_has_to_be_there(rendered):
    assert "nowhere is no folder of templates" in rendered("least", None, "--templates", "nowhere", code=2)


def test_a_check_of_the_file_knows_the_section_too(checkout, capsys):
    (checkout / "ci" / "p.yml").write_text(f"version: 1\n{JOB}github: {{permission: x}}\n{STEPS}")
    assert 2 == cli.main(["check", "ci/p.yml"])
    assert "ci/p.yml:3:10: github: unknown key 'permission'" in capsys.readouterr().err
    (checkout / "ci" / "p.yml").write_text(
        f"version: 1\njob: {{runner: 'mac-${{{{ github.ref }}}}'}}\ngithub: {{queue: max}}\n{STEPS}"
    )
    assert 2 == cli.main(["check", "ci/p.yml"])
    assert "runner: 'mac-${{ github.ref }}' holds an expression" in capsys.readouterr().err
    assert 0 == cli.main(["check", "ci/everything.yml"])


def test_several_files_are_printed_as_documents(checkout, capsys):
    assert 0 == cli.main(["job", "render", "--ci", "github", "ci/least.yml", "ci/sweep.yml"])
    assert ["least", "Sweep"] == [each["name"] for each in yaml.safe_load_all(capsys.readouterr().out)]
