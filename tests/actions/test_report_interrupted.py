"""A signal that comes while the report is being written, as when a job is cancelled at its very end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def pipe(tmp_path):
    """A pipe by name that takes a text and, once it is opened here, waits for no reader; all are closed at the end."""
    opened = []

    def make(name):
        os.mkfifo(tmp_path / name)
        return tmp_path / name

    def reader(path):
        opened.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
        return opened[-1]

    yield make, reader
    for each in opened:
        os.close(each)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_outputs_are_whole(number, pipe, tmp_path):
    make, reader = pipe
    summary, outputs = make("summary"), make("outputs")
    (tmp_path / "anka-ci.yml").write_text("version: 1\nsteps: [{use: list}]\n")
    env = {
        "PATH": os.environ["PATH"],
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(outputs),
        "ANKA_CI_COMMAND": "check",
    }
    words = [sys.executable, "-Im", "anka_ci.cli", "check", "anka-ci.yml", "--report", "actions"]
    with subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as command:
        written = reader(summary)
        assert [written] == select.select([written], [], [], 30)[0], "the summary comes first"
        command.send_signal(number)  # it waits for a reader of the outputs
        found = reader(outputs)
        log, _ = command.communicate(timeout=30)
    assert 0 == command.returncode, log.decode()
    text = os.read(found, 1 << 16).decode()
    assert {"status", "outputs", "result"} == {
        line.partition("<<")[0] for line in text.splitlines() if "<<anka_ci_" in line
    }
    assert b"anka-ci check: done" in os.read(written, 1 << 16)
