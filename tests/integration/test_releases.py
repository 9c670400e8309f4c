"""Every step that runs ``anka``, with the stand-in playing each release of it: the same results from each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from anka_ci.server.app import Server
from conftest import Command

RELEASES = ("2", "3", "3.9")


@pytest.mark.parametrize("release", RELEASES)
def test_every_step_of_a_host_with_every_release(cli: Command, server: Server, release: str) -> None:
    def ask(step: str, *words: str, code: int = 0) -> dict[str, Any]:
        done = cli(step, *words, "--json", env={"ANKA_STANDIN_GENERATION": release})
        assert code == done.returncode, (step, words, done.stdout, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        outputs: dict[str, Any] = found["steps"][0]["outputs"]
        return outputs

    sonoma = ("--template", "sonoma")
    wanted = ask("size", *sonoma)
    assert (True, wanted["size"]) == (wanted["fits"], wanted["download"])
    ask("pull", *sonoma, "--tag", "base")
    ask("pull", *sonoma, "--shrink")
    assert 0 == ask("size", *sonoma)["download"]
    ran = ask("run-in-vm", "--vm", "sonoma", "--script", "echo more > file; cat file")
    assert (0, "more\n") == (ran["exit-status"], ran["output"] + "\n" * (not ran["output"].endswith("\n")))
    pushed = ask("push", *sonoma, "--tag", "v2", "--description", "words")
    assert ("v2", 2) == (pushed["tag"], pushed["version"])
    assert "pushed" != ask("push", *sonoma, "--tag", "v2", "--if-exists", "skip")["outcome"]
    assert ["base", "v1", "v2"] == [each["tag"] for each in ask("show", *sonoma)["versions"]]
    ask("clone", "--vm", "sonoma", "--name", "copy")
    assert 0 == ask("run-in-vm", "--vm", "copy", "--script", "grep -x more file")["exit-status"]
    ask("delete-local", "--vm", "copy", "--confirm", "yes")
    ask("delete-local", "--vm", "copy", code=4)
    assert ask("use-registry", "--action", "add", "--name", "here")["added"]
    ask("use-registry", "--action", "add", "--name", "away", "--url", "http://127.0.0.1:1", "--force", "true")
    back = ask("use-registry", "--action", "set", "--name", "here")
    assert ("here", "away", server.registry_url) == (back["name"], back["former"], back["url"])
    left = ask("use-registry", "--action", "forget", "--name", "away", "--confirm", "yes")["registries"]
    assert [("here", True)] == [(each["name"], each["default"]) for each in left]
    ask("revert", *sonoma, "--tag", "v2", "--confirm", "yes")
    assert ask("pull", *sonoma, "--tag", "v1")["version"] == 1
    mine = ask("push", *sonoma, "--tag", "mine", "--local", "true")
    assert ("tagged", None, 0) == (mine["outcome"], mine.get("version"), mine["bytes-sent"])
    ask("run-in-vm", "--vm", "sonoma", "--script", "echo own > file")
    old = release == "2"
    flat = ask("push", *sonoma, "--tag", "flat", "--shallow", "true", code=3 if old else 0)
    fetched = ask("pull", *sonoma, "--tag", "base", "--fetch-only", "true", code=3 if old else 0)
    if not old:
        assert ("pushed", 2, 0) == (flat["outcome"], flat["version"], flat["bytes-shared"])
        assert ("base", "unchanged") == (
            fetched["tag"],
            ask("push", *sonoma, "--tag", "flat", "--shallow", "true")["outcome"],
        )
