"""Large files on their way to disk: flushed while they are still being written, so that the last flush is short.

Without it everything waits for the disk at the end, where no signal is heard. Opens and names no file.
"""

from __future__ import annotations

import os
import threading

STEP = 64 << 20
"""Bytes after which a flush begins."""
MOST = 256 << 20
"""Bytes that may wait for the disk; who writes faster waits."""
_flush = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class Flusher:
    """Flushes the open file ``handle`` in a thread of its own; a context manager, and all is on disk behind it.

    Raises ``OSError`` when the disk failed or is full.
    """

    def __init__(self, handle: int, *, step: int = STEP, most: int = MOST) -> None:
        self._handle = handle
        self._step, self._most = step, most
        self._changed = threading.Condition()
        self._waiting = 0
        self._ended = False
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Flusher:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *exc: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        if kind is None:
            if self._failure is not None:
                raise self._failure
            os.fsync(self._handle)

    def wrote(self, count: int) -> None:
        """Tell that ``count`` more bytes were written; waits while the disk is too far behind."""
        with self._changed:
            self._waiting += count
            if self._waiting >= self._step:
                self._changed.notify_all()
            while self._waiting > self._most and self._failure is None:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure

    def _work(self) -> None:
        while True:
            with self._changed:
                while self._waiting < self._step and not self._ended:
                    self._changed.wait()
                if self._ended:
                    return
                count = self._waiting
            try:
                _flush(self._handle)
            except OSError as error:
                with self._changed:
                    self._failure = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._waiting -= count
                self._changed.notify_all()
