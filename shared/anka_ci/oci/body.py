"""What goes over a connection of the data plane: a file's bytes on their way up, and a reply that was read.

Opens no connection.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Callable

from anka_ci.errors import RefusedError

BLOCK = 1 << 20
SLICE = 8 << 20
"""Bytes handed to the kernel at once when sending; progress and cancellation are looked at in between."""

Moved = Callable[[int], None]
"""Called with the number of bytes that have just gone over the wire."""


def nobody(count: int) -> None:
    """Tell nobody."""


class Reply:
    """A reply that was read to its end."""

    def __init__(self, status: int, headers: http.client.HTTPMessage, content: bytes) -> None:
        self.status = status
        self.headers = headers
        self.content = content

    def said(self) -> str:
        """The registry's own words, shortened."""
        try:
            text = str(json.loads(self.content)["errors"][0]["message"])
        except (ValueError, LookupError, TypeError):
            text = " ".join(self.content.decode("utf-8", "replace").split())
        return text[:300]


class Source:
    """The bytes of an open file from ``offset`` to ``end``, on their way into a socket."""

    def __init__(self, file: int, offset: int, end: int, moved: Moved) -> None:
        self._file = file
        self.offset = offset
        self.end = end
        self._moved = moved
        self._buffer: memoryview | None = None

    def send(self, sock: object) -> None:
        """Send the next slice; without a copy through this process where the socket is a plain one."""
        count, before = min(SLICE, self.end - self.offset), self.offset
        try:
            if isinstance(sock, ssl.SSLSocket):
                self._buffer = self._buffer or memoryview(bytearray(BLOCK))
                got = os.preadv(self._file, [self._buffer[:count]], before)
                sock.sendall(self._buffer[:got])
                self.offset += got
            else:
                with open(self._file, "rb", closefd=False, buffering=0) as source:
                    try:
                        sock.sendfile(source, before, count)  # type: ignore[attr-defined]
                    finally:  # some of it may have gone out before the connection broke
                        self.offset = max(before, source.tell())
        finally:
            self._moved(self.offset - before)
        if self.offset == before:
            raise RefusedError("the layer became shorter while it was sent")
