"""``run``: a command in a guest, which is a command of this machine in the guest's folder.

Words for the guest's command are never read here, and never pass through a shell of ours. Volumes, networks and the
guest's clock need no waiting for, so that options about them are taken and mean nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.errors import AnkaCiError, UsageError
from anka_ci.standin import guests, tenants
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import Failure, Reply
from anka_ci.standin.words import options, parse

UPLOAD_FAILED, CONNECTION_LOST, CANNOT_RUN, NO_SUCH_COMMAND = 124, 125, 126, 127
"""Exit codes of ``run`` that are not the guest's command's own."""
OPTIONS = {
    "run": options(
        *("-D -w --workdir=", "-E --env", "-e --environment=", "-f --env-file=", "-q --quiet", "-b --background"),
        *("-n --no-volume", "-v --volume=", "-N --wait-network", "-T --wait-time"),
    )
}
"""The second row was taken until 2.5, and integrations still pass it."""
USAGE = "anka run [-w DIR] [-e NAME=value] [-f FILE] VM COMMAND [ARGUMENT…]"


def run(desk: Desk, words: list[str]) -> Reply:
    """Run a command in a guest; a VM that is not running is started, and runs on afterwards, as with Anka."""
    found = parse(words, OPTIONS["run"], stop_after=1)
    if len(found.rest) < 2:
        raise UsageError(f"usage: {USAGE}")
    guests.allowed(desk.environment)
    sought, *argv = found.rest
    given = [line for file in found.all.get("env_file", ()) for line in _lines(file)]
    given += found.all.get("environment", ())
    with desk.library.locked(desk.cancelled):
        machine = desk.library.find(sought)
        if machine.meta.status != "running":
            guests.start(desk.library, machine, desk.environment)
    if not machine.guest.is_dir():
        raise Failure(f"{machine.name}: guest connection lost", CONNECTION_LOST, hint="the guest's folder is gone")
    folder = guests.folder_of(machine, found.get("workdir"))
    environment = guests.environment_of(machine, desk.environment, given, found.flag("env"))
    if found.flag("background"):
        number = background(argv, folder, environment)
        return Reply(body={"pid": number}, text=str(number))
    if desk.voice.machine:
        return capture(argv, folder, environment, desk.cancelled, quiet=found.flag("quiet"))
    become(argv, folder, environment, quiet=found.flag("quiet"))
    raise AssertionError("the process has become another")


def _lines(file: str) -> list[str]:
    """``NAME=value`` or ``NAME`` on each line; a value is taken as it stands, quotes and blanks included."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}", UPLOAD_FAILED) from error
    except ValueError as error:
        raise Failure(f"{file}: is no text in UTF-8", UPLOAD_FAILED) from error
    lines = [line.lstrip() for line in text.split("\n")]
    return [line.removesuffix("\r") for line in lines if line.strip() and not line.startswith("#")]


def become(argv: Sequence[str], folder: Path, environment: Mapping[str, str], *, quiet: bool = False) -> None:
    """Replace this process by the guest's command, so that streams, signals and exit status are its own."""
    os.chdir(folder)
    tenants.begun(_guest(environment), os.getpid())
    if quiet:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    try:
        os.execvpe(argv[0], list(argv), dict(environment))
    except OSError as error:
        code = NO_SUCH_COMMAND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        raise Failure(f"{argv[0]}: {error.strerror}", code) from error


def capture(
    argv: Sequence[str], folder: Path, environment: Mapping[str, str], cancelled: Cancelled, *, quiet: bool = False
) -> Reply:
    """Run the guest's command and answer with what it printed."""
    _found(argv, folder, environment)
    guest = _guest(environment)
    done = process.run(
        argv, env=environment, cwd=folder, cancelled=cancelled, on_start=lambda pid: tenants.begun(guest, pid)
    )
    body: dict[str, Any] = {"stdout": "" if quiet else done.stdout, "stderr": done.stderr}
    code = done.status if done.status >= 0 else 128 - done.status
    return Reply(body=body, message="" if code == 0 else f"the command ended with status {code}", code=code)


def background(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> int:
    """Start the guest's command and leave it running by itself, without streams; its process id."""
    program = _found(argv, folder, environment)
    child = os.fork()
    if child:
        try:
            tenants.begun(_guest(environment), child)
        except (OSError, AnkaCiError):
            os.kill(child, signal.SIGKILL)  # nobody would find it when the guest stops
            raise
        return child
    try:  # in the child: nothing of the parent's is used any more
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        os.chdir(folder)
        os.execve(program, list(argv), dict(environment))
    finally:
        os._exit(NO_SUCH_COMMAND)


def _guest(environment: Mapping[str, str]) -> Path:
    return Path(environment[tenants.VARIABLE])


def _found(argv: Sequence[str], folder: Path, environment: Mapping[str, str]) -> str:
    """The program of a command; ``Failure`` 127 or 126 when there is none or it is none."""
    name = argv[0]
    if "/" in name:
        path = folder / name
        if not path.exists():
            raise Failure(f"{name}: No such file or directory", NO_SUCH_COMMAND)
        if path.is_dir() or not os.access(path, os.X_OK):
            raise Failure(f"{name}: Permission denied", CANNOT_RUN)
        return str(path)
    found = shutil.which(name, path=environment.get("PATH"))
    if found is None:
        raise Failure(f"{name}: No such file or directory", NO_SUCH_COMMAND)
    return found
