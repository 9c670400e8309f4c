"""Turns: one call at a time moves or removes what a library holds.

Two pulls at once have left broken VMs behind, so every user of ``anka`` takes a lock of its own (the Buildkite plugin,
the GitHub action, anklet; Anka's command-line reference, concurrency). Ours holds between all processes of one user.
The vendor's agent knows none of them: its transfer is recognised in the table of processes and waited for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from anka_ci import process_table
from anka_ci.errors import FellShortError
from anka_ci.host import cache, memory, sudo
from anka_ci.process_table import Running
from anka_ci.result import Said

if TYPE_CHECKING:
    from anka_ci.anka import Anka

PAUSE = 0.5
"""Seconds between two looks at whether it is our turn."""
LONGEST = 7200.0
"""Seconds that are waited where no deadline is set: longer than the pull of a large template takes."""
CHOOSE = ("ANKA_HOME", "ANKA_VM_LIB_DIR", "ANKA_IMG_LIB_DIR")
"""Variables that choose another library than the user's; the first is the stand-in's."""
_TAKES_A_VALUE = ("--log-level", "-l", "--login")
"""Options before the sub-command that a value follows."""


@contextlib.contextmanager
def turn(anka: Anka, command: Sequence[str], env: Mapping[str, str], what: str, *, agent: bool) -> Iterator[None]:
    """Wait until nobody else is at work on the library of ``command``, and keep others waiting meanwhile.

    ``what`` says what is to be done, for those who wait. With ``agent`` also a transfer of another program is waited
    for. Raises ``FellShortError`` at the deadline, or after two hours without one; ``InterruptError`` when cancelled.
    """
    with contextlib.ExitStack() as held:
        try:
            lock = Lock(_key(command, env), env)
            held.callback(lock.release)
            _wait(anka, what, lock.holder)
            lock.sign(what)
        except OSError as error:
            text = f"no lock could be made in the cache folder ({error.strerror or error}): not waiting for others"
            anka.tell(Said(text=text, level="warning"))
        if agent:
            user = sudo.owner(command)
            _wait(anka, what, lambda: _agents(user))
        yield


class Lock:
    """A file in the cache folder, locked and signed by whose turn it is, which goes with the end of the turn.

    What is raised for the file is ``OSError``. A holder that is killed loses the lock, and leaves the file behind.
    """

    def __init__(self, name: str, env: Mapping[str, str]) -> None:
        place = cache.folder(env)
        if place is None:
            raise OSError("there is none that is this user's alone")
        self._path = place / "locks" / name
        self._held = False
        self._file = self._open()

    def _open(self) -> TextIO:
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        return os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")

    def holder(self) -> str:
        """Who has the lock; empty when it is ours now."""
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._signed()
            if self._current():
                return ""
            self._file.close()  # it is that of a turn which has just ended
            self._file = self._open()

    def _current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _signed(self) -> str:
        self._file.seek(0)
        try:
            found = json.loads(self._file.read(1000))
            return f"another anka-ci on this host (process {found['pid']}: {found['what']})"
        except (ValueError, KeyError, TypeError):  # it has just got it
            return "another anka-ci on this host"

    def sign(self, what: str) -> None:
        """Say who has it, and for what; on a full disk those who wait are not told."""
        self._held = True
        with contextlib.suppress(OSError):
            os.ftruncate(self._file.fileno(), 0)
            os.pwrite(self._file.fileno(), json.dumps({"pid": os.getpid(), "what": what}).encode(), 0)

    def release(self) -> None:
        """Let the next one have its turn."""
        if self._held:
            with contextlib.suppress(OSError):  # what is left of it is no obstacle
                self._path.unlink()
        self._file.close()


def transfers(running: Running) -> bool:
    """Whether a process is an ``anka`` that pulls or pushes."""
    words = list(running.words)
    if words[:1] == ["/Library/Application"]:  # where the package puts it; `ps` tells a path with a space as two words
        del words[0]
    if not words or Path(words.pop(0)).name != "anka":
        return False
    while words and words[0].startswith("-"):
        del words[: 2 if words[0] in _TAKES_A_VALUE else 1]
    if words[:1] not in (["registry"], ["pull"], ["push"]) or "--check-download-size" in words:
        return False
    return "pull" in words or "push" in words


def _key(command: Sequence[str], env: Mapping[str, str]) -> str:
    """What a library is known by without asking for it: whose it is, by which program, and what chooses another."""
    program = memory.program(command, env.get("PATH"))
    facts = [sudo.owner(command), str(program or list(command)), [env.get(name, "") for name in CHOOSE]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _agents(user: int) -> str:
    """A transfer of a program that takes no lock of ours; empty when there is none."""
    found = next((each for each in process_table.table() if each.user == user and transfers(each)), None)
    if found is None:
        return ""
    does = "pulls" if "pull" in found.words else "pushes"  # its whole command line may hold a password
    return f"an anka of another program, which {does} (process {found.pid})"


def _wait(anka: Anka, what: str, busy: Callable[[], str]) -> None:
    start, said = anka.clock.monotonic(), ""
    while who := busy():
        if who != said:
            said = who
            anka.tell(Said(text=f"{what} waits for {who}", level="notice"))
        if anka.clock.monotonic() - start > LONGEST:
            hint = "is it stuck? End it, and try again"
            raise FellShortError(f"{what}: waited {LONGEST / 60:.0f} minutes for {who}", hint=hint)
        anka.clock.sleep(anka.deadline.left(PAUSE) or 0.0, anka.cancelled)
        anka.cancelled.check(what)
        anka.deadline.check(f"{what}, waiting for {who}")
