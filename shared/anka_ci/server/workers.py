"""Threads for what takes its time: one at a time for each key.

A new job of a key cancels the one before it and begins when that has ended, so that two never act on the same thing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable

from anka_ci.clock import Cancelled
from anka_ci.errors import InterruptError

Job = Callable[[Cancelled], None]


class Workers:
    """Jobs by key. A job that is cancelled raises ``InterruptError``, or ends; any other error is logged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[Hashable, tuple[threading.Thread, Cancelled]] = {}
        self._stopped = False

    def do(self, key: Hashable, job: Job) -> None:
        """Do a job after the one before it of that key, which is cancelled. After ``stop`` nothing is done."""
        with self._lock:
            if self._stopped:
                return
            before, cancelled = self._jobs.get(key), Cancelled()
            if before is not None:
                before[1].set("something else is to be done")
            thread = threading.Thread(
                target=self._run, args=(key, job, cancelled, before[0] if before else None), name=str(key), daemon=True
            )
            self._jobs[key] = (thread, cancelled)
            thread.start()

    def end(self, key: Hashable) -> None:
        """Cancel what runs for a key, and wait until it has ended."""
        with self._lock:
            running = self._jobs.get(key)
        if running is not None:
            running[1].set("it is no longer wanted")
            running[0].join()

    def wait(self, key: Hashable) -> None:
        """Wait until what runs for a key has ended by itself."""
        with self._lock:
            running = self._jobs.get(key)
        if running is not None:
            running[0].join()

    def stop(self, reason: str) -> None:
        """Cancel everything, and wait for it; nothing new begins."""
        with self._lock:
            self._stopped = True
            running = list(self._jobs.values())
        for _, cancelled in running:
            cancelled.set(reason)
        for thread, _ in running:
            thread.join(timeout=10)

    def _run(self, key: Hashable, job: Job, cancelled: Cancelled, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            if not self._stopped:
                job(cancelled)
        except InterruptError:
            pass
        except Exception:
            logging.getLogger(__name__).exception("%s failed", key)
        finally:
            with self._lock:
                if self._jobs.get(key, (None,))[0] is threading.current_thread():
                    del self._jobs[key]
