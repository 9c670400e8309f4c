"""One Jenkins server: signing in, reads that are tried again, and the calls that jobs and builds need.

The only module that imports python-jenkins. It knows no verdict and no mark. Times are of the clock that is handed in,
and nothing waits past the deadline. Source of the calls: https://www.jenkins.io/doc/book/using/remote-access-api/.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import jenkins
from anka_ci import document
from anka_ci.adapter.system import Means
from anka_ci.clock import Cancelled, Deadline
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, UnreachableError, UsageError
from anka_ci.secret import Secret
from anka_ci_jenkins.service.failures import PASSING, failure, status

T = TypeVar("T")
URL, USER, TOKEN = "ANKA_CI_JENKINS_URL", "ANKA_CI_JENKINS_USER", "ANKA_CI_JENKINS_TOKEN"
TIMEOUT = 30
"""Seconds for one connect or read."""
TRIES = 4
DEPTH = 4
"""Levels of folders that one listing tells; a deeper folder is listed by itself."""
HOLDERS = ("com.cloudbees.hudson.plugins.folder.Folder",)
"""Items whose ``jobs`` are jobs; those of a multibranch project are its branches."""
_Request: Any = vars(jenkins)["requests"].Request
"""What python-jenkins is asked with where it has no call of its own; its ``requests`` is no business of ours."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Item:
    """A job or folder of the listing: its full name, class and description."""

    name: str
    kind: str
    description: str


class _Client(jenkins.Jenkins):
    """python-jenkins, which guesses the encoding of XML that names none: Jenkins writes UTF-8."""

    def jenkins_request(self, *words: Any, **more: Any) -> Any:
        response = super().jenkins_request(*words, **more)
        if "charset" not in response.headers.get("Content-Type", ""):
            response.encoding = "utf-8"
        return response


class Server:
    """Calls to one Jenkins. A read is tried again on no answer, 429 and 5xx; a write is not: callers look after that.

    Every call may raise ``NotAuthorisedError`` (401, 403), ``NotFoundError`` (404), ``RefusedError`` (another 4xx),
    ``UnreachableError`` (the rest), and ``InterruptError`` or ``FellShortError`` before it begins.
    """

    def __init__(self, url: str, user: str | None, token: Secret | None, means: Means) -> None:
        self.url, self._means = url, means
        self.cancelled = means.cancelled
        self._tries = TRIES
        self._client = _Client(url, user, token.reveal() if token else None, timeout=TIMEOUT, retries=0)

    def listing(self) -> list[Item]:
        """Every job and folder, in one request (and one for each folder more than ``DEPTH`` levels down)."""
        return self._below("")

    def _below(self, folder: str) -> list[Item]:
        tree = "name"
        for _ in range(DEPTH):
            tree = f"name,description,jobs[{tree}]"
        path = _path(folder) if folder else ""
        found = self._read(f"list the jobs of {self.url}", "Overall/Read", lambda: self._json(path, f"jobs[{tree}]"))
        return self._items(found, folder, DEPTH)

    def _items(self, found: Mapping[str, Any], folder: str, depth: int) -> list[Item]:
        items: list[Item] = []
        for each in found.get("jobs") or ():
            name = f"{folder}/{each['name']}" if folder else str(each["name"])
            kind = str(each.get("_class", ""))
            items.append(Item(name=name, kind=kind, description=str(each.get("description") or "")))
            if kind not in HOLDERS or not each.get("jobs"):
                continue
            items += self._items(each, name, depth - 1) if depth > 1 else self._below(name)
        return items

    def _json(self, path: str, tree: str) -> Mapping[str, Any]:
        found = self._client.get_info(path, query=f"?tree={quote(tree, safe='[],')}")
        if not isinstance(found, dict):
            raise UnreachableError(f"{self.url} answers something that is not Jenkins", hint="correct the address")
        return found

    def config(self, name: str) -> str | None:
        """A job's ``config.xml``; None when there is no such job."""
        try:
            text = self._read(
                f"read the job {name}", "Job/ExtendedRead", lambda: self._client.get_job_config(name), job=name
            )
        except NotFoundError:
            return None
        if not text.lstrip("\ufeff \r\n").startswith("<") or re.match(r"\s*<(!doctype )?html\b", text, re.IGNORECASE):
            raise UnreachableError(f"{self.url} answers something that is not Jenkins", hint="correct the address")
        return str(text)

    def create(self, name: str, xml: str) -> None:
        """Make a job. ``RefusedError`` when one of the name is there, ``NotFoundError`` without its folder."""
        folder = name.rpartition("/")[0]
        try:
            self._write(f"make the job {name}", "Job/Create", lambda: self._client.create_job(name, xml), name)
        except NotFoundError:
            hint = "make it in Jenkins, or let it be made: `jenkins: {folders: true}`"
            raise NotFoundError("folder", folder, where=self.url, hint=hint) from None

    def create_nothing(self) -> None:
        """Ask for a job without a name, which is refused (``RefusedError``) where the user may make jobs."""
        request = _Request("POST", f"{self.url}/createItem", headers=jenkins.DEFAULT_HEADERS)
        self._write("make a job", "Job/Create", lambda: self._client.jenkins_open(request), "")

    def replace(self, name: str, xml: str) -> None:
        """Give a job another configuration."""
        self._write(f"change the job {name}", "Job/Configure", lambda: self._client.reconfig_job(name, xml), name)

    def remove(self, name: str) -> None:
        """Delete a job with its builds, or a folder with all that is in it."""
        self._write(f"remove the job {name}", "Job/Delete", lambda: self._client.delete_job(name), name)

    def plugins(self) -> dict[str, str]:
        """The versions of the active plugins by their short names."""
        found = self._read("list the plugins", "Overall/SystemRead", lambda: self._client.get_plugins().values())
        return {str(each["shortName"]): str(each["version"]) for each in found if each["active"]}

    def start(self, name: str, parameters: Mapping[str, str]) -> int:
        """Start a build; the number of its item in the queue. Without parameters a job has its own defaults."""
        given = dict(parameters) or ({"delay": "0sec"} if self._asks(name) else None)
        return int(self._write(f"start the job {name}", "Job/Build", lambda: self._client.build_job(name, given), name))

    def _asks(self, name: str) -> bool:
        tree = "property[parameterDefinitions[name]]"
        found = self._read(f"look at the job {name}", "Job/Read", lambda: self._json(_path(name), tree), job=name)
        return any(each.get("parameterDefinitions") for each in found.get("property") or () if each)

    def queued(self, number: int) -> Mapping[str, Any]:
        """An item of the queue: ``why`` it waits, the ``executable`` that it became, or ``cancelled``."""
        return self._read("look at the queue", "Job/Read", lambda: self._client.get_queue_item(number))

    def build(self, name: str, number: int) -> Mapping[str, Any]:
        """A build: ``building`` and ``result``."""
        return self._read(
            f"look at {name} #{number}", "Job/Read", lambda: self._client.get_build_info(name, number), job=name
        )

    def log(self, name: str, number: int, start: int) -> tuple[str, int, bool]:
        """What a build has printed since byte ``start``, where that ends, and whether more will come."""

        def ask() -> tuple[str, int, bool]:
            url = f"{self.url}/{quote(_path(name))}/{number}/logText/progressiveText?start={start}"
            response = self._client.jenkins_request(_Request("GET", url))
            at = int(response.headers.get("X-Text-Size", start))
            return response.text, at, response.headers.get("X-More-Data") == "true"

        return self._read(f"read the log of {name} #{number}", "Job/Read", ask, job=name)

    def address(self, name: str) -> str:
        """The page of a job, for people; ends with a slash."""
        return f"{self.url}/{quote(_path(name))}/"

    def afterwards(self, seconds: float) -> Server:
        """The same server for what is left to do after an interruption, with a limit of its own."""
        clock = self._means.clock
        means = replace(self._means, cancelled=Cancelled(), deadline=Deadline(clock, seconds))
        found = Server(self.url, None, None, means)
        found._client = self._client
        found._tries = 1
        found._client.timeout = seconds  # type: ignore[assignment] # requests takes parts of a second too
        return found

    def stop(self, name: str, number: int) -> None:
        """Abort a build."""
        self._write(f"stop {name} #{number}", "Job/Cancel", lambda: self._client.stop_build(name, number), name)

    def unqueue(self, number: int) -> None:
        """Take an item out of the queue."""
        self._write("take it out of the queue", "Job/Cancel", lambda: self._client.cancel_queue(number), "")

    def _read(self, tried: str, permission: str, call: Callable[[], T], *, job: str = "") -> T:
        """A read, tried again after what passes."""
        for attempt in range(1, self._tries + 1):
            try:
                return self._once(tried, permission, call, job)
            except UnreachableError as error:
                code = status(error)
                if attempt == self._tries or (code is not None and code not in PASSING):
                    raise
                _log.debug("%s: try %d failed: %s", tried, attempt, error.message)
                self._means.clock.sleep(0.5 * 2**attempt, self._means.cancelled)
        raise AssertionError("the last try returns or raises")

    def _write(self, tried: str, permission: str, call: Callable[[], T], job: str) -> T:
        """A write, once; again only when its crumb was an old one, which nothing was done with."""
        try:
            return self._once(tried, permission, call, job)
        except NotAuthorisedError as error:
            if "crumb" not in error.message:
                raise
        self._client.crumb = None
        return self._once(tried, permission, call, job)

    def _once(self, tried: str, permission: str, call: Callable[[], T], job: str) -> T:
        self._means.cancelled.check(tried)
        self._means.deadline.check(tried)
        try:
            return call()
        except AnkaCiError:
            raise
        except (jenkins.JenkinsException, OSError, json.JSONDecodeError) as error:  # failures of requests are OSErrors
            raise failure(error, tried, self.url, permission, job=job) from error


def connect(url: str | None, means: Means) -> Server:
    """The server that the options or the environment name; ``UsageError`` without an address, or half a sign-in."""
    env = means.env
    address = url or env.get(URL)
    if not address:
        raise UsageError("where Jenkins is is not known", hint=f"give --jenkins-url, or set {URL}")
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", address):
        hint = f"such as https://jenkins.example/ci; who signs in is in {USER} and {TOKEN}"
        raise UsageError("the address of Jenkins is none, or holds a user", hint=hint)
    user, token = env.get(USER), _token(env)
    if bool(user) != bool(token):
        raise UsageError(f"{USER if user else TOKEN} is set, and {TOKEN if user else USER} is not", hint="set both")
    secret = Secret(token) if token else None
    if secret is not None:
        means.redactor.add(secret)
    return Server(address.rstrip("/"), user or None, secret, means)


def _token(env: Mapping[str, str]) -> str | None:
    """The token of the environment, or of the file that it names; ``UsageError`` for both, or a file that is none."""
    file = env.get(f"{TOKEN}_FILE")
    if not file:
        return env.get(TOKEN)
    if env.get(TOKEN):
        raise UsageError(f"{TOKEN} and {TOKEN}_FILE are both set", hint="leave one of them out")
    return document.text(Path(file)).strip() or None


def _path(name: str) -> str:
    """The path of a job below the server."""
    return "job/" + "/job/".join(name.split("/"))
