"""The job summary and the report: caps, texts that stay texts, and places in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from anka_ci.errors import RefusedError
from anka_ci.result import Result, StepResult
from anka_ci.secret import Redactor, Secret
from anka_ci_actions import markdown, report, summary

ERROR = {"class": "usage", "code": 2, "message": "it is wrong", "fault": "yours", "facts": {}}


def listing(rows: int, width: int = 20) -> Result:
    templates = [{"name": f"t{number}" + "x" * width, "size": 1 << 20} for number in range(rows)]
    step = StepResult(id="list", step="list", status="done", outputs={"count": rows, "templates": templates})
    return Result(name="list", status="done", steps=[step])


def test_rows_are_counted_beyond_a_number_and_cells_end():
    shown = summary.of(listing(markdown.ROWS + 7))
    assert "\n_And 7 more._\n" in shown
    assert f"t{markdown.ROWS - 1}" in shown
    assert f"t{markdown.ROWS}x" not in shown
    assert "… (5002 more characters)" in summary.of(listing(1, width=6000))


def test_it_is_cut_far_below_what_a_runner_takes_and_says_so():
    rows = [{"name": "é" * markdown.CHARS} for _ in range(markdown.ROWS)]
    step = StepResult(id="list", step="list", status="done", outputs={"count": 1, "templates": rows})
    shown = summary.of(Result(name="list", status="done", steps=[step]))
    assert len(shown.encode()) <= markdown.LIMIT
    assert shown.startswith("### ✅ anka-ci list: done")
    assert "| count | 1 |" in shown
    assert "_Cut here: " in shown
    many = [StepResult(id=f"s{n}", step="list", status="done", outputs={"a": "y" * 900}) for n in range(1000)]
    shown = summary.of(Result(name="many", status="done", steps=many))
    assert len(shown.encode()) <= markdown.LIMIT
    assert shown.count("<details>") == shown.count("</details>") > 100


def test_a_text_of_a_server_is_no_markdown_and_no_html():
    shown = markdown.text("<b>|`x`*y* [a](http://b)\nnext ~~z~~ @me #1")
    assert r"&lt;b&gt;\|\`x\`\*y\* \[a\](http&#58;//b)<br>next \~\~z\~\~ \@me \#1" == shown
    assert markdown.fenced("```\ninside").startswith("````text\n```\ninside\n````")


def test_a_plan_that_ran_is_folded_and_one_that_did_not_is_shown():
    plan = {"digest": "abc", "actions": [{"text": "delete a|b", "with": {}}], "loses": [], "notes": ["see this"]}
    done = StepResult(id="delete", step="delete", status="done", plan=plan)
    shown = summary.of(Result(name="delete", status="done", context="lab", seconds=2.5, steps=[done]))
    assert shown.startswith("### ✅ anka-ci delete: done in 2.5 s (lab)\n\n**delete a\\|b**\n\n- _see this_\n")
    assert "<details><summary>Plan abc</summary>" in shown
    planned = StepResult(id="delete", step="delete", status="planned", plan=plan)
    shown = summary.of(Result(name="delete", status="planned", steps=[planned]))
    assert "would delete a|b" in shown
    assert "<details>" not in shown


def fleet(good: int, bad: int) -> Result:
    names = [f"n{number}" for number in range(good + bad)]
    rows = [{"node": name, "state": "failed", "reason": "no | room"} for name in names[:bad]]
    outputs = {"succeeded": names[bad:], "failed": names[:bad], "reasons": rows, "request-id": "r"}
    message = f"v1 failed on {bad} of {good + bad} nodes: n0: no | room; n1: no | room"
    error = {**ERROR, "class": "fell-short", "code": 7, "message": message, "fault": "infrastructure", "hint": "again"}
    error["facts"] = {"nodes": dict.fromkeys(names[:bad], "no | room")}
    step = StepResult(id="distribute", step="distribute", status="failed", outputs=outputs, error=error)
    return Result(name="distribute", status="failed", code=7, steps=[step], error=error)


def test_of_many_nodes_those_in_trouble_have_a_row_and_the_others_are_folded():
    shown = summary.of(fleet(288, 12))
    assert "**Fell short** (the infrastructure's, exit code 7)\n\n> v1 failed on 12 of 300 nodes\n" in shown
    assert "**300 nodes:** ❌ 12 failed · ✅ 288 succeeded\n" in shown
    assert 12 == shown.count("| failed | no \\| room |")
    assert "| n12 |" not in shown
    assert "<details><summary>288 succeeded</summary>\n\nn12, n13, " in shown
    few = summary.of(fleet(2, 1))
    assert "| ❌ | n0 | failed | no \\| room |\n| ✅ | n1 | succeeded |  |" in few
    large = summary.of(fleet(2000, 700))
    assert "_And 400 more._" in large
    assert len(large.encode()) < markdown.LIMIT


def test_what_a_planned_file_would_lose_is_not_folded():
    plan = {"digest": "d", "actions": [{"text": "delete x"}], "loses": [{"text": "x:v1"}], "notes": []}
    steps = [StepResult(id="away", step="delete", status="planned", plan=plan)]
    shown = summary.of(Result(name="A file", status="planned", steps=steps))
    assert "**⚠️ This would be lost:**\n\n- away: x:v1\n" in shown
    assert "| away (delete) | planned | 0.0\N{NO-BREAK SPACE}s | delete x ⚠️ 1 thing lost |" in shown
    assert shown.index("x:v1") < shown.index("<details>")


def test_a_failure_in_a_file_says_in_which_step_and_where_once():
    error = {**ERROR, "facts": {"file": "a.yml", "line": 3, "column": 7, "digest": "d1", "node": "n"}, "hint": "say d1"}
    steps = [StepResult(id="one", step="pull", status="failed", error=error)]
    steps.append(StepResult(id="two", step="list", status="skipped", notes=("one failed",)))
    shown = summary.of(Result(name="A file", status="failed", code=2, steps=steps, error=error))
    assert "**Usage** in the step one (yours, exit code 2)\n\n> it is wrong\n\n**Where:** a.yml:3:7\n" in shown
    assert "| node | n |\n" in shown
    assert "| digest |" not in shown
    assert "| two (list) | skipped |  | one failed |\n" in shown
    assert "<details>" not in shown


def test_what_was_said_is_told_and_counted():
    said = [
        {"step": "one" if n % 2 else "", "level": "warning" if n else "notice", "text": f"t|{n}"} for n in range(30)
    ]
    shown = summary.of(Result(name="list", status="done", said=said))
    assert "- ℹ️ t\\|0\n- ⚠️ one: t\\|1\n" in shown
    assert "- … and 10 more; `result` holds all of them\n" in shown


def test_few_annotations_tell_many_failures_and_warnings(capsys):
    errors = [
        {**ERROR, "class": kind, "message": f"{kind} {n}"} for n, kind in enumerate(["usage", "refused", "usage"])
    ]
    steps = [StepResult(id=f"s{n}", step="list", status="failed", error=each) for n, each in enumerate(errors)]
    said = [{"step": "s0", "level": level, "text": f"t{n}"} for level in ("warning", "notice") for n in range(9)]
    result = Result(name="A file", status="failed", code=2, steps=steps, error=errors[0], said=said)
    report.report(result, Redactor(), {"GITHUB_ACTIONS": "true"})
    lines = capsys.readouterr().err.splitlines()
    assert [
        "::error title=anka-ci A file%3A usage::usage 0%0A1 more of this kind; see the summary",
        "::error title=anka-ci A file%3A refused::refused 1",
    ] == [line for line in lines if line.startswith("::error")]
    warnings = [line for line in lines if line.startswith("::warning")]
    assert "::warning title=anka-ci A file%3A s0::t0" == warnings[0]
    assert "::warning title=anka-ci A file::5 more warnings; see the log and the summary" == warnings[-1]
    assert 5 == len(warnings) == len([line for line in lines if line.startswith("::notice")])


def test_a_group_is_obeyed_while_nothing_else_is(capsys):
    runner = report.begin(Redactor(), {"GITHUB_ACTIONS": "true"})
    assert runner is not None
    runner.open("a 100%\ntitle")
    runner.close()
    runner.close()
    runner.open("again")
    runner.resume()
    lines = capsys.readouterr().err.splitlines()
    assert ["::group::a 100%25%0Atitle", "::endgroup::", "::group::again"] == lines[2:10:3]
    stops = [line.removeprefix("::stop-commands::") for line in lines if line.startswith("::stop-commands::")]
    assert [f"::{stop}::" for stop in stops] == [line for line in lines if line.strip(":") in stops]
    assert "::endgroup::" == lines[-1]


def test_a_disk_that_is_full_loses_no_result_unnoticed(tmp_path, capsys):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("/dev/full is Linux's")
    result = Result(name="list", status="done")
    (tmp_path / "file").touch()
    env = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(full), "RUNNER_TEMP": str(tmp_path / "file")}
    report.report(result, Redactor(), env)
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("::warning title=anka-ci list::the result document cannot be written below ")
    assert "the job summary cannot be written: No space left on device" in warning
    with pytest.raises(RefusedError, match="the outputs cannot be written: No space left on device"):
        report.report(result, Redactor(), {"GITHUB_OUTPUT": str(full)})


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
