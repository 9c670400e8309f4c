"""Keeping the jobs of a CI system in step with pipeline files: ``plan``, ``apply`` and ``destroy`` over a ``Keeper``.

Each gives the result document, one entry for every job, with the exit code of the house: 9 for changes that are not
yet made, 8 for what is not ours or was changed by hand. What is right is decided by ``adapter.jobs``, what is read and
written by the keeper; nothing here prints, and nothing waits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from anka_ci import desk
from anka_ci.adapter.jobs import (
    REFUSED,
    Change,
    ChangedMeanwhileError,
    Found,
    Job,
    Judged,
    Keeper,
    Outcome,
    Verdict,
    judge,
    judge_gone,
)
from anka_ci.errors import AnkaCiError, DriftError, FellShortError, InterruptError, NotOursError
from anka_ci.plan import Action, Loss, Plan
from anka_ci.result import Result, Status, StepResult

TRIES = 4
"""So many times in all is a job read, judged and written that somebody else changes meanwhile."""
STEP = "job"
"""The step's name in the result document, for every job."""
WORDS = {
    Verdict.CREATE: "make",
    Verdict.UPDATE: "change",
    Verdict.BY_HAND: "overwrite",
    Verdict.BOTH: "overwrite",
    Verdict.NOT_OURS: "overwrite",
}


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What is asked for: the wanted jobs, and which pipeline files' other jobs are no longer wanted.

    ``sources`` are those pipeline files, None for every one that a mark names. ``gone`` asks for all of them to go, the
    wanted ones too. ``take_ours`` overwrites what was changed by hand or is not ours.
    """

    jobs: Sequence[Job]
    sources: Collection[str] | None
    gone: bool = False
    take_ours: bool = False

    @property
    def names(self) -> frozenset[str]:
        return frozenset(job.name for job in self.jobs)

    def judge(self, found: Sequence[Found]) -> tuple[Judged, ...]:
        """The verdict on every job that the aim speaks of."""
        if self.gone:
            return judge_gone(found, names=self.names, sources=self.sources)
        return judge(self.jobs, found, sources=self.sources)


def plan(keeper: Keeper, aim: Aim) -> Result:
    """What ``apply`` (or, of an aim that is ``gone``, ``destroy``) would do, as a result; reads only.

    Its code is 8 when something would be refused, 9 when something would be written, else 0.
    """
    judged = aim.judge(keeper.read(aim.names))
    steps = [_planned(each, keeper, aim) for each in judged]
    result = Result(name="job plan", status="planned", steps=steps)
    todo = [each for each in judged if each.change(take_ours=aim.take_ours)]
    if refused := _refused(judged, aim):
        return _failed(result, _refusal(refused, keeper), "failed")
    if todo:
        said = f"{len(todo)} of {len(judged)} jobs in {keeper.where} are not in step"
        error = DriftError(said, hint="`anka-ci job apply` with the same options brings them in step")
        return _failed(result, error, "planned")
    result.status = "unchanged"
    return result


def apply(keeper: Keeper, aim: Aim, *, confirm: str | None = None) -> Result:
    """Bring the jobs in step: what may be written is, and what is refused is left and told.

    A job that somebody else changes meanwhile is read, judged and written again. Raises ``ConfirmationError`` before
    anything is written when what goes with a removed job would be lost and ``confirm`` does not cover it. A failure of
    one job, refusals too, is in its entry and in the result's code, and loses none of the others.
    """
    return _Course(keeper, aim, confirm).result()


def destroy(keeper: Keeper, aim: Aim, *, confirm: str | None = None) -> Result:
    """Remove every job of the aim that carries our mark, as ``apply`` does; what is not ours is told, and stays."""
    return apply(keeper, Aim(jobs=aim.jobs, sources=aim.sources, gone=True, take_ours=aim.take_ours), confirm=confirm)


class _Course:
    """One apply: its rounds of reading, judging and writing, and the entry of every job so far."""

    def __init__(self, keeper: Keeper, aim: Aim, confirm: str | None) -> None:
        self._keeper, self._aim, self._confirm = keeper, aim, confirm
        self._entries: dict[str, StepResult] = {}
        self._confirmed: frozenset[str] = frozenset()

    def result(self) -> Result:
        """Go through all rounds. What goes wrong before anything is written is raised."""
        left = self._round(None)
        for _ in range(TRIES - 1):
            if not left:
                break
            try:
                left = self._round(left)
            except AnkaCiError as error:  # what the rounds before have written is told all the same
                for name in left:
                    self._entries[name] = _with_error(self._entries[name], error)
                break
        return _sum(self._name, list(self._entries.values()), self._keeper.where)

    @property
    def _name(self) -> str:
        return "job destroy" if self._aim.gone else "job apply"

    def _round(self, names: frozenset[str] | None) -> frozenset[str]:
        """Read, judge and write the jobs of these names, or all; the names of those that somebody else changed."""
        judged = [each for each in self._aim.judge(self._keeper.read(self._aim.names)) if _among(each, names)]
        changes = {each.name: each.change(take_ours=self._aim.take_ours) for each in judged}
        self._check(_plan(self._name, judged, changes, self._keeper.loses))
        for name in (names or frozenset()) - {*changes}:
            note = "somebody else removed it meanwhile"
            self._entries[name] = StepResult(id=name, step=STEP, status="unchanged", notes=(note,))
        outcomes = _write(self._keeper, [change for change in changes.values() if change])
        for each in judged:
            self._entries[each.name] = _ended(each, outcomes.get(each.name))
        errors = {name: outcome.error for name, outcome in outcomes.items()}
        return frozenset(name for name, error in errors.items() if isinstance(error, ChangedMeanwhileError))

    def _check(self, plan: Plan) -> None:
        """``ConfirmationError`` unless what the plan loses is confirmed, now or in an earlier round."""
        losing = frozenset(loss.text for loss in plan.loses)
        if not losing <= self._confirmed:
            desk.check(plan, self._confirm, protected=False)
        self._confirmed |= losing


def _among(each: Judged, names: frozenset[str] | None) -> bool:
    return names is None or each.name in names


def _plan(name: str, judged: Sequence[Judged], changes: Mapping[str, Change | None], loses: str) -> Plan:
    """The writes as a plan: its digest confirms what would be lost."""
    actions, lost = [], []
    for each in judged:
        change = changes[each.name]
        if change is None:
            continue
        verb = WORDS[each.verdict] if change.job else "remove"
        made = {"name": each.name, "hash": change.job.mark.hash if change.job else None}
        actions.append(Action(verb=verb, text=f"{verb} {each.name}", with_=made))
        if change.job is None and loses:
            lost.append(Loss(text=f"{each.name}: {loses}"))
    return Plan(step=name, actions=tuple(actions), loses=tuple(lost))


def _write(keeper: Keeper, changes: Sequence[Change]) -> Mapping[str, Outcome]:
    """The outcome of every change, by name; a failure of the whole write is the failure of each."""
    if not changes:
        return {}
    try:
        return {outcome.name: outcome for outcome in keeper.write(changes)}
    except AnkaCiError as error:
        return {change.name: Outcome(name=change.name, error=error) for change in changes}


def _refused(judged: Sequence[Judged], aim: Aim) -> list[Judged]:
    return [each for each in judged if each.verdict in REFUSED and each.change(take_ours=aim.take_ours) is None]


def _refusal(refused: Sequence[Judged], keeper: Keeper) -> NotOursError:
    if len(refused) == 1:
        return _left(refused[0])
    names = {each.name: each.verdict.value for each in refused}
    said = ", ".join(f"{name} ({verdict.replace('-', ' ')})" for name, verdict in names.items())
    hint = "look at the differences; --take-ours overwrites them with what the pipeline files say"
    return NotOursError(f"{len(refused)} jobs in {keeper.where} are left: {said}", hint=hint, jobs=names)


def _left(each: Judged) -> NotOursError:
    """Why a job is not touched, and what to do."""
    if each.verdict is Verdict.NOT_OURS:
        said = f"{each.name} is not ours: {each.note}"
        if each.job is None:
            return NotOursError(said, hint="remove it by hand, if it has to go", job=each.name)
        moved = "if that file was moved, --take-ours hands the job on" if each.found and each.found.mark else ""
        hint = f"{moved or '--take-ours overwrites it'}; or give the job another name"
        return NotOursError(said, hint=hint, job=each.name)
    said = {
        Verdict.BY_HAND: "was changed by hand",
        Verdict.BOTH: "was changed by hand, and " + ("its pipeline file too" if each.job else "is no longer wanted"),
    }[each.verdict]
    hint = "take the change over into the pipeline file or a template of yours; --take-ours throws it away"
    return NotOursError(f"{each.name} {said}", hint=hint, job=each.name)


def _planned(each: Judged, keeper: Keeper, aim: Aim) -> StepResult:
    change = each.change(take_ours=aim.take_ours)
    result = _entry(each, "planned" if change else "unchanged")
    if change is None and each.verdict in REFUSED:
        return _with_error(result, _left(each))
    if change is not None and change.job is None and keeper.loses:
        result.notes = (*result.notes, f"{keeper.loses} would be lost")
    return result


def _ended(each: Judged, outcome: Outcome | None) -> StepResult:
    if outcome is None:
        result = _entry(each, "unchanged")
        return _with_error(result, _left(each)) if each.verdict in REFUSED else result
    result = _entry(each, "done")
    result.outputs = {**result.outputs, **outcome.outputs}
    return _with_error(result, outcome.error) if outcome.error is not None else result


def _with_error(result: StepResult, error: AnkaCiError) -> StepResult:
    result.error = error.emit()
    result.status = "interrupted" if isinstance(error, InterruptError) else "failed"
    return result


def _entry(each: Judged, status: Status) -> StepResult:
    outputs = {"verdict": each.verdict.value, "source": each.source, "diff": each.diff}
    return StepResult(id=each.name, step=STEP, status=status, outputs=outputs, notes=(each.note,) if each.note else ())


def _sum(name: str, steps: list[StepResult], where: str) -> Result:
    """The result of an apply: its failure is that of the one job that failed, or names all that did."""
    result = Result(name=name, status="done", steps=steps)
    failed = [step for step in steps if step.error is not None]
    errors = [step.error for step in failed if step.error is not None]
    if not failed:
        result.status = "done" if any(step.status == "done" for step in steps) else "unchanged"
        return result
    codes = {error["code"] for error in errors}
    status: Status = "interrupted" if codes == {InterruptError.code} else "failed"
    if len({str(error["message"]) for error in errors}) == 1:
        result.error, result.code, result.status = errors[0], int(str(errors[0]["code"])), status
        return result
    said = "; ".join(str(error["message"]) for error in errors)
    jobs = {step.id: step.error for step in failed}
    kind = NotOursError if codes == {NotOursError.code} else FellShortError
    hint = str(errors[0].get("hint", ""))
    summed = kind(f"{len(failed)} of {len(steps)} jobs in {where} are not in step: {said}", hint=hint, jobs=jobs)
    return _failed(result, summed, status)


def _failed(result: Result, error: AnkaCiError, status: Status) -> Result:
    result.error, result.code, result.status = error.emit(), error.code, status
    return result
