"""A commit status that tells how a command goes: pending while it runs, and then how it ended.

Asked for by ``ANKA_CI_COMMIT_STATUS``, which holds the status's name. Never decides how a command ends: what cannot be
said to GitHub is only told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anka_ci import account, adapter
from anka_ci.clock import Cancelled, Clock, Deadline, SystemClock
from anka_ci.errors import AnkaCiError, UsageError
from anka_ci.inputs import arg
from anka_ci.result import Result
from anka_ci.secret import Redactor
from anka_ci_actions import event

NAME, TOKEN = "ANKA_CI_COMMIT_STATUS", "ANKA_CI_STATUS_TOKEN"
PATIENCE, LAST = 10.0, 0.5
"""Seconds that GitHub gets for one status; after an interruption, when the whole command has five."""
Warn = Callable[[str], None]
CLOCK = SystemClock()


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of an action that can set one."""

    commit_status: str | None = arg(
        "Name of a commit status that tells how this goes, on the commit of the run; none when left out. The job needs "
        "`permissions: statuses: write`.",
        default=None,
    )
    status_token: str | None = arg("The token that sets it; the job's own when left out.", default=None)


def begin(env: Mapping[str, str], redactor: Redactor, warn: Warn, clock: Clock = CLOCK) -> None:
    """Say that it runs. ``UsageError`` for a name that is given but empty."""
    if env.get(NAME) == "":
        hint = f"leave it out, or write it as `commit-status: ${{{{ vars.NAME || '{adapter.LEFT_OUT}' }}}}`"
        raise UsageError("commit-status: is given, but empty", hint=hint)
    _say(env, redactor, ("pending", "running"), Deadline(clock, PATIENCE), warn, clock)


def end(result: Result, env: Mapping[str, str], redactor: Redactor, warn: Warn, clock: Clock = CLOCK) -> None:
    """Say how it ended: ``failure`` when something was asked for that could not be, ``error`` for any other failure."""
    seconds = LAST if result.status == "interrupted" else PATIENCE
    _say(env, redactor, (state(result), description(result)), Deadline(clock, seconds), warn, clock)


def state(result: Result) -> str:
    """The state that GitHub shows for an end."""
    if result.status == "interrupted":
        return "error"
    if result.code == 0:
        return "success"
    return "error" if result.error is not None and result.error.get("fault") == "infrastructure" else "failure"


def description(result: Result) -> str:
    """An end in few words: what a step did, or the first thing that went wrong, or how many steps did theirs."""
    failed = next((step for step in result.steps if step.error is not None), None)
    if result.error is not None and failed is None:
        return str(result.error["message"]).split("\n")[0]
    if failed is not None:
        where = f"{failed.id}: " if len(result.steps) > 1 else ""
        return where + account.gist(failed)
    if len(result.steps) == 1:
        return account.gist(result.steps[0]) or result.status
    return f"{len(result.steps)} steps, {result.status}"


def _say(
    env: Mapping[str, str], redactor: Redactor, said: tuple[str, str], deadline: Deadline, warn: Warn, clock: Clock
) -> None:
    name = env.get(NAME)
    if not name or name == adapter.LEFT_OUT:
        return
    from anka_ci_actions.service import Connection, Repository
    from anka_ci_actions.service.access import TOKEN_VARIABLES, access, slug

    state, text = said
    try:
        found = access(env, env.get("GITHUB_API_URL"), variables=(TOKEN, *TOKEN_VARIABLES))
        redactor.add(found.token)
        line = Connection(found, clock=clock, deadline=deadline, cancelled=Cancelled(), tell=lambda event: None)
        Repository(line, slug(env)).set_status(commit(env), name, state, redactor(text) or state, address(env))
    except AnkaCiError as error:
        warn(f"the commit status {name!r} could not be set to {state}: {error.message}" + _hint(error))


def _hint(error: AnkaCiError) -> str:
    return f"\n{error.hint}" if error.hint else ""


def commit(env: Mapping[str, str]) -> str:
    """The commit that a run is about: of a pull request its own last one, not the merge that GitHub tries.

    Source: https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#pull_request.
    """
    try:
        sha = event.read(env)["pull_request"]["head"]["sha"]
    except (KeyError, TypeError):
        sha = env.get("GITHUB_SHA", "")
    if not sha:
        raise UsageError("it is not known which commit this run is about", hint="a runner tells it by GITHUB_SHA")
    return str(sha)


def address(env: Mapping[str, str]) -> str:
    """Where the run is shown; empty when it is no run."""
    if not env.get("GITHUB_RUN_ID"):
        return ""
    place = f"{env.get('GITHUB_SERVER_URL', 'https://github.com')}/{env.get('GITHUB_REPOSITORY', '')}"
    return f"{place}/actions/runs/{env['GITHUB_RUN_ID']}/attempts/{env.get('GITHUB_RUN_ATTEMPT', '1')}"
