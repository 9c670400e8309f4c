"""A Jenkins job as something to build: start it, follow its queue and its log, cancel it.

Decides nothing about when to stop waiting; ``anka_ci.adapter.builds`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from anka_ci.adapter.builds import Build
from anka_ci.adapter.system import Means
from anka_ci.anka import Anka
from anka_ci.errors import InterruptError, NotFoundError, UnreachableError
from anka_ci.inputs import arg
from anka_ci.result import Printed
from anka_ci.secret import Redactor

if TYPE_CHECKING:
    from anka_ci_jenkins.service.server import Server

Went = Literal["", "well", "wrong", "cancelled"]
WENT: Mapping[str, Went] = {"SUCCESS": "well", "ABORTED": "cancelled"}
"""What a result means; any other is not what was asked for, UNSTABLE too."""
LOOKS = 1.0
"""Seconds that have to be left for looking at a build before it is stopped."""
LARGEST = 1 << 20
"""Characters of a line that is still held back until its end has come."""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The options of ``anka-ci job dispatch --ci jenkins`` beside those of every CI system."""

    jenkins_url: str | None = arg("URL of the Jenkins server; ANKA_CI_JENKINS_URL when left out.", default=None)


class JenkinsJob:
    """One job of a server, by its full name, as a ``Builder``. It tells what the build prints while it prints it."""

    def __init__(self, server: Server, name: str, means: Means) -> None:
        self._server, self._means = server, means
        self.job = name
        self._item = 0
        self._number: int | None = None
        self._read = 0
        self._rest = ""

    def start(self, inputs: Mapping[str, str]) -> Build:
        """Put it into the queue. Its number and address are known once it has left that."""
        try:
            self._item = self._server.start(self.job, inputs)
        except (InterruptError, UnreachableError) as error:
            error.hint = f"it may have been started all the same: {self._server.address(self.job)}"
            raise
        return self._waiting("queued")

    def look(self, build: Build) -> Build:
        if self._number is None:
            item = self._server.queued(self._item)
            if item.get("cancelled"):
                return self._waiting("taken out of the queue", "CANCELLED", "cancelled")
            if not item.get("executable"):
                return self._waiting(f"queued: {item['why']}" if item.get("why") else "queued")
            self._number = int(item["executable"]["number"])
        info = self._server.build(self.job, self._number)
        going = bool(info.get("building")) or not info.get("result")
        self._follow(self._number, ended=not going)
        outcome = "" if going else str(info["result"])
        return Build(
            id=str(self._number),
            url=f"{self._server.address(self.job)}{self._number}/",
            state=f"#{self._number} is running" if going else f"#{self._number} has ended",
            outcome=outcome,
            went=WENT.get(outcome, "wrong") if outcome else "",
        )

    def cancel(self, build: Build, seconds: float) -> bool:
        server, hurried = self._server.afterwards(seconds), seconds < LOOKS
        if self._number is None:
            server.unqueue(self._item)
            if hurried:
                return True
            item = server.queued(self._item)  # it may have left the queue meanwhile
            if not item.get("executable"):
                return True
            self._number = int(item["executable"]["number"])
        if not hurried and not server.build(self.job, self._number).get("building"):
            return False
        server.stop(self.job, self._number)  # of a build that has ended, it changes nothing
        return True

    def _waiting(self, state: str, outcome: str = "", went: Went = "") -> Build:
        url = self._server.address(self.job)
        return Build(id=f"queue-{self._item}", url=url, state=state, outcome=outcome, went=went)

    def _follow(self, number: int, *, ended: bool) -> None:
        """Tell the lines that were printed since the last time; of a build that has ended, all that are left."""
        while True:
            try:
                text, at, more = self._server.log(self.job, number, self._read)
            except NotFoundError:  # it has begun, and its log has not
                return
            self._rest += text
            *lines, self._rest = self._rest.split("\n")
            if len(self._rest) > LARGEST or (ended and self._rest and not more):
                lines, self._rest = [*lines, self._rest], ""
            for line in lines:
                self._means.tell(Printed(text=line.rstrip("\r"), stream="stdout"))
            done = at == self._read
            self._read = at
            if done or not ended:
                return


def builder(name: str, given: Inputs, env: Mapping[str, str], anka: Anka, redactor: Redactor) -> JenkinsJob:
    """The job that the options name; ``UsageError`` for an address or a sign-in that is none."""
    from anka_ci_jenkins.service.server import connect

    means = Means(
        env=env,
        redactor=redactor,
        clock=anka.clock,
        deadline=anka.deadline,
        cancelled=anka.cancelled,
        tell=anka.tell,
    )
    return JenkinsJob(connect(given.jenkins_url, means), name.strip("/"), means)
