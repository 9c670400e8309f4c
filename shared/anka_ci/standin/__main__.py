"""``python -Im anka_ci.standin``: reads the environment, hears signals, runs one command and ends with its code.

The only reader of the environment in this room, and the only place that catches.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pwd
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from anka_ci import holding
from anka_ci.clock import Cancelled, Clock
from anka_ci.errors import AnkaCiError, InterruptError
from anka_ci.standin.commands import perform
from anka_ci.standin.desk import Desk
from anka_ci.standin.library import Library
from anka_ci.standin.output import INTERRUPTED, Failure, Voice
from anka_ci.standin.persona import persona
from anka_ci.standin.remotes import Kept, Remotes
from anka_ci.standin.tables import GRID, check

GLOBAL_FLAGS = ("--machine-readable", "-j", "--debug")
"""Flags before the command; those of 2.x with a value are in ``GLOBAL_VALUES``."""
GLOBAL_VALUES = ("-l", "--login", "--log-level")


def home(environment: Mapping[str, str]) -> Path:
    """The stand-in's own folder; found without ``HOME``, which Packer does not pass on."""
    if environment.get("ANKA_HOME"):
        return Path(environment["ANKA_HOME"]).absolute()
    person = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if sys.platform == "darwin":
        return person / "Library" / "Application Support" / "anka-ci" / "anka"
    return person / ".local" / "share" / "anka"


def main(
    argv: Sequence[str],
    environment: Mapping[str, str],
    cancelled: Cancelled | None = None,
    clock: Clock | None = None,
) -> int:
    """Run one command; its exit code."""
    words, flags = list(argv), set()
    while words and words[0].partition("=")[0] in (*GLOBAL_FLAGS, *GLOBAL_VALUES):
        flag = words.pop(0)
        flags.add(flag)
        if flag in GLOBAL_VALUES and words:
            words.pop(0)  # who signs in and how much is logged mean nothing here
    machine = bool(flags & {"--machine-readable", "-j"}) or environment.get("ANKA_MACHINE_READABLE", "") not in (
        "",
        "0",
    )
    voice = Voice(machine=machine, steps=environment.get("ANKA_PROGRESS") == "1")
    place = home(environment)
    try:
        voice = dataclasses.replace(voice, persona=persona(environment.get("ANKA_STANDIN_GENERATION", "")))
        cancelled = Cancelled() if cancelled is None else cancelled
        desk = _desk(voice, place, environment, cancelled, clock)
        voice = desk.voice
        reply = perform(desk, words)
    except AnkaCiError as error:
        return voice.fail(error)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = f"make room below {place}; what was half done is not visible" if full else ""
        return voice.fail(Failure(f"{where}{error.strerror or error}", hint=hint))
    return voice.answer(reply)  # what goes wrong from here on is no second answer


def _desk(voice: Voice, place: Path, environment: Mapping[str, str], cancelled: Cancelled, clock: Clock | None) -> Desk:
    vms = Path(environment.get("ANKA_VM_LIB_DIR") or place / "vm_lib")
    images = Path(environment.get("ANKA_IMG_LIB_DIR") or place / "img_lib")
    states = Path(environment.get("ANKA_STATE_LIB_DIR") or images)
    config = Kept(place / "config.json")
    kept = config.read()
    unique = environment.get("ANKA_ALLOW_NONUNIQUE_NAMES") or kept.get("allow_nonunique_names")
    form = voice.form if voice.machine else environment.get("ANKA_TABLE_FMT") or str(kept.get("table_fmt") or GRID)
    registries = environment.get("ANKA_REGISTRY_REMOTES_FILE_PATH") or kept.get("registry_remotes_file_path")
    return Desk(
        library=Library(
            *(vms, images, clock),
            named_by_id=voice.generation == 2,
            unique_names=unique not in ("1", 1),
            states=states,
            locks=Path(locks) if (locks := environment.get("ANKA_VM_LOCK_DIR")) else None,
        ),
        remotes=Remotes(Path(registries or place / "registries.json")),
        config=config,
        home=place,
        environment=environment,
        cancelled=cancelled,
        voice=dataclasses.replace(voice, form=check(form)),
    )


def hear() -> Cancelled:
    """The first SIGINT, SIGTERM or SIGHUP ends the work where it stands; what is half done is never visible."""
    cancelled = Cancelled()

    def end() -> None:
        raise InterruptError(f"interrupted ({cancelled.reason})")

    def stop(number: int, frame: FrameType | None) -> None:
        if not cancelled:
            cancelled.set(signal.Signals(number).name)
            holding.when_free(end)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return cancelled


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = main(sys.argv[1:], dict(os.environ), hear())
    except InterruptError:  # while it answered: the work was done
        code = INTERRUPTED
    except OSError as error:  # the reader has gone, or what stdout goes to is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"anka: the answer cannot be written: {error.strerror}", file=sys.stderr)
        code = 1
    sys.exit(code)
