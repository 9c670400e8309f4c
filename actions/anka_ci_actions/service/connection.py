"""The one connection to GitHub's REST API: signing in, pace, retries and rate limits, over PyGithub's requester.

The only module that imports PyGithub. Knows no single call of the API. Times are of the clock that is handed in, and
nothing waits past the deadline.
"""

from __future__ import annotations

import json
import logging
import random
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from anka_ci import __version__
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.errors import AnkaCiError, UnreachableError, UsageError
from anka_ci.result import Said, Tell
from anka_ci_actions.service.access import Access
from anka_ci_actions.service.failures import Reply, failure, limited
from anka_ci_actions.service.permissions import Operation

if TYPE_CHECKING:
    from github.Requester import Requester

API_VERSION = "2022-11-28"
"""Which github.com and every Enterprise Server since 3.9 know; an older server does not look at the header."""
TRIES = 5
TIMEOUT = 30
"""Seconds for one connect or read."""
WRITE_PAUSE = 1.0
"""Seconds between two writes. Source: "make requests serially, and wait at least one second between" writes, in
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#pause-between-mutative-requests
"""
LONGEST = 3700.0
"""Seconds of a pause that is still waited for when there is no deadline: a primary limit is over within the hour."""
HOPS = 3
LIMITS = 10
"""How often one call may meet a rate limit."""
_log = logging.getLogger(__name__)


class Connection:
    """Calls to one GitHub. Every call names its ``Operation``, so that a refusal can say which permission is missing.

    Retried are reads, and writes that are told to be ``idempotent``, on no answer and on 5xx; anything that met a rate
    limit, which was not done, after the time that GitHub asks for. PyGithub's own delays and retries are off: they
    sleep on the system's clock, know no deadline and cannot be interrupted. ``write_pause`` in seconds stands for them.
    """

    def __init__(
        self,
        access: Access,
        *,
        clock: Clock,
        deadline: Deadline,
        cancelled: Cancelled,
        tell: Tell,
        write_pause: float = WRITE_PAUSE,
    ) -> None:
        self.access = access
        self.clock, self.deadline, self.cancelled, self.tell = clock, deadline, cancelled, tell
        self._write_pause = write_pause
        self._wrote: float | None = None
        self._requester: Requester | None = None
        self._patience = 0.0

    def afterwards(self, seconds: float) -> Connection:
        """The same connection for what is left to do after an interruption: its own flag and limit, no pause first."""
        deadline = Deadline(self.clock, seconds)
        return Connection(self.access, clock=self.clock, deadline=deadline, cancelled=Cancelled(), tell=self.tell)

    def get(self, operation: Operation, path: str, **query: object) -> Any:
        """What a read answers; raises as ``call`` does."""
        return self.call(operation, "GET", path, query=query).body

    def pages(self, operation: Operation, path: str, key: str | None = None, **query: object) -> Iterator[Any]:
        """The items of a list that comes in pages; they are below ``key`` where the answer is a mapping."""
        page = 1
        while True:
            body = self.get(operation, path, **query, per_page=100, page=page)
            items = body.get(key) if key is not None and isinstance(body, Mapping) else body
            if not isinstance(items, list):
                raise UnreachableError(f"{self.access.url}{path}: what answered is not GitHub: {str(body)[:200]}")
            yield from items
            if len(items) < 100:
                return
            page += 1

    def call(
        self,
        operation: Operation,
        verb: str,
        path: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
        idempotent: bool = False,
    ) -> Reply:
        """One call with its retries; the answer of a success. ``path`` is quoted here, its slashes are kept.

        Raises ``NotAuthorisedError`` (401, 403), ``NotFoundError`` (404), ``UnreachableError`` (no answer, 5xx, a rate
        limit that is not over in time), ``RefusedError`` (the rest), ``InterruptError``.
        """
        asked = f"{operation.what[0].lower()}{operation.what[1:]} ({verb} {path})"
        params = {key: str(value) for key, value in (query or {}).items() if value is not None}
        again = verb == "GET" or idempotent
        attempt, limits, hops, target = 0, 0, 0, quote(path, safe="/-._~")
        while True:
            self.cancelled.check(asked)
            self.deadline.check(asked)
            try:
                reply = self._once(verb, target, params, body)
            except UnreachableError as silent:
                attempt += 1
                if not again or attempt >= TRIES or silent.lasting:
                    raise
                self._pause(min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0))
                continue
            if reply.status in (307, 308) and hops < HOPS:
                hops, (target, params) = hops + 1, self._elsewhere(reply, asked)
                continue
            if reply.status < 300 and reply.json:
                return reply
            error = failure(reply, asked, operation, self.access)
            wait = limited(reply, self.clock.now(), limits)
            if wait is not None and limits < LIMITS:
                limits += 1
                self._limit(wait, reply, error)
            elif isinstance(error, UnreachableError) and again and not error.lasting and attempt + 1 < TRIES:
                attempt += 1
                self._pause(min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0))
            else:
                raise error

    def wait_for_turn(self) -> None:
        """Wait until a write keeps its distance from the one before."""
        if self._wrote is not None:
            self._pause(self._wrote + self._write_pause - self.clock.monotonic())

    def _once(self, verb: str, target: str, query: Mapping[str, str], body: Mapping[str, object] | None) -> Reply:
        """One request, once, in its turn."""
        if verb != "GET":
            self.wait_for_turn()
            self.cancelled.check(f"{verb} {self.access.url}{target}")
        headers = {"Accept": "application/vnd.github+json, application/json;q=0.9", "X-GitHub-Api-Version": API_VERSION}
        try:
            status, found, text = self._open().requestJson(verb, target, dict(query), headers, body)
        except OSError as error:  # every failure of requests is one
            raise self._unreachable(error) from error
        except (RuntimeError, AssertionError) as error:  # so PyGithub refuses a redirection to another host
            raise UsageError(f"{self.access.url}: {error}", hint="correct the address of GitHub's API") from error
        finally:
            if verb != "GET":
                self._wrote = self.clock.monotonic()
        _log.debug("%s %s%s: %s", verb, self.access.url, target, status)
        lower = {str(name).lower(): str(value) for name, value in found.items()}
        try:
            return Reply(status, lower, json.loads(text) if text else None)
        except ValueError:
            return Reply(status, lower, text, json=False)

    def _open(self) -> Requester:
        left = max(0.1, self.deadline.left(TIMEOUT) or 0)
        if self._requester is None or left < 0.9 * self._patience:  # it keeps the time limit that it was made with
            from github import Auth
            from github.Requester import Requester

            # At its lowest level PyGithub logs whole answers, and there are secrets in some.
            logging.getLogger("github.Requester").setLevel(logging.INFO)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self._requester = Requester(
                    auth=Auth.Token(self.access.token.reveal()),
                    base_url=self.access.url,
                    timeout=left,  # type: ignore[arg-type] # requests takes a part of one
                    user_agent=f"anka-ci/{__version__}",
                    per_page=100,
                    verify=True,
                    retry=None,
                    pool_size=None,
                    seconds_between_requests=None,
                    seconds_between_writes=None,
                )
            self._patience = left
        return self._requester

    def _elsewhere(self, reply: Reply, asked: str) -> tuple[str, dict[str, str]]:
        """Where a redirection leads, below our address, with its query; it keeps the verb, which PyGithub does not
        follow."""
        from urllib.parse import parse_qsl

        there, here = urlsplit(reply.headers.get("location", "")), urlsplit(self.access.url)
        if there.netloc and (there.scheme, there.netloc) != (here.scheme, here.netloc):
            hint = "correct the address of GitHub's API; a token is not sent to another host"
            raise UsageError(f"{asked}: {self.access.url} leads to {there.scheme}://{there.netloc}", hint=hint)
        return there.path.removeprefix(here.path), dict(parse_qsl(there.query))

    def _limit(self, seconds: float, reply: Reply, error: AnkaCiError) -> None:
        """Wait for the end of a rate limit, or raise when that is too late."""
        left = self.deadline.left()
        if seconds >= (LONGEST if left is None else left):
            late = UnreachableError(
                f"{error.message}: the rate limit is over in {seconds:.0f} s, which is too late",
                hint="give it longer with --timeout, run it later, or use a token of its own: limits count per user",
                **error.facts,
            )
            late.wait, late.lasting = seconds, True
            raise late
        text = f"GitHub's rate limit is reached; going on in {seconds:.0f} s"
        self.tell(Said(text=text, level="warning" if seconds >= 10 else "info"))
        self._pause(seconds)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self.clock.sleep(self.deadline.left(seconds) or 0.0, self.cancelled)

    def _unreachable(self, error: Exception) -> UnreachableError:
        text = str(error)
        hint = "is the address right, and can it be reached from here? HTTPS_PROXY and NO_PROXY are honoured"
        if "CERTIFICATE_VERIFY_FAILED" in text:
            hint = "REQUESTS_CA_BUNDLE names a file with your server's certificate authority"
        found = UnreachableError(f"{self.access.url}: no answer ({text or type(error).__name__})", hint=hint)
        found.lasting = "CERTIFICATE_VERIFY_FAILED" in text
        return found
