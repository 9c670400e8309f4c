"""Make a virtual environment of this checkout, once, and start ``anka-ci`` in it; run by ``run.sh`` as a script.

Runs before anything is installed: needs the standard library alone, and imports nothing of the project. A start that
finds its environment installs nothing and asks the network nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "shared/anka_ci", "actions/anka_ci_actions", "jenkins")
"""What an installed anka-ci is made of; a change of anything in it makes a new environment."""
UNREACHABLE = 6


def main(arguments: Sequence[str]) -> int:
    """Become ``anka-ci ARGUMENTS``; the exit code when that cannot be."""
    signal.signal(signal.SIGTERM, _end)  # the runner's second signal: pip must not be left behind
    signal.signal(signal.SIGHUP, _end)
    try:
        python = environment(cache(os.environ)) / "bin" / "python"
    except subprocess.CalledProcessError as error:
        words = f"installing its packages failed (exit code {error.returncode}); what pip said is in the log above"
        hint = "no network: set ANKA_CI_WHEELHOUSE to a folder of wheels (make wheelhouse), or PIP_INDEX_URL"
        return _failed(f"{words}. {hint}")
    except OSError as error:
        return _failed(f"its virtual environment cannot be made: {error}")
    except KeyboardInterrupt:
        return 130
    return os.execv(python, [str(python), "-Im", "anka_ci.cli", *arguments])


def environment(folder: Path) -> Path:
    """The virtual environment below ``folder`` for this source, this Python and this machine; made when not there.

    It is made under a name of its own, and a link to it is put in place in one step when it is whole. What an
    interrupted install leaves behind has no link and is removed by the next one. ``OSError`` when it cannot be made,
    ``CalledProcessError`` when pip fails.
    """
    link = folder / key()
    if (link / "bin" / "python").exists():
        return link.resolve()
    with _locked(link.with_name(link.name + ".lock")) as held:
        if (link / "bin" / "python").exists():  # another job made it meanwhile
            return link.resolve()
        for leftover in folder.glob(f"{link.name}.[0-9]*"):
            shutil.rmtree(leftover, ignore_errors=True)
        made = folder / f"{link.name}.{os.getpid()}"
        _install(made, held)
        fresh = link.with_name(link.name + ".link")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(made.name)
        fresh.replace(link)
    return made


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
        _call([*words, str(ROOT)], env, held)
    except BaseException:
        shutil.rmtree(venv, ignore_errors=True)
        raise


def _call(words: Sequence[str], env: Mapping[str, str], held: int) -> None:
    subprocess.run(words, env=env, check=True, stdin=subprocess.DEVNULL, pass_fds=(held,))


@contextmanager
def _locked(file: Path) -> Iterator[int]:
    """One install at a time; the system frees the lock of a process that is killed."""
    with file.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("anka-ci: another job is installing the same; waiting for it")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield held.fileno()


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
