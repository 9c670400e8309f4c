"""Pull requests: one open for a branch and its base, opened or brought up to date.

Makes no branch and no commit, and never closes or merges anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.errors import RefusedError, UnreachableError
from anka_ci_actions.service.connection import Connection
from anka_ci_actions.service.failures import part
from anka_ci_actions.service.permissions import PROPOSE


@dataclass(frozen=True)
class PullRequest:
    """``created``: it was opened now; else it was there, and says what was asked for."""

    number: int
    url: str
    created: bool


def propose(connection: Connection, slug: str, branch: str, base: str, title: str, body: str) -> PullRequest:
    """Open a pull request from ``branch`` to ``base``, or update the open one.

    See https://docs.github.com/en/rest/pulls/pulls.
    """
    found = _open(connection, slug, branch, base)
    if found is None:
        wanted = {"title": title, "body": body, "head": branch, "base": base}
        try:
            made = connection.call(PROPOSE, "POST", f"/repos/{slug}/pulls", body=wanted).body
            return PullRequest(part(made, "number"), part(made, "html_url"), True)
        except (RefusedError, UnreachableError):
            found = _open(connection, slug, branch, base)  # someone was faster, or only the answer was lost
            if found is None:
                raise
    number = part(found, "number")
    if (found.get("title"), found.get("body") or "") != (title, body):
        wanted = {"title": title, "body": body}
        connection.call(PROPOSE, "PATCH", f"/repos/{slug}/pulls/{number}", body=wanted, idempotent=True)
    return PullRequest(number, part(found, "html_url"), False)


def proposed(connection: Connection, slug: str, branch: str, base: str) -> PullRequest | None:
    """The open pull request from ``branch`` to ``base``; None when there is none."""
    found = _open(connection, slug, branch, base)
    return None if found is None else PullRequest(part(found, "number"), part(found, "html_url"), False)


def _open(connection: Connection, slug: str, branch: str, base: str) -> Mapping[str, Any] | None:
    head = f"{slug.split('/')[0]}:{branch}"
    return next(connection.pages(PROPOSE, f"/repos/{slug}/pulls", state="open", head=head, base=base), None)
