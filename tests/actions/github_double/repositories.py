"""The double's routes about a repository: git objects, branches, pull requests, commit statuses."""

from __future__ import annotations

import base64

from actions.github_double import shapes
from actions.github_double.git import IDS, Entry, Repo
from actions.github_double.server import Answer, Double, RefusalError, Request, route

REPO = "/repos/{owner}/{repo}"


@route("GET", REPO)
def _repo(double: Double, request: Request) -> Answer:
    return Answer(200, shapes.repo(double, double.repo(request)))


@route("GET", REPO + "/git/ref/{+ref}", "contents=read")
def _ref(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    branch = request.parts["ref"].removeprefix("heads/")
    if not repo.refs:
        raise RefusalError(409, "Git Repository is empty.")
    if branch not in repo.refs:
        raise RefusalError(404, "Not Found")
    return Answer(200, shapes.ref(double, repo, branch))


@route("GET", REPO + "/git/commits/{commit_sha}", "contents=read")
def _git_commit(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    return Answer(200, shapes.git_commit(double, repo, _known(repo.commits, request.parts["commit_sha"])))


@route("GET", REPO + "/git/trees/{tree_sha}", "contents=read")
def _tree(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    return Answer(200, shapes.tree(double, repo, _known(repo.trees, request.parts["tree_sha"])))


@route("GET", REPO + "/git/blobs/{file_sha}", "contents=read")
def _blob(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    sha = _known(repo.blobs, request.parts["file_sha"])
    raw = repo.blobs[sha]
    content = base64.encodebytes(raw).decode()
    url = f"{double.url}/repos/{repo.name}/git/blobs/{sha}"
    shown = {"sha": sha, "node_id": "B_1", "url": url, "size": len(raw), "content": content, "encoding": "base64"}
    return Answer(200, shown)


@route("POST", REPO + "/git/trees", "contents=write")
def _make_tree(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    tree = _known(repo.trees, request.body["base_tree"], 422) if "base_tree" in request.body else None
    for each in request.body["tree"]:
        if "content" in each:
            entry: Entry | None = Entry(each["mode"], each["type"], repo.blob(each["content"].encode()))
        else:
            sha = each.get("sha")
            entry = None if sha is None else Entry(each["mode"], each["type"], _known(repo.blobs, sha, 422))
        try:
            tree = repo.changed(tree, each["path"], entry)
        except KeyError:
            raise RefusalError(422, "GitRPC::BadObjectState") from None
    return Answer(201, shapes.tree(double, repo, tree or repo.tree({})))


@route("POST", REPO + "/git/commits", "contents=write")
def _make_commit(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    parents = tuple(_known(repo.commits, each, 422) for each in request.body.get("parents", ()))
    sha = repo.commit(_known(repo.trees, request.body["tree"], 422), parents, request.body["message"])
    return Answer(201, shapes.git_commit(double, repo, sha))


@route("POST", REPO + "/git/refs", "contents=write")
def _make_ref(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    branch = request.body["ref"].removeprefix("refs/heads/")
    if branch in repo.refs:
        raise RefusalError(422, "Reference already exists")
    sha = _known(repo.commits, request.body["sha"], 422)
    _guard(double, request, repo, sha)
    repo.refs[branch] = sha
    return Answer(201, shapes.ref(double, repo, branch))


@route("PATCH", REPO + "/git/refs/{+ref}", "contents=write")
def _move_ref(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    branch, sha = request.parts["ref"].removeprefix("heads/"), _known(repo.commits, request.body["sha"], 422)
    if branch not in repo.refs:
        raise RefusalError(422, "Reference does not exist")
    if branch in repo.protected:
        raise RefusalError(422, "Repository rule violations found\n\nChanges must be made through a pull request.")
    if not request.body.get("force") and repo.refs[branch] not in repo.ancestors(sha):
        raise RefusalError(422, "Update is not a fast forward")
    _guard(double, request, repo, sha)
    repo.refs[branch] = sha
    return Answer(200, shapes.ref(double, repo, branch))


@route("GET", REPO + "/compare/{+basehead}", "contents=read")
def _compare(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    base, head = (_known(repo.commits, each) for each in request.parts["basehead"].split("..."))
    before = set(repo.ancestors(base))
    ahead = [each for each in reversed(repo.ancestors(head)) if each not in before]
    behind = before - set(repo.ancestors(head))
    common = next(each for each in repo.ancestors(head) if each in before)
    url = f"{double.url}/repos/{repo.name}/compare/{base}...{head}"
    return Answer(
        200,
        {
            **dict.fromkeys(("url", "html_url", "permalink_url", "diff_url", "patch_url"), url),
            "base_commit": shapes.commit(double, repo, base),
            "merge_base_commit": shapes.commit(double, repo, common),
            "status": "diverged" if ahead and behind else "ahead" if ahead else "behind" if behind else "identical",
            "ahead_by": len(ahead),
            "behind_by": len(behind),
            "total_commits": len(ahead),
            "commits": [shapes.commit(double, repo, each) for each in ahead],
        },
    )


@route("GET", REPO + "/pulls", "pull_requests=read")
def _pulls(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    head = request.query.get("head", "").partition(":")[2]
    found = [
        each
        for each in repo.pulls
        if each["state"] == request.query.get("state", "open")
        and head in ("", each["head"])
        and request.query.get("base", each["base"]) == each["base"]
    ]
    return Answer(200, [shapes.pull(double, repo, each, whole=False) for each in found])


@route("POST", REPO + "/pulls", "pull_requests=write")
def _make_pull(double: Double, request: Request) -> Answer:
    repo, body = double.repo(request), request.body
    if double.token(request).kind == "integration" and not double.actions_may_propose:
        raise RefusalError(403, "GitHub Actions is not permitted to create or approve pull requests.")
    sides = [each for each in ("head", "base") if body[each] not in repo.refs]
    if sides:
        raise RefusalError(
            422, "Validation Failed", errors=[{"resource": "PullRequest", "field": sides[0], "code": "invalid"}]
        )
    if any((each["head"], each["base"], each["state"]) == (body["head"], body["base"], "open") for each in repo.pulls):
        raise _invalid(f"A pull request already exists for {repo.name.split('/')[0]}:{body['head']}.")
    if repo.refs[body["head"]] in repo.ancestors(repo.refs[body["base"]]):
        raise _invalid(f"No commits between {body['base']} and {body['head']}")
    each = {
        "number": len(repo.pulls) + 1,
        "state": "open",
        **{key: body.get(key) for key in ("title", "body", "head", "base")},
    }
    repo.pulls.append(each)
    return Answer(201, shapes.pull(double, repo, each, whole=True))


@route("PATCH", REPO + "/pulls/{pull_number}", "pull_requests=write")
def _change_pull(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    each = _known({str(found["number"]): found for found in repo.pulls}, request.parts["pull_number"])
    found = repo.pulls[int(each) - 1]
    found |= {key: value for key, value in request.body.items() if key in ("title", "body", "state")}
    return Answer(200, shapes.pull(double, repo, found, whole=True))


@route("GET", REPO + "/commits/{+ref}/status", "statuses=read")
def _combined(double: Double, request: Request) -> Answer:
    repo = double.repo(request)
    sha = _known(repo.commits, request.parts["ref"])
    latest: dict[str, dict] = {}
    for each in repo.statuses.get(sha, []):
        latest[each["context"].lower()] = each
    page, size = int(request.query.get("page", 1)), int(request.query.get("per_page", 30))
    shown = [shapes.status(double, repo, each, whole=False) for each in latest.values()]
    states = {each["state"] for each in latest.values()}
    whole = "failure" if states & {"failure", "error"} else "success" if states == {"success"} else "pending"
    url = f"{double.url}/repos/{repo.name}/commits/{sha}"
    return Answer(
        200,
        {
            "state": whole,
            "sha": sha,
            "total_count": len(shown),
            "statuses": shown[(page - 1) * size : page * size],
            "repository": shapes.small_repo(double, repo),
            "commit_url": url,
            "url": f"{url}/status",
        },
    )


@route("POST", REPO + "/statuses/{sha}", "statuses=write")
def _make_status(double: Double, request: Request) -> Answer:
    repo, body = double.repo(request), request.body
    sha = request.parts["sha"]
    if sha not in repo.commits:
        raise RefusalError(422, f"No commit found for SHA: {sha}")
    if len(body.get("description") or "") > 140:
        raise _invalid("description is too long (maximum is 140 characters)")
    each = {key: body.get(key) for key in ("state", "description", "target_url")}
    each |= {"context": body.get("context", "default"), "sha": sha, "id": next(IDS)}
    repo.statuses.setdefault(sha, []).append(each)
    return Answer(201, shapes.status(double, repo, each, whole=True))


def _known(known, key: str, status: int = 404) -> str:
    if key not in known:
        raise RefusalError(status, "Not Found" if status == 404 else "Object does not exist")
    return key


def _invalid(message: str) -> RefusalError:
    return RefusalError(
        422, "Validation Failed", errors=[{"resource": "PullRequest", "code": "custom", "message": message}]
    )


def _guard(double: Double, request: Request, repo: Repo, sha: str) -> None:
    """A token without the permission puts no new workflow file on a branch."""
    token = double.token(request)
    may = "workflow" in token.scopes if token.scopes is not None else token.permissions.get("workflows") == "write"
    if may:
        return
    known = {each for head in repo.refs.values() for each in repo.ancestors(head)}
    for commit in repo.ancestors(sha):
        if commit in known:
            break
        parents = repo.commits[commit].parents
        before = _workflows(repo, parents[0]) if parents else {}
        after = _workflows(repo, commit)
        changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if changed:
            who, what = (
                ("a GitHub App", "workflows` permission")
                if token.scopes is None
                else ("an OAuth App", "workflow` scope")
            )
            name = f".github/workflows/{changed[0]}"
            raise RefusalError(422, f"refusing to allow {who} to create or update workflow `{name}` without `{what}")


def _workflows(repo: Repo, commit: str) -> dict[str, Entry]:
    tree = repo.commits[commit].tree
    for part in (".github", "workflows"):
        if part not in repo.trees[tree]:
            return {}
        tree = repo.trees[tree][part].sha
    return dict(repo.trees[tree])
