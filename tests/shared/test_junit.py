"""The result document as JUnit XML, and ``--junit``."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anka_ci import junit
from anka_ci.errors import FellShortError, InterruptError, RefusedError, UnreachableError
from anka_ci.result import Result, StepResult


def step(name, status="done", error=None, **more):
    return StepResult(id=name, step="distribute", status=status, error=error and error.emit(), seconds=1.5, **more)


def read(result):
    root = ET.fromstring(junit.of(result.emit()).encode())
    return root, {case.get("name"): case for case in root.iter("testcase")}


def test_every_step_is_a_case_and_failures_are_told_apart():
    short = FellShortError("2 nodes did not", hint="look at them", nodes={"n-1": "offline", "n-2": "disk full"})
    steps = [
        step("a", notes=("a note",)),
        step("b", "failed", RefusedError("not <that> & 'this'")),
        step("c", "failed", UnreachableError("nobody there")),
        step("d", "skipped"),
        step("e", "interrupted", InterruptError("interrupted (SIGINT)")),
        step("f", "failed", short),
        step("g", "planned", plan={"actions": [{"text": "distribute it"}]}),
    ]
    error = steps[1].error
    root, cases = read(
        Result(name="Refresh", status="failed", context="lab", started=0, seconds=9, steps=steps, error=error)
    )
    (suite,) = root
    expected = {"tests": "7", "failures": "1", "errors": "3", "skipped": "1", "time": "9.000", "name": "Refresh"}
    assert expected == {key: suite.get(key) for key in expected}
    assert ("1970-01-01T00:00:00", "lab") == (suite.get("timestamp"), suite[0][0].get("value"))
    kinds = {name: [each.tag for each in case if each.tag != "system-out"] for name, case in cases.items()}
    assert {"a": [], "b": ["failure"], "c": ["error"], "d": ["skipped"], "e": ["error"]} == {
        name: kinds[name] for name in "abcde"
    }
    assert ("Refresh.distribute", "1.500") == (cases["a"].get("classname"), cases["a"].get("time"))
    assert "not <that> & 'this'" == cases["b"][0].get("message")
    told = cases["f"][0]
    assert told.text.startswith("2 nodes did not\nlook at them\n")
    assert "n-1: offline" in told.text
    assert "planned:\ndistribute it" == cases["g"][0].text


def test_what_fails_before_a_step_is_a_case_of_its_own():
    error = RefusedError("no").emit()
    _, cases = read(Result(name="pull", status="failed", code=3, error=error))
    assert ["failure"] == [each.tag for each in cases["pull"]]


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_any_text_is_well_formed(text):
    root, _ = read(Result(name=text, status="done", context=text, steps=[step(text, notes=(text,))]))
    assert 1 == len(list(root.iter("testcase")))


def test_the_command_writes_it_also_for_a_failure(here, connected, tmp_path):
    path = tmp_path / "result.xml"
    connected["ANKA_CI_TOKEN"] = "sonma-secret"
    done = here("show", "sonma-secret", "--junit", str(path))
    assert (4, True) == (done.returncode, "no template" in done.stderr)
    assert "sonma-secret" not in path.read_text()  # whatever else it is, it is a secret
    (case,) = ET.parse(path).getroot().iter("testcase")
    assert ("show", "failure") == (case.get("name"), case[0].tag)
    assert 0 == here("show", "sonoma", "--junit", str(path)).returncode
    (case,) = ET.parse(path).getroot().iter("testcase")
    assert ("show", []) == (case.get("name"), list(case))


@pytest.mark.parametrize(("name", "code"), [("sonoma", 3), ("sonma", 4)])
def test_a_file_that_cannot_be_written_hides_no_failure(here, tmp_path, name, code):
    done = here("show", name, "--junit", str(tmp_path / "no" / "x.xml"))
    said = "x.xml cannot be written: No such file or directory"
    assert (code, True) == (done.returncode, said in done.stderr), done.stderr
