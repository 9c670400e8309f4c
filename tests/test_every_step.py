"""The sweep: what holds for every step that is built, with no exemptions."""

from pathlib import Path

import pytest

from anka_ci import desk, inputs
from anka_ci.steps import Runs, catalog

HERE = Path(__file__).parent


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
