"""What a person sees of results, plans and errors: plain tables and sentences.

A view of the result document only; decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anka_ci.inputs import show_size
from anka_ci.result import StepResult

BYTES = {"size", "free"}
"""Columns and outputs that are bytes, shown as people read them."""


def of_result(result: StepResult) -> str:
    """A step's outputs, or its plan when nothing was run."""
    if result.status == "planned" and result.plan is not None:
        return of_plan(result.plan)
    lines, tables = [], []
    for key, value in result.outputs.items():
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            tables.append(table(value))
        elif not isinstance(value, Mapping):
            lines.append((key, cell(key, value)))
    width = max((len(key) for key, _ in lines), default=0)
    text = "".join(f"{key:{width}}  {shown}".rstrip() + "\n" for key, shown in lines)
    return text + "".join(f"\n{each}" for each in tables)


def of_plan(plan: Mapping[str, object]) -> str:
    """What would be done and lost, and the digest that confirms it."""
    found = dict(plan)
    actions, loses, notes = (_mappings(found[key]) for key in ("actions", "loses", "notes"))
    lines = [f"would {action['text']}" for action in actions] or ["nothing would be changed"]
    if loses:
        lines += ["", "this would be lost:", *(f"  - {loss['text']}" for loss in loses), ""]
        lines.append(f"confirm with: --confirm {found['digest']}")
    return "\n".join([*lines, *(str(note) for note in notes)]) + "\n"


def of_failure(error: Mapping[str, object]) -> str:
    """A failure as the result document holds it: what happened, where, and what to do."""
    message, hint, facts = str(error["message"]), error.get("hint"), error.get("facts")
    place = facts if isinstance(facts, Mapping) and facts.get("file") else {}
    where = ":".join(str(place[key]) for key in ("file", "line", "column") if key in place)
    said = message if not where or str(place["file"]) in message else f"{where}: {message}"
    return f"anka-ci: {said}\n" + (f"  {hint}\n" if hint else "")


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Aligned columns under their names; numbers and sizes to the right."""
    keys = list(rows[0])
    right = {key for key in keys if all(isinstance(row.get(key), (int, float)) for row in rows)}
    cells = [keys, *([cell(key, row.get(key)) for key in keys] for row in rows)]
    widths = [max(len(line[index]) for line in cells) for index in range(len(keys))]
    shown = []
    for line in cells:
        parts = [
            text.rjust(width) if key in right else text.ljust(width)
            for key, text, width in zip(keys, line, widths, strict=True)
        ]
        shown.append("  ".join(parts).rstrip())
    return "\n".join(shown) + "\n"


def cell(key: str, value: object) -> str:
    """One value as text."""
    if value is None:
        return "-"
    if key in BYTES and isinstance(value, int):
        return show_size(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _mappings(value: object) -> list[Mapping[str, object]]:
    return list(value) if isinstance(value, list) else []
