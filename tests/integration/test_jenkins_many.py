"""A thousand Jenkins jobs: what is asked of the server, and an apply that is killed half-way and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import jenkins_double as double

COUNT = 1000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with so many pipeline files."""
    folder = tmp_path_factory.mktemp("many")
    (folder / ".git").mkdir()
    for number in range(COUNT):
        write(folder, number, 3)
    return folder


def write(folder: Path, number: int, builds: int) -> None:
    text = f"version: 1\njenkins: {{job: team/job-{number}, folders: true, keep: {{builds: {builds}}}}}\n"
    (folder / f"{number}.yml").write_text(f"{text}steps: [{{use: list}}]\n")


@pytest.fixture(scope="module")
def jenkins() -> Iterator[Any]:
    with double.serve() as state:
        yield state


def start(jenkins: Any, folder: Path, action: str) -> subprocess.Popen[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "ANKA_CI_JENKINS_URL": jenkins.url}
    env |= {"ANKA_CI_JENKINS_USER": double.USER, "ANKA_CI_JENKINS_TOKEN": double.TOKEN}
    files = [f"{number}.yml" for number in range(COUNT)]
    words = [sys.executable, "-Im", "anka_ci.cli", "job", action, "--ci", "jenkins", "--json", *files]
    return subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], code: int) -> dict[str, Any]:
    out, err = process.communicate(timeout=600)
    assert code == process.returncode, err
    found: dict[str, Any] = json.loads(out)
    return found


def verdicts(document: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in document["steps"]:
        verdict = step["outputs"]["verdict"]
        found[verdict] = found.get(verdict, 0) + 1
    return found


def test_an_apply_that_is_killed_half_way_is_finished_by_the_next(jenkins: Any, many: Path) -> None:
    process = start(jenkins, many, "apply")
    deadline = time.monotonic() + 300
    while len(jenkins.jobs) < COUNT // 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    made = len(jenkins.jobs)
    assert COUNT // 2 <= made < COUNT
    found = verdicts(ended(start(jenkins, many, "apply"), 0))
    assert COUNT + 1 == len(jenkins.jobs) == sum(found.values())
    assert made <= found["in-step"] + 4  # what was under way when it was killed
    assert {"create", "in-step"} == {*found}


def test_a_plan_is_one_listing_and_one_read_of_each_job_at_most(jenkins: Any, many: Path) -> None:
    del jenkins.requests[:]
    assert {"in-step": COUNT + 1} == verdicts(ended(start(jenkins, many, "plan"), 0))
    assert COUNT + 1 == jenkins.asked(r"^GET .*/config\.xml$")
    assert len(jenkins.requests) <= COUNT + 1 + 4  # the listing, the sign-in, the crumb


def test_an_apply_writes_only_what_changed(jenkins: Any, many: Path) -> None:
    for number in (1, 500, 999):
        write(many, number, 4)
    del jenkins.requests[:]
    found = verdicts(ended(start(jenkins, many, "apply"), 0))
    assert {"in-step": COUNT - 2, "update": 3} == found
    assert 3 == jenkins.asked("^POST")


def test_an_interruption_ends_it_soon_and_tells_what_was_done(jenkins: Any, many: Path) -> None:
    for number in range(COUNT):
        write(many, number, 5)
    del jenkins.requests[:]
    process = start(jenkins, many, "apply")
    deadline = time.monotonic() + 300
    while jenkins.asked("^POST") < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 5
    statuses = [step["status"] for step in json.loads(out)["steps"]]
    assert process.returncode in (7, 130), err
    assert statuses.count("done") >= 20
    assert statuses.count("interrupted") > 0
    assert {"in-step", "update"} == {*verdicts(ended(start(jenkins, many, "plan"), 9))}


@pytest.mark.parametrize("what", [r"^GET /api/json", r"^GET .*/job-7/config\.xml$", r"^POST .*/job-7/config\.xml$"])
def test_a_server_that_hangs_is_left_soon_after_an_interruption(what: str, jenkins: Any, many: Path) -> None:
    for number in range(20):
        write(many, number, 6 + len(what))
    del jenkins.requests[:]
    jenkins.fail(what, "hang")
    process = start(jenkins, many, "apply")
    deadline = time.monotonic() + 300
    while not jenkins.asked(what):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 5
    assert process.returncode in (7, 130), err
    jenkins.release.set()
    jenkins.release.clear()
