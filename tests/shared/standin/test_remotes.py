"""The file of the registries that are remembered: one that is none of ours is told, and never written to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ask = Callable[..., Any]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no JSON"),
        (b"[remote]\nurl = http://anka.example:8089\n", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b"[]", "is no JSON object"),
        (b'{"registries": []}', "is no list of registries of the stand-in"),
        (b'{"remotes": {}}', "is no list of registries of the stand-in"),
        (b'{"registries": {"a": 1}}', "is no list of registries of the stand-in"),
        (b'{"registries": {"a": {}}}', "is no list of registries of the stand-in"),
        (b'{"registries": {"a": {"url": 5}}}', "is no list of registries of the stand-in"),
    ],
)
def test_a_file_that_is_not_ours_stays_as_it_is(ask: Ask, tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "remote"
    file.write_bytes(content)
    there = {"ANKA_REGISTRY_REMOTES_FILE_PATH": str(file)}
    for words in (("list-repos",), ("add", "-f", "b", "http://127.0.0.1:1"), ("remove", "--all"), ("set", "-f", "a")):
        code, message = ask("registry", *words, **there)
        assert (1, True) == (code, message.startswith(f"{file}: {said}")), (words, message)
    assert content == file.read_bytes()


def test_what_is_remembered_is_for_this_user_alone(ask: Ask, library: Path) -> None:
    ask("registry", "-o2", "-u", "me:word", "add", "-f", "here", "http://127.0.0.1:1")
    assert 0o600 == (library / "registries.json").stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("registries.json", ("registry", "add", "-f", "b", "http://127.0.0.1:1")),
        ("config.json", ("config", "chunk_size", "1")),
        ("config.json", ("config", "--reset", "chunk_size")),
    ],
)
def test_what_a_killed_command_left_half_written_goes_with_the_next(
    ask: Ask, library: Path, name: str, words: tuple[str, ...]
) -> None:
    library.mkdir()
    left = library / f".put-{name}-12345"
    left.write_text("{")
    other = library / ".put-another.json-12345"
    other.write_text("{")
    ask(*words)
    assert [other.name] == [path.name for path in library.glob(".put-*")]
