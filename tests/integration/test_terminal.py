"""The stand-in at a real terminal: it asks before a loss, draws its bar there, and two commands at once both count."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from anka_ci.server.app import Server
from conftest import plain_env


class Host:
    """A library, the stand-in on it, and a terminal."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._anka = server.anka
        self._env = plain_env(folder) | {"ANKA_HOME": str(folder / "own"), "ANKA_REGISTRY": server.registry_url}

    def at_terminal(self, *words: str, answer: str = "", persona: str = "3") -> tuple[int, str, str]:
        """Run a command whose stdin and stderr are a terminal: its exit code, stdout, and what the terminal saw."""
        master, slave = pty.openpty()
        with subprocess.Popen(
            [self._anka, *words],
            env=self._env | {"ANKA_STANDIN_GENERATION": persona},
            stdin=slave,
            stderr=slave,
            stdout=subprocess.PIPE,
        ) as child:
            os.close(slave)
            if answer:
                os.write(master, answer.encode())
            seen = b""
            while True:
                try:
                    got = os.read(master, 65536)
                except OSError:  # how Linux tells that nobody has the terminal open any more
                    break
                if not got:
                    break
                seen += got
            assert child.stdout is not None
            out = child.stdout.read()
            code = child.wait(timeout=60)
        os.close(master)
        return code, out.decode(), seen.decode()

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen([self._anka, "-j", *words], env=self._env, stdout=subprocess.PIPE, text=True)

    def ask(self, *words: str) -> object:
        with self.start(*words) as child:
            out, _ = child.communicate(timeout=60)
        found = json.loads(out)
        assert "OK" == found["status"], found
        return found["body"]


@pytest.fixture
def host(server: Server, tmp_path: Path) -> Host:
    return Host(server, tmp_path)


def test_a_loss_is_asked_about(host: Host) -> None:
    host.ask("registry", "pull", "sonoma")
    code, out, seen = host.at_terminal("registry", "revert", "sonoma", answer="n\n")
    assert (1, "") == (code, out)
    assert "are you sure you want to revert sonoma, which loses v1 [y/N]: " in seen
    assert "anka: aborted" in seen
    assert [{"tag": "v1", "version": 1}, {"tag": "base", "version": 0}] == host.ask("registry", "show", "sonoma", "tag")
    assert 0 == host.at_terminal("registry", "revert", "sonoma", answer="y\n")[0]
    assert [{"tag": "base", "version": 0}] == host.ask("registry", "show", "sonoma", "tag")
    id_ = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"
    code, _, seen = host.at_terminal("delete", "sonoma", answer="\n")
    assert (1, True) == (code, f"are you sure you want to delete vm {id_} sonoma [y/N]:" in seen)
    assert 0 == host.at_terminal("delete", "sonoma", answer="yes\n")[0]
    assert [] == host.ask("list")
    assert 1 == host.at_terminal("-j", "registry", "revert", "sonoma")[0]


def test_the_bar_of_each_release(host: Host) -> None:
    code, out, seen = host.at_terminal("registry", "pull", "--tag", "base", "sonoma")
    assert (0, True) == (code, out.startswith("5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e: pulled "))
    assert re.fullmatch(r"(\r *\d{1,3}% \[\|* *\](?: \d\d:\d\d ETA)? *)+\r\n", seen), seen
    assert f"\r100% [{'|' * 60}]" in seen
    assert "" == host.at_terminal("pull", "--quiet", "sonoma")[2]
    host.ask("delete", "--yes", "sonoma")
    code, out, seen = host.at_terminal("registry", "pull", "sonoma", persona="2")
    assert "VM pulled successfully with uuid: 5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e\n" == out
    assert f"\rDownloading files  [{'#' * 36}]  100%" in seen
    host.ask("delete", "--yes", "sonoma")
    assert "" == host.at_terminal("-j", "registry", "pull", "sonoma")[2]


def test_registries_that_are_added_at_once_all_count(host: Host) -> None:
    names = [f"registry-{number}" for number in range(6)]
    children = [host.start("registry", "add", "--force", name, "http://127.0.0.1:1") for name in names]
    assert [0] * 6 == [child.wait(timeout=60) for child in children]
    for child in children:
        assert child.stdout is not None
        child.stdout.close()
    found = host.ask("registry", "list-repos")
    assert isinstance(found, list)
    assert names == sorted(row["name"] for row in found)
