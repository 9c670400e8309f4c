"""What may be done on GitHub with which kind of token: the one table, for refusals and for the README.

Asks nobody. Sources: the page "Permissions required for fine-grained personal access tokens" below
https://docs.github.com/en/rest/authentication,
https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps and
https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ALWAYS = "always"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that anka-ci does on GitHub, and the least that a token needs for it.

    ``fine`` is the permission of a fine-grained token or a GitHub App, ``classic`` the scope of a classic or OAuth
    token, ``job`` the line below ``permissions:`` that lets a job's own ``GITHUB_TOKEN`` do it (empty: nothing can;
    ``ALWAYS``: it needs none).
    ``note`` is what else has to be so.
    """

    what: str
    fine: str
    classic: str
    job: str
    note: str = ""

    def needs(self) -> str:
        """The permission in each kind of token, in one sentence."""
        if self.job == ALWAYS:
            return f"it takes {self.fine} (fine-grained token, App), the scope {self.classic} (classic token)"
        job = f"`{self.job}` for a job's GITHUB_TOKEN" if self.job else "and a job's GITHUB_TOKEN can not do it"
        return f"it takes {self.fine} (fine-grained token, App), the scope {self.classic} (classic token), {job}"


REPOSITORY = Operation(what="Look at a repository (default branch)", fine="Metadata: read", classic="repo", job=ALWAYS)
READ_FILES = Operation(what="Read workflow files", fine="Contents: read", classic="repo", job="contents: read")
WRITE_FILES = Operation(
    what="Write or remove workflow files, as a commit",
    fine="Contents: write and Workflows: write",
    classic="repo and workflow",
    job="",
    note="GitHub lets no GITHUB_TOKEN change files below `.github/workflows`",
)
PROPOSE = Operation(
    what="Open or update a pull request",
    fine="Pull requests: write",
    classic="repo",
    job="pull-requests: write",
    note="with a GITHUB_TOKEN, Settings > Actions > General must also allow Actions to create pull requests",
)
READ_RUNS = Operation(what="Find and follow a workflow run", fine="Actions: read", classic="repo", job="actions: read")
DISPATCH = Operation(
    what="Start a workflow",
    fine="Actions: write",
    classic="repo",
    job="actions: write",
    note="the workflow must be on the default branch and have `workflow_dispatch`",
)
CANCEL = Operation(what="Cancel a workflow run", fine="Actions: write", classic="repo", job="actions: write")
STATUS = Operation(
    what="Set a commit status", fine="Commit statuses: write", classic="repo:status", job="statuses: write"
)
RUNNERS = Operation(
    what="Register, list or remove runners of a repository",
    fine="Administration: write",
    classic="repo",
    job="",
    note="the user has to be an administrator of the repository",
)
ORGANISATION_RUNNERS = Operation(
    what="Register, list or remove runners of an organisation",
    fine="Self-hosted runners: write (of the organisation)",
    classic="admin:org",
    job="",
    note="the user has to own the organisation; runners of a private repository also take the scope repo",
)
OPERATIONS = (
    REPOSITORY,
    READ_FILES,
    WRITE_FILES,
    PROPOSE,
    DISPATCH,
    READ_RUNS,
    CANCEL,
    STATUS,
    RUNNERS,
    ORGANISATION_RUNNERS,
)
"""Every operation, in the order of the README."""


def table() -> str:
    """The table of the README, in Markdown."""
    head = "| to | fine-grained token or App | classic token | a job's `GITHUB_TOKEN` |\n|---|---|---|---|\n"
    return head + "".join(_row(each) for each in OPERATIONS)


def _row(each: Operation) -> str:
    classic = " and ".join(f"`{scope}`" for scope in each.classic.split(" and "))
    job = "no" if not each.job else "always" if each.job == ALWAYS else f"`{each.job}`"
    return f"| {each.what}{f' ({each.note})' if each.note else ''} | {each.fine} | {classic} | {job} |\n"


def accepted(headers: Mapping[str, str]) -> str:
    """What GitHub itself says in a refusal that it would have taken; empty when it does not say.

    Sources: ``X-Accepted-GitHub-Permissions`` (`;` between sets of which one is enough) in
    https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#resource-not-accessible, and
    ``X-Accepted-OAuth-Scopes`` beside ``X-OAuth-Scopes`` in the page on scopes.
    """
    wanted = headers.get("x-accepted-github-permissions", "").strip()
    if wanted:
        sets = [" and ".join(part.strip() for part in each.split(",")) for each in wanted.split(";") if each.strip()]
        return "GitHub says that it takes " + ", or ".join(each.replace("=", ": ") for each in sets)
    scopes = headers.get("x-accepted-oauth-scopes", "").strip()
    if scopes and "x-oauth-scopes" in headers:
        has = headers["x-oauth-scopes"].strip() or "none"
        return f"GitHub says that it takes one of the scopes {scopes}; this token has {has}"
    return ""
