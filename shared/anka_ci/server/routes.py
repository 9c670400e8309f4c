"""The one route table, over the raw path, and the guards before it.

A request with a foreign ``Origin``, ``Sec-Fetch-Site: cross-site`` or a foreign ``Host`` gets 403 before anything looks
at it, so that no web page can reach a server on loopback. As with Anka, the controller's calls and the registry's may
have a port each; then neither port answers the calls of the other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web

from anka_ci.errors import AnkaCiError, RefusedError
from anka_ci.server.auth import Gate
from anka_ci.server.call import Call
from anka_ci.server.controller import ControllerCalls
from anka_ci.server.faults import Faults
from anka_ci.server.oci import Handler, Oci, Routes, aside
from anka_ci.server.registry import RegistryCalls, Told, parameters
from anka_ci.server.uploads import Uploads
from anka_ci.server.upset import suffer
from anka_ci.wire.envelope import emit_fail, emit_ok

LARGEST_BODY = 4 << 20
Calls = list[tuple[tuple[str, ...], str, Callable[[dict[str, Any]], Any]]]


def controller(calls: ControllerCalls, registry: RegistryCalls, fail_status: int) -> Routes:
    """What the controller answers: its own calls, and its view of the registry."""
    seen: Calls = [
        (("GET",), r"/api/v1/registry/disk", registry.disk),
        (("GET",), r"/api/v1/registry/vm", registry.list),
        (("GET",), r"/api/v1/registry/vm/info", registry.info),
        (("DELETE",), r"/api/v1/registry/vm", registry.delete),
    ]
    # The controller hands on the registry's reply to a revert, its null body included.
    handed_on: Calls = [(("DELETE",), r"/api/v1/registry/revert", registry.revert)]
    return [
        *_enveloped([*calls.routes(), *seen], fail_status, null=False),
        *_enveloped(handed_on, fail_status, null=True),
        (("GET", "HEAD"), r"/livez|/readyz", _alive),
    ]


def registry(calls: RegistryCalls, oci: Oci, uploads: Uploads, fail_status: int) -> Routes:
    """What the registry answers: its REST calls and the data plane."""
    rest: Calls = [
        (("GET",), r"/registry/status", calls.status),
        (("GET",), r"/registry/disk", calls.disk),
        (("GET",), r"/registry/vm", calls.list_v1),
        (("GET",), r"/registry/v2/vm", calls.list),
        (("GET",), r"(?:/registry|/registry/v2)/vm/info", calls.info),
        (("DELETE",), r"/registry/vm", calls.delete),
        (("DELETE",), r"/registry/revert", calls.revert),
        (("PUT",), r"/registry/vm/arch", calls.arch),
    ]
    return [
        *_enveloped(rest, fail_status, null=True),
        *uploads.routes(),
        *oci.routes(),
        (("GET", "HEAD"), r"/livez|/readyz", _alive),
    ]


class Front:
    """Answers the requests of one port: guards first, then who is let in, then the table.

    ``allowed`` are the host names served; without a ``gate`` everyone is let in, and no ``Authorization`` is looked at.
    ``faults`` happen to those who were let in.
    """

    def __init__(
        self, routes: Routes, allowed: Collection[str], gate: Gate | None = None, faults: Faults | None = None
    ) -> None:
        self._faults = faults
        self._gate = gate
        self._routes = [(methods, re.compile(pattern), handler) for methods, pattern, handler in routes]
        self._allowed = allowed

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; an error that nobody foresaw is logged and gets 500."""
        if (refusal := self._guard(request)) is not None:
            return web.Response(status=403, body=emit_fail(refusal), content_type="application/json")
        path = re.sub(r"/{2,}", "/", _split(request)[0])
        if self._gate is not None:
            refused = self._gate.refusal(path, request.headers.getall("Authorization", []))
            if refused is not None:
                return web.Response(
                    status=401, body=refused.body, content_type="application/json", headers=refused.headers
                )
        if self._faults is not None and (fault := self._faults.meet(request.method, path)) is not None:
            return await suffer(fault, request, lambda: self._route(request, path))
        return await self._route(request, path)

    async def _route(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        offered: set[str] = set()
        for methods, pattern, handler in self._routes:
            if match := pattern.fullmatch(path):
                if request.method in methods:
                    return await self._handle(request, handler, *(unquote(part) for part in match.groups()))
                offered |= {*methods}
        if offered:
            return web.Response(
                status=405, text="405 method not allowed\n", headers={"Allow": ", ".join(sorted(offered))}
            )
        return web.Response(status=404, text="404 page not found\n")

    async def _handle(self, request: web.BaseRequest, handler: Handler, *parts: str) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            # Otherwise curl waits for a second before it sends what is larger than a megabyte.
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            return await handler(request, *parts)
        except ConnectionError:  # the caller is gone, and hears of nothing any more
            return web.Response(status=400)
        except Exception:
            logging.getLogger(__name__).exception("%s %s failed", request.method, request.rel_url.path)
            body = emit_fail("the server failed; its log says more")
            return web.Response(status=500, body=body, content_type="application/json")

    def _guard(self, request: web.BaseRequest) -> str | None:
        """Why a request is refused before anything looks at it; None when it is not."""
        hosts = request.headers.getall("Host", [])
        host = _hostname(hosts[0]) if len(hosts) == 1 else ""
        if host not in self._allowed:
            return f"the host {host!r} is not served here"
        origins = request.headers.getall("Origin", [])
        if any(origin.lower() != f"http://{hosts[0]}".lower() for origin in origins):
            return "a page of another origin may not call this server"
        if "cross-site" in (site.strip().lower() for site in request.headers.getall("Sec-Fetch-Site", [])):
            return "a page of another site may not call this server"
        return None


def _enveloped(calls: Calls, fail_status: int, *, null: bool) -> Routes:
    """REST calls as handlers: parameters in, envelope out, failures as FAIL. ``null``: whether no body is a null."""

    def handler(call: Callable[[dict[str, Any]], Any]) -> Handler:
        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            status = 200
            try:
                content = bytearray()
                while block := await request.content.readany():
                    content += block
                    if len(content) > LARGEST_BODY:
                        raise RefusedError("the body is too large")
                query = parse_qsl(_split(request)[1], keep_blank_values=True)
                body = await aside(call, parameters(query, bytes(content)))
                message, body = (body.message, None) if isinstance(body, Told) else ("", body)
                found = emit_ok(message=message) if body is None and not null else emit_ok(body, message)
            except AnkaCiError as error:
                status, found = fail_status, emit_fail(error.message, None) if null else emit_fail(error.message)
            headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
            return web.Response(status=status, body=found, headers=headers)

        return handle

    return [(methods, path, handler(call)) for methods, path, call in calls]


def _split(request: web.BaseRequest) -> tuple[str, str]:
    """Path and query as they were sent; ``//api/v1`` is a path, whatever a URL library thinks of it."""
    path, _, query = request.raw_path.partition("?")
    return path if path.startswith("/") else urlsplit(path).path, query


async def _alive(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="ok\n")


def _hostname(header: str) -> str:
    match = re.fullmatch(r"\[([^\]]+)\](?::\d+)?|([^:]*)(?::\d+)?", header.lower())
    return (match.group(1) or match.group(2) or "") if match else ""


def bound(part: object, rows: Iterable[Call], fail_status: int) -> Routes:
    """The rows of ``server.call`` as routes, each answered by a method of ``part``."""

    def handler(call: Call) -> Callable[[dict[str, Any]], Any]:
        return lambda given: call.handler(part, call.bind(given))

    calls: Calls = [((call.method,), call.path, handler(call)) for call in rows]
    return _enveloped(calls, fail_status, null=False)
