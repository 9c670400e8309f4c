"""The report to Jenkins: the outputs file and the result document, from results and through the command."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from anka_ci.errors import RefusedError
from anka_ci.result import Result, StepResult
from anka_ci.secret import Redactor, Secret
from anka_ci_jenkins.report import report

NASTY = [
    "two\nlines",
    "\r\nCRLF\r",
    "100% %0A %25 %",
    "a=b.c =",
    "  spaces  ",
    "'\"`$HOME ${x} \\n",
    "ünï \U0001f34e \u2028 \u0085",
    "",
]


def read(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = importlib.util.spec_from_file_location("outputs", Path(__file__).with_name("outputs.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: tuple[dict[str, Any], dict[str, Any]] = module.read(file.read_bytes().decode())
    return found


def one(outputs: dict[str, object], **more: Any) -> Result:
    step = StepResult(id="show", step="show", status="done", outputs=outputs)
    return Result(**({"name": "show", "status": "done", "steps": [step]} | more))


def env(folder: Path, step: str = "show") -> dict[str, str]:
    return {"ANKA_CI_OUTPUTS": str(folder / "new" / "outputs"), "ANKA_CI_STEP": step}


def test_every_kind_of_output_comes_back(tmp_path: Path) -> None:
    outputs = {f"text-{number}": text for number, text in enumerate(NASTY)}
    more = {
        "request-id": 7,
        "fits": True,
        "not": False,
        "names": NASTY,
        "none": [],
        "map": {"a": "ü"},
        "rows": [{"b": 1}],
    }
    report(one({**outputs, **more}), Redactor(), env(tmp_path))
    facts, found = read(tmp_path / "new" / "outputs")
    assert {"code": "0", "status": "done"} == facts
    assert {
        **{f"text{number}": text for number, text in enumerate(NASTY)},
        **{"requestId": "7", "fits": True, "not": False, "names": NASTY, "none": []},
        **{"map": '{"a": "ü"}', "rows": ['{"b": 1}']},
    } == found


def test_the_steps_of_a_pipeline_file_are_maps_of_their_own(tmp_path: Path) -> None:
    steps = [
        StepResult(id="push", step="push", status="done", outputs={"tag": "v2", "bytes-sent": 9, "more": ["x"]}),
        StepResult(id="run", step="run", status="skipped"),
    ]
    report(Result(name="show", status="done", steps=steps), Redactor(), env(tmp_path, "run"))
    assert {"push": {"tag": "v2", "bytesSent": "9", "more": ["x"]}, "run": {}} == read(tmp_path / "new" / "outputs")[1]


def test_a_failure_tells_its_class_and_message(tmp_path: Path) -> None:
    error = {"class": "not-found", "code": 4, "message": "no template 'x'", "fault": "yours", "hint": "did you\nmean?"}
    report(one({"known": "1"}, status="failed", code=4, error=error), Redactor(), env(tmp_path))
    facts, found = read(tmp_path / "new" / "outputs")
    assert {
        "code": "4",
        "status": "failed",
        "class": "not-found",
        "message": "no template 'x'\n  did you\nmean?",
    } == facts
    assert {"known": "1"} == found


def test_nothing_of_a_secret_is_written(tmp_path: Path) -> None:
    redactor = Redactor([Secret("hunter22")])
    error = {"class": "usage", "code": 2, "message": "hunter22?", "fault": "yours"}
    report(one({"text": "is hunter22", "list": ["hunter22"]}, error=error), redactor, env(tmp_path))
    files = sorted((tmp_path / "new").iterdir())
    assert ["outputs", "outputs.json"] == [file.name for file in files]
    assert [] == [file for file in files if "hunter22" in file.read_text()]
    assert "is ***" == read(files[0])[1]["text"]


def test_the_document_goes_where_it_is_wanted(tmp_path: Path) -> None:
    report(one({"a": "ü"}), Redactor(), {"ANKA_CI_RESULT": str(tmp_path / "deep" / "result.json")})
    document = json.loads((tmp_path / "deep" / "result.json").read_text(encoding="utf-8"))
    assert ("anka-ci/result/1", {"a": "ü"}) == (document["schema"], document["steps"][0]["outputs"])
    assert [tmp_path / "deep"] == list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written_leaves_nothing_half(tmp_path: Path) -> None:
    (tmp_path / "new" / "outputs").mkdir(parents=True)
    with pytest.raises(RefusedError, match="outputs cannot be written"):
        report(one({"a": "b"}), Redactor(), env(tmp_path))
    assert [] == list((tmp_path / "new" / "outputs").iterdir())
    assert [] == [file.name for file in (tmp_path / "new").iterdir() if ".part" in file.name]
