"""A pipeline file as data: what was written, with its places.

Nothing here reads, checks or runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anka_ci.document import Node, Place
from anka_ci.inputs import PARSERS, Duration

TYPES: Mapping[str, type] = {"text": str, "bool": bool, "int": int}
"""What a parameter may be; text unless its default is a plain ``true`` or ``false``."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What a person may choose for a run. ``default`` is None when there is none, which makes it required."""

    name: str
    help: str = ""
    type: str = "text"
    default: str | None = None
    required: bool = False
    choices: tuple[str, ...] = ()
    place: Place

    def parse(self, text: str) -> str | bool | int:
        """A value of the parameter from its text; ``ValueError`` says what is wrong with it."""
        if self.required and not text.strip():
            raise ValueError("is required, and empty")
        if self.choices and text not in self.choices:
            raise ValueError(f"{text!r} is none of {', '.join(self.choices)}")
        return PARSERS[TYPES[self.type]](text)  # type: ignore[return-value]


@dataclass(frozen=True, kw_only=True)
class Triggers:
    """What starts the job: a person, times (cron, UTC), or a push to one of the branches."""

    manual: bool = True
    schedule: tuple[str, ...] = ()
    push: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """How a CI system runs the file. ``timeout`` in seconds; jobs of one ``concurrency`` never run at once."""

    runner: tuple[str, ...] = ()
    triggers: Triggers = field(default_factory=Triggers)
    timeout: Duration | None = None
    concurrency: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One entry of ``steps``: a step of the catalog (``use`` and its ``inputs``), or a shell text (``run``).

    ``inputs``, ``env``, ``condition`` and ``confirm`` may hold expressions.
    """

    id: str
    place: Place
    use: str | None = None
    use_place: Place
    inputs: Mapping[str, Node] = field(default_factory=dict)
    keys: Mapping[str, Place] = field(default_factory=dict)
    run: str | None = None
    env: Mapping[str, Node] = field(default_factory=dict)
    condition: Node | None = None
    always: bool = False
    confirm: Node | None = None
    timeout: Duration | None = None

    @property
    def what(self) -> str:
        """The step's name in the catalog, or ``run``."""
        return self.use or "run"


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline file. ``github`` and ``jenkins`` are open mappings for the adapters, None when they are not there."""

    file: str
    name: str
    context: str | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    job: Job = field(default_factory=Job)
    github: Node | None = None
    jenkins: Node | None = None
    steps: tuple[Step, ...] = ()
