"""The calls in a Groovy text: `name(key: value, …)` and `name key: value, …`, with values that are written out.

Reads what a person or our templates write in a Jenkinsfile, and is no parser of Groovy: a value that is anything but
a text, a number, a truth value, a list or a map of these, or one of ``params``, is known only when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anka_ci.adapter.calls import RUN_TELLS
from anka_ci.document import Node, Place

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|\\\r?\n)|(?P<line>\n)|(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<text>'''(?:\\.|(?!''').)*'''|\"\"\"(?:\\.|(?!\"\"\").)*\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d+(?:\.\d+)?)|(?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\n": ""}
_PARAMETER = re.compile(r"\$\{?params\.([A-Za-z_][A-Za-z0-9_]*)\}?")
OPENS, CLOSES = "([{", ")]}"


@dataclass(frozen=True, kw_only=True)
class Token:
    kind: str
    text: str
    place: Place


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """``whole`` False: it has arguments that are not written as ``key: value``."""

    name: str
    arguments: dict[str, Node]
    place: Place
    whole: bool


def invocations(text: str, file: str, line: int = 1) -> Iterator[Invocation]:
    """Every call in a text whose first line is ``line`` of the file, those in the arguments of others too."""
    tokens = list(_tokens(text, file, line))
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        if token.kind != "word" or (before is not None and (before.text in (".", "$") or before.text == "def")):
            continue
        inside = _arguments(tokens, index + 1)
        if inside is None:
            continue
        found, whole = {}, True
        for part in _split(inside):
            key, value = _pair(part)
            if key is None:
                whole = False
            else:
                found[key] = _value(value, token.place)
        yield Invocation(name=token.text, arguments=found, place=token.place, whole=whole)


def _tokens(text: str, file: str, line: int) -> Iterator[Token]:
    start = 0
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind not in ("space", "comment"):
            yield Token(kind=kind, text=match[0], place=Place(file=file, line=line, column=match.start() - start + 1))
        breaks = match[0].count("\n")
        if breaks:
            line, start = line + breaks, match.start() + match[0].rindex("\n") + 1


def _arguments(tokens: Sequence[Token], at: int) -> list[Token] | None:
    """The tokens of the arguments that begin at a place; None where no call begins."""
    if at >= len(tokens):
        return None
    closed = tokens[at].text == "("
    following = [each.text for each in tokens[at + 1 : at + 2]]
    if not closed and not (tokens[at].kind in ("word", "text") and following == [":"]):
        return None
    found: list[Token] = []
    depth = 0
    for token in tokens[at + closed :]:
        if token.kind == "mark" and token.text in CLOSES:
            if depth == 0:
                break
            depth -= 1
        elif token.kind == "mark" and token.text in OPENS:
            depth += 1
        if token.kind == "line" or token.text == ";":
            if not closed and depth == 0 and not (found and found[-1].text == ","):
                break
            continue
        found.append(token)
    return found


def _split(tokens: Sequence[Token], by: str = ",") -> Iterator[list[Token]]:
    """The parts between commas (or another mark) that are in no bracket; empty ones are left out."""
    part: list[Token] = []
    depth = 0
    for token in tokens:
        if token.kind == "mark":
            depth += (token.text in OPENS) - (token.text in CLOSES)
            if token.text == by and depth == 0:
                if part:
                    yield part
                part = []
                continue
        part.append(token)
    if part:
        yield part


def _pair(part: Sequence[Token]) -> tuple[str | None, Sequence[Token]]:
    if len(part) > 4 and [part[0].text, part[2].text, part[3].text] == ["(", ")", ":"] and part[1].kind == "text":
        return _plain(part[1].text), part[4:]
    if len(part) > 2 and part[1].text == ":" and part[0].kind in ("word", "text"):
        return (part[0].text if part[0].kind == "word" else _plain(part[0].text)), part[2:]
    return None, part


def _value(tokens: Sequence[Token], place: Place) -> Node:
    """What is written, with ``${{ params.NAME }}`` for a parameter of the job."""
    place = tokens[0].place if tokens else place
    unknown = Node(value=RUN_TELLS, place=place)
    texts = [each.text for each in tokens]
    if len(tokens) == 1 and tokens[0].kind in ("word", "number"):
        return Node(value=texts[0], place=place) if re.fullmatch(r"[\d.]+|true|false", texts[0]) else unknown
    if len(tokens) == 1 and tokens[0].kind == "text":
        return Node(value=_text(texts[0]), place=place, quoted=True)
    if texts[:1] == ["params"]:
        name = texts[2] if len(texts) == 3 and texts[1] == "." else None
        if len(texts) == 4 and (texts[1], texts[3]) == ("[", "]") and tokens[2].kind == "text":
            name = _plain(texts[2])
        return Node(value=f"${{{{ params.{name} }}}}", place=place) if name else unknown
    if texts[:1] == ["["] and texts[-1:] == ["]"] and len(list(_split(tokens, "+"))) == 1:
        parts = list(_split(tokens[1:-1]))
        pairs = [_pair(part) for part in parts]
        if parts and all(key is not None for key, _ in pairs):
            return Node(value={str(key): _value(value, place) for key, value in pairs}, place=place)
        if not any(key is not None for key, _ in pairs):
            empty = texts == ["[", ":", "]"]
            return Node(value={} if empty else [_value(part, place) for part in parts], place=place)
    return _sum(tokens, place) or unknown


def _sum(tokens: Sequence[Token], place: Place) -> Node | None:
    """Maps that are put together, `[…] + (params['x'] ? [('x'): params['x']] : [:])`; None for anything else."""
    parts = list(_split(tokens, "+"))
    if len(parts) < 2:
        return None
    found: dict[str, Node] = {}
    for part in parts:
        inner = part
        if part[0].text == "(" and part[-1].text == ")":
            choice = list(_split(part[1:-1], "?"))
            inner = choice[1][:-4] if len(choice) == 2 else []
            if [each.text for each in choice[-1][-4:]] != [":", "[", ":", "]"]:
                return None
        node = _value(inner, place)
        if not isinstance(node.value, dict):
            return None
        found |= node.value
    return Node(value=found, place=place)


def _text(source: str) -> str:
    """The text of a literal; one with more than a parameter put into it is known only when it runs."""
    if source.startswith('"'):
        inner = source.strip('"')
        match = _PARAMETER.fullmatch(inner)
        if match:
            return f"${{{{ params.{match[1]} }}}}"
        if re.search(r"(?<!\\)\$", inner):
            return RUN_TELLS
    return _plain(source)


def _plain(source: str) -> str:
    width = 3 if source[:3] in ("'''", '"""') else 1
    inner = source[width:-width]
    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", _unescape, inner, flags=re.DOTALL)


def _unescape(match: re.Match[str]) -> str:
    found = match[1]
    return chr(int(found[1:], 16)) if len(found) == 5 else _ESCAPES.get(found, found)
