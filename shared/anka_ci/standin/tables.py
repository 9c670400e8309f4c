"""Tables for people, and the ways to draw them that ``table_fmt`` of ``anka config`` chooses from.

Asks nothing and prints nothing: a table is data until it is drawn. Anka documents the setting and its default ``grid``
(command-line reference, config); which others there are it does not say, so that only those are taken that scripts in
the wild ask for, ``plain`` and ``simple``. Their shapes are those of python-tabulate, whose names they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from anka_ci.errors import UsageError

GRID, PLAIN, SIMPLE = FORMS = ("grid", "plain", "simple")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells, each as long as the first; ``headed``: that one holds the heads."""

    rows: tuple[tuple[str, ...], ...]
    headed: bool = False


Text = Union[str, Table, "tuple[Text, ...]"]
"""What is told people: text, a table, or several of them one after the other."""


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Rows with heads above."""
    return Table(rows=tuple(tuple(str(cell) for cell in row) for row in [head, *rows]), headed=True)


def details(found: Mapping[str, object]) -> Text:
    """A mapping as two columns without heads; what is nested is left to ``--machine-readable``."""
    rows = [(key, str(value)) for key, value in found.items() if not isinstance(value, (list, dict))]
    return Table(rows=tuple(rows)) if rows else ""


def check(form: str) -> str:
    """A value of ``table_fmt``; ``UsageError`` for one that is not known here."""
    if form not in FORMS:
        raise UsageError(f"table_fmt is {form!r}", hint="here it may be " + ", ".join(FORMS))
    return form


def draw(text: Text, form: str = GRID) -> str:
    """What people see."""
    if isinstance(text, str):
        return text
    if isinstance(text, tuple):
        return "".join(draw(each, form) for each in text)
    widths = [max(len(row[column]) for row in text.rows) for column in range(len(text.rows[0]))]
    rows = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in text.rows]
    if form == GRID:  # a line after every row
        rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        return "\n".join([rule, *(line for row in rows for line in ("| " + " | ".join(row) + " |", rule))])
    lines = ["  ".join(row).rstrip() for row in rows]
    if form == SIMPLE:
        rule = "  ".join("-" * width for width in widths)
        lines = [lines[0], rule, *lines[1:]] if text.headed else [rule, *lines, rule]
    return "\n".join(lines)
