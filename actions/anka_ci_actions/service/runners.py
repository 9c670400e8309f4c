"""The runners of a repository or an organisation on GitHub: registered just in time, found and removed.

Waits for nothing, and decides nothing about instances. What a runner signs in with leaves this module as a secret only.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from anka_ci.anka import Anka
from anka_ci.errors import BusyError, NotConnectedError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.runners import Registered, Runner
from anka_ci.secret import Redactor, Secret
from anka_ci_actions.service import Connection, connection
from anka_ci_actions.service.access import TOKEN, TOKEN_FILE, TOKEN_VARIABLES, slug
from anka_ci_actions.service.permissions import ORGANISATION_RUNNERS, RUNNERS

DEFAULT_GROUP = 1
"""The group of a repository's runners, which has no groups of its own. Documented by the description's example only."""
LOG = "anka-ci-runner.log"
"""What the agent prints, in its own folder in the guest."""
ENDED = "anka-ci-runner.ended"
"""What tells there that it has ended."""
NO_AGENT = "there is no run.sh: this folder holds no agent of GitHub Actions"


def open(
    anka: Anka, scope: str | None, token: Secret | None = None, *, env: Mapping[str, str], redactor: Redactor
) -> Runners:
    """The runners of ``scope`` (``OWNER/NAME`` or an organisation), else of the context's, else ``GITHUB_REPOSITORY``.

    ``token`` wins over the environment's, and ``redactor`` learns every secret. ``NotConnectedError`` without a token
    or a scope; asks nobody yet.
    """
    place = anka.context.runners
    asked = scope or place.scope or env.get("GITHUB_REPOSITORY")
    if not asked:
        hint = "give `scope`, or set ANKA_CI_RUNNER_SCOPE, to OWNER/NAME or to an organisation"
        raise NotConnectedError("no repository or organisation is named whose runners are meant", hint=hint)
    if importlib.util.find_spec("github") is None:
        raise NotConnectedError("the runners of GitHub need PyGithub", hint="pip install 'anka-ci[github]'")
    if token is not None:
        env = {key: text for key, text in env.items() if key != TOKEN_FILE} | {TOKEN: token.reveal()}
    try:
        return Runners(
            connection(
                env,
                url=place.url,
                clock=anka.clock,
                deadline=anka.deadline,
                cancelled=anka.cancelled,
                tell=anka.tell,
                redactor=redactor,
            ),
            asked,
            redactor,
        )
    except UsageError as error:
        if any(env.get(name) for name in (*TOKEN_VARIABLES, TOKEN_FILE)):
            raise
        raise NotConnectedError(error.message, hint=error.hint) from None


class Runners:
    """GitHub's side of the ``runners`` door. See https://docs.github.com/en/rest/actions/self-hosted-runners."""

    def __init__(self, connection: Connection, scope: str, redactor: Redactor) -> None:
        self._connection, self._redactor = connection, redactor
        self._of_repository = "/" in scope
        if self._of_repository:
            below, self._operation = f"/repos/{slug({}, scope)}", RUNNERS
        elif re.fullmatch(r"[A-Za-z0-9](-?[A-Za-z0-9])*", scope):
            below, self._operation = f"/orgs/{scope}", ORGANISATION_RUNNERS
        else:
            raise UsageError(f"{scope!r} has no runners", hint="write OWNER/NAME, or the name of an organisation")
        self._path = f"{below}/actions"
        self._where = f"{connection.access.url}{below}"

    @property
    def where(self) -> str:
        """The scope, as the URL of the repository or the organisation in the API."""
        return self._where

    def register(self, name: str, labels: Sequence[str], *, group: str | None = None) -> Registered:
        """Make a just-in-time runner: it takes one job, and GitHub removes it then, or a day after its last connection.

        ``RefusedError`` (409) for a name that is taken, ``NotFoundError`` for a group that is not there.
        """
        # https://docs.github.com/en/rest/actions/self-hosted-runners#create-configuration-for-a-just-in-time-runner-for-an-organization
        body = {"name": name, "runner_group_id": self._group(group), "labels": list(labels)}
        found = self._connection.call(
            self._operation, "POST", f"{self._path}/runners/generate-jitconfig", body=body
        ).body
        text = found.get("encoded_jit_config") if isinstance(found, Mapping) else None
        if not isinstance(text, str) or not text or not isinstance(found.get("runner"), Mapping):
            raise UnreachableError(f"{self._where}: GitHub registered {name} and did not say how it is started")
        secret = Secret(text)
        self._redactor.add(secret)
        return Registered(runner=_runner(found["runner"]), start=_start(secret))

    def get(self, runner_id: str) -> Runner:
        """One runner; ``NotFoundError`` when it is gone, as it is after its job."""
        return _runner(self._connection.get(self._operation, f"{self._path}/runners/{runner_id}"))

    def list(self, name: str | None = None) -> Sequence[Runner]:
        """Every runner of the scope, those that anka-ci did not make too; or those of a name."""
        # A server that does not know `name` yet lists all; it comes in pages, which move when a runner goes meanwhile.
        rows = self._connection.pages(self._operation, f"{self._path}/runners", "runners", name=name)
        return [each for each in map(_runner, rows) if name in (None, each.name)]

    def remove(self, runner_id: str) -> None:
        """Remove a runner; ``BusyError`` while it runs a job, ``NotFoundError`` when it is gone already."""
        path = f"{self._path}/runners/{runner_id}"
        try:
            self._connection.call(self._operation, "DELETE", path, idempotent=True)
        except RefusedError as error:
            # Undocumented: 422, "... is still running a job" (seen by actions-runner-controller).
            if error.facts.get("status") == 422 and self.get(runner_id).busy:
                raise BusyError(error.message, hint="wait for its job, or cancel it", **error.facts) from error
            raise

    def _group(self, sought: str | None) -> int:
        """The number of a runner group, which GitHub wants."""
        if sought is not None and re.fullmatch(r"[0-9]{1,18}", sought):
            return int(sought)
        if self._of_repository:
            if sought is None:
                return DEFAULT_GROUP
            hint = "name the organisation as the scope, or give the number of the group"
            raise UsageError(f"the runner group {sought!r}: a repository has no groups of its own", hint=hint)
        groups = list(self._connection.pages(self._operation, f"{self._path}/runner-groups", "runner_groups"))
        for each in groups:
            if each["name"] == sought or (sought is None and each.get("default")):
                return int(each["id"])
        if sought is None:
            return DEFAULT_GROUP
        raise NotFoundError("runner group", sought, where=self._where, known=[str(each["name"]) for each in groups])


def _start(secret: Secret) -> Secret:
    """Shell text that starts the agent in the background, and looks for three seconds whether it stays: an agent that
    GitHub does not take any more, say, ends at once, and what it said is then told.

    The configuration is no argument, which other users of the guest could read: the agent takes each of its arguments
    from a variable too, and forgets it. Source: https://github.com/actions/runner, ``CommandSettings.cs``; that it says
    "Listening for Jobs" only ends the look sooner.
    """
    return Secret(
        f"[ -f ./run.sh ] || {{ echo {shlex.quote(NO_AGENT)} >&2; exit 1; }}\n"
        f"rm -f {LOG} {ENDED}\n"
        f"(ACTIONS_RUNNER_INPUT_JITCONFIG={shlex.quote(secret.reveal())} nohup ./run.sh >{LOG} 2>&1 </dev/null || :\n"
        f"touch {ENDED}) >/dev/null 2>&1 </dev/null &\n"
        "looks=0\n"
        f"until [ $looks -ge 15 ] || grep -q 'Listening for Jobs' {LOG} 2>/dev/null; do\n"
        f"  [ ! -f {ENDED} ] || {{ echo 'the agent ended at once, and said:' >&2; tail -n 20 {LOG} >&2; exit 1; }}\n"
        "  sleep 0.2\n"
        "  looks=$((looks + 1))\n"
        "done"
    )


def _runner(found: Any) -> Runner:
    try:
        return Runner(
            id=str(found["id"]),
            name=str(found["name"]),
            online=found["status"] == "online",
            busy=found["busy"] is True,
            labels=tuple(str(each["name"]) for each in found.get("labels", ())),
        )
    except (KeyError, TypeError) as error:
        raise UnreachableError(f"a runner came back that cannot be read: {error}", hint="is it GitHub?") from None
