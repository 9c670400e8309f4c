"""The only place that starts another program.

No shell is involved unless the caller names one in ``argv``; user text travels as arguments or environment only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from anka_ci import holding, process_group
from anka_ci.clock import Cancelled, Clock, SystemClock
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError
from anka_ci.streams import OnLine, Stream

PULSE = 5.0
"""Seconds between two looks at whether a silent program still does something."""
GRACE, INSISTING = 2.5, 0.5
"""Seconds a child gets to clean up after SIGINT, and then after SIGTERM: of the five that an interruption may take, the
rest is for what comes after it, such as putting back a default registry, and for the report."""

Send = Callable[[int, int], None]
"""Sends a signal (the second) to a process group (the first) which this user may not send one to."""

_alive: dict[subprocess.Popen[bytes], Send | None] = {}
_starting = threading.Lock()
"""Held from the start of a program until it is noted in ``_alive``."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A program that has ended: its status (negative: the signal that killed it) and the end of what it printed."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str],
    *,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    stall: float | None = None,
    pulse: Callable[[int], object] | None = None,
    on_line: OnLine | None = None,
    cancelled: Cancelled | None = None,
    clock: Clock | None = None,
    on_start: Callable[[int], None] | None = None,
    send: Send | None = None,
) -> Finished:
    """Run ``argv`` to its end and return how it ended; a status other than 0 is not an error here.

    ``pulse`` is asked, with the child's number, while it says nothing: a child whose answer changes is not stalled.
    ``on_start`` is told the process group, in which something may run on after the end. ``send`` sends a signal to the
    group where this user may not, as with a child that runs as root.

    Raises ``NotFoundError`` when there is no such program, ``RefusedError`` when it cannot be started,
    ``FellShortError`` after ``timeout`` seconds or ``stall`` seconds without output, ``InterruptError`` when
    cancelled; the child and its process group are ended in all of these cases.
    """
    clock = clock or SystemClock()
    child: subprocess.Popen[bytes] | None = None
    streams: list[Stream] = []
    holding.hold()
    try:
        with _starting:
            child = _started(argv, input is not None, env, cwd)
            _alive[child] = send
        holding.release()
        streams += [Stream("stdout", child.stdout, on_line, clock), Stream("stderr", child.stderr, on_line, clock)]
        feeder = threading.Thread(target=_feed, args=(child.stdin, input or b""), daemon=True)
        if on_start is not None:
            on_start(child.pid)
        feeder.start()  # only now: a shell runs nothing of a text that it has not been given
        _wait(child, streams, timeout, stall, pulse, cancelled, clock)
    except BaseException:
        if child is not None:
            _end(child, send)
        raise
    finally:
        if child is not None:
            _alive.pop(child, None)
        for stream in streams:
            stream.thread.join(timeout=GRACE)
        holding.release()
    return Finished(argv=tuple(argv), status=child.returncode, stdout=streams[0].text(), stderr=streams[1].text())


def _started(
    argv: Sequence[str], fed: bool, env: Mapping[str, str] | None, cwd: Path | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if fed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFoundError("program", argv[0], hint="check the path, or install it") from error
    except OSError as error:
        long = error.errno == errno.E2BIG
        hint = "Linux takes 128 KiB in one argument or variable: hand a long text over in a file" if long else ""
        raise RefusedError(f"{argv[0]} could not be started: {error.strerror}", hint=hint) from error


@contextlib.contextmanager
def guarded(prefix: str) -> Iterator[Path]:
    """A folder that only its owner can enter, and which is gone afterwards, even when this process is killed.

    A shell of its own session waits for the end of a pipe that only this process holds open, and removes the folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        # It gets nothing of the environment: a CI system that looks for a build's processes by a variable kills it too.
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "anka-ci-guard", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,
        )
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            assert guard.stdin is not None
            guard.stdin.close()
            guard.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_GUARD = 'trap "" HUP INT TERM; cat >/dev/null; rm -rf -- "$1"'


def kill_all() -> None:
    """Kill every program that is running, and what it started, without asking: when a second signal comes."""
    if _starting.acquire(timeout=1.0):  # another thread may have just started one, and not noted it yet
        _starting.release()
    for child, send in tuple(_alive.items()):
        _signal(child, signal.SIGKILL, send)


def _signal(child: subprocess.Popen[bytes], number: int, send: Send | None) -> None:
    """Send a signal to a child's group. What cannot be caught goes to another user's by ``send`` at once: ``sudo``
    hands on what it gets, but killed itself it leaves its command running."""
    if send is not None and number == signal.SIGKILL and process_group.lives(child.pid):
        send(child.pid, number)
    with contextlib.suppress(ProcessLookupError):
        try:
            os.killpg(child.pid, number)
        except PermissionError:
            if send is not None and number != signal.SIGKILL and child.poll() is None:
                send(child.pid, number)


def _feed(pipe: IO[bytes] | None, data: bytes) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError), pipe:
            pipe.write(data)


def _wait(
    child: subprocess.Popen[bytes],
    streams: Sequence[Stream],
    timeout: float | None,
    stall: float | None,
    pulse: Callable[[int], object] | None,
    cancelled: Cancelled | None,
    clock: Clock,
) -> None:
    start = looked = lively = clock.monotonic()
    beat: object = None
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=0.05)
            return
        now = clock.monotonic()
        if cancelled:
            raise InterruptError(f"{Path(child.args[0]).name}: interrupted ({cancelled.reason})")  # type: ignore
        if timeout is not None and now - start > timeout:
            raise FellShortError(f"{_name(child)} did not finish within {round(timeout, 1):g} s and was ended")
        if stall is None:
            continue
        lively = max(lively, *(stream.last for stream in streams))
        if pulse is not None and now - max(looked, lively) > min(PULSE, stall / 4):
            looked = now
            before, beat = beat, pulse(child.pid)
            lively = now if beat != before else lively
        if now - lively > stall:
            idle = " and did nothing" if pulse is not None else ""
            raise FellShortError(f"{_name(child)} printed nothing{idle} for {stall:g} s and was ended")


def _name(child: subprocess.Popen[bytes]) -> str:
    return " ".join(str(word) for word in child.args)[:200]  # type: ignore[union-attr]


def _end(child: subprocess.Popen[bytes], send: Send | None) -> None:
    """End the child's whole process group: ask, insist, kill. Nothing of it runs any more when this returns.

    A grandchild may ignore what the child obeys, so it is the group that is waited for, not the child alone.
    """
    clock = SystemClock()
    for number, grace in ((signal.SIGINT, GRACE), (signal.SIGTERM, INSISTING), (signal.SIGKILL, GRACE)):
        _signal(child, number, send)
        end = clock.monotonic() + grace
        while clock.monotonic() < end:  # looking takes its time too, on a busy machine a lot
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=process_group.PAUSE)
                if not process_group.lives(child.pid):
                    return
                clock.sleep(process_group.PAUSE)
