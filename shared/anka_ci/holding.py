"""What signal handlers do, held back for the moment in which it would do harm.

Handles no signal itself. A handler runs in the middle of whatever the main thread does; one that raises in the middle
of a program's start would leave a program running that nobody knows of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

_held: list[Callable[[], None]] | None = None
"""What is to be done after the moment; None: now is none."""


def hold() -> None:
    """The moment begins; nothing but the main thread, where handlers run, is meant."""
    global _held
    if threading.current_thread() is threading.main_thread():
        _held = []


def release() -> None:
    """The moment is over: do what came meanwhile, which may raise. Over already: nothing."""
    global _held
    if threading.current_thread() is threading.main_thread():
        actions, _held = _held or (), None
        for action in actions:
            action()


def when_free(action: Callable[[], None]) -> None:
    """For signal handlers: do something that raises, now or as soon as the moment is over."""
    if _held is None:
        action()
    else:
        _held.append(action)
