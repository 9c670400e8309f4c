"""GitHub, as the adapter uses it: one repository, its files, pull requests, runs and statuses.

PyGithub is imported when the first call is made, never by importing this package. Nothing here prints.
"""

from __future__ import annotations

from collections.abc import Mapping

from anka_ci.adapter.jobs import ChangedMeanwhileError
from anka_ci.clock import Cancelled, Clock, Deadline, SystemClock
from anka_ci.result import Event, Tell
from anka_ci.secret import Redactor
from anka_ci_actions.service.access import access, slug
from anka_ci_actions.service.connection import WRITE_PAUSE, Connection
from anka_ci_actions.service.pulls import PullRequest
from anka_ci_actions.service.repository import File, Repository
from anka_ci_actions.service.runs import Run

__all__ = ["ChangedMeanwhileError", "Connection", "File", "PullRequest", "Repository", "Run", "connect", "connection"]


def _silent(event: Event) -> None:
    """Tell nobody."""


def connection(
    env: Mapping[str, str],
    *,
    url: str | None = None,
    clock: Clock | None = None,
    deadline: Deadline | None = None,
    cancelled: Cancelled | None = None,
    tell: Tell = _silent,
    redactor: Redactor | None = None,
    write_pause: float = WRITE_PAUSE,
) -> Connection:
    """The connection that the environment and ``url`` describe (see ``access``); asks nobody yet.

    ``redactor`` learns the token. ``write_pause``: seconds between two writes. ``UsageError`` for a token or an address
    that is none.
    """
    clock = clock or SystemClock()
    found = access(env, url)
    if redactor is not None:
        redactor.add(found.token)
    return Connection(
        found,
        clock=clock,
        deadline=deadline or Deadline(clock, None),
        cancelled=cancelled if cancelled is not None else Cancelled(),
        tell=tell,
        write_pause=write_pause,
    )


def connect(
    env: Mapping[str, str],
    *,
    repo: str | None = None,
    url: str | None = None,
    clock: Clock | None = None,
    deadline: Deadline | None = None,
    cancelled: Cancelled | None = None,
    tell: Tell = _silent,
    redactor: Redactor | None = None,
    write_pause: float = WRITE_PAUSE,
) -> Repository:
    """One repository (``repo`` as OWNER/NAME, else ``GITHUB_REPOSITORY``) over ``connection``; asks nobody yet."""
    name = slug(env, repo)
    return Repository(
        connection(
            env,
            url=url,
            clock=clock,
            deadline=deadline,
            cancelled=cancelled,
            tell=tell,
            redactor=redactor,
            write_pause=write_pause,
        ),
        name,
    )
