"""Inputs: names, parsing, binding and showing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from anka_ci import inputs
from anka_ci.errors import UsageError
from anka_ci.inputs import Duration, Percent, Size, arg


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One input of each kind."""

    template: str = arg("The template.")
    tags: tuple[str, ...] = arg("Tags.", default=())
    if_exists: str = arg("What then.", default="fail", choices=("fail", "skip"))
    keep: int | None = arg("How many.", default=None)
    dry_run: bool = arg("Only look.", default=False)
    wait: Duration = arg("How long.", default=Duration(5400))
    note: str | None = arg("A note.", default=None, may_be_empty=True)
    env: dict[str, str] | None = arg("Variables.", default=None)


def test_names_in_every_spelling() -> None:
    assert "save-image" == inputs.dashed("save_image")
    assert "save_image" == inputs.python_name("save-image")
    assert "saveImage" == inputs.camel("save-image")
    assert "ankaSaveImage" == inputs.camel("save-image", "anka")


def test_bind_reads_texts_and_json_values() -> None:
    found = inputs.bind(Sample, {"template": "t", "tags": "a\n b,c \n\n", "if_exists": "skip", "keep": 3, "wait": "2m"})
    assert Sample(template="t", tags=("a", "b,c"), if_exists="skip", keep=3, wait=Duration(120)) == found
    assert ("x", "y") == inputs.bind(Sample, {"template": "t", "tags": '["x", "y"]'}).tags
    assert inputs.bind(Sample, {"template": "t", "dry-run": True}).dry_run
    assert "" == inputs.bind(Sample, {"template": "t", "note": ""}).note
    assert inputs.bind(Sample, {"template": "t", "keep": None}).keep is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "input 'template' is missing"),
        ({"template": ""}, "given but empty"),
        ({"template": "  "}, "given but empty"),
        ({"template": "t", "tags": "\n"}, "given but empty"),
        ({"template": "t", "tags": []}, "given but empty"),
        ({"template": "t", "tags": 3}, "wants a list"),
        ({"template": "t", "tags": "[1"}, "not a JSON array"),
        ({"template": "t\0"}, "NUL"),
        ({"template": 13.1}, "wants text, not 13.1"),
        ({"template": {"a": 1}}, "not a mapping"),
        ({"template": "t", "templat": "u"}, "did you mean 'template'"),
        ({"template": "t", "if-exists": "skip", "if_exists": "fail"}, "given twice"),
        ({"template": "t", "if-exists": "maybe"}, "none of fail, skip"),
        ({"template": "t", "keep": "1.5"}, "not a whole number"),
        ({"template": "t", "dry-run": "perhaps"}, "neither true nor false"),
        ({"template": "t", "wait": "soon"}, "not a duration"),
        ({"template": "t", "env": 5}, "wants a mapping, or NAME=value on each line"),
        ({"template": "t", "env": [1]}, "wants a mapping, or NAME=value on each line"),
        ({"template": "t", "env": "A=1\nB"}, "wants NAME=value on each line"),
        ({"template": "t", "env": "=1"}, "wants NAME=value on each line"),
        ({"template": "t", "env": "A=1\nA=2"}, "names something twice"),
        ({"template": "t", "env": "{1"}, "not a JSON object"),
        ({"template": "t", "env": {}}, "given but empty"),
        ({"template": "t", "env": " \n"}, "given but empty"),
    ],
)
def test_bind_says_what_is_wrong(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        inputs.bind(Sample, values, what="push")
    assert words in str(caught.value)
    assert caught.value.message.startswith("push: ")


@pytest.mark.parametrize(
    "given",
    ["A= 1=2 3\n\n B=", '{"A": " 1=2 3", "B": ""}', {"A": " 1=2 3", "B": ""}, ["A= 1=2 3", "B="]],
)
def test_a_mapping_in_every_spelling(given: object) -> None:
    assert {"A": " 1=2 3", "B": ""} == inputs.bind(Sample, {"template": "t", "env": given}).env


def test_bind_tells_the_place() -> None:
    with pytest.raises(UsageError) as caught:
        inputs.bind(Sample, {"template": ""}, where=lambda key: {"file": "p.yml", "line": 3})
    assert {"file": "p.yml", "line": 3} == caught.value.facts


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400), ("1h 5s", 3605)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds == inputs.duration(text)


@pytest.mark.parametrize(
    ("text", "count"), [("4096", 4096), ("512MiB", 512 << 20), ("1.5GB", 1_500_000_000), ("2 k", None), ("7B", 7)]
)
def test_sizes(text: str, count: int | None) -> None:
    if count is None:
        with pytest.raises(ValueError, match="not a size"):
            inputs.size(text)
    else:
        assert Size(count) == inputs.size(text)


def test_percents() -> None:
    assert Percent(50) == inputs.percent("50%") == inputs.percent("50 ")
    with pytest.raises(ValueError, match="0 to 100"):
        inputs.percent("101%")


@pytest.mark.parametrize(("seconds", "text"), [(45, "45s"), (5400, "1h30m"), (86400, "1d"), (0.25, "0.25s"), (0, "0s")])
def test_durations_are_shown_as_they_are_written(seconds: float, text: str) -> None:
    assert text == inputs.show_duration(seconds)


@pytest.mark.parametrize(
    ("count", "text"), [(512, "512 B"), (1536, "1.5 KiB"), (26 << 30, "26.0 GiB"), (2**50, "1024 TiB")]
)
def test_sizes_are_shown(count: int, text: str) -> None:
    assert text == inputs.show_size(count)


def test_emit_and_defaults() -> None:
    assert {"template": "t", "tags": ["a"], "if-exists": "fail", "dry-run": False, "wait": 5400} == inputs.emit(
        Sample(template="t", tags=("a",))
    )
    shown = {field.key: inputs.show_default(field) for field in inputs.fields(Sample)}
    assert {
        "template": "",
        "tags": "",
        "if-exists": "fail",
        "keep": "",
        "dry-run": "false",
        "wait": "1h30m",
        "note": "",
        "env": "",
    } == shown


def test_shared_inputs_are_parted_from_a_steps_own() -> None:
    own, shared = inputs.split_shared({"template": "t", "registry-url": "u", "registry_url": "v", "timeout": "1m"})
    assert {"template": "t"} == own
    assert {"registry-url": "u", "registry_url": "v", "timeout": "1m"} == shared
