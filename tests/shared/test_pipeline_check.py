"""Pipeline files: what is read, and what is wrong with one, all at once and with places.

Each ``tests/pipelines/NAME.error`` is what ``anka-ci check NAME.yml`` prints.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from anka_ci import cli, pipeline
from anka_ci.errors import UsageError

FILES = Path(__file__).parent.parent / "pipelines"
ERRORS = sorted(FILES.glob("*.error"))


@pytest.mark.parametrize("error", ERRORS, ids=lambda path: path.stem)
def test_the_command_tells_every_problem(error, monkeypatch, capsys):
    monkeypatch.chdir(FILES)
    assert 2 == cli.main(["check", f"{error.stem}.yml"])
    told = capsys.readouterr()
    assert ("", error.read_text()) == (told.out, told.err)


def test_there_are_such_files():
    assert len(ERRORS) >= 6


def test_a_file_that_is_right(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("anka-ci.yml").write_text("version: 1\nname: Look\nsteps:\n  - use: list\n")
    assert 0 == cli.main(["check"])
    assert "anka-ci.yml: Look: 1 steps, nothing wrong\n" == capsys.readouterr().out
    assert 2 == cli.main(["check", "nowhere.yml"])
    assert "nowhere.yml: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("concurrency", "said"),
    [
        (
            "x-${{ params.tempalte }}",
            "anka-ci.yml:3:20: concurrency: no parameter 'tempalte'\n  did you mean 'template'?",
        ),
        ("x-${{ steps.a.outputs.id }}", "'steps.a.outputs.id' cannot be used here\n  a CI system knows nothing but"),
        ("x-${{ params.template", "concurrency: "),
    ],
)
def test_what_is_wrong_with_the_concurrency_of_a_job(concurrency, said, tmp_path, capsys):
    file = tmp_path / "anka-ci.yml"
    text = "version: 1\nparameters: {template: a}\njob: {concurrency: '%s'}\nsteps: [{use: list}]\n"
    file.write_text(text % concurrency)
    assert 2 == cli.main(["check", str(file)])
    assert said in capsys.readouterr().err
    file.write_text(text.replace("list", "lst") % concurrency)
    assert 2 == cli.main(["check", str(file)])
    assert "anka-ci.yml: 2 problems" in capsys.readouterr().err
    file.write_text(text % "x-${{ params.template }}")
    assert 0 == cli.main(["check", str(file)])


def test_the_example_of_the_docstring_is_right():
    text = str(pipeline.__doc__).split("like this::\n", 1)[1].split("\n\n``load``", 1)[0]
    found = pipeline.parse("\n".join(line[4:] for line in text.splitlines()))
    assert ["before", "change", "revert", "run"] == [step.id for step in found.steps]
    assert ("self-hosted", "macOS", "anka") == found.job.runner
    assert (("17 3 * * 1",), ("main",), True) == (
        found.job.triggers.schedule,
        found.job.triggers.push,
        found.job.triggers.manual,
    )
    assert (7200, "refresh-sonoma", "lab") == (found.job.timeout, found.job.concurrency, found.context)
    assert ("CHAT_TOKEN",) == found.secrets
    assert [("template", False), ("tag", True), ("mode", False), ("notify", False)] == [
        (each.name, each.required) for each in found.parameters.values()
    ]
    assert ("bool", "false") == (found.parameters["notify"].type, found.parameters["notify"].default)


@pytest.mark.parametrize(
    ("parameter", "right"),
    [
        ("{required: false}", True),
        ("{required: false, type: int}", False),
        ("{required: false, type: bool}", False),
        ("{required: false, choices: [a, b]}", False),
        ("{required: false, type: int, default: 1}", True),
        ("{type: int}", True),
    ],
)
def test_what_need_not_be_given_has_to_have_a_value_all_the_same(parameter, right):
    text = f"version: 1\nparameters:\n  p: {parameter}\nsteps: [{{use: list}}]\n"
    if right:
        pipeline.parse(text)
        return
    with pytest.raises(UsageError, match=r":3:3: parameter p: is not required, and without a default nothing fits it"):
        pipeline.parse(text)


def test_steps_get_ids_that_nobody_took():
    text = "version: 1\nsteps:\n  - {use: list}\n  - {use: list}\n  - {id: list-2, use: list}\n  - {run: echo}\n"
    assert ["list", "list-3", "list-2", "run"] == [step.id for step in pipeline.parse(text).steps]


def test_open_mappings_are_kept_for_the_adapters():
    text = "version: 1\ngithub: {permissions: {contents: read}}\njenkins: {agent: mac}\nsteps: [{use: list}]\n"
    found = pipeline.parse(text)
    assert found.github is not None
    assert {"permissions": {"contents": "read"}} == found.github.plain()
    assert found.jenkins is not None
    assert {"agent": "mac"} == found.jenkins.plain()


def test_the_problems_are_data_too():
    with pytest.raises(pipeline.PipelineError) as caught:
        pipeline.parse("version: 1\nsteps:\n  - use: shwo\n  - use: lst\n", "p.yml")
    assert ["p.yml:3:10: no step 'shwo'", "p.yml:4:10: no step 'lst'"] == [
        each.message for each in caught.value.problems
    ]
    assert [3, 4] == [each["facts"]["line"] for each in caught.value.facts["problems"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tga": "v2"}, "no parameter 'tga': did you mean 'tag'?"),
        ({}, "the parameter 'tag' is required: The new tag."),
        ({"tag": ""}, "the parameter 'tag': is required, and empty"),
        ({"tag": "v2", "mode": "huge"}, "'huge' is none of small, large"),
        ({"tag": "v2", "count": "many"}, "'many' is not a whole number"),
        ({"tag": "v2", "notify": "perhaps"}, "'perhaps' is neither true nor false"),
    ],
)
def test_parameters_that_do_not_fit(given, said, anka):
    with pytest.raises(UsageError) as caught:
        pipeline.prepare(PARAMETERS, given, {}, anka.clock)
    assert said in caught.value.message


def test_parameters_keep_what_was_written(anka):
    found = pipeline.prepare(PARAMETERS, {"tag": "13.10", "count": "010"}, {}, anka.clock)
    assert {"tag": "13.10", "mode": "small", "count": 10, "notify": False, "at": "12:30", "word": ""} == found.params


def test_the_facts_of_the_run(anka):
    def facts(env):
        return pipeline.prepare(PARAMETERS, {"tag": "x"}, env, anka.clock).run

    github = {"GITHUB_RUN_ID": "7", "GITHUB_RUN_NUMBER": "3", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SHA": "ab"}
    assert {"id": "7", "number": "3", "attempt": "2", "sha": "ab", "ref": "refs/heads/main"} == facts(
        {**github, "GITHUB_REF": "refs/heads/main"}
    )
    jenkins = {"BUILD_TAG": "jenkins-job-4", "BUILD_NUMBER": "4", "GIT_COMMIT": "cd", "BRANCH_NAME": "main"}
    assert {"id": "jenkins-job-4", "number": "4", "attempt": "1", "sha": "cd", "ref": "main"} == facts(jenkins)
    local = facts({})
    assert ("1", "1", "0" * 40, "local") == (local["number"], local["attempt"], local["sha"], local["ref"])
    assert local["id"].startswith("local-")


def test_a_missing_secret_is_named(anka):
    found = pipeline.parse("version: 1\nsecrets: [A_TOKEN, B_TOKEN]\nsteps: [{use: list}]\n")
    with pytest.raises(UsageError, match="no secret A_TOKEN, B_TOKEN in the environment"):
        pipeline.prepare(found, {}, {"B_TOKEN": ""}, anka.clock)
    assert "***" == str(pipeline.prepare(found, {}, {"A_TOKEN": "x", "B_TOKEN": "y"}, anka.clock).secrets["A_TOKEN"])


PARAMETERS = pipeline.parse(
    """\
version: 1
parameters:
  tag: {help: The new tag.}
  mode: {default: small, choices: [small, large]}
  count: {default: 3, type: int}
  notify: false
  at: 12:30
  word: {required: false}
steps: [{use: list}]
"""
)
