"""The only place that starts another program.

No shell is involved unless the caller names one in ``argv``; user text travels as arguments or environment only.
"""

from __future__ import annotations

import contextlib
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

from anka_ci import process_group
from anka_ci.clock import Cancelled, Clock, SystemClock
from anka_ci.errors import FellShortError, InterruptError, NotFoundError, RefusedError

TAIL = 1 << 20
"""How much of each stream is kept (bytes): the end, where errors are. A program may print any amount."""
LONGEST_LINE = 64 << 20
"""The longest single line (bytes) that is kept whole; an envelope of a large registry is one line."""
PULSE = 5.0
"""Seconds between two looks at whether a silent program still does something."""
GRACE = 3.0
"""Seconds a child gets to clean up after SIGINT, and again after SIGTERM."""

_alive: set[subprocess.Popen[bytes]] = set()

OnLine = Callable[[str, str], None]
"""Called with the stream (``stdout`` or ``stderr``) and the text of each line, ``\\r`` ending a line too."""


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
    send: Callable[[int, int], None] | None = None,
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
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFoundError("program", argv[0], hint="check the path, or install it") from error
    except OSError as error:
        raise RefusedError(f"{argv[0]} could not be started: {error.strerror}") from error
    _alive.add(child)
    streams = [_Stream("stdout", child.stdout, on_line, clock), _Stream("stderr", child.stderr, on_line, clock)]
    feeder = threading.Thread(target=_feed, args=(child.stdin, input or b""), daemon=True)
    try:
        if on_start is not None:
            on_start(child.pid)
        feeder.start()  # only now: a shell runs nothing of a text that it has not been given
        _wait(child, streams, timeout, stall, pulse, cancelled, clock)
    except BaseException:
        _end(child, send)
        raise
    finally:
        _alive.discard(child)
        for stream in streams:
            stream.thread.join(timeout=GRACE)
    return Finished(argv=tuple(argv), status=child.returncode, stdout=streams[0].text(), stderr=streams[1].text())


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
    for child in tuple(_alive):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


class _Stream:
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


def _feed(pipe: IO[bytes] | None, data: bytes) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError), pipe:
            pipe.write(data)


def _wait(
    child: subprocess.Popen[bytes],
    streams: Sequence[_Stream],
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


def _end(child: subprocess.Popen[bytes], send: Callable[[int, int], None] | None) -> None:
    """End the child's whole process group: ask, insist, kill. Nothing of it runs any more when this returns.

    A grandchild may ignore what the child obeys, so it is the group that is waited for, not the child alone.
    """
    for number, grace in ((signal.SIGINT, GRACE), (signal.SIGTERM, 1.0), (signal.SIGKILL, GRACE)):
        with contextlib.suppress(ProcessLookupError):
            try:
                os.killpg(child.pid, number)
            except PermissionError:
                if send is not None and child.poll() is None:
                    send(child.pid, number)
        waited = 0.0
        while waited < grace:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=process_group.PAUSE)
                if not process_group.lives(child.pid):
                    return
                threading.Event().wait(process_group.PAUSE)
            waited += process_group.PAUSE
