"""The sweep: what holds for every step that is built, with no exemptions."""

import shutil
from pathlib import Path

import pytest

from actions.github_double import runners as github_runners
from actions.github_double.server import Double
from anka_ci import desk, inputs
from anka_ci.anka import Anka
from anka_ci.secret import Redactor
from anka_ci.server.app import Server
from anka_ci.steps import Runs, catalog
from anka_ci_actions.service import runners
from hosted import add_template

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def seeded(seeded, tmp_path_factory):
    """The sample, and beside it a template whose guest holds the agent of a CI runner."""
    data = tmp_path_factory.mktemp("every-step") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data) as server:
        add_template(server.registry_url, "sonoma-runner", "0b0a4d4e-9d0e-43dc-54dc-1f5d1a4c2e77")
    return data


@pytest.fixture(scope="module")
def github():
    with Double() as double:
        double.add("mobile/app")
        yield double
        github_runners.of(double).close()


@pytest.fixture
def anka(anka, github):
    """The doors to that server, and to the CI system."""
    env = github.env | {"GITHUB_REPOSITORY": "mobile/app"}
    opener = lambda doors, scope, token: runners.open(doors, scope, token, env=env, redactor=Redactor())  # noqa: E731
    return Anka(anka.context, runners_by=opener)


@pytest.mark.parametrize("name", catalog.BUILT)
def test_a_step_is_whole(name, near, anka):
    near.nodes = True
    step = catalog.load(name)
    assert name in catalog.CATALOG
    assert catalog.summary(step).endswith(".")
    assert isinstance(step.RUNS, Runs)
    declared = [*inputs.fields(step.Inputs), *inputs.fields(step.Outputs)]
    assert [] == [field.key for field in declared if not field.help.endswith(".")]
    assert (HERE / "shared" / "steps" / f"test_{inputs.python_name(name)}.py").exists()
    for before, values in catalog.before_example(step):
        desk.perform(before, values, anka)
    own, shared = inputs.split_shared(step.EXAMPLE)
    planned = desk.perform(name, own, anka, plan_only=True)
    confirm = shared.get("confirm") or (planned.plan or {})["digest"]
    done = desk.perform(name, own, anka, confirm=str(confirm))
    assert {field.key for field in inputs.fields(step.Outputs) if field.required} <= set(done.outputs)
    assert "done" == done.status
    assert set(planned.outputs) <= set(done.outputs)
    if not step.READS:  # what a reading step tells, such as free disk, is of its moment
        assert planned.outputs == {key: done.outputs[key] for key in planned.outputs}
