"""What set off the run of a workflow, as the runner's event file tells it; and what follows for secrets.

Asks nobody: a file that is not there or is none tells nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anka_ci import settings
from anka_ci.auth import SignIn, gather


def read(env: Mapping[str, str]) -> Mapping[str, Any]:
    """The event; empty when no file tells it.

    Source: https://docs.github.com/en/actions/reference/workflows-and-actions/variables (``GITHUB_EVENT_PATH``).
    """
    try:
        found = json.loads(Path(env.get("GITHUB_EVENT_PATH", "")).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fork(env: Mapping[str, str]) -> str:
    """The fork whose pull request the run is of; empty when it is of none.

    Only the event ``pull_request`` gets no secrets; ``pull_request_target`` does. Source:
    https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#pull_request.
    """
    if env.get("GITHUB_EVENT_NAME") != "pull_request":
        return ""
    request = read(env).get("pull_request")
    try:
        head, base = request["head"]["repo"], request["base"]["repo"]  # type: ignore[index]
        return str(head["full_name"]) if head["full_name"] != base["full_name"] else ""
    except (KeyError, TypeError):  # the repository of the head is null once it was deleted
        return ""


def explain(error: Mapping[str, object], env: Mapping[str, str]) -> str:
    """Why a secret may be missing, as a sentence; empty when the failure is none of a missing secret."""
    facts = error.get("facts")
    named = facts.get("secrets") if isinstance(facts, Mapping) else None
    if isinstance(named, list):
        empty = [str(name) for name in named if env.get(str(name)) == ""]
    elif error["class"] == "not-authorised" and str(error.get("hint", "")).startswith(SignIn().hint()):
        keys = (key.replace("-", "_").upper() for key in gather.SECRET_KEYS)
        empty = [name for name in (settings.PREFIX + key for key in keys) if env.get(name) == ""]
    else:
        return ""
    which = f"{', '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty" if empty else "no secret is there"
    if found := fork(env):
        return f"{which}: this run is of a pull request from the fork {found}, and GitHub gives such a run no secrets"
    return f"{which}: a secret that does not exist is empty, and so is every secret in a pull request from a fork"
