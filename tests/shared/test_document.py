"""YAML documents: texts as written, places, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from anka_ci import document
from anka_ci.errors import UsageError


def test_scalars_stay_as_written() -> None:
    root = document.parse("a: 13.10\nb: 010\nc: on\nd: 12:30\ne: ~\nf:\ng: 'null'\nh: [1, yes]\n", "p.yml")
    assert {
        "a": "13.10",
        "b": "010",
        "c": "on",
        "d": "12:30",
        "e": None,
        "f": None,
        "g": "null",
        "h": ["1", "yes"],
    } == root.plain()
    assert root.mapping("all")["g"].quoted


def test_places_count_from_one() -> None:
    root = document.parse("a: 1\nb:\n  - x\n  - y\n", "p.yml").mapping("all")
    assert "p.yml:4:5" == str(root["b"].items("b")[1].place)
    assert {"file": "p.yml", "line": 1, "column": 4} == root["a"].place.facts()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("a: [1", "not YAML"),
        ("a: 1\na: 2\n", "p.yml:2:1: key 'a' is given twice"),
        ("[a]: 1\n", "a key has to be text"),
        ("a: 1\n---\nb: 2\n", "not YAML"),
        ("a: &x [*x]\n", "nested or repeated too much"),
        ("[" * 150 + "]" * 150, "nested or repeated too much"),
        ("a: \0\n", "not YAML"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        document.parse(text, "p.yml")
    assert words in caught.value.message
    assert "p.yml" == caught.value.facts["file"]


def test_aliases_do_not_blow_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(UsageError, match="repeated too much"):
        document.parse("\n".join(lines), "p.yml")


def test_kinds_and_unknown_keys() -> None:
    root = document.parse("steps: x\nempty: ''\n", "p.yml")
    with pytest.raises(UsageError, match="steps has to be a list"):
        root.mapping("all")["steps"].items("steps")
    with pytest.raises(UsageError, match="has to be a mapping"):
        root.mapping("all")["steps"].mapping("steps")
    with pytest.raises(UsageError, match="has to be text"):
        root.mapping("all")["empty"].text("empty")
    with pytest.raises(UsageError, match="unknown key 'steps'") as caught:
        root.only({"step", "empty"}, "the pipeline")
    assert "did you mean 'step'?" == caught.value.hint


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        document.read(tmp_path / "none.yml")
    file = tmp_path / "p.yml"
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(UsageError, match="not UTF-8"):
        document.read(file)
    file.write_bytes(b"#" * (document.LARGEST + 1))
    with pytest.raises(UsageError, match="larger than 8 MiB"):
        document.read(file)
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert {"a": "1"} == document.read(file).plain()


def test_dump_keeps_the_order() -> None:
    assert "b: 1\na:\n- é\n" == document.dump({"b": 1, "a": ["é"]})
