"""The faces: every built step has them all, they are as the steps say, and nothing of a person's is overwritten."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import pytest

from anka_ci import adapter, cli, document, inputs
from anka_ci.commands import render
from anka_ci.steps import catalog
from anka_ci_actions.service import permissions

ROOT = Path(__file__).parent.parent
STEPS = {step.name: step for step in adapter.facts()}


@pytest.fixture(scope="module")
def faces() -> Mapping[str, str]:
    """Every face as the steps say, rendered once."""
    return render.faces()


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    """The schema of pipeline files, which is one."""
    found = json.loads((ROOT / "shared" / "anka-ci.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.fixture
def copy(faces: Mapping[str, str], tmp_path: Path) -> Path:
    """A checkout that may be changed: the faces, and just enough to be taken for one."""
    for path in [*faces, "shared/anka_ci/steps/__init__.py"]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_the_faces_of_this_checkout_are_as_the_steps_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == cli.main(["render", "--check", "--checkout", str(ROOT)]), capsys.readouterr().out


def test_a_face_edited_by_hand_is_told_as_a_diff_and_rendered_again(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy / "shared" / "STEPS.md"
    file.write_text(file.read_text().replace("# Steps", "# My steps", 1))
    assert 9 == cli.main(["render", "--check", "--checkout", str(copy)])
    shown = capsys.readouterr().out
    assert "-# My steps\n" in shown
    assert "+# Steps\n" in shown
    assert 0 == cli.main(["render", "--checkout", str(copy)])
    assert (ROOT / "shared" / "STEPS.md").read_text() == file.read_text()


def test_a_face_of_a_step_that_is_gone_is_removed(copy: Path) -> None:
    stale = copy / "actions" / "gone" / "action.yml"
    stale.parent.mkdir(parents=True, exist_ok=True)
    stale.write_text("# Made from shared/anka_ci/steps/gone.py by `anka-ci render`; do not edit.\n")
    assert 9 == cli.main(["render", "--check", "--checkout", str(copy)])
    assert 0 == cli.main(["render", "--checkout", str(copy)])
    assert not stale.exists()


def test_a_file_that_was_not_rendered_is_not_overwritten(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = copy / "shared" / "STEPS.md"
    file.write_text("my own notes\n")
    assert 8 == cli.main(["render", "--checkout", str(copy)])
    assert "shared/STEPS.md was not made by `anka-ci render`" in capsys.readouterr().err
    assert "my own notes\n" == file.read_text()


def test_outside_a_checkout_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == cli.main(["render", "--checkout", str(tmp_path)])
    assert "is in no checkout of anka-ci" in capsys.readouterr().err


@pytest.mark.parametrize("name", STEPS)
def test_a_step_has_all_its_faces(name: str, faces: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    step = STEPS[name]
    with pytest.raises(SystemExit):
        cli.main([name, "--help"])
    shown = capsys.readouterr().out
    action = faces[f"actions/{name}/action.yml"]
    variable = faces[f"jenkins/vars/{step.groovy()}.groovy"]
    for field in step.inputs:
        option, place = f"--{field.key} ", f" {inputs.camel(field.name.rstrip('_'))}: ['{field.key}',"
        if field.secret:
            option, own = f" {adapter.secret_variable(field)} ", adapter.secret_variable(field)
            place = f" {inputs.camel(field.name)}CredentialsId: ['{own}', 'secret']"
            assert f"--{field.key}" not in shown
        assert option in shown
        assert f"\n  {field.key}:\n" in action
        assert place in variable
    assert step.summary in faces[f"jenkins/vars/{step.groovy()}.txt"]
    assert (
        name
        in json.loads(faces["shared/anka-ci.schema.json"])["properties"]["steps"]["items"]["properties"]["use"]["enum"]
    )
    assert f"\n## {name}\n" in faces["shared/STEPS.md"]


def test_a_step_that_is_not_built_has_no_face(faces: Mapping[str, str]) -> None:
    unbuilt = [name for name in catalog.CATALOG if name not in STEPS]
    assert unbuilt
    assert [] == [name for name in unbuilt if f"actions/{name}/action.yml" in faces]
    assert [] == [name for name in unbuilt if f"jenkins/vars/{inputs.camel(name, 'anka')}.groovy" in faces]
    assert [] == [name for name in unbuilt if f"\n## {name}\n" in faces["shared/STEPS.md"]]


@pytest.mark.parametrize("name", STEPS)
def test_the_schema_takes_a_steps_example_and_refuses_an_unknown_input(
    name: str, schema: jsonschema.Draft202012Validator
) -> None:
    example = dict(STEPS[name].example)
    step: dict[str, object] = {"use": name}
    if "confirm" in example:
        step["confirm"] = example.pop("confirm")
    fields = {field.key: field for field in STEPS[name].inputs}
    step["with"] = {
        key: json.loads(value) if fields[key].type in (bool, int) else value for key, value in example.items()
    }
    schema.validate({"version": 1, "steps": [step]})
    step["with"] = {**example, "nonsense": "x"}
    assert not schema.is_valid({"version": 1, "steps": [step]})


@pytest.mark.parametrize("name", STEPS)
def test_the_reference_shows_a_step_with_its_inputs_outputs_and_examples(name: str) -> None:
    section = (ROOT / "shared" / "STEPS.md").read_text().split(f"\n## {name}\n", 1)[1].split("\n## ", 1)[0]
    step = STEPS[name]
    assert step.summary in section
    for field in (*step.inputs, *step.outputs):
        assert f"| `{field.key}`" in section
    assert f"\nanka-ci {name}" in section
    assert f"\n{step.groovy()}(" in section
    yaml = section.split("```yaml\n")[1].split("```")[0]
    used = document.parse(yaml, "STEPS.md").items("examples")
    assert name == used[0].mapping("pipeline")["use"].value
    assert f"OWNER/anka-ci/actions/{name}@v1" == used[1].mapping("action")["uses"].value


def test_a_part_of_a_file_that_people_write_is_rendered_and_the_rest_is_left(copy: Path) -> None:
    readme = copy / "actions" / "README.md"
    shown = (ROOT / "actions" / "README.md").read_text()
    assert permissions.table() in shown
    readme.write_text("my words\n" + shown.replace("| Start a workflow", "| Begin a workflow"))
    assert 9 == cli.main(["render", "--check", "--checkout", str(copy)])
    assert 0 == cli.main(["render", "--checkout", str(copy)])
    assert "my words\n" + shown == readme.read_text()
    readme.write_text(shown.replace("<!-- /tokens -->", ""))
    assert 2 == cli.main(["render", "--checkout", str(copy)])
