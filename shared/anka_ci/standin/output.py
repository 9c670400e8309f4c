"""What the command says: the envelope of ``--machine-readable``, text for people, progress and error codes.

One JSON line without a newline, as the vendor's tools and their readers expect it, and nothing else on stdout.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anka_ci.clock import Clock, SystemClock
from anka_ci.errors import AnkaCiError, InterruptError, NotFoundError, UnreachableError
from anka_ci.standin.persona import DEFAULT, Persona
from anka_ci.standin.tables import GRID, Text, draw

NOT_FOUND, EXISTS, NO_REGISTRY, FAILED, INTERRUPTED = 3, 18, 30, 1, 130
_EXCEPTIONS = {
    NOT_FOUND: "VMNotFoundException",
    EXISTS: "NameAlreadyExistsException",
    NO_REGISTRY: "RegistryException",
}
"""Only the first is known from Anka's own output; the others are made by its pattern."""


class Failure(AnkaCiError):  # noqa: N818 - the word that the command's users see is "failed"
    """A failure with the exit code that Anka's command has for it."""

    def __init__(self, message: str, exit_code: int = FAILED, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a command answers: ``body`` and ``message`` of the envelope, and the text for people (the message when
    None). ``code`` is not 0 where the guest's command failed."""

    body: Any = None
    message: str = ""
    text: Text | None = None
    code: int = 0


@dataclass(frozen=True, kw_only=True)
class Voice:
    """How to speak: ``machine`` in envelopes, ``steps`` with progress on stderr all the same, ``quiet`` without any,
    in the words of ``persona``, with tables drawn in ``form``."""

    machine: bool = False
    steps: bool = False
    quiet: bool = False
    persona: Persona = DEFAULT
    form: str = GRID

    @property
    def generation(self) -> int:
        """2 or 3."""
        return self.persona.generation

    def answer(self, reply: Reply) -> int:
        """Print a reply; the exit code."""
        if self.machine:
            body = {} if reply.body is None else reply.body
            status = "OK" if reply.code == 0 else "ERROR"
            found = {"status": status, "body": body, "message": reply.message, "code": reply.code}
            if reply.code:
                found["exception_type"] = "AnkaException"
            sys.stdout.write(json.dumps(found, ensure_ascii=False))
        else:
            text = reply.message if reply.text is None else draw(reply.text, self.form)
            sys.stdout.write(text + "\n" if text and not text.endswith("\n") else text)
        sys.stdout.flush()
        return reply.code

    def fail(self, error: AnkaCiError) -> int:
        """Print an error; the exit code."""
        code, message = exit_code(error), words(error)
        if self.machine:
            found = {"status": "ERROR", "body": {}, "message": message, "code": code}
            found["exception_type"] = _EXCEPTIONS.get(code, "AnkaException")
            sys.stdout.write(json.dumps(found, ensure_ascii=False))
            sys.stdout.flush()
        else:
            prefix = "-anka" if self.generation == 2 else "anka"
            hint = f"\n  {error.hint}" if error.hint else ""
            print(f"{prefix}: {message}{hint}", file=sys.stderr)
        return code


def exit_code(error: AnkaCiError) -> int:
    """The exit code of Anka's command for an error."""
    if isinstance(error, Failure):
        return error.exit_code
    if isinstance(error, InterruptError):
        return INTERRUPTED
    if isinstance(error, UnreachableError) or (isinstance(error, NotFoundError) and error.noun == "call"):
        return NO_REGISTRY
    return NOT_FOUND if isinstance(error, NotFoundError) else FAILED


def words(error: AnkaCiError) -> str:
    """An error's message; what was not found is said as Anka says it, because clients look for those words."""
    if isinstance(error, NotFoundError) and error.noun != "call":
        return f"{error.sought}: not found"
    return error.message


def size(count: int) -> str:
    """Bytes as Anka prints them: ``16.37GiB``."""
    number, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while number >= 1024 and len(units) > 1:
        number /= 1024
        units.pop(0)
    return f"{number:.2f}".rstrip("0").rstrip(".") + units[0]


def day(seconds: float | None) -> str:
    """A time as Anka's tables show it: ``Jan 2 10:45:16 2023``, UTC."""
    if not seconds:
        return ""
    moment = time.gmtime(seconds)
    return time.strftime(f"%b {moment.tm_mday} %H:%M:%S %Y", moment)


def moved(voice: Voice, done: str, body: Mapping[str, Any], count: int = 0) -> Reply:
    """What a push or a pull answers (``done`` is pushed or pulled) after ``count`` bytes.

    2.x told people and programs other things: its pull only the id (observed), of its push nothing is known.
    """
    if voice.generation == 2:
        short = {"uuid": body["uuid"]} if done == "pulled" else body
        text = f"VM {done} successfully with uuid: {body['uuid']}"
        return Reply(body=short, message=f"vm {done} successfully", text=text)
    message = f"{body['uuid']}: {done} {size(count)} for tag {body['tag']}"
    return Reply(body=body, message="vm pushed successfully" if done == "pushed" else message, text=message)


class Meter:
    """Progress of ``total`` bytes on stderr: a bar on a terminal, a line now and then elsewhere, nothing with ``-j``
    unless ``ANKA_PROGRESS=1`` asks for lines, and nothing with ``--quiet``. ``what`` is what 2.x calls it."""

    def __init__(self, voice: Voice, total: int, what: str = "", clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._total, self._done = total, 0
        self._bar = sys.stderr.isatty() and not voice.machine
        self._mute = voice.quiet or (voice.machine and not voice.steps)
        self._what = f"{what} files  " if voice.generation == 2 else ""
        self._pause = 0.1 if self._bar else 0.5 if voice.steps else 5.0
        self._start = self._clock.monotonic()
        self._last = self._start if not voice.steps else 0.0
        self._shown = -1
        self._lock = threading.Lock()

    def moved(self, count: int) -> None:
        with self._lock:  # layers may move side by side
            self._moved(count)

    def _moved(self, count: int) -> None:
        self._done += count
        now = self._clock.monotonic()
        if not self._mute and now - self._last >= self._pause:
            self._last = now
            self._show(now)

    def end(self) -> None:
        """Say that all is there."""
        if not self._mute and self._total:
            self._done = self._total
            self._show(self._clock.monotonic())
            if self._bar:
                sys.stderr.write("\n")

    def _show(self, now: float) -> None:
        share = min(1.0, self._done / self._total) if self._total else 1.0
        if int(share * 100) == self._shown and not self._bar:
            return
        self._shown = int(share * 100)
        if self._what:
            text = f"{self._what}[{'#' * int(share * 36):-<36}]  {self._shown:3d}%"
        else:
            text = f"{self._shown:3d}% [{'|' * int(share * 60):60}]"
        if 0 < share < 1 and self._bar:
            left = int((now - self._start) * (1 - share) / share)
            text += f" {left // 60:02d}:{left % 60:02d} ETA"
        sys.stderr.write(f"\r{text:90}" if self._bar else text + "\n")
        sys.stderr.flush()
