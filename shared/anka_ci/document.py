"""YAML documents with line and column: every scalar keeps the text that was written.

``13.10``, ``010``, ``on`` and ``12:30`` stay those texts; what they mean is decided where they are bound. The only
place that imports the YAML library.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anka_ci.errors import UsageError, suggestion

if TYPE_CHECKING:
    import yaml

LARGEST = 8 << 20
"""Bytes of a document that are still read."""
MOST_NODES = 200_000
"""Nodes a document may have once its aliases are expanded: a document that grows beyond is refused."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where something was written: file, line and column, both from 1."""

    file: str
    line: int
    column: int

    def facts(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "column": self.column}

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def wrong(self, text: str, hint: str = "") -> UsageError:
        """An error about what was written here, to be raised."""
        return UsageError(f"{self}: {text}", hint=hint, **self.facts())


@dataclass(frozen=True, kw_only=True)
class Node:
    """A value and its place. ``value`` is text, None (nothing written), a list of nodes or a dict of nodes by key."""

    value: str | list[Node] | dict[str, Node] | None
    place: Place
    keys: Mapping[str, Place] = field(default_factory=dict)
    quoted: bool = False

    def plain(self) -> object:
        """The value without places: text, None, lists and dicts."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def mapping(self, what: str) -> dict[str, Node]:
        """The value as a mapping; ``UsageError`` naming ``what`` otherwise."""
        if not isinstance(self.value, dict):
            raise UsageError(f"{self.place}: {what} has to be a mapping (key: value)", **self.place.facts())
        return self.value

    def items(self, what: str) -> list[Node]:
        """The value as a list; ``UsageError`` naming ``what`` otherwise."""
        if not isinstance(self.value, list):
            raise UsageError(f"{self.place}: {what} has to be a list", **self.place.facts())
        return self.value

    def text(self, what: str) -> str:
        """The value as text that is not empty; ``UsageError`` naming ``what`` otherwise."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise UsageError(f"{self.place}: {what} has to be text", **self.place.facts())
        return self.value

    def texts(self, what: str) -> tuple[str, ...]:
        """The value as a list of texts, or as one; at least one, and none empty. ``UsageError`` otherwise."""
        if isinstance(self.value, str):
            return (self.text(what),)
        items = self.items(what)
        if not items:
            hint = "leave it out if you do not mean to choose"
            raise self.place.wrong(f"{what} is given but empty", hint)
        return tuple(item.text(f"each of {what}") for item in items)

    def only(self, known: Collection[str], what: str) -> dict[str, Node]:
        """The value as a mapping with none but the ``known`` keys."""
        found = self.mapping(what)
        for key in found:
            if key not in known:
                place = self.keys[key]
                raise UsageError(f"{place}: {what}: unknown key {key!r}", hint=suggestion(key, known), **place.facts())
        return found

    def first_version(self, known: Collection[str], what: str) -> dict[str, Node]:
        """The same of a whole file that has to say ``version: 1``."""
        found = self.only({"version", *known}, what)
        if "version" not in found:
            raise self.place.wrong(f"{what} has no version", "write `version: 1` as its first line")
        version = found.pop("version")
        if version.value != "1":
            raise version.place.wrong(f"version {version.plain()!r} is unknown", "there is version 1")
        return found


def read(path: Path) -> Node:
    """Read a file. ``UsageError`` when it cannot be read, is too large or is not YAML."""
    return parse(text(path), str(path))


def text(path: Path) -> str:
    """A file's text. ``UsageError`` when it cannot be read, is too large or is not UTF-8."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > LARGEST:
        raise UsageError(f"{path}: larger than {LARGEST >> 20} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8 text (byte {error.start})") from None


def parse(text: str, file: str) -> Node:
    """Parse one YAML document. ``UsageError`` with its place for what is not YAML, or for a key given twice."""
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file=file, line=mark.line + 1 if mark else 1, column=mark.column + 1 if mark else 1)
        raise UsageError(f"{place}: not YAML: {error.problem or error.context}", **place.facts()) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not YAML: {error}", file=file) from None
    if root is None:
        raise UsageError(f"{file}:1:1: the file is empty", file=file, line=1, column=1)
    return _convert(root, file, iter(range(MOST_NODES)), ())


def _convert(node: yaml.Node, file: str, left: Iterator[int], above: tuple[int, ...]) -> Node:
    import yaml

    place = Place(file=file, line=node.start_mark.line + 1, column=node.start_mark.column + 1)
    if next(left, None) is None or len(above) > 100 or id(node) in above:
        raise UsageError(f"{place}: the document is nested or repeated too much", **place.facts())
    above = (*above, id(node))
    if isinstance(node, yaml.ScalarNode):
        nothing = node.style is None and node.value in ("", "~", "null")
        return Node(value=None if nothing else node.value, place=place, quoted=node.style is not None)
    if isinstance(node, yaml.SequenceNode):
        return Node(value=[_convert(item, file, left, above) for item in node.value], place=place)
    found: dict[str, Node] = {}
    keys: dict[str, Place] = {}
    for key_node, value_node in node.value:
        key = _convert(key_node, file, left, above)
        if not isinstance(key.value, str):
            raise UsageError(f"{key.place}: a key has to be text", **key.place.facts())
        if key.value in found:
            raise UsageError(f"{key.place}: key {key.value!r} is given twice", **key.place.facts())
        found[key.value], keys[key.value] = _convert(value_node, file, left, above), key.place
    return Node(value=found, place=place, keys=keys)


def dump(value: object) -> str:
    """Plain data as block-style YAML, one scalar per line, keys in their order."""
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10_000)
