"""The embedded server: one route table, its guards, and the thread it runs in.

Only this room and ``server.oci`` know aiohttp. A request with a foreign ``Origin``, ``Sec-Fetch-Site: cross-site`` or a
foreign ``Host`` gets 403 before routing, so that no web page can reach a server on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from anka_ci import __version__
from anka_ci.clock import Clock, SystemClock
from anka_ci.errors import AnkaCiError, RefusedError, UsageError
from anka_ci.server import launcher
from anka_ci.server.controller import ControllerCalls
from anka_ci.server.fleet import Fleet
from anka_ci.server.oci import Oci
from anka_ci.server.registry import RegistryCalls, parameters
from anka_ci.server.seed import seed
from anka_ci.server.state import State
from anka_ci.wire.envelope import emit_fail, emit_ok

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LARGEST_BODY = 4 << 20

Handler = Callable[..., Awaitable[web.StreamResponse]]


class Server:
    """The embedded registry on one data folder; use it as a context manager, or ``start`` and ``stop`` it.

    Listens on loopback. ``sample`` starts it with a template of about ``sample_bytes``; ``nodes`` is how many, or their
    names, and ``groups`` names some of them. ``legacy_fail_200`` answers failures with 200, as old releases did.
    """

    def __init__(
        self,
        data: Path,
        *,
        nodes: int | Sequence[str] = 0,
        groups: Mapping[str, Sequence[str]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        registry_port: int | None = None,
        run_guests: bool = False,
        sample: bool = False,
        sample_bytes: int = 256 << 20,
        legacy_fail_200: bool = False,
        allowed_hosts: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> None:
        if host not in LOOPBACK:
            raise UsageError(f"the server listens on loopback only, not on {host}", hint="leave the host out")
        self.data = data.absolute()
        self.registry_url = self.controller_url = self.anka = ""
        self.node_names = [f"node-{number + 1}" for number in range(nodes)] if isinstance(nodes, int) else list(nodes)
        self._groups = dict(groups or {})
        self._registry_port = registry_port
        self._run_guests = run_guests
        self._fleet: Fleet | None = None
        self._host, self._port = host, port
        self._sample_bytes = sample_bytes if sample else 0
        self._fail_status = 200 if legacy_fail_200 else 400
        self._allowed = {*LOOPBACK, *(name.lower() for name in allowed_hosts)}
        self._clock = clock or SystemClock()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="anka-ci-server", daemon=True)
        self._lock: IO[str] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it answers. ``UsageError`` for a data folder or a port that is taken."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = (self.data / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise UsageError(f"another server uses {self.data}", hint="stop it, or choose another --data") from None
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._lock.close()
            raise self._failure
        assert self._fleet is not None
        try:
            self._fleet.start(self.registry_url)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; running transfers are cut, which loses nothing."""
        if self._fleet is not None:
            self._fleet.stop()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if self._lock is not None:
            self._lock.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.ServerRunner(
            web.Server(self._answer, loop=self._loop, access_log=None, auto_decompress=False), shutdown_timeout=1.0
        )
        failing = self._port
        try:
            state = State(self.data, self._clock)
            if self._sample_bytes:
                seed(state, self._sample_bytes)
            launch = str(self.data / "bin" / "anka")
            fleet = Fleet(state, self.data / "nodes", self.node_names, self._groups, anka=launch, clock=self._clock)
            calls = ControllerCalls(state, fleet, __version__, lambda: self.registry_url)
            self._routes = routes(RegistryCalls(state, __version__), Oci(state), self._envelope)
            self._routes += [
                (methods, re.compile(pattern), self._envelope(call, null=False))
                for methods, pattern, call in calls.routes()
            ]
            self._loop.run_until_complete(runner.setup())
            for port in (self._port, self._registry_port):
                if port is not None:
                    failing = port
                    site = web.TCPSite(runner, self._host, port)
                    self._loop.run_until_complete(site.start())
        except OSError as error:
            self._failure = UsageError(f"port {failing} cannot be used: {error.strerror}", hint="choose another --port")
            self._ready.set()
            return
        except BaseException as error:
            self._failure = error
            self._ready.set()
            return
        assert runner.addresses
        self.controller_url, self.registry_url = (f"http://127.0.0.1:{runner.addresses[place][1]}" for place in (0, -1))
        self.anka = launcher.write(
            self.data,
            {
                "ANKA_HOME": str(self.data / "host"),
                "ANKA_REGISTRY": self.registry_url,
                "ANKA_STANDIN_GUESTS": "1" if self._run_guests else "",
            },
        )
        self._fleet = fleet
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(runner.cleanup())
            with contextlib.suppress(RuntimeError):
                self._loop.run_until_complete(self._loop.shutdown_default_executor())
            state.close()
            self._loop.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if (refusal := self._guard(request)) is not None:
            return web.Response(status=403, body=emit_fail(refusal), content_type="application/json")
        path = re.sub(r"/{2,}", "/", urlsplit(request.raw_path).path)
        for method, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match and request.method in method:
                return await handler(request, *(unquote(part) for part in match.groups()))
        return web.Response(status=404, text="404 page not found\n")

    def _guard(self, request: web.BaseRequest) -> str | None:
        """Why a request is refused before anything looks at it; None when it is not."""
        host = _hostname(request.headers.get("Host", ""))
        if host not in self._allowed:
            return f"the host {host!r} is not served here"
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"http://{request.headers.get('Host', '')}":
            return "a page of another origin may not call this server"
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return "a page of another site may not call this server"
        return None

    def _envelope(self, call: Callable[[dict[str, Any]], Any], null: bool = True) -> Handler:
        """A REST call as a handler: parameters in, envelope out, failures as FAIL."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            status = 200
            try:
                content = b""
                while block := await request.content.read(1 << 16):
                    content += block
                    if len(content) > LARGEST_BODY:
                        raise RefusedError("the body is too large")
                query = dict(parse_qsl(urlsplit(request.raw_path).query, keep_blank_values=True))
                body = call(parameters(query, content))
                found = emit_ok() if body is None and not null else emit_ok(body)
            except AnkaCiError as error:
                status, found = self._fail_status, emit_fail(error.message, None)
            headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
            return web.Response(status=status, body=found, headers=headers)

        return handle


def routes(
    calls: RegistryCalls, oci: Oci, envelope: Callable[[Callable[[dict[str, Any]], Any]], Handler]
) -> list[tuple[tuple[str, ...], re.Pattern[str], Handler]]:
    """The one route table: methods, a pattern over the raw path, and the handler."""

    async def alive(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="ok\n")

    read, repo, upload = ("GET", "HEAD"), r"/v2/([a-z0-9][a-z0-9._/-]*)", r"([0-9a-f-]+)"
    table: list[tuple[tuple[str, ...], str, Handler]] = [
        (("GET",), r"/livez|/readyz", alive),
        (("GET",), r"/registry/status", envelope(calls.status)),
        (("GET",), r"/registry/disk|/api/v1/registry/disk", envelope(calls.disk)),
        (("GET",), r"/registry/vm", envelope(calls.list_v1)),
        (("GET",), r"/registry/v2/vm|/api/v1/registry/vm", envelope(calls.list)),
        (("GET",), r"(?:/registry|/registry/v2|/api/v1/registry)/vm/info", envelope(calls.info)),
        (("DELETE",), r"/registry/vm|/api/v1/registry/vm", envelope(calls.delete)),
        (("DELETE",), r"/registry/revert|/api/v1/registry/revert", envelope(calls.revert)),
        (("PUT",), r"/registry/vm/arch", envelope(calls.arch)),
        (("GET",), r"/v2/?", oci.version),
        (("POST",), repo + r"/blobs/uploads/?", oci.begin),
        (("GET",), repo + r"/blobs/uploads/" + upload, oci.status),
        (("PATCH",), repo + r"/blobs/uploads/" + upload, oci.append),
        (("PUT",), repo + r"/blobs/uploads/" + upload, oci.finish),
        (("DELETE",), repo + r"/blobs/uploads/" + upload, oci.cancel),
        (read, repo + r"/blobs/([^/]+)", oci.blob),
        (read, repo + r"/manifests/([^/]+)", oci.manifest),
        (("PUT",), repo + r"/manifests/([^/]+)", oci.put_manifest),
        (("GET",), repo + r"/tags/list", oci.tags),
    ]
    return [(methods, re.compile(pattern), handler) for methods, pattern, handler in table]


def _hostname(header: str) -> str:
    match = re.fullmatch(r"\[([^\]]+)\](?::\d+)?|([^:]*)(?::\d+)?", header.lower())
    return (match.group(1) or match.group(2) or "") if match else ""
