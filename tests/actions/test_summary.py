"""The job summary and the report: caps, texts that stay texts, and places in files."""

from __future__ import annotations

import pytest

from anka_ci.result import Result, StepResult
from anka_ci.secret import Redactor, Secret
from anka_ci_actions import report, summary

ERROR = {"class": "usage", "code": 2, "message": "it is wrong", "fault": "yours", "facts": {}}


def listing(rows: int, width: int = 20) -> Result:
    templates = [{"name": f"t{number}" + "x" * width, "size": 1 << 20} for number in range(rows)]
    step = StepResult(id="list", step="list", status="done", outputs={"count": rows, "templates": templates})
    return Result(name="list", status="done", steps=[step])


def test_rows_are_counted_beyond_a_number_and_cells_end():
    shown = summary.of(listing(summary.ROWS + 7))
    assert "\n_And 7 more._\n" in shown
    assert f"t{summary.ROWS - 1}" in shown
    assert f"t{summary.ROWS}x" not in shown
    assert "… (5002 more characters)" in summary.of(listing(1, width=6000))


def test_it_is_cut_far_below_what_a_runner_takes_and_says_so():
    rows = [{"name": "é" * summary.CHARS} for _ in range(summary.ROWS)]
    step = StepResult(id="list", step="list", status="done", outputs={"count": 1, "templates": rows})
    shown = summary.of(Result(name="list", status="done", steps=[step]))
    assert len(shown.encode()) <= summary.LIMIT
    assert shown.startswith("### ✅ anka-ci list: done")
    assert "| count | 1 |" in shown
    assert "_Cut here: " in shown
    many = [StepResult(id=f"s{n}", step="list", status="done", outputs={"a": "y" * 900}) for n in range(1000)]
    shown = summary.of(Result(name="many", status="done", steps=many))
    assert len(shown.encode()) <= summary.LIMIT
    assert shown.count("<details>") == shown.count("</details>") > 100


def test_a_text_of_a_server_is_no_markdown_and_no_html():
    shown = summary.text("<b>|`x`*y* [a](http://b)\nnext ~~z~~ @me #1")
    assert r"&lt;b&gt;\|\`x\`\*y\* \[a\](http&#58;//b)<br>next \~\~z\~\~ \@me \#1" == shown
    assert summary.fenced("```\ninside").startswith("````text\n```\ninside\n````")


def test_a_plan_that_ran_is_folded_and_one_that_did_not_is_shown():
    plan = {"digest": "abc", "actions": [{"text": "delete a|b", "with": {}}], "loses": [], "notes": ["see this"]}
    done = StepResult(id="delete", step="delete", status="done", plan=plan)
    shown = summary.of(Result(name="delete", status="done", context="lab", seconds=2.5, steps=[done]))
    assert shown.startswith("### ✅ anka-ci delete: done in 2.5 s (lab)\n\n- delete a\\|b\n\n- _see this_\n")
    assert "<details><summary>Plan abc</summary>" in shown
    planned = StepResult(id="delete", step="delete", status="planned", plan=plan)
    shown = summary.of(Result(name="delete", status="planned", steps=[planned]))
    assert "would delete a|b" in shown
    assert "<details>" not in shown


@pytest.mark.parametrize(
    ("facts", "wanted"),
    [
        ({}, {}),
        ({"node": "n"}, {}),
        ({"file": "a.yml", "line": 3, "column": 7}, {"file": "a.yml", "line": 3, "col": 7}),
        ({"file": "/w/ci/a.yml", "line": 3}, {"file": "ci/a.yml", "line": 3}),
        (
            {"file": "a.yml", "problems": [{"facts": {"file": "a.yml", "line": 9}}, {"facts": {"line": 10}}]},
            {"file": "a.yml", "line": 9},
        ),
    ],
)
def test_the_place_of_a_failure(facts, wanted):
    assert wanted == report.place({**ERROR, "facts": facts}, {"GITHUB_WORKSPACE": "/w"})


def test_an_output_may_hold_any_text_but_its_own_mark():
    one, other = report.entry("tag", "a\nb<<x\n"), report.entry("tag", "a\nb<<x\n")
    assert one != other
    key, mark = one.split("\n")[0].split("<<")
    assert ("tag", f"tag<<{mark}\na\nb<<x\n\n{mark}\n") == (key, one)
    assert "" == report.entry("tag", None)
    assert ["true", "3", '["é"]'] == [report.entry("x", value).split("\n")[1] for value in (True, 3, ["é"])]


def test_elsewhere_than_on_a_runner_no_secret_is_shown_as_a_mask(capsys):
    redactor = Redactor([Secret("hush hush")])
    report.begin(redactor, {})
    report.report(Result(name="list", status="failed", error=ERROR), redactor, {})
    assert ("", "") == tuple(capsys.readouterr())


def test_a_secret_that_comes_up_later_is_masked_while_nothing_else_is_obeyed(capsys):
    redactor, env = Redactor(), {"GITHUB_ACTIONS": "true"}
    report.begin(redactor, env)
    redactor.add(Secret("hush hush"))
    report.report(Result(name="list", status="done"), redactor, env)
    lines = capsys.readouterr().err.splitlines()
    stops = [line.removeprefix("::stop-commands::") for line in lines if line.startswith("::stop-commands::")]
    masks = [number for number, line in enumerate(lines) if line.startswith("::add-mask::")]
    assert 2 == len(set(stops))
    assert [f"::{stop}::" for stop in stops] == [lines[1], lines[-1]]
    assert (2, len(lines) - 3) == (masks[0], masks[-1])
