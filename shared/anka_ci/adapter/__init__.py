"""What an adapter to a CI system works from: the steps as facts for its faces, and how it says "left out".

``adapter.jobs`` and ``adapter.keeping`` are how its jobs are kept in step with pipeline files. Knows no CI system. A
face is rendered from these facts and is never edited by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anka_ci import inputs
from anka_ci.inputs import Field, SharedInputs
from anka_ci.steps import Runs, catalog

LEFT_OUT = "(left out)"
"""The value that stands for an input that was not given, where a CI system cannot leave one out."""

SHARED = inputs.fields(SharedInputs)


@dataclass(frozen=True, kw_only=True)
class StepFacts:
    """A built step as its faces need it. ``example`` holds inputs (shared ones too) that work against the sample."""

    name: str
    summary: str
    words: str
    runs: Runs
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    example: Mapping[str, str]

    @property
    def module(self) -> str:
        """The source of its faces, as their first line names it."""
        return f"shared/anka_ci/steps/{inputs.python_name(self.name)}.py"

    def groovy(self) -> str:
        """Its name as a Jenkins variable: ``ankaSaveImage``."""
        return inputs.camel(self.name, "anka")


def facts() -> list[StepFacts]:
    """Every built step, in reading order."""
    found = []
    for name in catalog.BUILT:
        step = catalog.load(name)
        found.append(
            StepFacts(
                name=name,
                summary=catalog.summary(step),
                words=catalog.words(step),
                runs=step.RUNS,
                inputs=inputs.fields(step.Inputs),
                outputs=inputs.fields(step.Outputs),
                example=step.EXAMPLE,
            )
        )
    return found


def given(values: Mapping[str, object]) -> dict[str, object]:
    """The inputs that were given: all but those left out."""
    return {key: value for key, value in values.items() if value != LEFT_OUT}


def secret_variable(field: Field) -> str:
    """The environment variable that carries a secret input: ``ANKA_CI_TOKEN``."""
    return "ANKA_CI_" + inputs.python_name(field.key).upper()
