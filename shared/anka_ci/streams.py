"""What a program prints, read as it comes: its lines, and the end of it.

Starts nothing and judges nothing.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import IO

from anka_ci.clock import Clock

TAIL = 1 << 20
"""How much of each stream is kept (bytes): the end, where errors are. A program may print any amount."""
LONGEST_LINE = 64 << 20
"""The longest single line (bytes) that is kept whole; an envelope of a large registry is one line."""

OnLine = Callable[[str, str], None]
"""Called with the stream (``stdout`` or ``stderr``) and the text of each line, ``\\r`` ending a line too."""


class Stream:
    """Reads one pipe in a thread: hands out lines, keeps the tail."""

    def __init__(self, name: str, pipe: IO[bytes] | None, on_line: OnLine | None, clock: Clock) -> None:
        self.name = name
        self.pipe = pipe
        self.on_line = on_line
        self.clock = clock
        self.last = clock.monotonic()
        self.kept = bytearray()
        self.line = bytearray()
        self.searched = 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.pipe is not None
        with self.pipe, contextlib.suppress(ValueError, OSError):
            while chunk := self.pipe.read1(1 << 16):  # type: ignore[attr-defined]
                self.last = self.clock.monotonic()
                self._take(chunk)
        if self.line:
            self._tell(bytes(self.line))

    def _take(self, chunk: bytes) -> None:
        self.kept += chunk
        cut = len(self.kept) - TAIL
        if cut > TAIL:  # keep whole lines where a line is not absurdly long
            start = self.kept.rfind(b"\n", self.searched, cut) + 1
            start = start if start or len(self.kept) < LONGEST_LINE else cut
            self.searched = 0 if start else cut  # a line that is long already is not searched again and again
            del self.kept[:start]
        if self.on_line is None:
            return
        first, *others = chunk.replace(b"\r", b"\n").split(b"\n")
        self.line += first
        if others:
            for line in (bytes(self.line), *others[:-1]):
                self._tell(line)
            self.line = bytearray(others[-1])
        elif len(self.line) > 2 * TAIL:  # what is told of a line is its end
            del self.line[:-TAIL]

    def _tell(self, line: bytes) -> None:
        if self.on_line and line.strip():
            self.on_line(self.name, line.decode("utf-8", "replace"))

    def text(self) -> str:
        return self.kept.decode("utf-8", "replace")
