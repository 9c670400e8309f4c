"""How GitHub shows things: whole answers, with every field that the published description asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actions.github_double.git import EPOCH, Commit, Repo

if TYPE_CHECKING:
    from actions.github_double.server import Double

SITE = "https://github.example"
_USER_URLS = (
    "followers",
    "following",
    "gists",
    "starred",
    "subscriptions",
    "organizations",
    "repos",
    "events",
    "received_events",
)
_REPO_URLS = (
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
    "clone",
    "git",
    "ssh",
    "svn",
)


def user(login: str = "octo") -> dict[str, Any]:
    urls = {f"{name}_url": f"{SITE}/users/{login}/{name}" for name in _USER_URLS}
    return {
        "login": login,
        "id": 1,
        "node_id": "U_1",
        "avatar_url": f"{SITE}/a.png",
        "gravatar_id": "",
        "url": f"{SITE}/users/{login}",
        "html_url": f"{SITE}/{login}",
        "type": "User",
        "site_admin": False,
        **urls,
    }


def small_repo(double: Double, repo: Repo) -> dict[str, Any]:
    owner, name = repo.name.split("/")
    url = f"{double.url}/repos/{repo.name}"
    return {
        "id": repo.id,
        "node_id": f"R_{repo.id}",
        "name": name,
        "full_name": repo.name,
        "owner": user(owner),
        "private": repo.private,
        "html_url": f"{SITE}/{repo.name}",
        "description": None,
        "fork": False,
        "url": url,
        **{f"{key}_url": f"{url}/{key}" for key in _REPO_URLS},
    }


def repo(double: Double, found: Repo) -> dict[str, Any]:
    return small_repo(double, found) | {
        "default_branch": found.default,
        "homepage": None,
        "language": None,
        "license": None,
        "mirror_url": None,
        "created_at": EPOCH,
        "updated_at": EPOCH,
        "pushed_at": EPOCH,
        "archived": False,
        "disabled": False,
        **dict.fromkeys(
            ("has_issues", "has_projects", "has_wiki", "has_pages", "has_discussions", "has_downloads"), False
        ),
        **dict.fromkeys(
            (
                "forks",
                "forks_count",
                "open_issues",
                "open_issues_count",
                "size",
                "stargazers_count",
                "watchers",
                "watchers_count",
                "network_count",
                "subscribers_count",
            ),
            0,
        ),
    }


def ref(double: Double, found: Repo, branch: str) -> dict[str, Any]:
    url = f"{double.url}/repos/{found.name}/git"
    sha = found.refs[branch]
    return {
        "ref": f"refs/heads/{branch}",
        "node_id": "REF_1",
        "url": f"{url}/refs/heads/{branch}",
        "object": {"type": "commit", "sha": sha, "url": f"{url}/commits/{sha}"},
    }


def git_commit(double: Double, found: Repo, sha: str) -> dict[str, Any]:
    made = found.commits[sha]
    url = f"{double.url}/repos/{found.name}/git"
    who = {"name": "Octo", "email": "octo@example.com", "date": EPOCH}
    return {
        "sha": sha,
        "node_id": f"C_{sha[:7]}",
        "url": f"{url}/commits/{sha}",
        "html_url": f"{SITE}/commit/{sha}",
        "author": who,
        "committer": who,
        "message": made.message,
        "tree": _tree_link(url, made),
        "parents": [{"sha": each, "url": f"{url}/commits/{each}", "html_url": SITE} for each in made.parents],
        "verification": {
            "verified": False,
            "reason": "unsigned",
            "signature": None,
            "payload": None,
            "verified_at": None,
        },
    }


def commit(double: Double, found: Repo, sha: str) -> dict[str, Any]:
    made = found.commits[sha]
    url = f"{double.url}/repos/{found.name}"
    who = {"name": "Octo", "email": "octo@example.com", "date": EPOCH}
    return {
        "sha": sha,
        "node_id": f"C_{sha[:7]}",
        "url": f"{url}/commits/{sha}",
        "html_url": f"{SITE}/commit/{sha}",
        "comments_url": f"{url}/commits/{sha}/comments",
        "author": user(),
        "committer": user(),
        "commit": {
            "url": f"{url}/git/commits/{sha}",
            "author": who,
            "committer": who,
            "message": made.message,
            "comment_count": 0,
            "tree": _tree_link(f"{url}/git", made),
        },
        "parents": [{"sha": each, "url": f"{url}/commits/{each}", "html_url": SITE} for each in made.parents],
    }


def _tree_link(url: str, made: Commit) -> dict[str, str]:
    return {"sha": made.tree, "url": f"{url}/trees/{made.tree}"}


def tree(double: Double, found: Repo, sha: str) -> dict[str, Any]:
    url = f"{double.url}/repos/{found.name}/git"
    rows = [
        {
            "path": name,
            "mode": each.mode,
            "type": each.kind,
            "sha": each.sha,
            **({"size": len(found.blobs[each.sha])} if each.kind == "blob" else {}),
            "url": f"{url}/{each.kind}s/{each.sha}",
        }
        for name, each in found.trees[sha].items()
    ]
    return {"sha": sha, "url": f"{url}/trees/{sha}", "tree": rows, "truncated": False}


def pull(double: Double, found: Repo, each: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    number, url = each["number"], f"{double.url}/repos/{found.name}"
    html = f"{SITE}/{found.name}/pull/{number}"
    links = ("self", "html", "issue", "comments", "review_comments", "review_comment", "commits", "statuses")

    def side(branch: str) -> dict[str, Any]:
        return {
            "label": f"{found.name.split('/')[0]}:{branch}",
            "ref": branch,
            "sha": found.refs[branch],
            "user": user(),
            "repo": repo(double, found),
        }

    shown = {
        "id": number,
        "node_id": f"PR_{number}",
        "number": number,
        "url": f"{url}/pulls/{number}",
        "html_url": html,
        **{
            f"{key}_url": f"{html}/{key}"
            for key in (
                "diff",
                "patch",
                "issue",
                "commits",
                "review_comments",
                "review_comment",
                "comments",
                "statuses",
            )
        },
        "state": each["state"],
        "locked": False,
        "title": each["title"],
        "body": each["body"],
        "user": user(),
        "labels": [],
        "milestone": None,
        "assignee": None,
        "created_at": EPOCH,
        "updated_at": EPOCH,
        "closed_at": None,
        "merged_at": None,
        "merge_commit_sha": None,
        "head": side(each["head"]),
        "base": side(each["base"]),
        "_links": {key: {"href": url} for key in links},
        "author_association": "OWNER",
        "auto_merge": None,
    }
    if whole:
        shown |= {
            "merged": False,
            "mergeable": None,
            "mergeable_state": "unknown",
            "merged_by": None,
            "maintainer_can_modify": False,
            **dict.fromkeys(("additions", "changed_files", "comments", "commits", "deletions", "review_comments"), 0),
        }
    return shown


def status(double: Double, found: Repo, each: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    shown = {
        "url": f"{double.url}/repos/{found.name}/statuses/{each['sha']}",
        "avatar_url": f"{SITE}/a.png",
        "id": each["id"],
        "node_id": f"S_{each['id']}",
        "state": each["state"],
        "description": each["description"],
        "target_url": each["target_url"],
        "context": each["context"],
        "created_at": EPOCH,
        "updated_at": EPOCH,
    }
    return shown | ({"creator": user()} if whole else {})


def run(double: Double, found: Repo, each: dict[str, Any]) -> dict[str, Any]:
    url = f"{double.url}/repos/{found.name}/actions/runs/{each['id']}"
    who = {"name": "Octo", "email": "octo@example.com"}
    head = {"id": each["head_sha"], "tree_id": "t", "message": "m", "timestamp": EPOCH, "author": who, "committer": who}
    names = ("jobs", "logs", "check_suite", "artifacts", "cancel", "rerun", "workflow")
    return {
        "id": each["id"],
        "name": each["name"],
        "node_id": f"WFR_{each['id']}",
        "head_branch": each["head_branch"],
        "head_sha": each["head_sha"],
        "path": f".github/workflows/{each['workflow']}",
        "run_number": each["number"],
        "run_attempt": 1,
        "display_title": each["name"],
        "event": "workflow_dispatch",
        "status": each["status"],
        "conclusion": each["conclusion"],
        "workflow_id": 1,
        "url": url,
        "pull_requests": [],
        "created_at": EPOCH,
        "html_url": f"{SITE}/{found.name}/actions/runs/{each['id']}",
        "updated_at": EPOCH,
        "head_commit": head,
        "repository": small_repo(double, found),
        "head_repository": small_repo(double, found),
        **{f"{name}_url": f"{url}/{name}" for name in names},
    }


def job(double: Double, found: Repo, run: dict[str, Any], each: dict[str, Any]) -> dict[str, Any]:
    """A job of a run: its ``name``, ``conclusion``, and ``steps`` as pairs of both."""
    url = f"{double.url}/repos/{found.name}/actions/jobs/{each['id']}"
    steps = [
        {"name": name, "status": "completed", "conclusion": conclusion, "number": number}
        for number, (name, conclusion) in enumerate(each["steps"], 1)
    ]
    return {
        "id": each["id"],
        "node_id": "J_1",
        "run_id": run["id"],
        "run_url": f"{double.url}/runs/{run['id']}",
        "head_sha": run["head_sha"],
        "workflow_name": run["name"],
        "head_branch": run["head_branch"],
        "name": each["name"],
        "url": url,
        "html_url": url,
        "status": "completed",
        "conclusion": each["conclusion"],
        "started_at": EPOCH,
        "completed_at": EPOCH,
        "created_at": EPOCH,
        "check_run_url": url,
        "labels": [],
        "runner_id": None,
        "runner_name": None,
        "runner_group_id": None,
        "runner_group_name": None,
        "steps": steps,
    }
