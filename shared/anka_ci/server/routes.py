"""The routes, over the raw path, and the guards before them: the rows of ``server.table`` and the data plane.

A request with a foreign ``Origin``, ``Sec-Fetch-Site: cross-site`` or a foreign ``Host`` gets 403 before anything looks
at it, so that no web page can reach a server on loopback. As with Anka, the controller's calls and the registry's may
have a port each; then neither port answers the calls of the other.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

from aiohttp import web
from aiohttp.http import HttpProcessingError

from anka_ci.errors import AnkaCiError, NotAuthorisedError, RefusedError
from anka_ci.server import table
from anka_ci.server.auth import REQUIRED, Gate
from anka_ci.server.call import Call, Told, parameters
from anka_ci.server.faults import Faults
from anka_ci.server.issuer import Issuer, Reply
from anka_ci.server.oci import Handler, Oci, Routes, aside
from anka_ci.server.uploads import Uploads
from anka_ci.server.upset import suffer
from anka_ci.wire.envelope import emit_fail, emit_ok

LARGEST_BODY = 4 << 20


def controller(parts: Iterable[object], fail_status: int) -> Routes:
    """What the controller answers: its own calls, and its view of the registry. ``parts`` are the objects that do."""
    return _answering(table.CONTROLLER, parts, fail_status)


def registry(parts: Iterable[object], oci: Oci, uploads: Uploads, fail_status: int) -> Routes:
    """What the registry answers: its REST calls and the data plane."""
    return [*_answering(table.REGISTRY, parts, fail_status), *uploads.routes(), *oci.routes()]


class Front:
    """Answers the requests of one port: guards first, then who is let in, then the table.

    ``allowed`` are the host names served; without a ``gate`` everyone is let in, and no ``Authorization`` is looked at.
    ``faults`` happen to those who were let in. ``secure``: the port speaks TLS.
    """

    def __init__(
        self,
        routes: Routes,
        allowed: Collection[str],
        gate: Gate | None = None,
        faults: Faults | None = None,
        *,
        secure: bool = False,
    ) -> None:
        self._scheme = "https" if secure else "http"
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
            refused = self._gate.refusal(path, request.headers.getall("Authorization", []), _peer(request))
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
        if any(origin.lower() != f"{self._scheme}://{hosts[0]}".lower() for origin in origins):
            return "a page of another origin may not call this server"
        if "cross-site" in (site.strip().lower() for site in request.headers.getall("Sec-Fetch-Site", [])):
            return "a page of another site may not call this server"
        return None


def openid(issuer: Issuer) -> Routes:
    """The small OpenID provider, which speaks no envelope and reads forms. Nothing without one."""

    async def discovery(request: web.BaseRequest) -> web.StreamResponse:
        return _bare(issuer.discovery())

    async def token(request: web.BaseRequest) -> web.StreamResponse:
        try:
            content = await _body(request)
        except RefusedError:
            return _bare((400, {"error": "invalid_request"}))
        return _bare(issuer.token(content, request.headers.get("Authorization", "")))

    if not issuer.enabled:
        return []
    return [
        (("GET",), re.escape("/oidc/.well-known/openid-configuration"), discovery),
        (("POST",), "/oidc/token", token),
    ]


def _bare(reply: Reply) -> web.Response:
    status, found = reply
    return web.Response(
        status=status,
        body=json.dumps(found).encode(),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def connections_log() -> logging.Logger:
    """Where aiohttp says what befell a connection; what was wrong with a request is not told: it may be a secret."""
    found = logging.getLogger(f"{__name__}.connections")
    found.addFilter(_discreet)
    return found


def _discreet(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info, record.levelno, record.levelname = None, logging.DEBUG, "DEBUG"
    return True


def _answering(rows: table.Table, parts: Iterable[object], fail_status: int) -> Routes:
    """The calls of a table as routes, each answered by the part of its class."""
    by_class = {type(part): part for part in parts}
    found: Routes = []
    for answerer, calls in rows.items():
        for call in calls:
            methods = ("GET", "HEAD") if call.bare and call.method == "GET" else (call.method,)
            handler = _handler(call, by_class[answerer], fail_status)
            found += [(methods, re.escape(path), handler) for path in call.paths]
    return found


def _handler(call: Call, part: object, fail_status: int) -> Handler:
    """A call as a handler: parameters in, envelope out, failures as FAIL."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Cache-Control": "no-store", "Content-Type": "application/json"}
        try:
            given = parameters(parse_qsl(_split(request)[1], keep_blank_values=True), await _body(request))
            body = await aside(call.handler, part, call.bind(given))
        except NotAuthorisedError:
            return web.Response(status=401, body=emit_fail(REQUIRED), headers=headers)
        except AnkaCiError as error:
            found = emit_fail(error.message, None) if call.null else emit_fail(error.message)
            return web.Response(status=fail_status, body=found, headers=headers)
        if call.bare and isinstance(body, str):
            return web.Response(text=body, headers={"Cache-Control": "no-store"})
        if call.bare:
            return web.Response(body=json.dumps(body, separators=(",", ":")).encode() + b"\n", headers=headers)
        message, body = (body.message, None) if isinstance(body, Told) else ("", body)
        found = emit_ok(message=message) if body is None and not call.null else emit_ok(body, message)
        return web.Response(body=found, headers=headers)

    return handle


async def _body(request: web.BaseRequest) -> bytes:
    """The body; ``RefusedError`` when it is too large to be a call's."""
    content = bytearray()
    while block := await request.content.readany():
        content += block
        if len(content) > LARGEST_BODY:
            raise RefusedError(f"the body is larger than {LARGEST_BODY} bytes")
    return bytes(content)


def _split(request: web.BaseRequest) -> tuple[str, str]:
    """Path and query as they were sent; ``//api/v1`` is a path, whatever a URL library thinks of it."""
    path, _, query = request.raw_path.partition("?")
    return path if path.startswith("/") else urlsplit(path).path, query


def _peer(request: web.BaseRequest) -> Mapping[str, object] | None:
    """The caller's certificate, which TLS has verified; None without one."""
    found = request.transport.get_extra_info("peercert") if request.transport is not None else None
    return found or None


def _hostname(header: str) -> str:
    match = re.fullmatch(r"\[([^\]]+)\](?::\d+)?|([^:]*)(?::\d+)?", header.lower())
    return (match.group(1) or match.group(2) or "") if match else ""
