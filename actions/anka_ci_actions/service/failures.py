"""What GitHub's refusals mean, as errors of our tree: who may not what, what is missing, what to do.

Sends nothing. See https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api.
"""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.wire import values
from anka_ci_actions.service.access import Access
from anka_ci_actions.service.permissions import Operation, accepted

NO_API = "is this the address of the API? GitHub Enterprise Server has it at https://HOST/api/v3"
SECONDARY = 60.0
"""Seconds to wait, the first time, when a secondary limit was met and GitHub does not say for how long."""


@dataclass(frozen=True)
class Reply:
    """An answer; header names are in lower case, ``body`` is the JSON value, or the text where it was none."""

    status: int
    headers: Mapping[str, str]
    body: Any
    json: bool = True

    @property
    def message(self) -> str:
        """What GitHub says, with the single problems that it lists."""
        if not isinstance(self.body, Mapping):
            return ""
        said = str(self.body.get("message") or "")
        problems = self.body.get("errors")
        found = [_problem(each) for each in problems] if isinstance(problems, list) else [str(problems or "")]
        return ": ".join(filter(None, [said, "; ".join(filter(None, found))]))


def _problem(each: object) -> str:
    if not isinstance(each, Mapping):
        return str(each)
    if each.get("message"):
        return str(each["message"])
    return " ".join(str(each[key]) for key in ("resource", "field", "code") if each.get(key))


def part(body: Any, *keys: str) -> Any:
    """What an answer holds below ``keys``; ``UnreachableError`` when it does not, as when no GitHub answered."""
    found = body
    for key in keys:
        if not isinstance(found, Mapping) or found.get(key) is None:
            what = str(body)[:200]
            raise UnreachableError(f"what answered is not GitHub: no {'.'.join(keys)} in {what}", hint=NO_API)
        found = found[key]
    return found


def limited(reply: Reply, now: float, times: int) -> float | None:
    """Seconds after which a request that met a rate limit may come again; None when it met none.

    ``times`` is how often a limit was met already. Source:
    https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
    """
    if reply.status not in (403, 429):
        return None
    asked = values.retry_after(reply.headers.get("retry-after"), now)
    if asked is not None:
        return asked
    reset = reply.headers.get("x-ratelimit-reset", "")
    if reply.headers.get("x-ratelimit-remaining") == "0" and reset.isdigit():
        return max(0.0, float(reset) - _their_time(reply, now)) + 1.0
    if reply.status == 429 or "secondary rate limit" in reply.message.lower():
        return SECONDARY * 2.0**times
    return None


def _their_time(reply: Reply, now: float) -> float:
    """The server's own clock, by which it counts; ours when it does not tell."""
    try:
        return email.utils.parsedate_to_datetime(reply.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        return now


def failure(reply: Reply, asked: str, operation: Operation, access: Access) -> AnkaCiError:
    """The error for an answer that is none of success; ``asked`` is what was tried, in words."""
    said = reply.message
    told = f"{asked}: GitHub answered {reply.status}" + (f" ({said})" if said else "")
    facts: dict[str, Any] = {"request-id": reply.headers.get("x-github-request-id", ""), "status": reply.status}
    if not reply.json:
        error = UnreachableError(f"{told}, and that is no JSON", hint=NO_API, **facts)
        error.lasting = reply.status < 500
        return error
    if reply.status == 401:
        hint = f"the token of {access.source} is wrong, expired or revoked, or of another GitHub than {access.url}"
        return NotAuthorisedError(told, hint=hint, **facts)
    if reply.status == 403 or _about_workflows(said):
        return NotAuthorisedError(told, hint=_missing(reply, operation, access), **facts)
    if reply.status == 404:
        hint = (
            f"either it is not there, or the token of {access.source} ({access.kind}) may not see it: "
            f"{accepted(reply.headers) or operation.needs()}"
        )
        hint += f" ({operation.note})" if operation.note else ""
        missing = NotFoundError("answer", asked, hint=hint, **facts)
        missing.message = told
        return missing
    if reply.status >= 500 or reply.status == 408:
        return UnreachableError(told, hint="see https://www.githubstatus.com, or your server's own page", **facts)
    return RefusedError(told, **facts)


def _about_workflows(said: str) -> bool:
    """GitHub refuses a change of a workflow file with its own sentence, whose status differs from call to call."""
    return "refusing to allow" in said.lower() and "workflow" in said.lower()


def _missing(reply: Reply, operation: Operation, access: Access) -> str:
    said = reply.message.lower()
    if "saml" in said or "x-github-sso" in reply.headers:
        return f"authorise the token of {access.source} for the organisation's single sign-on"
    if "not permitted to create or approve pull requests" in said:
        return "allow it in Settings > Actions > General > Workflow permissions, or use a token of a user or an App"
    if "ip allow list" in said:
        return "the organisation lets in only the addresses on its IP allow list; this host has none of them"
    if _about_workflows(said):
        return f"the token of {access.source} ({access.kind}) may not change workflow files: {operation.needs()}"
    told = accepted(reply.headers)
    missing = f"{told}; {operation.needs()}" if told else operation.needs()
    return f"the token of {access.source} ({access.kind}) lacks a permission: {missing}"
