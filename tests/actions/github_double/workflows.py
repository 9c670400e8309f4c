"""The double's routes about workflows: dispatch, list, look, cancel. A run goes on only when a test says so."""

from __future__ import annotations

from actions.github_double import shapes
from actions.github_double.git import IDS, Repo
from actions.github_double.server import Answer, Double, RefusalError, Request, route

ACTIONS = "/repos/{owner}/{repo}/actions"


def start(repo: Repo, workflow: str, ref: str) -> dict:
    """A run of a workflow, as somebody or something starts it."""
    found = {
        "id": next(IDS),
        "name": workflow,
        "workflow": workflow,
        "head_branch": ref,
        "head_sha": repo.refs[ref],
        "status": "queued",
        "conclusion": None,
        "number": len(repo.runs) + 1,
    }
    repo.runs.append(found)
    return found


@route("POST", ACTIONS + "/workflows/{workflow_id}/dispatches", "actions=write")
def _dispatch(double: Double, request: Request) -> Answer:
    repo, body = double.repo(request), request.body
    workflow = request.parts["workflow_id"]
    if workflow not in repo.workflows:
        raise RefusalError(404, "Not Found")
    if "return_run_details" in body and not double.run_details:
        raise RefusalError(422, 'Invalid request.\n\n"return_run_details" is not a permitted key.')
    if not repo.workflows[workflow]:
        raise RefusalError(422, "Workflow does not have 'workflow_dispatch' trigger")
    if body["ref"] not in repo.refs:
        raise RefusalError(422, f"No ref found for: {body['ref']}")
    found = start(repo, workflow, body["ref"])
    found["inputs"] = body.get("inputs", {})
    found["hidden"] = double.lists_runs_after
    if not body.get("return_run_details"):
        return Answer(204)
    shown = shapes.run(double, repo, found)
    told = {"workflow_run_id": found["id"], "run_url": shown["url"], "html_url": shown["html_url"]}
    return Answer(200, told)


@route("GET", ACTIONS + "/workflows/{workflow_id}/runs", "actions=read")
def _runs(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    if request.parts["workflow_id"] not in repo.workflows:
        raise RefusalError(404, "Not Found")
    found = [
        each
        for each in reversed(repo.runs)
        if each["workflow"] == request.parts["workflow_id"]
        and request.query.get("branch", each["head_branch"]) == each["head_branch"]
        and not each.get("hidden")
    ]
    for each in repo.runs:
        each["hidden"] = max(0, each.get("hidden", 0) - 1)
    shown = [shapes.run(double, repo, each) for each in found]
    return Answer(200, {"total_count": len(shown), "workflow_runs": shown[: int(request.query.get("per_page", 30))]})


@route("GET", ACTIONS + "/runs/{run_id}", "actions=read")
def _run(double: Double, request: Request) -> Answer:
    return Answer(200, shapes.run(double, double.repo(request), _found(double, request)))


@route("GET", ACTIONS + "/runs/{run_id}/jobs", "actions=read")
def _jobs(double: Double, request: Request) -> Answer:
    run = _found(double, request)
    shown = [shapes.job(double, double.repo(request), run, each) for each in run.get("jobs", ())]
    return Answer(200, {"total_count": len(shown), "jobs": shown})


@route("POST", ACTIONS + "/runs/{run_id}/cancel", "actions=write")
def _cancel(double: Double, request: Request) -> Answer:
    found = _found(double, request)
    if found["status"] == "completed":
        raise RefusalError(409, "Cannot cancel a workflow run that is completed.")
    found |= {"status": "completed", "conclusion": "cancelled"}
    return Answer(202, {})


def _found(double: Double, request: Request) -> dict:
    for each in double.repo(request).runs:
        if str(each["id"]) == request.parts["run_id"]:
            return each
    raise RefusalError(404, "Not Found")
