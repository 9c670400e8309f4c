"""What the doors of one context share for signing in: its sessions and its TLS, each made when it is first needed.

Knows nothing of either.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Signers:
    """The sessions of one context, shared by all of its doors; made when they are first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[object, Any] = {}

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What was made for ``key``; ``make`` is called once."""
        with self._lock:
            if key not in self._found:
                self._found[key] = make()
            found: T = self._found[key]
            return found
