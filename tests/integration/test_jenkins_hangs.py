"""A build on a Jenkins that has fallen silent: an interruption ends the command within five seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jenkins_double as double

HANGS = {
    "^POST /job/one/build$": "it may have been started all the same: ",
    "^GET /queue": "it was cancelled: ",
    "^GET /job/one/1/api": "it was cancelled: ",
    "^(GET|POST) /queue": "and it could not be cancelled",
}


@pytest.mark.parametrize("what", HANGS)
def test_a_build_is_left_soon(what: str, tmp_path: Path) -> None:
    with double.serve() as jenkins:
        jenkins.put("one", "<flow-definition/>")
        jenkins.fail(what, "hang", 100)
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANKA_CI_JENKINS_URL": jenkins.url}
        env |= {"ANKA_CI_JENKINS_USER": double.USER, "ANKA_CI_JENKINS_TOKEN": double.TOKEN}
        process = subprocess.Popen(
            [sys.executable, "-Im", "anka_ci.cli", "job", "dispatch", "--ci", "jenkins", "one"],
            cwd=tmp_path,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not jenkins.asked(what):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
        assert time.monotonic() - began < 5
        assert (130, True) == (process.returncode, HANGS[what] in said), said
