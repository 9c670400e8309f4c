"""The runners of the double: registered just in time, online while their agent holds its connection, gone after a job.

What is here of GitHub's own is https://docs.github.com/en/rest/actions/self-hosted-runners; how an agent is told its
job is ours, and no more than a line on a socket.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import socketserver
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from actions.github_double.server import Answer, Double, RefusalError, Request, route

AGENT = """\
import base64, json, os, socket
kept = json.loads(base64.b64decode(os.environ["ACTIONS_RUNNER_INPUT_JITCONFIG"]))
told = json.loads(base64.b64decode(kept[".runner"]))
with socket.create_connection((told["host"], told["port"])) as line:
    line.sendall(told["secret"].encode() + b"\\n")
    print("Listening for Jobs", flush=True)
    while line.recv(100):
        pass
print("gone")
"""


def run_sh() -> str:
    """The ``run.sh`` of an agent that signs in with its configuration and stays until its job is over."""
    return f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(AGENT)}\n"


def setup(folder: str = "actions-runner") -> str:
    """A script that brings the agent into a guest."""
    return f"mkdir -p {folder} && cat >{folder}/run.sh <<'END'\n{run_sh()}END\nchmod +x {folder}/run.sh\n"


@dataclass
class Held:
    """One runner: ``secret`` is what its agent signs in with, ``line`` its connection while it is online."""

    id: int
    name: str
    labels: list[str]
    group: int
    secret: str = field(default_factory=lambda: uuid4().hex * 20)
    busy: bool = False
    line: Any = None

    def emit(self) -> dict[str, object]:
        return {
            "id": self.id,
            "name": self.name,
            "os": "macos" if self.line else "unknown",
            "status": "online" if self.line else "offline",
            "busy": self.busy,
            "ephemeral": True,
            "runner_group_id": self.group,
            "labels": [{"id": number, "name": name, "type": "custom"} for number, name in enumerate(self.labels, 1)],
        }


class Runners:
    """The runners of every scope (``repos/OWNER/NAME``, ``orgs/ORG``), and the place where agents connect."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._next = 1
        self.held: dict[str, dict[int, Held]] = {}
        self.groups = {1: "Default", 7: "macs"}
        self.changed = threading.Condition(self._lock)
        outer = self

        class Line(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer._connected(self.rfile.readline().decode().strip(), self.request)

        self._agents = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line)
        self._agents.daemon_threads = True
        threading.Thread(target=self._agents.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Let no agent in any more; those that are there lose their connection."""
        self._agents.shutdown()
        self._agents.server_close()
        for each in self.all():
            self._hang_up(each)

    def all(self) -> list[Held]:
        with self._lock:
            return [each for scope in self.held.values() for each in scope.values()]

    def named(self, name: str) -> Held:
        return next(each for each in self.all() if each.name == name)

    def begin_job(self, name: str) -> None:
        """Give a runner a job."""
        self.named(name).busy = True

    def end_job(self, name: str) -> None:
        """A runner's job is over: the runner is removed, and its agent is told to go."""
        with self._lock:
            held = self.named(name)
            for scope in self.held.values():
                scope.pop(held.id, None)
            self._hang_up(held)

    def connect(self, name: str) -> None:
        """Let a runner be online without an agent."""
        self.named(name).line = True

    def put(self, scope: str, name: str, *, online: bool = False, busy: bool = False) -> Held:
        """A runner that somebody else made."""
        with self._lock:
            found = Held(self._next, name, ["self-hosted"], 1, busy=busy, line=online or None)
            self.held.setdefault(scope.lower(), {})[found.id] = found
            self._next += 1
            return found

    def register(self, scope: str, body: Any) -> dict[str, object]:
        """A runner and its configuration, as ``generate-jitconfig`` answers it."""
        held = self.held.setdefault(scope, {})
        missing = [key for key in ("name", "runner_group_id", "labels") if key not in body]
        if missing:
            raise RefusalError(422, f"Invalid request.\n\nobject is missing required key: {missing[0]}")
        labels = body["labels"]
        if not isinstance(labels, list) or not 1 <= len(labels) <= 100 or len(body["name"]) > 64:
            raise RefusalError(422, "Invalid request.")
        if body["runner_group_id"] not in self.groups:
            raise RefusalError(404, "Not Found")
        if any(each.name == body["name"] for each in held.values()):
            raise RefusalError(409, "Already exists - A runner with the name already exists.")
        found = Held(self._next, body["name"], labels, body["runner_group_id"])
        self._next += 1
        held[found.id] = found
        host, port = self._agents.server_address[:2]
        told = json.dumps({"host": host, "port": port, "secret": found.secret})
        config = json.dumps({".runner": base64.b64encode(told.encode()).decode()})
        return {"runner": found.emit(), "encoded_jit_config": base64.b64encode(config.encode()).decode()}

    def one(self, scope: str, number: str) -> Held:
        found = self.held.get(scope, {}).get(int(number))
        if found is None:
            raise RefusalError(404, "Not Found")
        return found

    def remove(self, scope: str, number: str) -> None:
        found = self.one(scope, number)
        if found.busy:
            raise RefusalError(422, f'Bad request - Runner "{found.name}" is still running a job"')
        del self.held[scope][found.id]
        self._hang_up(found)

    def _connected(self, secret: str, line: Any) -> None:
        """One agent's connection, for as long as it lasts; one connection per configuration."""
        with self._lock:
            found = next((each for each in self.all() if each.secret == secret and each.line is None), None)
            if found is None:
                return
            found.line = line
            self.changed.notify_all()
        with contextlib.suppress(OSError):
            while line.recv(100):
                pass
        with self._lock:
            found.line = None
            self.changed.notify_all()

    @staticmethod
    def _hang_up(held: Held) -> None:
        with contextlib.suppress(OSError, AttributeError):
            held.line.shutdown(2)


def of(double: Double) -> Runners:
    """The runners of a double."""
    found: Runners = vars(double).setdefault("runners", None) or Runners()
    vars(double)["runners"] = found
    return found


def _scope(request: Request) -> str:
    parts = request.parts
    return f"orgs/{parts['org']}".lower() if "org" in parts else f"repos/{parts['owner']}/{parts['repo']}".lower()


def _page(key: str, rows: list[dict[str, object]], query: Mapping[str, str]) -> Answer:
    size, page = int(query.get("per_page", 30)), int(query.get("page", 1))
    return Answer(200, {"total_count": len(rows), key: rows[size * (page - 1) : size * page]})


def _list(double: Double, request: Request) -> Answer:
    held = of(double).held.get(_scope(request), {}).values()
    name = request.query.get("name")
    return _page("runners", [each.emit() for each in held if name in (None, each.name)], request.query)


def _register(double: Double, request: Request) -> Answer:
    return Answer(201, of(double).register(_scope(request), request.body))


def _get(double: Double, request: Request) -> Answer:
    return Answer(200, of(double).one(_scope(request), request.parts["runner_id"]).emit())


def _remove(double: Double, request: Request) -> Answer:
    of(double).remove(_scope(request), request.parts["runner_id"])
    return Answer(204)


@route("GET", "/orgs/{org}/actions/runner-groups", "self_hosted_runners=read")
def _groups(double: Double, request: Request) -> Answer:
    url = f"{double.url}/orgs/{request.parts['org']}/actions/runner-groups"
    rows: list[dict[str, object]] = [
        {
            "id": number, "name": name, "default": number == 1, "visibility": "all", "inherited": False,
            "runners_url": f"{url}/{number}/runners", "allows_public_repositories": True,
        }
        for number, name in of(double).groups.items()
    ]  # fmt: skip
    return _page("runner_groups", rows, request.query)


for _below, _needs in (
    ("/repos/{owner}/{repo}/actions/runners", "administration"),
    ("/orgs/{org}/actions/runners", "self_hosted_runners"),
):
    route("GET", _below, f"{_needs}=read")(_list)
    route("POST", f"{_below}/generate-jitconfig", f"{_needs}=write")(_register)
    route("GET", f"{_below}/{{runner_id}}", f"{_needs}=read")(_get)
    route("DELETE", f"{_below}/{{runner_id}}", f"{_needs}=write")(_remove)
