"""The step ``run-in-vm``: what reaches the guest, what comes back, and what becomes of the VM."""

from __future__ import annotations

import dataclasses
import json

import pytest

from anka_ci.desk import perform
from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.result import Printed
from anka_ci.rules import guests
from anka_ci.wire.vm import Vm

SECRET = "s3cret & $(touch spliced) 'x' \"y\""


def run_in(anka, **inputs):
    values = {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("run-in-vm", values, anka)


def test_words_variables_and_folder_reach_the_guest_as_they_are_and_secrets_are_told_nowhere(vmhost):
    vmhost.make("words", "v1")
    told = []
    anka = vmhost.doors(tell=told.append)
    script = 'printf "%s|" "$PLAIN" "$TOKEN" >got; echo "token $TOKEN"; echo aside >&2; cat; mkdir -p deep/er; exit 0'
    inputs = {
        "vm": "words",
        "script": script,
        "env": {"PLAIN": "a b=c # `d`"},
        "secret_env": f"TOKEN={SECRET}",
        "script_timeout": "1m",
    }
    done = run_in(anka, **inputs)
    assert "run the script `printf" in done.plan["actions"][0]["text"]
    assert ("done", 0, "token ***", "stopped") == (
        done.status,
        *(done.outputs[key] for key in ("exit-status", "output", "state")),
    )
    assert f"a b=c # `d`|{SECRET}|" == (vmhost.guest("words") / "got").read_text()
    assert {("token ***", "stdout"), ("aside", "stderr")} == {
        (event.text, event.stream) for event in told if isinstance(event, Printed)
    }
    assert "s3cret" not in json.dumps(done.emit()) + str(told)
    assert not (vmhost.guest("words") / "spliced").exists()


def test_a_failure_sets_the_vm_back_to_its_tag_and_tells_status_and_last_lines(vmhost):
    vmhost.make("fails", "v1")
    with pytest.raises(RefusedError, match="ended with status 7 in the VM") as caught:
        run_in(
            vmhost.doors(), vm="fails", script="# why\necho one; echo half >half\necho two >&2; (exit 7)\necho never"
        )
    error = caught.value
    assert (7, "one") == (error.outputs["exit-status"], error.outputs["output"])
    assert "it printed last:\n  " in error.hint
    assert "two" in error.hint
    assert error.hint.endswith("the VM was set back to its tag v1")
    assert "stopped" == vmhost.status("fails")
    assert not (vmhost.guest("fails") / "half").exists()


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "exactly one of command, script and script-file"),
        ({"command": "a", "script": "b"}, UsageError, "not command and script"),
        ({"script": " \n"}, UsageError, "given but empty"),
        ({"script_file": "/nowhere/x.sh"}, UsageError, "the script /nowhere/x.sh cannot be read"),
        ({"command": "a", "env": {"1A": "x"}}, UsageError, "env: '1A' is no name of a variable"),
        ({"command": "a", "env": {"A": 13.1}}, UsageError, "env: A wants text"),
        ({"command": "a", "env": {"A": ["x"]}}, UsageError, "env: A wants text"),
        ({"command": "a", "env": "A=1", "secret_env": "A=2"}, UsageError, "A is given in both"),
        ({"command": "a", "secret_env": {"A": "x\nyz"}}, UsageError, "secret-env: A holds a line break"),
        ({"command": "a", "vm": "nobody"}, NotFoundError, "no VM 'nobody'"),
        ({"script": "a", "shell": "fish"}, UsageError, "none of sh, bash, zsh"),
    ],
)
def test_bad_input_starts_nothing_and_shows_no_value(vmhost, inputs, error, said):
    with pytest.raises(error, match=said) as caught:
        run_in(vmhost.doors(), **{"vm": "x", **inputs})
    assert "yz" not in str(caught.value)


def test_what_a_failed_run_leads_to():
    """Without a host: what is known before anything is asked of it."""
    vm = guests_vm(status="running")
    for wanted, stop in (("reset", False), ("stop", False), ("keep", False)):
        assert stop == guests.fallback(None, vm, wanted).stop
    untagged = guests_vm()
    assert (True, "") == (guests.fallback(None, untagged, "reset").stop, guests.fallback(None, untagged, "reset").tag)
    assert "has no tag to be set back to" in guests.fallback(None, untagged, "reset").notes[0]
    assert not guests.fallback(None, untagged, "keep").stop


def guests_vm(**more):
    return dataclasses.replace(Vm(id="u", name="n", status="stopped"), **more)


def test_values_of_variables():
    assert {"A": "true", "B": "5", "C": ""} == guests.values({"A": True, "B": 5, "C": ""}, {})
    found = guests.values({}, {"A": "x"})
    assert ("{'A': ***}", "x") == (str(found), found["A"].reveal())


def test_of_much_output_the_end_is_kept():
    assert "z" * guests.LONGEST_OUTPUT == guests.output("ä" + "z" * guests.LONGEST_OUTPUT + "\n\n")
    assert "é" == guests.output("é\n")


@pytest.mark.parametrize(
    ("work", "title"),
    [
        (guests.Work(argv=("a", "b c")), "a b c"),
        (guests.Work(argv=("sh",), script="#!/bin/sh\n\n  one \n"), "the script `one`"),
        (guests.Work(argv=("sh",), script="one\ntwo"), "the script `one` …"),
        (guests.Work(argv=("sh",), script="# nothing"), "an empty script"),
    ],
)
def test_a_title_for_people(work, title):
    assert title == work.title
