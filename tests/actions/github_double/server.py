"""GitHub's REST API in small, over real HTTP on loopback: tokens with permissions, rate limits, faults, a log.

Stateful, and checked against GitHub's published description (``tests/integration/test_github_description.py``). Routes
are in the modules beside this one; a module declares its own with ``route``. Never a mock of our own code.
"""

from __future__ import annotations

import importlib
import json
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from actions.github_double.git import Repo

ALL = dict.fromkeys(
    ("contents", "workflows", "pull_requests", "actions", "statuses", "administration", "self_hosted_runners"), "write"
)
TOKEN = "github_pat_DOUBLE0123456789"


@dataclass
class Request:
    verb: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: Any
    parts: dict[str, str] = field(default_factory=dict)
    template: str = ""


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """Raised by a route: an answer that is none of success."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"message": message, "documentation_url": "https://docs.github.com/rest", **more})


@dataclass
class Token:
    """``permissions`` of a fine-grained token (``contents: write``), or the ``scopes`` of a classic one."""

    permissions: dict[str, str] = field(default_factory=lambda: dict(ALL))
    scopes: str | None = None
    kind: str = "personal access token"


@dataclass(frozen=True)
class Route:
    verb: str
    template: str
    pattern: re.Pattern[str]
    needs: str
    handler: Callable[[Double, Request], Answer]


ROUTES: list[Route] = []
Handler = Callable[["Double", Request], Answer]


def route(verb: str, template: str, needs: str = "") -> Callable[[Handler], Handler]:
    """Declare a route by the path of the published description; ``needs`` is what a token needs: ``contents=read``.

    A part that may hold slashes is written ``{+ref}`` here.
    """
    pattern = re.sub(r"\\\{\\\+(\w+)\\\}", r"(?P<\1>.+)", re.escape(template))
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)

    def add(handler: Handler) -> Handler:
        ROUTES.append(Route(verb, template.replace("{+", "{"), re.compile(pattern), needs, handler))
        return handler

    return add


class Double:
    """A running GitHub; ``url`` is the address of its API, which begins with ``prefix`` as an Enterprise Server's does.

    ``faults`` are asked before each request, in order; the first that answers is done. ``seen`` are the requests,
    ``told`` each with its answer.
    """

    def __init__(self, prefix: str = "", secure: ssl.SSLContext | None = None) -> None:
        for module in sorted(Path(__file__).parent.glob("*.py")):
            importlib.import_module(f"actions.github_double.{module.stem}")
        self.prefix = prefix
        self.tokens = {TOKEN: Token()}
        self.repos: dict[str, Repo] = {}
        self.renamed: dict[str, str] = {}
        self.faults: list[Callable[[Request], Answer | None]] = []
        self.seen: list[Request] = []
        self.told: list[tuple[Request, Answer]] = []
        self.run_details = True
        """Whether a dispatch tells its run; an older Enterprise Server refuses the question."""
        self.lists_runs_after = 0
        """So many listings do not show a new run yet."""
        self.actions_may_propose = True
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if secure is not None:
            self._server.socket = secure.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'' if secure is None else 's'}://127.0.0.1:{self._server.server_address[1]}{prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Double:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def env(self) -> dict[str, str]:
        """What a job of its own would have."""
        return {"GITHUB_API_URL": self.url, "ANKA_CI_GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": next(iter(self.repos))}

    def add(self, name: str, files: Mapping[str, str] | None = None) -> Repo:
        """A repository with one commit, or an empty one."""
        repo = self.repos[name] = Repo(name)
        if files is not None:
            repo.push(files, "the beginning")
        return repo

    def rename(self, before: str, after: str) -> None:
        self.repos[after] = self.repos.pop(before)
        self.repos[after].name = after
        self.renamed[before] = after

    def fail(self, status: int, *, on: str = "", times: int = 1, headers: Mapping[str, str] | None = None, **body: Any):
        """Have the next ``times`` requests whose ``VERB path`` holds ``on`` answered so."""
        left = [times]

        def fault(request: Request) -> Answer | None:
            if left[0] == 0 or on not in f"{request.verb} {request.path}":
                return None
            left[0] -= 1
            return Answer(status, body or {"message": "a fault"}, dict(headers or {}))

        self.faults.append(fault)

    def calls(self, verb: str = "") -> list[str]:
        """``VERB path`` of what was asked, below the repository."""
        found = [f"{each.verb} {re.sub('^/repos/[^/]+/[^/]+', '', each.path) or '/'}" for each in self.seen]
        return [each for each in found if each.startswith(verb)]

    def answer(self, request: Request) -> Answer:
        with self.lock:
            self.seen.append(request)
            try:
                found = self._answer(request)
            except RefusalError as refusal:
                found = refusal.answer
            self.told.append((request, found))
            return found

    def repo(self, request: Request) -> Repo:
        return self.repos[f"{request.parts['owner']}/{request.parts['repo']}"]

    def token(self, request: Request) -> Token:
        found = self.tokens.get(request.headers.get("Authorization", "").partition(" ")[2])
        if found is None:
            raise RefusalError(401, "Bad credentials")
        return found

    def _answer(self, request: Request) -> Answer:
        for fault in self.faults:
            if (answer := fault(request)) is not None:
                return answer
        token = self.token(request)
        for each in ROUTES:
            match = each.pattern.fullmatch(request.path) if each.verb == request.verb else None
            if match is None:
                continue
            request.parts = {key: unquote(value) for key, value in match.groupdict().items()}
            request.template = each.template
            if "repo" in request.parts:
                name = f"{request.parts['owner']}/{request.parts['repo']}"
                if name in self.renamed:
                    there = request.path.replace(f"/repos/{name}", f"/repos/{self.renamed[name]}", 1)
                    return Answer(
                        301 if request.verb == "GET" else 307,
                        {"message": "Moved Permanently"},
                        {"Location": self.url + there},
                    )
                if name not in self.repos:
                    raise RefusalError(404, "Not Found")
            self._permit(token, each.needs)
            return each.handler(self, request)
        raise RefusalError(404, "Not Found")

    def _permit(self, token: Token, needs: str) -> None:
        if token.scopes is not None or not needs:
            return
        for each in needs.split(","):
            name, _, level = each.partition("=")
            has = token.permissions.get(name, "")
            if has != "write" and has != level:
                refusal = RefusalError(403, f"Resource not accessible by {token.kind}")
                refusal.answer.headers["X-Accepted-GitHub-Permissions"] = needs
                raise refusal


def _handler(double: Double) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet

        def _do(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            text = self.rfile.read(length)
            request = Request(
                self.command,
                parts.path.removeprefix(double.prefix),
                dict(parse_qsl(parts.query)),
                self.headers,
                json.loads(text) if text else None,
            )
            answer = double.answer(request) if parts.path.startswith(double.prefix) else Answer(404, "no API here")
            if answer.status == 0:  # a fault: the line goes dead
                self.close_connection = True
                return
            raw = b"" if answer.body is None else json.dumps(answer.body).encode()
            if isinstance(answer.body, str):
                raw = answer.body.encode()
            self.send_response_only(answer.status)
            kind = "text/html" if isinstance(answer.body, str) else "application/json; charset=utf-8"
            for name, value in {"Content-Type": kind, "X-GitHub-Request-Id": "D0B1:1", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _do  # noqa: N815

        def log_message(self, *words: object) -> None:
            """Nothing is printed."""

    return Handler
