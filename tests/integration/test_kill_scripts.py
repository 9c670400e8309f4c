"""A server that is killed while it runs scripts in guests: the next one ends them before it runs any again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from anka_ci.server.seed import ID
from instances import VM, runs, script, start, state, until
from integration.conftest import Served, serve, wait_until
from raw import ok

OPTIONS = ("--port", "0", "--sample", "--sample-size", "4MiB", "--nodes", "1", "--run-guests")


def lines(file: Path) -> list[str]:
    """What the scripts have written: the numbers of their shells, and of what they have left running."""
    return file.read_text().split() if file.exists() else []


def startup(server: Served, text: str) -> None:
    start(server, startup_script=script(text), script_monitoring=True, script_timeout=600)


def unmonitored(server: Served, text: str) -> None:
    until(server, start(server, startup_script=script(text)), "Started")


def saved(server: Served, text: str) -> None:
    instance = start(server)
    until(server, instance, "Started")
    ok(server, "POST", "/api/v1/image", {"id": instance, "tag": "v2", "target_vm_id": ID, "script": script(text)})


@pytest.mark.parametrize(("begin", "again"), [(startup, True), (unmonitored, False), (saved, False)])
def test_a_script_does_not_outlive_the_next_start(
    begin: Callable[[Served, str], None], again: bool, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    text = f"sleep 600 & echo $$ $! >>{told}; wait"
    with serve(tmp_path, *OPTIONS) as server:
        begin(server, text)
        wait_until(lambda: len(lines(told)) == 2)
        server.kill()
    first = [int(each) for each in lines(told)]
    assert [True, True] == [runs(pid) for pid in first]  # a kill leaves a server no time for anything
    with serve(tmp_path, *OPTIONS) as server:
        assert [False, False] == [runs(pid) for pid in first]
        (instance,) = [each["instance_id"] for each in ok(server, "GET", VM)]
        if again:  # it had not started, and is started anew
            wait_until(lambda: len(lines(told)) == 4)
            second = [int(each) for each in lines(told)[2:]]
            assert [True, True] == [runs(pid) for pid in second]
        else:
            second = []
            assert "Stopped" == state(server, instance)
            assert 2 == len(lines(told))
    assert not any(runs(pid) for pid in second)


def test_what_a_script_left_running_does_not_either(tmp_path: Path) -> None:
    """As those do that start a build agent: the shell has ended long before the server is killed."""
    told = tmp_path / "told"
    with serve(tmp_path, *OPTIONS) as server:
        text = script(f"sleep 600 >/dev/null 2>&1 & echo $! >{told}")
        until(server, start(server, startup_script=text, script_monitoring=True), "Started")
        server.kill()
    (left,) = [int(each) for each in lines(told)]
    assert runs(left)
    with serve(tmp_path, *OPTIONS):
        assert not runs(left)
