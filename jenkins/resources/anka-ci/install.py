"""Install the library's version of ``anka-ci`` on an agent, once, and become it; ``run.sh`` starts this as a script.

Needs the standard library of Python 3.10 alone, writes only below the user's cache folder, and needs no ``sudo``. A
source may hold a password, so no command line and no message has it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

UNREACHABLE, USAGE, INTERRUPTED = 6, 2, 130
"""The exit codes of anka-ci for what can go wrong here."""
NOT_OURS = ("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
"""What would make pip install elsewhere. Its index, proxy and certificate settings stay."""
STARTED = "last-start"
"""A file of an environment; ``run.sh`` touches it at every start."""
OLD = 30 * 86400.0
"""Seconds without a start after which an environment is removed: longer than any build that may be using it."""


def main(env: Mapping[str, str]) -> int:
    """Become ``anka-ci STEP --report jenkins``; the exit code when that cannot be."""
    signal.signal(signal.SIGTERM, _end)  # how an agent ends the processes of an aborted build
    signal.signal(signal.SIGHUP, _end)
    place, version = Path(env["ANKA_CI_PLACE"]), env["ANKA_CI_VERSION"]
    try:
        environment(place, version, env["ANKA_CI_SOURCE"], env)
    except MismatchError as error:
        return _failed(str(error), USAGE)
    except subprocess.CalledProcessError as error:
        words = f"installing it failed (exit code {error.returncode}); what pip said is in the log above"
        hint = "ANKA_CI_SOURCE says what is installed, PIP_INDEX_URL or pip.conf from where"
        return _failed(f"{words}. {hint}", UNREACHABLE)
    except OSError as error:
        return _failed(f"its virtual environment cannot be made: {error}", UNREACHABLE)
    except KeyboardInterrupt:
        return INTERRUPTED
    command = place / "bin" / "anka-ci"
    return os.execv(command, [str(command), env["ANKA_CI_STEP"], "--report", "jenkins"])


class MismatchError(Exception):
    """What was installed is not of the library's version, or the source cannot be handed to pip."""


def environment(place: Path, version: str, source: str, env: Mapping[str, str]) -> None:
    """Make ``place`` a link to a whole virtual environment with that version of anka-ci, unless it is there.

    Raises ``MismatchError``, ``OSError`` when the environment cannot be made, ``CalledProcessError`` when pip fails.
    What an interrupted install leaves has no link, and the next one removes it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{place}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build is installing the same; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if (place / "bin" / "python").exists():  # it was made meanwhile
            return
        for leftover in place.parent.glob(f"{place.name}.[0-9]*"):
            shutil.rmtree(leftover, ignore_errors=True)
        made = Path(f"{place}.{os.getpid()}")
        say(f"installing {version} into {place} (once per version)")
        try:
            install(made, version, source, env, lock.fileno())
            (made / STARTED).touch()
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        fresh = Path(f"{place}.link")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(made.name)
        fresh.replace(place)
    sweep(place)


def sweep(place: Path) -> None:
    """Remove the environments beside ``place`` that nothing started for ``OLD`` seconds, or that never became whole.

    Never one that is being made; what cannot be removed, such as another user's, stays.
    """
    for file in place.parent.glob("*.lock"):
        link = file.with_suffix("")
        if link == place or not re.fullmatch(r".+-[0-9]+", link.name):
            continue
        with contextlib.suppress(OSError), file.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            target = link.resolve()
            if link.is_symlink() and _young(target):
                continue
            if link.is_symlink():
                link.unlink()  # from here on no build starts it
                if _young(target):  # one has, in that moment
                    link.symlink_to(target.name)
                    continue
            for left in link.parent.glob(f"{link.name}.[0-9]*"):
                shutil.rmtree(left, ignore_errors=True)
                say(f"removed {left}, which nothing has used for long")


def _young(target: Path) -> bool:
    marker = target / STARTED
    return marker.exists() and time.time() - marker.stat().st_mtime <= OLD


def install(venv: Path, version: str, source: str, env: Mapping[str, str], held: int) -> None:
    """A virtual environment with what ``source`` names; it holds the lock too, as long as anything is at it."""
    clean = {name: value for name, value in env.items() if name not in NOT_OURS}
    clean |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    _call([sys.executable, "-Im", "venv", str(venv)], clean, held)
    wanted = venv / "anka-ci.txt"
    words = [str(venv / "bin" / "python"), "-Im", "pip", "install", "--quiet"]
    folder = Path(source)
    if "/" in source and folder.is_dir() and not (folder / "pyproject.toml").exists():
        words += ["--no-index", "--find-links", str(folder.absolute())]
        source = f"anka-ci[signin]=={version}"
    elif "/" in source and folder.exists():
        words.append(f"{folder.absolute()}[signin]")
        source = ""
    if source.startswith("-") or "\n" in source:
        raise MismatchError("ANKA_CI_SOURCE has to be one requirement, a URL, a checkout or a folder of wheels")
    wanted.touch(mode=0o600)
    wanted.write_text(source + "\n", encoding="utf-8")
    try:
        _call([*words, "--requirement", str(wanted)], clean, held)
    finally:
        wanted.unlink(missing_ok=True)
    asked = subprocess.run([str(venv / "bin" / "anka-ci"), "--version"], env=clean, capture_output=True, text=True)
    found = asked.stdout.strip() if asked.returncode == 0 else ""
    if found != f"anka-ci {version}":
        has = f"brought {found}" if found else "brought no anka-ci that starts"
        raise MismatchError(
            f"ANKA_CI_SOURCE {has}, and the library is of version {version}: give both the same version"
        )


def _call(words: list[str], env: Mapping[str, str], held: int) -> None:
    subprocess.run(words, env=env, check=True, stdin=subprocess.DEVNULL, pass_fds=(held,))


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    print(f"anka-ci: {text}", file=sys.stderr, flush=True)


def _failed(text: str, code: int) -> int:
    say(text)
    return code


if __name__ == "__main__":
    raise SystemExit(main(os.environ))
