"""The first job on a machine, and the later ones, as workflows: what is installed when, and what needs a network."""

from __future__ import annotations

import os
import sys

import pytest

from integration import acting
from integration.conftest import tool

CHECK = {"id": "check", "uses": "OWNER/anka-ci@v1", "with": {"command": "check", "file": "ci/refresh.yml"}}


def installed(machine):
    """Every file of the environments and when it was written; not their record of being used."""
    files = machine.runner.glob("tool_cache/**/*")
    return {file: file.lstat().st_mtime_ns for file in files if file.name != "in-use"}


def test_two_jobs_at_once_on_a_cold_tool_cache_install_once(machine):
    jobs = machine.first.jobs
    assert {"job-1": "success", "job-2": "success"} == {name: job.result for name, job in jobs.items()}
    logs = [job["check"].log for job in jobs.values()]
    assert 1 == sum("anka-ci: installing into " in log for log in logs), logs
    assert 1 == len(machine.environments)


def test_a_warm_start_installs_nothing_and_has_no_network_to_ask(machine):
    if sys.platform != "linux" or os.getuid() != 0:
        pytest.skip("taking the network away from a process needs root on Linux")
    before = installed(machine)
    ran = machine.run(acting.workflow({"job": acting.job([CHECK])}), before=[tool("unshare"), "--net"])
    assert ("success", "done") == (ran.job.result, ran.job["check"].outputs["status"]), ran.shown()
    assert "installing" not in ran.job["check"].log
    assert before == installed(machine)


def test_another_version_that_cannot_be_installed_says_what_to_do(machine):
    place = machine.checkout / "shared" / "anka_ci" / "__init__.py"
    text = place.read_text()
    place.write_text(f"{text}# another\n")
    try:
        ran = machine.run(acting.workflow({"job": acting.job([CHECK])}))
    finally:
        place.write_text(text)
    assert "failure" == ran.job.result
    (annotation,) = ran.job["check"].annotations
    assert ("error", "anka-ci could not be installed") == (annotation.level, annotation.place["title"])
    assert "ANKA_CI_WHEELHOUSE" in annotation.message
    assert 1 == len(machine.environments)
