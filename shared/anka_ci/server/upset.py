"""What a fault does to a request and its connection. Which fault, and when, is ``server.faults``."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from anka_ci.server.faults import HttpFault
from anka_ci.wire.envelope import emit_fail, emit_ok

LOOK = 0.02
"""Seconds between two looks whether a caller who is kept waiting is still there."""


async def suffer(
    fault: HttpFault, request: web.BaseRequest, answer: Callable[[], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a request to which ``fault`` happens; ``answer`` is what would be answered otherwise."""
    if fault.does == "absent":
        return web.Response(status=404, text="404 page not found\n")
    if fault.does == "answer":
        return _failure(fault)
    if fault.does == "drop":
        return _gone(request)
    if fault.does == "stall":
        await _stall(request, fault.for_)
        return await answer()
    found = await answer()
    if fault.does == "null" and not found.prepared:
        return web.Response(body=emit_ok(None), content_type="application/json")
    if fault.does == "cut" and isinstance(found, web.Response) and isinstance(found.body, bytes) and request.transport:
        head = f"HTTP/1.1 {found.status} {found.reason}\r\nContent-Type: {found.content_type}\r\n"
        head += f"Content-Length: {len(found.body)}\r\n\r\n"
        request.transport.write(head.encode() + found.body[: len(found.body) // 2])
        request.transport.close()  # after what was written has gone
        return web.Response()
    return _gone(request)


def _failure(fault: HttpFault) -> web.Response:
    status = fault.status or 500
    phrase = HTTPStatus(status).phrase if status in {*HTTPStatus} else "Failure"
    headers = {} if fault.retry_after is None else {"Retry-After": str(math.ceil(fault.retry_after))}
    if fault.message is not None:
        return web.Response(
            status=status, body=emit_fail(fault.message), content_type="application/json", headers=headers
        )
    page = f"<html><head><title>{status} {phrase}</title></head><body><h1>{status} {phrase}</h1></body></html>\n"
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)


async def _stall(request: web.BaseRequest, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end and request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(min(LOOK, seconds))


def _gone(request: web.BaseRequest) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
