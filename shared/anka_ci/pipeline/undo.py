"""Taking back, at the end of a run, what a step changed for the run's length only.

Runs nothing: the step that takes it back is run like one that is written in the file with ``always``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anka_ci import inputs
from anka_ci.document import Node
from anka_ci.pipeline.model import Step
from anka_ci.steps import catalog

CONFIRMED = "yes"
"""What the file asked for it was asked with the step itself."""


def owed(step: Step, bound: object, outputs: Mapping[str, object]) -> Step | None:
    """The step that takes a step back, by its inputs and what it told; None when nothing is to be taken back.

    It has the same connection, and the id ``ID-undo``.
    """
    assert step.use is not None
    values = catalog.undo(catalog.load(step.use), bound, outputs)
    if values is None:
        return None
    _, connection = inputs.split_shared(dict(step.inputs))
    own = {key: Node(value=str(value), place=step.place) for key, value in values.items()}
    kept = {key: node for key, node in step.inputs.items() if key in connection}
    return replace(
        step,
        id=f"{step.id}-undo",
        inputs=kept | own,
        condition=None,
        always=True,
        confirm=Node(value=CONFIRMED, place=step.place),
        timeout=None,
    )
