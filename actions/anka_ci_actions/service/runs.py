"""Workflow runs: start one and know which it is, look at it, cancel it.

Waits for nothing but the listing of a run that was started; following it is the command's (``rules.watch``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.errors import FellShortError, InterruptError, RefusedError, UnreachableError
from anka_ci_actions.service.connection import Connection
from anka_ci_actions.service.failures import part
from anka_ci_actions.service.permissions import CANCEL, DISPATCH, READ_RUNS, Operation

LISTED_WITHIN = 60.0
"""Seconds within which a run that was started is listed. A choice: GitHub tells no limit, and it takes some seconds."""
PAUSE = 2.0
LAST = 2.0
"""Seconds for a last look after an interruption."""
NOT_FAILED = {None, "success", "neutral", "skipped"}
"""Conclusions of a job or a step that is not why its run failed; None: it did not come to an end."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A workflow run. ``status`` becomes ``completed``, and only then is there a ``conclusion`` (success, failure, …).

    ``ref`` is the branch or tag it runs at; times are texts, as GitHub tells them.
    """

    id: int
    url: str
    name: str = ""
    status: str = ""
    conclusion: str = ""
    ref: str = ""
    sha: str = ""
    attempt: int = 1
    created: str = ""

    @property
    def ended(self) -> bool:
        return self.status == "completed"


def run(connection: Connection, path: str, run_id: int) -> Run:
    """A run as it is now. See https://docs.github.com/en/rest/actions/workflow-runs#get-a-workflow-run."""
    return _read(connection.get(READ_RUNS, f"{path}/actions/runs/{run_id}"))


def failed(connection: Connection, path: str, run_id: int) -> list[str]:
    """What failed in the latest attempt of a run, job by job, each with its first step that failed.

    See https://docs.github.com/en/rest/actions/workflow-jobs#list-jobs-for-a-workflow-run.
    """
    found = []
    for job in connection.pages(READ_RUNS, f"{path}/actions/runs/{run_id}/jobs", "jobs"):
        if job.get("conclusion") not in NOT_FAILED:
            step = next((each for each in job.get("steps") or () if each.get("conclusion") not in NOT_FAILED), None)
            found.append(f"job {part(job, 'name')!r}" + (f" in step {part(step, 'name')!r}" if step else ""))
    return found


def cancel(connection: Connection, path: str, run_id: int) -> bool:
    """Ask for the end of a run, which takes a while; False when it had ended already.

    See https://docs.github.com/en/rest/actions/workflow-runs#cancel-a-workflow-run (409: it has ended).
    """
    try:
        connection.call(CANCEL, "POST", f"{path}/actions/runs/{run_id}/cancel", idempotent=True)
    except RefusedError as error:
        if error.facts.get("status") == 409:
            return False
        raise
    return True


def dispatch(connection: Connection, path: str, workflow: str, ref: str, inputs: Mapping[str, str]) -> Run:
    """Start a workflow; the run, also where the server does not say which it became.

    github.com tells the run since February 2026 (``return_run_details``,
    https://github.blog/changelog/2026-02-19-workflow-dispatch-api-now-returns-run-ids). An older Enterprise Server
    ignores or refuses the question, and then the run is looked for: the new one of this workflow and ref. An answer
    that was lost is looked for in the same way, and never asked for again.

    Raises ``FellShortError`` when no new run is listed in time, or more than one, so that it is not known which is
    ours. See https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event.
    """
    before = {each.id for each in listed(connection, path, workflow, ref, DISPATCH)}
    body: dict[str, object] = {"ref": ref, "inputs": dict(inputs), "return_run_details": True}
    target = f"{path}/actions/workflows/{workflow}/dispatches"
    lost: UnreachableError | None = None
    try:
        try:
            told = connection.call(DISPATCH, "POST", target, body=body).body
        except RefusedError as error:
            if "return_run_details" not in error.message:
                raise
            del body["return_run_details"]
            told = connection.call(DISPATCH, "POST", target, body=body).body
    except UnreachableError as error:
        if error.lasting:
            raise
        told, lost = None, error
    if isinstance(told, Mapping) and told.get("workflow_run_id"):
        return Run(id=int(told["workflow_run_id"]), url=str(told.get("html_url") or ""), status="queued", ref=ref)
    return _find(connection, path, workflow, ref, before, lost)


def listed(connection: Connection, path: str, workflow: str, ref: str, operation: Operation = READ_RUNS) -> list[Run]:
    """The latest 100 runs of a workflow at a branch or tag that were started by hand or by a call.

    ``operation`` is what they are listed for.
    """
    query = {"event": "workflow_dispatch", "branch": ref, "per_page": 100}
    found = connection.get(operation, f"{path}/actions/workflows/{workflow}/runs", **query)
    return [_read(each) for each in part(found, "workflow_runs")]


def _find(
    connection: Connection, path: str, workflow: str, ref: str, before: set[int], lost: UnreachableError | None
) -> Run:
    clock = connection.clock
    until = clock.monotonic() + LISTED_WITHIN
    one: Run | None = None
    while True:
        try:
            new = [each for each in listed(connection, path, workflow, ref) if each.id not in before]
            if len(new) > 1:
                raise FellShortError(
                    f"{workflow} was started more than once just now, so it is not known which run is ours",
                    hint="look at them; nothing was cancelled",
                    runs=[each.url for each in new],
                )
            if new and one is not None:  # alone in two looks: that of somebody else would have been joined by ours
                return new[0]
            one = new[0] if new else None
            if clock.monotonic() >= until:
                break
            connection.deadline.check(f"wait until the run of {workflow} is listed")
            clock.sleep(PAUSE, connection.cancelled)
        except InterruptError:
            return _last_look(connection, path, workflow, ref, before)
    if lost is not None:
        lost.hint = f"no new run of {workflow} was listed within {LISTED_WITHIN:.0f} s, so it was probably not started"
        raise lost
    raise FellShortError(
        f"{workflow} was started at {ref}, but no run of it was listed within {LISTED_WITHIN:.0f} s",
        hint="look at the workflow's runs; nothing was cancelled",
    )


def _last_look(connection: Connection, path: str, workflow: str, ref: str, before: set[int]) -> Run:
    """After an interruption: the run, so that the caller can end it; ``InterruptError`` when it is not known which."""
    new = [each for each in listed(connection.afterwards(LAST), path, workflow, ref) if each.id not in before]
    if len(new) == 1:
        return new[0]
    raise InterruptError(
        f"{workflow} was started at {ref}; interrupted ({connection.cancelled.reason}) before its run was known",
        hint="look at the workflow's runs; nothing was cancelled",
        runs=[each.url for each in new] or None,
    )


def _read(body: Mapping[str, Any]) -> Run:
    return Run(
        id=int(part(body, "id")),
        url=str(part(body, "html_url")),
        name=str(body.get("name") or ""),
        status=str(body.get("status") or ""),
        conclusion=str(body.get("conclusion") or ""),
        ref=str(body.get("head_branch") or ""),
        sha=str(body.get("head_sha") or ""),
        attempt=int(body.get("run_attempt") or 1),
        created=str(body.get("created_at") or ""),
    )
