"""What jobs call, over every job that the tests know: each calls the pipeline file that it was made from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anka_ci import pipeline
from anka_ci_actions import called as workflows
from anka_ci_jenkins import called as jenkins
from anka_ci_jenkins import groovy

FILES = Path(__file__).parents[1] / "pipelines"
EXAMPLES = Path(__file__).parents[2] / "shared" / "examples"
JOBS = sorted(file for kind in ("*.workflow.yml", "*.xml", "*.Jenkinsfile") for file in FILES.glob(kind))


def source(name):
    """The pipeline file that a job names, wherever it is here."""
    return pipeline.load(next(each / name for each in (FILES, EXAMPLES) if (each / name).is_file()))


@pytest.mark.parametrize("file", JOBS, ids=lambda file: file.name)
def test_a_job_calls_the_file_it_was_made_from_with_all_its_parameters(file):
    module = workflows if file.suffix == ".yml" else jenkins
    texts = [text for text in file.read_text().split("\n---\n") if "plugins.folder.Folder" not in text]
    for text in texts:
        found = module.calls(str(file), text)
        made = re.search(r"Made from ci/(\S+)", text)
        assert found is not None
        assert made is not None
        if "<scriptPath>" in text:
            assert ((), 1) == (found.calls, len(found.unknown))
            continue
        (call,) = found.calls
        wanted = source(made[1])
        assert (None, f"ci/{made[1]}", True) == (call.use, call.inputs["file"].plain(), call.sure)
        asked = wanted.parameters if wanted.job.triggers.manual or module is jenkins else {}
        assert set(asked) == set(call.set) == set(found.parameters)
        for name, parameter in found.parameters.items():
            assert set(wanted.parameters[name].choices) == set(parameter.choices)
        if found.texts:
            assert {call.inputs["file"].plain()} == set(found.texts)
            kept = pipeline.parse(found.texts[f"ci/{made[1]}"])
            assert [each.id for each in wanted.steps] == [each.id for each in kept.steps]


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from("ankaShow file: '\"\\$()[]{},;+?\n/*params.x1")))
def test_no_text_is_too_wild_to_be_read(text):
    for script in (text, f"ankaShow({text}", f"ankaShow template: {text}"):
        for call in groovy.invocations(script, "Jenkinsfile"):
            assert 1 <= call.place.line <= script.count("\n") + 1
