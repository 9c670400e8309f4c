"""The steps of runners as processes, with real guests whose agent connects: the whole way, cancelled, and killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading

import pytest
import requests

from actions.github_double import runners as github_runners
from actions.github_double.server import TOKEN, Double
from anka_ci.process_table import table
from conftest import plain_env
from hosted import SCOPE
from integration.acting import connected
from integration.cancelling import Step, adopting
from integration.conftest import serve, wait_until

__all__ = ["adopting"]

OPTIONS = ("--sample", "--sample-size", "3MiB", "--nodes", "1", "--run-guests")
SILENT = """\
mkdir -p actions-runner
printf 'touch "%s"; exec sleep 613\\n' '{}' >actions-runner/run.sh
chmod +x actions-runner/run.sh
"""
"""Brings an agent that never connects."""

pytestmark = pytest.mark.usefixtures("adopting")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(tmp_path_factory.mktemp("served"), *OPTIONS) as served:
        yield served


@pytest.fixture
def github():
    with Double() as double:
        double.add(SCOPE)
        yield double
        github_runners.of(double).close()


@pytest.fixture
def env(served, github):
    return connected(served) | {"ANKA_CI_GITHUB_URL": github.url, "ANKA_CI_GITHUB_TOKEN": TOKEN}


def states(served):
    return {each["vm"]["instance_state"] for each in requests.get(f"{served.url}/api/v1/vm", timeout=30).json()["body"]}


def ends(served, ended):
    """Nothing of the step itself is left; what runs in the guest ends with the VM, which the controller sees to."""
    assert [] == [each for each in ended.left if "anka" in each]
    assert states(served) <= {"Terminating", "Terminated"}
    wait_until(lambda: states(served) == {"Terminated"})
    wait_until(lambda: not [each for each in table() if each.words == ("sleep", "613")])


def command(env, folder, *words):
    done = subprocess.run(
        [sys.executable, "-Im", "anka_ci.cli", *words, "--scope", SCOPE, "--json"],
        env=plain_env(folder) | env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert TOKEN not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)["steps"][0], done.stderr


def test_the_whole_way(served, github, env, tmp_path):
    setup = tmp_path / "setup.sh"
    setup.write_text(github_runners.setup())
    words = ("--template", "sonoma", "--owner", "build-42", "--script-file", str(setup), "-v")
    code, started, log = command(env, tmp_path, "start-runner", *words)
    assert (0, "done") == (code, started["status"]), log
    name = started["outputs"]["runner"]
    config = next(sent.body["encoded_jit_config"] for _, sent in github.told if sent.status == 201)
    assert (False, False) == (config in log, config in json.dumps(started))
    held = github_runners.of(github).named(name)
    assert held.line is not None
    github_runners.of(github).begin_job(name)
    assert 3 == command(env, tmp_path, "stop-runner", "--runner", name)[0]
    github_runners.of(github).end_job(name)
    code, stopped, log = command(env, tmp_path, "stop-runner", "--runner", name)
    assert (0, [started["outputs"]["instance-id"]]) == (code, stopped["outputs"]["ended"]), log
    assert ([], None) == (github_runners.of(github).all(), held.line)
    assert states(served) <= {"Terminated"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_cancelled_while_the_agent_is_waited_for(served, github, env, tmp_path, number):
    begun = tmp_path / "begun"
    inputs = {"template": "sonoma", "scope": SCOPE, "script": SILENT.format(begun)}
    step = Step("actions/start-runner", inputs, env, tmp_path / "step")
    try:
        step.until(begun.exists)
        ended = step.cancel(number)
    finally:
        step.end()
    assert (130, number) == (ended.code, ended.last), ended.log
    assert (True, []) == (ended.seconds < 5, github_runners.of(github).all())
    assert "the instance was ended, the runner was removed" in ended.log
    ends(served, ended)


def test_cancelled_while_github_says_nothing(served, github, env, tmp_path):
    begun, hangs, over = tmp_path / "begun", threading.Event(), threading.Event()

    def hang(request):
        if begun.exists():
            hangs.set()
            over.wait(30)

    github.faults.append(hang)
    inputs = {"template": "sonoma", "scope": SCOPE, "script": SILENT.format(begun)}
    step = Step("actions/start-runner", inputs, env, tmp_path / "step")
    try:
        step.until(hangs.is_set)
        ended = step.cancel(signal.SIGINT)
    finally:
        over.set()
        step.end()
    assert (130, signal.SIGINT) == (ended.code, ended.last), ended.log
    assert ended.seconds < 5
    assert "the instance was ended, the runner is left to `sweep`" in ended.log
    ends(served, ended)


def test_killed_while_the_agent_is_waited_for_and_swept_afterwards(served, github, env, tmp_path):
    begun = tmp_path / "begun"
    inputs = {"template": "sonoma", "scope": SCOPE, "lease": "1h", "script": SILENT.format(begun)}
    step = Step("actions/start-runner", inputs, env, tmp_path / "step")
    try:
        step.until(begun.exists)
    finally:
        step.process.kill()
        step.end()
    (held,) = github_runners.of(github).all()
    assert "unchanged" == command(env, tmp_path, "sweep")[1]["status"]
    code, swept, log = command(env, tmp_path, "sweep", "--ahead", "2h")
    assert (0, [held.name]) == (code, swept["outputs"]["removed"]), log
    assert (1, []) == (len(swept["outputs"]["ended"]), github_runners.of(github).all())
    assert states(served) <= {"Terminated"}
