"""Markdown as GitHub shows it: tables, folded parts, and texts that stay texts.

Knows nothing of results. A text never becomes Markdown or HTML of its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from anka_ci import account

LIMIT = 256 << 10
"""Bytes of a summary; a runner refuses more than 1 MiB per step."""
ROWS, CHARS, TEXT = 300, 1000, 20_000
"""Rows of a table, characters of a cell, and of a text that is shown as it is."""


def capped(parts: Iterable[str], limit: int = LIMIT) -> str:
    """The parts that fit; where one is cut or left out, a sentence says so. None takes more than half of the room."""
    found, left = [], limit
    for part in parts:
        size, room = _size(part), min(left, limit // 2) - 200
        if size > room:
            kept = _head(part, room)
            said = f"_Cut here: {size - _size(kept)} more bytes. The output `result` holds everything._\n"
            part = f"{kept}\n{said}" if kept else said
            if left < 1000:
                continue  # that there is more is said already
        found.append(part)
        left -= _size(part)
    return "\n".join(found)


def _size(text: str) -> int:
    return len(text.encode(errors="replace")) + 1


def _head(part: str, room: int) -> str:
    """The lines of a table or a list that fit; nothing of what is folded or fenced, which has to be closed."""
    if "<details>" in part or "```" in part:
        return ""
    lines, used = [], 0
    for line in part.splitlines(keepends=True):
        used += _size(line)
        if used > room:
            break
        lines.append(line)
    return "".join(lines)


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows as a Markdown table; those beyond ``ROWS`` are counted."""
    keys = list(rows[0])
    lines = [keys, ["---"] * len(keys)]
    lines += [[text(account.cell(key, row.get(key))) for key in keys] for row in rows[:ROWS]]
    more = f"\n_And {len(rows) - ROWS} more._\n" if len(rows) > ROWS else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + more


def text(value: str) -> str:
    """A text that stands for itself in Markdown, on one line."""
    if len(value) > CHARS:
        value = f"{value[:CHARS]} … ({len(value) - CHARS} more characters)"
    shown = re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", html.escape(value.strip(), quote=False))
    return re.sub(r"\s*[\r\n]+\s*", "<br>", shown).replace("://", "&#58;//")


def fenced(value: str, language: str = "text") -> str:
    """A text as it is, whatever is in it; of a very long one its beginning, which is stated."""
    more = len(value) - TEXT
    if more > 0:
        value = f"{value[:TEXT]}\n… ({more} more characters; the output result holds everything)"
    longest = max((len(run) for run in re.findall("`+", value)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{value.rstrip()}\n{fence}\n"


def folded(title: str, body: str) -> str:
    """A body that is shown when its title is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n</details>\n"
