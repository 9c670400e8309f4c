"""The course of a pipeline file: its steps planned, or run, one after the other.

Needs no terminal and prints nothing; what happens is told as events. Runs on the doors it is handed, a step at a time.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from anka_ci import inputs
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline
from anka_ci.desk import perform
from anka_ci.document import Node
from anka_ci.errors import (
    AnkaCiError,
    ConfirmationError,
    FellShortError,
    InterruptError,
    NotFoundError,
    RefusedError,
    UsageError,
    surprise,
)
from anka_ci.inputs import SharedInputs
from anka_ci.pipeline import script, undo
from anka_ci.pipeline.checks import names, outputs, secret_inputs
from anka_ci.pipeline.expressions import Absent, ExpressionError, Names, Pending, PendingError
from anka_ci.pipeline.model import Pipeline, Step
from anka_ci.pipeline.scope import Scope, as_text
from anka_ci.pipeline.setting import Setting
from anka_ci.plan import Action, Plan
from anka_ci.result import Result, Said, StepBegan, StepEnded, StepResult
from anka_ci.secret import MASK
from anka_ci.settings import Context
from anka_ci.steps import catalog

LAST_TIME = 60.0
"""Seconds that all ``always`` steps together get once the run was interrupted or its time is over."""

Connect = Callable[[SharedInputs], Context]
"""Opens the context that a step names for itself."""


def run(pipeline: Pipeline, anka: Anka, setting: Setting, *, connect: Connect | None = None) -> Result:
    """Run the steps in order. Never raises for what a step does: a failure is in the result, with its exit code.

    A failed step stops the others but those with ``always``; ``anka.cancelled`` interrupts the running step, and those
    with ``always`` still get ``LAST_TIME`` seconds. ``anka.deadline`` is that of the whole run.
    """
    return Course(pipeline, anka, setting, connect, planning=False).go()


def plan(pipeline: Pipeline, anka: Anka, setting: Setting, *, connect: Connect | None = None) -> Result:
    """Plan every step; only reads. A step that an earlier one has to prepare is ``checked-when-run``."""
    return Course(pipeline, anka, setting, connect, planning=True).go()


class Course:
    """One pass through the steps, and what is known so far."""

    def __init__(
        self, pipeline: Pipeline, anka: Anka, setting: Setting, connect: Connect | None, *, planning: bool
    ) -> None:
        self.pipeline = pipeline
        self.anka = anka
        self.setting = setting
        self.connect = connect
        self.planning = planning
        self.known = names(pipeline)
        self.seen: dict[str, Names] = {}
        self.others: dict[SharedInputs, Anka] = {}
        self.prepared = False  # an earlier step of the plan will change something
        self.stopped = ""  # the step that failed first
        self.last_time: Deadline | None = None
        self.owed: list[Step] = []  # what takes back at the end what was changed for the length of the run
        self.result = Result(name=pipeline.name, status="planned" if planning else "done", context=anka.context.name)

    def go(self) -> Result:
        clock, total = self.anka.clock, len(self.pipeline.steps)
        self.result.started, started = clock.now(), clock.monotonic()
        for number, step in enumerate(self._steps(), 1):
            began = clock.monotonic()
            total = max(total, number)
            done = self._skipped(step)
            if done is None:
                if not self.planning:
                    self.anka.tell(StepBegan(id=step.id, step=step.what, number=number, total=total))
                done = self._attempt(step)
            done.seconds = clock.monotonic() - began
            self._note(step, done)
            if not self.planning:
                self.anka.tell(StepEnded(result=done, number=number, total=total))
        if self.anka.cancelled and self.result.code != InterruptError.code:
            self._fail(InterruptError(f"{self.pipeline.name}: interrupted ({self.anka.cancelled.reason})").emit())
        elif not self.planning and all(step.status in ("unchanged", "skipped") for step in self.result.steps):
            self.result.status = "unchanged" if not self.result.code else self.result.status
        self.result.seconds = clock.monotonic() - started
        return self.result

    def _steps(self) -> Iterator[Step]:
        """The file's steps, and then, the last first, those that take back what some of them changed for the run."""
        yield from self.pipeline.steps
        while self.owed:
            yield self.owed.pop()

    def _skipped(self, step: Step) -> StepResult | None:
        """Why a step is not run, as its result; None when it is."""
        if self.planning or step.always:
            return None
        if self.anka.cancelled:
            return _result(step, "skipped", note="the run was interrupted")
        if self.stopped:
            return _result(step, "skipped", note=f"{self.stopped} failed")
        return None

    def _attempt(self, step: Step) -> StepResult:
        """One step, with every failure as its result."""
        try:
            with self._bounded(step):
                if step.condition is not None and not self._truth(step.condition):
                    return _result(step, "skipped", note="its condition does not hold")
                return self._plan(step) if self.planning else self._run(step)
        except PendingError as error:
            self.prepared = True
            return _result(step, "checked-when-run", note=str(error))
        except AnkaCiError as error:
            for key, value in step.place.facts().items():
                error.facts.setdefault(key, value)
            if self.planning and self.prepared and isinstance(error, (NotFoundError, RefusedError, FellShortError)):
                return _result(step, "checked-when-run", note=f"not there yet: {error.message}")
            status = "interrupted" if isinstance(error, InterruptError) else "failed"
            return _result(step, status, error=error.emit(), outputs=error.outputs)
        except Exception as error:
            self.anka.tell(Said(text=traceback.format_exc().rstrip(), level="fault"))
            return _result(step, "failed", error=surprise(error, step.id))

    def _note(self, step: Step, done: StepResult) -> None:
        """Keep a step's result, and what later expressions see of it."""
        self.result.steps.append(done)
        status: object = done.status
        if status in ("planned", "checked-when-run"):
            status = Pending(hint=f"steps.{step.id}.status is known once {step.id} has run")
        self.seen[step.id] = Names({"status": status, "outputs": self._outputs(step, done)}, "the step's")
        if done.error is not None:
            self.stopped = self.stopped or step.id
            self._fail(done.error, interrupted=done.status == "interrupted")

    def _fail(self, error: Mapping[str, object], *, interrupted: bool = True) -> None:
        if self.result.error is None:
            self.result.error, self.result.code = error, int(str(error["code"]))
            self.result.status = "interrupted" if interrupted else "failed"

    def _outputs(self, step: Step, done: StepResult) -> Names:
        """Each declared output: its value, none, not known yet, or an error that says why it is not there."""

        def missing(key: str) -> Any:
            name = f"steps.{step.id}.outputs.{key}"
            if done.status in ("planned", "checked-when-run"):
                return Pending(hint=f"{name} is known once {step.id} has run")
            if done.status in ("done", "unchanged"):
                return None
            how = {"skipped": "was skipped", "interrupted": "was interrupted"}.get(done.status, "failed")
            return Absent(hint=f"there is no {name}, because {step.id} {how}")

        found = {key: missing(key) for key in outputs(step)}
        return Names({**found, **done.outputs}, f"the output of {step.id}")

    @contextmanager
    def _bounded(self, step: Step) -> Iterator[None]:
        """The doors with the step's own deadline; after an interruption also with a flag that is not set."""
        anka, whole, flag = self.anka, self.anka.deadline, self.anka.cancelled
        left = whole.left()
        if step.always and not self.planning and (flag or left == 0):
            self.last_time = self.last_time or Deadline(anka.clock, LAST_TIME)
            left, anka.cancelled = self.last_time.left(), Cancelled()
        limits = [each for each in (step.timeout or anka.context.timeout, left) if each is not None]
        anka.deadline = Deadline(anka.clock, min(limits, default=None))
        try:
            yield
        finally:
            anka.deadline, anka.cancelled = whole, flag

    def _run(self, step: Step) -> StepResult:
        if step.run is not None:
            return _result(step, "done", outputs=script.run(step.id, step.run, self._env(step), self.anka))
        return self._performed(step, plan_only=False)

    def _plan(self, step: Step) -> StepResult:
        if step.run is not None:
            env = {key: self._value(node, masked=True) for key, node in step.env.items()}
            action = Action(verb="run", text=f"run {_first_line(step.run)}", with_={"run": step.run, "env": env})
            self.prepared = True
            return _result(step, "planned", plan=Plan(step="run", actions=(action,)).emit())
        done = self._performed(step, plan_only=True)
        actions: Any = (done.plan or {}).get("actions", ())
        if self.prepared and not catalog.load(step.what).READS:
            done.notes = (*done.notes, "planned as things stand now; the steps before it may change that")
        self.prepared = self.prepared or any(action["writes"] for action in actions)
        return done

    def _performed(self, step: Step, *, plan_only: bool) -> StepResult:
        """A step of the catalog at the desk."""
        assert step.use is not None
        secret = secret_inputs(step.use)
        values = {key: self._value(node, secrets=inputs.dashed(key) in secret) for key, node in step.inputs.items()}
        mine, common = inputs.split_shared(values)
        anka = self._connected(step, common) if common else self.anka
        confirm = self._value(step.confirm) if step.confirm is not None else None
        where = lambda key: (step.keys.get(key) or step.place).facts()  # noqa: E731
        bound = inputs.bind(catalog.load(step.use).Inputs, mine, what=step.use, where=where)
        known: Mapping[str, object] = {}
        try:
            done = perform(step.use, mine, anka, confirm=confirm, plan_only=plan_only)
            known = done.outputs
        except AnkaCiError as error:
            if isinstance(error, ConfirmationError):
                digest = error.facts["digest"]
                error.hint = f"to go on, write into the step, or into a parameter of it: confirm: {digest}"
            known = error.outputs
            raise
        finally:
            if not plan_only and (back := undo.owed(step, bound, known)) is not None:
                self.owed.append(back)
        done.id = step.id
        return done

    def _connected(self, step: Step, common: Mapping[str, object]) -> Anka:
        """The doors of a context that the step names for itself; the same names give the same doors."""
        bound = inputs.bind(SharedInputs, common, what=step.what, where=lambda key: step.place.facts())
        if self.connect is None:
            raise UsageError(f"{step.id}: a connection of its own cannot be opened here", **step.place.facts())
        if bound not in self.others:
            self.others[bound] = Anka(
                self.connect(bound), clock=self.anka.clock, tell=self.anka.tell, runners_by=self.anka.runners_by
            )
        other = self.others[bound]
        other.deadline, other.cancelled = self.anka.deadline, self.anka.cancelled
        return other

    def _env(self, step: Step) -> dict[str, str]:
        given = {key: self._value(node, secrets=True) for key, node in step.env.items()}
        return {**self.setting.env, **{key: as_text(value) for key, value in given.items()}}

    def _scope(self, *, secrets: bool = False, masked: bool = False) -> Scope:
        setting = self.setting
        shown = {name: MASK if masked else secret.reveal() for name, secret in setting.secrets.items()}
        return Scope(
            params=setting.params,
            steps=self.seen,
            env={key: text for key, text in setting.env.items() if key not in setting.secrets},
            run=setting.run,
            now=setting.now,
            secrets=shown if secrets or masked else {},
            known=self.known,
        )

    def _truth(self, node: Node) -> bool:
        with _placed(node):
            return self._scope().truth(str(node.value))

    def _value(self, node: Node, *, secrets: bool = False, masked: bool = False) -> Any:
        """A value of the file with its expressions evaluated."""
        if isinstance(node.value, dict):
            return {key: self._value(each, secrets=secrets, masked=masked) for key, each in node.value.items()}
        if isinstance(node.value, list):
            return [self._value(each, secrets=secrets, masked=masked) for each in node.value]
        if node.value is None:
            return None
        with _placed(node):
            return self._scope(secrets=secrets, masked=masked).value(node.value)


@contextmanager
def _placed(node: Node) -> Iterator[None]:
    """What is wrong with an expression, with its place; a value that is not known yet passes as it is."""
    try:
        yield
    except PendingError:
        raise
    except ExpressionError as error:
        raise UsageError(f"{node.place}: {error}", **node.place.facts()) from None


def _result(step: Step, status: Any, *, note: str = "", **more: Any) -> StepResult:
    return StepResult(id=step.id, step=step.what, status=status, notes=(note,) if note else (), **more)


def _first_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    return lines[0] + (" …" if len(lines) > 1 else "") if lines else ""
