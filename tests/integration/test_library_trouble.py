"""A library on a disk that is full or cannot be written, and many commands on one library at once.

No half VM is visible at any moment, no tag is told that is not whole, and what went wrong says what to do.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from anka_ci.server.app import Server
from integration.conftest import disk, standin_env
from integration.killing import STANDIN, start
from integration.libraries import said, tidy, whole

MIB = 1 << 20


def told(home: Path, *words: str) -> tuple[int, str, str]:
    """What a command says to people: exit code, stdout, stderr."""
    env = standin_env(home) | {"ANKA_STANDIN_GUESTS": "1"}
    line = [word for word in STANDIN if word != "-j"] + list(words)
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_disk_that_is_too_small_and_then_full(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", sample=True, sample_bytes=12 * MIB) as server,
        disk(tmp_path / "small", "16m") as home,
    ):
        remote = ("registry", "--remote", server.registry_url)
        ballast = home / "ballast"
        ballast.write_bytes(bytes(6 * MIB))
        code, out, err = told(home, *remote, "pull", "--tag", "v1", "sonoma")
        assert (1, "") == (code, out)
        assert "not enough disk: 12" in err
        assert "are free at" in err
        assert [] == said(home, "list")
        ballast.unlink()
        assert "v1" == said(home, *remote, "pull", "--tag", "v1", "sonoma")["tag"]
        # the guest's folder has no room beside its layers
        code, _, err = told(home, "start", "sonoma")
        assert 1 == code
        assert "not enough disk" in err
        assert "make room at" in err
        free = 16 * MIB - sum(file.stat().st_size for file in home.rglob("*") if file.is_file())
        ballast.write_bytes(bytes(max(0, free - 64 * 1024)))
        with contextlib.suppress(OSError), (home / "rest").open("ab", buffering=0) as rest:
            while True:
                rest.write(bytes(4096))
        for words in (
            ["clone", "sonoma", "other"],
            ["push", "--local", "--tag", "more", "sonoma"],
            ["export", "sonoma", str(home / "archive")],
        ):
            code, _, err = told(home, *words)
            assert 1 == code, words
            assert "No space left on device" in err
            assert "what was half done is not visible" in err
        whole(home)
        assert [] == [path for path in home.iterdir() if "archive" in path.name]
        assert [("sonoma", "v1")] == [(row["name"], row["version"]) for row in said(home, "list")]
        (home / "rest").unlink()
        ballast.unlink()
        said(home, "clone", "sonoma", "other")
        whole(home)
        tidy(home)


def test_a_disk_that_gets_full_while_files_are_copied(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(4 * MIB))
    with disk(tmp_path / "small", "3m") as home:
        id_ = said(home, "create", "vm")
        guest = home / "vm_lib" / id_ / "guest"
        said(home, "run", "vm", "sh", "-c", "echo before >file")
        for words in (["cp", str(large), "vm:file"], ["cp", str(large), "vm:"]):
            code, _, err = told(home, *words)
            assert 1 == code, words
            assert "No space left on device" in err
            assert "what was half done is not visible" in err
        assert ("before\n", ["file"]) == ((guest / "file").read_text(), [path.name for path in guest.iterdir()])
        assert [] == list(home.rglob(".cp-*"))
        # out of the guest, onto a disk that is full
        said(home, "run", "vm", "sh", "-c", "head -c 2000000 /dev/zero >out")
        code, _, err = told(home, "cp", "vm:out", str(home / "copy"))
        assert (1, True) == (code, "No space left on device" in err)
        assert [] == [path for path in home.iterdir() if "copy" in path.name or ".cp-" in path.name]
        said(home, "cp", "vm:file", str(home / "copy"))
        assert "before\n" == (home / "copy").read_text()


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    with (
        Server(tmp_path / "data", sample=True, sample_bytes=3 * MIB) as server,
        disk(tmp_path / "read-only", "32m") as home,
    ):
        remote = ("registry", "--remote", server.registry_url)
        said(home, *remote, "pull", "--tag", "v1", "sonoma")
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        assert ["v1"] == [row["version"] for row in said(home, "list")]
        assert "v1" == said(home, "show", "sonoma")["version"]
        assert "sonoma" == said(home, "describe", "sonoma")["name"]
        assert 2 == len(said(home, *remote, "show", "sonoma", "tag"))
        for words in (
            ["clone", "sonoma", "other"],
            ["create", "fresh"],
            ["start", "sonoma"],
            ["delete", "--yes", "sonoma"],
            ["push", "--local", "--tag", "more", "sonoma"],
            [*remote, "pull", "--tag", "base", "sonoma"],
            ["registry", "add", "mine", server.registry_url],
        ):
            code, out, err = told(home, *words)
            assert (1, "") == (code, out), words
            assert "Read-only file system" in err, words
        subprocess.run(["mount", "-o", "remount,rw", str(home)], check=True)
        whole(home)
        tidy(home)


KNOWN = ("already exists", "not found", "is running", "already running", "doesn't match")
"""What a command may say when another one was faster."""


def test_many_commands_at_once(tmp_path: Path) -> None:
    """Whoever comes second waits or says why; whoever looks sees whole VMs only."""
    home = tmp_path / "home"
    with Server(tmp_path / "data", sample=True, sample_bytes=3 * MIB) as server:
        remote = ["registry", "--remote", server.registry_url]
        said(home, *remote, "pull", "--tag", "base", "sonoma")
        lines = [
            [*remote, "pull", "--tag", "v1", "sonoma"],
            [*remote, "pull", "--tag", "v1", "--shrink", "sonoma"],
            [*remote, "pull", "--tag", "base", "--shrink", "sonoma"],
            ["registry", "pull", "--local", "sonoma"],
            ["clone", "sonoma", "one"],
            ["clone", "sonoma", "two"],
            ["run", "one", "sh", "-c", "seq 1000 >made"],
            ["stop", "one"],
            ["push", "--local", "--tag", "made", "one"],
            [*remote, "push", "--tag", "made", "one"],
            ["delete", "--yes", "two"],
            ["delete", "--yes", "--tag", "v1", "sonoma"],
            ["delete", "--cache"],
            ["list"],
            ["show", "sonoma", "tag"],
        ] * 4
        random.Random(4).shuffle(lines)

        def one(words: list[str]) -> str:
            out, err = start(home, words, guests=True).communicate(timeout=120)
            reply = json.loads(out)
            fine = reply["status"] == "OK" or any(said in reply["message"] for said in KNOWN)
            if words == ["list"]:
                fine = "failed" not in [row["status"] for row in reply["body"]]
            return "" if fine and not err else f"{words}: {reply} {err.decode()}"

        with ThreadPoolExecutor(6) as pool:
            assert [] == [wrong for wrong in pool.map(one, lines) if wrong]
        said(home, "stop", "--all")
        whole(home)
        said(home, "delete", "--cache")
        whole(home)
        tidy(home)
        said(home, *remote, "pull", "--tag", "v1", "--shrink", "sonoma")
        whole(home)
