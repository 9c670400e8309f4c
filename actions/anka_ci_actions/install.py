"""Make a virtual environment of this checkout, once, and start ``anka-ci`` in it; run by ``run.sh`` as a script.

Runs before anything is installed: needs the standard library alone, and imports nothing of the project, so all of it is
in this file. A start that finds its environment installs nothing and asks the network nothing. An environment that a
process uses is never removed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "shared/anka_ci", "actions/anka_ci_actions", "jenkins")
"""What an installed anka-ci is made of; a change of anything in it makes a new environment."""
EXTRAS = "github,signin"
"""What an action may need beside the core: GitHub's API for runners, and signing in with keys."""
IN_USE = "in-use"
"""A file of an environment: whoever uses it holds it locked, and its time is that of the last start."""
OLD, MOST = 14 * 86400.0, 5
"""Seconds without a start after which an environment is removed, and how many younger ones are kept at most."""
ROOM, LEAST = 400 << 20, 120 << 20
"""Bytes of disk below which those that nobody uses are removed, whatever their age, and that an install needs."""
UNREACHABLE = 6


def main(arguments: Sequence[str]) -> int:
    """Become ``anka-ci ARGUMENTS``; the exit code when that cannot be."""
    signal.signal(signal.SIGTERM, _end)  # the runner's second signal: pip must not be left behind
    signal.signal(signal.SIGHUP, _end)
    try:
        python = environment(cache(os.environ)) / "bin" / "python"
        return os.execv(python, [str(python), "-Im", "anka_ci.cli", *arguments])
    except subprocess.CalledProcessError as error:
        words = f"installing its packages failed (exit code {error.returncode}); what pip said is in the log above"
        hint = "no network: set ANKA_CI_WHEELHOUSE to a folder of wheels (make wheelhouse), or PIP_INDEX_URL"
        return _failed(f"{words}. {hint}")
    except OSError as error:
        return _failed(f"its virtual environment cannot be made: {error}")
    except KeyboardInterrupt:
        return 130


def environment(folder: Path) -> Path:
    """The virtual environment below ``folder`` for this source, this Python and this machine; made when not there.

    It is made under a name of its own, and a link to it is put in place in one step when it is whole. What an
    interrupted install leaves behind has no link and is removed by the next one. From here on until this process ends,
    also as another program, it is in use. ``OSError`` when it cannot be made, ``CalledProcessError`` when pip fails.
    """
    link = folder / key()
    if (found := used(link)) is not None:
        return found
    with _locked(lock_of(link)) as held:
        if (found := used(link)) is not None:  # another job made it meanwhile
            return found
        for leftover in folder.glob(f"{link.name}.[0-9]*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if shutil.disk_usage(folder).free < ROOM:
            sweep(folder, link.name, old=0.0, most=0)
        if (free := shutil.disk_usage(folder).free) < LEAST:
            raise OSError(errno.ENOSPC, f"{free >> 20} MiB are free where {LEAST >> 20} MiB are needed", str(folder))
        made = folder / f"{link.name}.{os.getpid()}"
        _install(made, held)
        (made / IN_USE).touch()
        fresh = link.with_name(link.name + ".link")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(made.name)
        fresh.replace(link)
        found = used(link)
    sweep(folder, link.name)
    if found is None:
        raise FileNotFoundError(
            errno.ENOENT, "it was removed as soon as it was made; is something cleaning up", str(link)
        )
    return found


def used(link: Path) -> Path | None:
    """The environment behind a link, which is in use from now on; None when there is none."""
    made = link.resolve()
    try:
        held = os.open(made / IN_USE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    fcntl.flock(held, fcntl.LOCK_SH)
    if not (made / "bin" / "python").exists():  # it was being removed
        os.close(held)
        return None
    os.set_inheritable(held, True)
    with contextlib.suppress(OSError):  # another user's: then it is as old as that one's last start
        os.utime(made / IN_USE)
    return made


def sweep(folder: Path, but: str, *, old: float = OLD, most: int = MOST) -> None:
    """Remove environments that were not started for ``old`` seconds, or are not among the ``most`` last started.

    Never one in use, nor one that is being made; what cannot be removed stays.
    """
    places = [each for each in folder.iterdir() if not each.name.startswith(but)]
    links = [each for each in places if re.fullmatch("[0-9a-f]{20}", each.name)]
    for number, link in enumerate(sorted(links, key=_last_start, reverse=True)):
        if number >= most or time.time() - _last_start(link) > old:
            _remove(link)
    for place in (each for each in places if re.fullmatch("[0-9a-f]{20}[.][0-9]+", each.name)):
        link = place.with_name(place.name.split(".")[0])
        if place.exists() and link.resolve() != place.resolve():  # of an install that was killed
            _remove(link, place)


def _last_start(link: Path) -> float:
    for place in (link / IN_USE, link):
        with contextlib.suppress(OSError):
            return place.stat().st_mtime
    return 0.0


def _remove(link: Path, place: Path | None = None) -> None:
    """Remove an environment with its link, or the ``place`` that has none, unless somebody has a lock on it."""
    target, lock = place or link.resolve(), lock_of(link)
    with contextlib.suppress(OSError), contextlib.ExitStack() as open_files:
        for file in (lock, target / IN_USE):
            if file == lock or file.exists():
                held = open_files.enter_context(file.open("a"))
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if place is None:
            link.unlink()
        shutil.rmtree(target)
        lock.unlink()
        say(f"anka-ci: removed {target}, which nobody uses any more")


def cache(env: Mapping[str, str]) -> Path:
    """The folder for environments: in the runner's tool cache, or in the user's cache folder."""
    homes = [env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".cache")]
    if env.get("RUNNER_TOOL_CACHE"):
        homes.insert(0, env["RUNNER_TOOL_CACHE"])
    failure: OSError | None = None
    for home in homes:
        folder = Path(home, "anka-ci").absolute()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            failure = error
        else:
            if os.access(folder, os.W_OK):
                return folder
    raise failure or PermissionError(f"none of {', '.join(homes)} can be written")


def key() -> str:
    """A name for the environment: a hash of the sources, of this Python and of the architecture."""
    found = hashlib.sha256()
    python = os.path.realpath(sys.executable)
    found.update(f"{python}\0{sys.base_prefix}\0{sys.version}\0{platform.machine()}\0".encode())
    for name in SOURCES:
        place = ROOT / name
        files = sorted(place.rglob("*")) if place.is_dir() else [place]
        for file in files:
            if file.is_file() and file.suffix != ".pyc":
                content = file.read_bytes()
                found.update(f"{file.relative_to(ROOT).as_posix()}\0{len(content)}\0".encode() + content)
    return found.hexdigest()[:20]


def _install(venv: Path, held: int) -> None:
    """Make it; what does so holds the lock too, so that nothing is still at it when the lock is free."""
    say(f"anka-ci: installing into {venv} with Python {platform.python_version()} (once per version of anka-ci)")
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    # A pip of the person who set up the machine may be told to install elsewhere; this one installs here.
    env = {name: value for name, value in env.items() if name not in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")}
    env |= {"PIP_USER": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    try:
        _call([sys.executable, "-Im", "venv", str(venv)], env, held)
        words = [str(venv / "bin" / "python"), "-Im", "pip", "install", "--quiet"]
        wheels = env.get("ANKA_CI_WHEELHOUSE")
        if wheels:
            words += ["--no-index", "--find-links", str(Path(wheels).absolute())]
        _call([*words, f"{ROOT}[{EXTRAS}]"], env, held)
    except BaseException as error:
        free = shutil.disk_usage(venv.parent).free
        shutil.rmtree(venv, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError) and free < 16 << 20:
            raise OSError(errno.ENOSPC, "the disk became full while it was made", str(venv)) from error
        raise


def _call(words: Sequence[str], env: Mapping[str, str], held: int) -> None:
    """Run it; whatever ends this ends its children too, which would go on writing."""
    with subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, pass_fds=(held,), start_new_session=True) as child:
        try:
            status = child.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    if status != 0:
        raise subprocess.CalledProcessError(status, words)


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    """One install at a time; the system frees the lock of a process that is killed."""
    while True:
        with file.open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("anka-ci: another job is installing the same; waiting for it")
                fcntl.flock(held, fcntl.LOCK_EX)
            if not file.exists() or not os.path.samestat(file.stat(), os.fstat(held.fileno())):
                continue  # whoever had it removed an environment, and the lock's file with it
            yield held.fileno()
            return


def lock_of(link: Path) -> Path:
    """The file that is locked while the environment is made or removed."""
    return link.with_name(link.name + ".lock")


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _failed(text: str) -> int:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        say(f"::error title=anka-ci could not be installed::{escaped}")
    say(f"anka-ci: {text}")
    return UNREACHABLE


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
