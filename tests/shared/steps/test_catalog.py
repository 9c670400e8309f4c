"""The catalog's promise: names, inputs and outputs of every step stay what they are in five faces.

``catalog.json`` beside this file is the promise. Written anew by running this file with Python.
"""

import json
from pathlib import Path

import pytest

from anka_ci import inputs
from anka_ci.errors import UsageError
from anka_ci.steps import catalog

SNAPSHOT = Path(__file__).with_name("catalog.json")
GONE = (
    "is gone or renamed, and pipelines, workflows and Jenkinsfiles that use it would break: keep the old name as an "
    "alias that warns, or put it back"
)
CHANGED = "means something else than it did: pipelines that use it may break; add a new one instead"
NEW = f"is new: write it down with `python {SNAPSHOT.parent.name}/{Path(__file__).name}`"


def described(field):
    found = {"type": field.type.__name__, "list": field.many, "required": field.required}
    if not field.required and inputs.show_default(field):
        found["default"] = inputs.show_default(field)
    if field.choices:
        found["choices"] = list(field.choices)
    return found


def promise():
    """Every name that people write or read, flat: ``pull.inputs.tag`` to what it is."""
    found = {"shared.inputs." + field.key: described(field) for field in inputs.fields(inputs.SharedInputs)}
    for name in catalog.BUILT:
        step = catalog.load(name)
        found[name] = {"runs": step.RUNS.value, "reads": step.READS}
        for side, cls in (("inputs", step.Inputs), ("outputs", step.Outputs)):
            found |= {f"{name}.{side}.{field.key}": described(field) for field in inputs.fields(cls)}
    return found


def test_what_people_write_and_read_stays():
    promised, now = json.loads(SNAPSHOT.read_text()), promise()
    wrong = [f"{name} {GONE}" for name in promised if name not in now]
    wrong += [
        f"{name} {CHANGED}: {promised[name]} → {now[name]}"
        for name in now
        if now[name] != promised.get(name, now[name])
    ]
    wrong += [f"{name} {NEW}" for name in now if name not in promised]
    assert [] == wrong


def test_reading_order_and_names():
    assert [name for name in catalog.CATALOG if name in catalog.BUILT] == list(catalog.BUILT)
    assert len(set(catalog.CATALOG)) == len(catalog.CATALOG)


def test_own_inputs_never_shadow_shared_ones():
    shared = {field.key for field in inputs.fields(inputs.SharedInputs)}
    clashes = [
        f"{name}: {field.key}"
        for name in catalog.BUILT
        for field in inputs.fields(catalog.load(name).Inputs)
        if field.key in shared
    ]
    assert [] == clashes


def test_a_step_that_is_not_built_says_so_and_an_unknown_one_names_the_nearest():
    with pytest.raises(UsageError, match="the step 'rollout' is not built yet"):
        catalog.load("rollout")
    with pytest.raises(UsageError) as caught:
        catalog.load("distribut")
    assert "did you mean 'distribute'?" == caught.value.hint


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(what)}" for name, what in promise().items()]
    SNAPSHOT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
