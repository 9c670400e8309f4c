"""Commit statuses: one word beside a commit, by name.

A status that says already what it should is left alone, so that saying it twice changes nothing.
"""

from __future__ import annotations

from anka_ci.errors import UsageError
from anka_ci_actions.service.connection import Connection
from anka_ci_actions.service.failures import part
from anka_ci_actions.service.permissions import STATUS

STATES = ("error", "failure", "pending", "success")
LONGEST = 140
"""Characters of a description. Source: the server's own refusal of a longer one; not in the published description."""


def put(connection: Connection, path: str, sha: str, name: str, state: str, description: str, url: str = "") -> bool:
    """Set the status ``name`` of a commit; False when it says so already. A long description is cut.

    ``UsageError`` for a state that is none. See https://docs.github.com/en/rest/commits/statuses.
    """
    if state not in STATES:
        raise UsageError(f"{state!r} is no state of a commit status", hint=f"it is one of {', '.join(STATES)}")
    text = description if len(description) <= LONGEST else description[: LONGEST - 1] + "…"
    wanted = {"state": state, "context": name, "description": text, **({"target_url": url} if url else {})}
    for each in connection.pages(STATUS, f"{path}/commits/{sha}/status", "statuses"):
        if str(part(each, "context")).lower() == name.lower():  # so GitHub itself compares them
            found = (each.get("state"), each.get("description") or "", each.get("target_url") or "")
            if found == (state, text, url):
                return False
            break
    connection.call(STATUS, "POST", f"{path}/statuses/{sha}", body=wanted, idempotent=True)
    return True
