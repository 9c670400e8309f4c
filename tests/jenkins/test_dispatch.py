"""A Jenkins job started from here: its parameters, its queue, its log while it runs, and its end."""

from __future__ import annotations

from typing import Any

import pytest

from anka_ci.adapter import builds
from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.result import Printed, Said
from anka_ci.secret import Redactor
from anka_ci.settings import Context
from anka_ci_jenkins import dispatch

ASKS = (
    "<flow-definition><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>"
    "<hudson.model.StringParameterDefinition><name>tag</name></hudson.model.StringParameterDefinition>"
    "</parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties></flow-definition>"
)


class Desk:
    """The job `team/refresh` on that Jenkins, on a clock that moves by itself; what was told."""

    def __init__(self, jenkins: Any) -> None:
        self.told: list[Any] = []
        self.clock, self.cancelled = ManualClock(), Cancelled()
        self.jenkins = jenkins

    def dispatch(self, given: dict[str, str] | None = None, seconds: float | None = None, **more: bool) -> Any:
        env = {"ANKA_CI_JENKINS_USER": "somebody", "ANKA_CI_JENKINS_TOKEN": "11a token of somebody"}
        anka = Anka(
            Context(),
            clock=self.clock,
            deadline=Deadline(self.clock, seconds),
            cancelled=self.cancelled,
            tell=self.told.append,
        )
        inputs = dispatch.Inputs(jenkins_url=self.jenkins.url)
        builder = dispatch.builder("/team/refresh/", inputs, env, anka, Redactor())
        return builds.dispatch(builder, anka, given or {}, **more)

    def printed(self) -> list[str]:
        return [each.text for each in self.told if isinstance(each, Printed)]

    def said(self) -> list[str]:
        return [each.text for each in self.told if isinstance(each, Said)]


@pytest.fixture
def desk(jenkins: Any) -> Desk:
    jenkins.put("team", "<com.cloudbees.hudson.plugins.folder.Folder/>")
    jenkins.put("team/refresh", "<flow-definition/>")
    return Desk(jenkins)


def test_a_build_is_followed_with_its_log_to_its_end(desk: Desk) -> None:
    nasty = 'it\'s "so" $HOME & <ü> =\n'
    result = desk.dispatch({"tag": nasty, "b": ""})
    assert (0, "done") == (result.code, result.status)
    (build,) = desk.jenkins.jobs["team/refresh"].builds
    assert {"tag": nasty, "b": ""} == build.parameters
    outputs = result.steps[0].outputs
    assert ("1", "SUCCESS", f"{desk.jenkins.url}/job/team/job/refresh/1/") == (
        outputs["id"],
        outputs["outcome"],
        outputs["url"],
    )
    lines = [f"line {number} of team/refresh ünï" for number in (1, 2, 3)]
    assert ["Started by user somebody", *lines] == desk.printed()
    assert any("queued: Waiting for next available executor" in text for text in desk.said())


@pytest.mark.parametrize("result", ["FAILURE", "UNSTABLE", "NOT_BUILT"])
def test_an_end_that_is_not_well_is_the_result(desk: Desk, result: str) -> None:
    desk.jenkins.results["team/refresh"] = result
    found = desk.dispatch()
    assert (7, f"team/refresh ended with {result}") == (found.code, found.error["message"])


def test_a_job_with_parameters_runs_with_its_defaults(desk: Desk) -> None:
    desk.jenkins.put("team/refresh", ASKS)
    assert 0 == desk.dispatch().code
    assert 1 == desk.jenkins.asked("POST /job/team/job/refresh/buildWithParameters")


def test_it_need_not_be_waited_for(desk: Desk) -> None:
    found = desk.dispatch(wait=False)
    assert (0, "queue-1") == (found.code, found.steps[0].outputs["id"])
    assert [] == desk.jenkins.jobs["team/refresh"].builds


def test_an_interruption_in_the_queue_takes_it_out(desk: Desk) -> None:
    desk.jenkins.full = True

    def sleep(seconds: float, cancelled: Cancelled | None = None) -> None:
        desk.cancelled.set("somebody")

    desk.clock.sleep = sleep  # type: ignore[method-assign]
    found = desk.dispatch()
    assert (130, {1}) == (found.code, desk.jenkins.cancelled)
    assert "it was cancelled" in found.error["hint"]


def test_the_end_of_the_time_stops_what_runs(desk: Desk) -> None:
    desk.jenkins.full = False
    desk.jenkins.waits[1] = 1
    put = desk.jenkins.jobs["team/refresh"].builds

    class Slow(list):  # type: ignore[type-arg]
        def append(self, build: Any) -> None:
            build.polls = -1000
            super().append(build)

    desk.jenkins.jobs["team/refresh"].builds = Slow(put)
    found = desk.dispatch(seconds=60)
    assert (7, True) == (found.code, desk.jenkins.jobs["team/refresh"].builds[0].aborted)
    assert "it was cancelled" in found.error["hint"]


def test_a_job_that_is_not_there_is_told_by_the_command(job: Any, jenkins: Any) -> None:
    done = job("dispatch", "nothing")
    assert (4, True) == (done.code, "no job 'nothing'" in done.err), done.err
    done = job("dispatch", "nothing", "--ref", "main")
    assert (2, True) == (done.code, "--ref belongs to --ci github" in done.err)
    jenkins.put("one", "<flow-definition/>")
    assert 0 == job("dispatch", "one", "--no-wait").code
    outputs = job("dispatch", "one", "--no-wait").document["steps"][0]["outputs"]
    assert ("queue-2", f"{jenkins.url}/job/one/") == (outputs["id"], outputs["url"])
