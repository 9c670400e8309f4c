"""``anka-ci job``: the jobs of a CI system that run pipeline files, rendered and kept in step.

What a job looks like is an adapter's, what becomes of it ``adapter.keeping``'s; an adapter is imported only here, by
the name that ``--ci`` gives.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, cast

from anka_ci import account, inputs
from anka_ci.adapter import keeping, system
from anka_ci.adapter.jobs import Job
from anka_ci.adapter.keeping import Aim
from anka_ci.adapter.system import Means, System
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import add_option, add_output, check_only, checkup, dispatch, finish, outcome
from anka_ci.commands.gathering import given
from anka_ci.console import Console
from anka_ci.errors import UsageError
from anka_ci.inputs import Field
from anka_ci.pipeline.setting import DEFAULT_FILE
from anka_ci.progress import Progress
from anka_ci.result import Result, StepResult

SYSTEMS = {"github": "anka_ci_actions.job", "jenkins": "anka_ci_jenkins.job"}
"""What ``--ci`` may name, and the module that implements ``adapter.system.System``."""
TITLES = {"github": "GitHub Actions", "jenkins": "Jenkins"}
DISPATCH, DOCTOR = "dispatch", "doctor"
Main = Callable[[argparse.Namespace, Console], int]
ACTIONS = {
    "render": "print the jobs of pipeline files, as they would be written",
    "plan": "compare the jobs that are there with the pipeline files; 9 when something would be written",
    "apply": "bring the jobs in step with the pipeline files",
    "destroy": "remove the jobs that were made from the pipeline files",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-commands and their options."""
    parser.usage = f"{parser.prog} {'|'.join((*ACTIONS, DISPATCH, DOCTOR))} --ci {'|'.join(SYSTEMS)} [options]"
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True, prog=parser.prog)

    def add(name: str, summary: str, main: Main) -> argparse.ArgumentParser:
        action: argparse.ArgumentParser = actions.add_parser(name, help=summary, description=f"{summary}.")
        action.set_defaults(main=main)
        return action

    for name, summary in ACTIONS.items():
        _add(name, add(name, summary, _main))
    summary = "tell what a CI system lacks for the jobs of pipeline files"
    checkup.add_arguments(add(DOCTOR, summary, checkup.main))
    dispatch.add_arguments(add(DISPATCH, "start a job on its CI system and wait for it", dispatch.main))


def main(options: argparse.Namespace, console: Console) -> int:
    """Run the sub-command; its exit code."""
    return cast(Main, options.main)(options, console)


def _add(name: str, parser: argparse.ArgumentParser) -> None:
    parser.usage = f"{parser.prog} --ci {'|'.join(SYSTEMS)} [FILE …] [options]"
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"the pipeline files [{DEFAULT_FILE}]")
    parser.add_argument("--ci", choices=SYSTEMS, required=True, metavar="|".join(SYSTEMS), help="the CI system")
    if name in ("plan", "apply"):
        parser.add_argument("--all", action="store_true", help="remove what is made from other pipeline files")
        ours = "overwrite also what was changed by hand or is not ours"
        parser.add_argument("--take-ours", action="store_true", help=ours)
    if name == "destroy":
        parser.add_argument("--all", action="store_true", help="remove the jobs of every pipeline file")
        parser.add_argument("--take-ours", action="store_true", help="remove also what was changed by hand")
    if name in ("apply", "destroy"):
        parser.add_argument("--confirm", metavar="DIGEST", help="confirm what is lost with the jobs that go")
    shared = {field.key for field in inputs.fields(system.JobInputs)}
    group = parser.add_argument_group("every CI system")
    for field in inputs.fields(system.JobInputs):
        add_option(group, field)
    for ci in SYSTEMS:
        group = parser.add_argument_group(f"{TITLES[ci]} (--ci {ci})")
        for field in _own(ci):
            if field.key not in shared:
                add_option(group, field)
    add_output(parser)


def _system(ci: str) -> System:
    return cast(System, importlib.import_module(SYSTEMS[ci]))


def _own(ci: str) -> tuple[Field, ...]:
    """The options of a CI system, those of every system among them."""
    return inputs.fields(_system(ci).Inputs)


def _main(options: argparse.Namespace, console: Console) -> int:
    name = f"job {options.action}"
    result = outcome(name, lambda clock: _result(options, console, clock))
    return finish(result, of_jobs(result) if result.steps else "", options, console)


def _result(options: argparse.Namespace, console: Console, clock: Clock) -> Result:
    """What became of the sub-command."""
    ci, files = _system(options.ci), list(options.files)
    if not files and not getattr(options, "all", False):
        files = [DEFAULT_FILE]
    bound = _bound(ci, options, console)
    if options.action == "render":
        jobs = ci.jobs(system.read(files), bound, console.env)
        steps = [_rendered(job.name, job.source, ci.written(job)) for job in jobs]
        return Result(name="job render", status="done", steps=steps)
    cancelled = Cancelled()
    tell = Progress(console, clock, quiet=options.quiet)
    means = Means(
        env=console.env,
        redactor=console.redactor,
        clock=clock,
        deadline=Deadline(clock, bound.timeout),
        cancelled=cancelled,
        tell=tell,
    )
    aim = _aim(ci, options, bound, files, console)
    keeper = ci.keeper(bound, means)
    with console.interrupts(cancelled):
        if options.action == "plan":
            return keeping.plan(keeper, aim)
        go = keeping.destroy if options.action == "destroy" else keeping.apply
        return go(keeper, aim, confirm=options.confirm)


def _bound(ci: System, options: argparse.Namespace, console: Console) -> Any:
    """The options of the CI system; ``UsageError`` for one that belongs to another system."""
    mine = _own(options.ci)
    check_only(options, options.ci, {each: _own(each) for each in SYSTEMS})
    values = {field.key: getattr(options, field.key) for field in mine if getattr(options, field.key) is not None}
    found = given(options, console, values, mine)
    return inputs.bind(ci.Inputs, found.values, what=f"job {options.action}", where=found.where)


def _aim(ci: System, options: argparse.Namespace, bound: Any, files: list[str], console: Console) -> Aim:
    """What is asked for. What is to be removed needs no pipeline file that is there and right."""
    sources = None if options.all else frozenset(system.paths(files).values())
    if options.action != "destroy":
        return Aim(jobs=ci.jobs(system.read(files), bound, console.env), sources=sources, take_ours=options.take_ours)
    return Aim(
        jobs=[job for file in files for job in _named(ci, bound, file)],
        sources=sources,
        gone=True,
        take_ours=options.take_ours,
    )


def _named(ci: System, bound: Any, file: str) -> list[Job]:
    """The job of a pipeline file by its name alone; none of one that cannot be read, which its mark has to tell."""
    try:
        (source,) = system.read([file])
        (name,) = ci.names([source], bound)
    except UsageError:  # it may be gone or wrong: that is no reason to keep its job
        return []
    return [Job(name=name, text="", source=source.path)]


def _rendered(name: str, source: str, text: str) -> StepResult:
    return StepResult(id=name, step=keeping.STEP, status="done", outputs={"source": source, "text": text})


def of_jobs(result: Result) -> str:
    """What a person sees of jobs: the rendered text, or each difference and a table of what became of each."""
    texts = [str(step.outputs["text"]) for step in result.steps if "text" in step.outputs]
    if texts:
        return "---\n".join(texts)
    diffs = "".join(f"{step.outputs['diff']}\n" for step in result.steps if step.outputs.get("diff"))
    rows = [
        {
            "job": step.id,
            "verdict": str(step.outputs.get("verdict", "-")).replace("-", " "),
            "status": step.status,
            "made from": step.outputs.get("source"),
        }
        | ({"note": "; ".join(step.notes)} if any(each.notes for each in result.steps) else {})
        for step in result.steps
    ]
    return diffs + account.table(rows)
