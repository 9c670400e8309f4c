"""What a person sees of results, plans and errors: plain tables and sentences.

A view of the result document only; decides nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from anka_ci.inputs import show_duration, show_size
from anka_ci.result import Result, StepResult

BYTES = {"size", "free", "download", "cached", "available", "bytes-sent", "bytes-received", "bytes-shared"}
BYTES |= {"frees-least", "frees-most", "stores"}
"""Columns and outputs that are bytes, shown as people read them."""
MOVED = {"bytes-sent": "sent", "bytes-received": "received", "bytes-shared": "shared", "download": "to download"}
"""Outputs that tell what was moved, and the words for it."""
NAMES = {
    "removed": "removed",
    "evicted": "removed",
    "remaining": "left",
    "succeeded": "done on",
    "already": "already on",
    "failed": "failed on",
    "skipped": "skipped",
    "pending": "still at it",
    "absent": "not on",
    "unverified": "not verified on",
}
"""Outputs that are lists of names, and the words for them."""
DRIFT = {"drift": "off their channels", "gone": "that the registry has no more"}
"""Outputs that list drift, and the words for it."""
MOST = 100
"""So many items of a list are told; the document holds all."""
FEW = 5
"""So many nodes are told one by one in a line."""


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
    notes = "".join(f"{note}\n" for note in result.notes)
    return text + "".join(f"\n{each}" for each in tables) + (f"\n{notes}" if notes else "")


def of_plan(plan: Mapping[str, object], confirm: str = "--confirm {}") -> str:
    """What would be done and lost, and the digest that confirms it."""
    found = dict(plan)
    actions, loses = (_mappings(found[key]) for key in ("actions", "loses"))
    notes: Any = found["notes"]
    lines = [f"would {action['text']}" for action in actions] or ["nothing would be changed"]
    if loses:
        lines += ["", "this would be lost:", *(f"  - {loss['text']}" for loss in loses), ""]
        lines.append(f"confirm with: {confirm.format(found['digest'])}")
    return "\n".join([*lines, *notes]) + "\n"


def of_course(result: Result) -> str:
    """What became of a pipeline file: its steps as a table, or what each would do, and how it ended."""
    if result.status == "planned" or any(step.status == "planned" for step in result.steps):
        counts = Counter(step.status.replace("-", " ") for step in result.steps)
        told = ", ".join(f"{count} {status}" for status, count in counts.items())
        return "".join(_planned(step) for step in result.steps) + f"\n{result.name}: {told}\n"
    rows = [
        {"step": step.id, "status": step.status, "time": seconds(step.seconds), "what happened": gist(step) or "-"}
        for step in result.steps
    ]
    return f"{table(rows)}\n{result.name}: {result.status} in {seconds(result.seconds)}\n"


def _planned(step: StepResult) -> str:
    name = step.id if step.id == step.step else f"{step.id} ({step.step})"
    if step.step == "run" and step.plan is not None:
        text = "".join(f"would run{_script(action['with'])}" for action in _mappings(step.plan["actions"]))
    elif step.plan is not None:
        told: Any = step.plan["notes"]
        more = [note for note in step.notes if note not in told]
        text = of_plan(step.plan, confirm="confirm: {}") + "".join(f"{note}\n" for note in more)
    elif step.error is not None:
        text = f"failed: {step.error['message']}\n"
    else:
        text = "\n".join([step.status.replace("-", " "), *step.notes]) + "\n"
    return f"{name}\n" + "".join(f"  {line}".rstrip() + "\n" for line in text.splitlines())


def _script(run: object) -> str:
    """A shell text, and before it what it gets in its environment."""
    assert isinstance(run, Mapping)
    lines = [f"{key}={cell(key, value)}" for key, value in run["env"].items()] + str(run["run"]).splitlines()
    return "\n" + "".join(f"  {line}\n" for line in lines)


def gist(step: StepResult) -> str:
    """What a step did, in few words."""
    if step.error is not None:
        return str(step.error["message"]).split("\n")[0].rstrip(":")
    outputs = step.outputs
    if verdict := outputs.get("verdict"):  # of a job that is kept in step
        return "; ".join([str(verdict).replace("-", " "), *step.notes])
    if step.status not in ("done", "unchanged"):
        return "; ".join(step.notes)
    if runner := outputs.get("runner"):
        return f"{runner} is online"
    words = [":".join(str(part) for part in (outputs.get("name"), outputs.get("tag")) if part)]
    outcome = outputs.get("outcome") or ("already here" if outputs.get("already-here") else "")
    words.append("" if outcome == step.status else str(outcome))
    moved = [(text, outputs.get(key)) for key, text in MOVED.items()]
    words += [
        f"{text} {show_size(count)}" for text, count in moved if isinstance(count, int) and (count or text == "sent")
    ]
    names = [(text, outputs.get(key)) for key, text in NAMES.items()]
    words += [f"{text} {_few(value)}" for text, value in names if isinstance(value, (list, tuple)) and value]
    going = outputs.get("removals")
    if isinstance(going, (list, tuple)) and going:
        freed = outputs.get("frees-most")
        words.append("" if outputs.get("removed") else f"would go: {_few([row['template'] for row in going])}")
        words.append(f"frees at most {show_size(freed)}" if isinstance(freed, int) else "")
    sent = outputs.get("channels")
    if isinstance(sent, (list, tuple)):
        told = [("done" if outputs.get("name") else row["wanted"], row["succeeded"]) for row in sent]
        words += [f"{what} on {_few(names)}" for what, names in told if names]
    if "drifted" in outputs:
        counts: Any = [(len(outputs[key]), text) for key, text in DRIFT.items()]  # type: ignore[arg-type]
        words.append(", ".join(f"{count} {text}" for count, text in counts if count) or "no drift")
    for key in ("nodes", "groups", "templates"):
        rows = outputs.get(key)
        if isinstance(rows, (list, tuple)):
            words.append(_each(key, rows))
    if step.status == "unchanged" and not any(words):
        words.append("nothing to do")
    return ", ".join(filter(None, words))


def _few(names: Sequence[object]) -> str:
    """Names where they are few, else how many they are."""
    return " ".join(str(name) for name in names) if len(names) <= FEW else str(len(names))


def _each(noun: str, rows: Sequence[object]) -> str:
    """Rows by name and state where they are few, else how many there are in each state."""
    found = [row for row in rows if isinstance(row, Mapping)]
    named = [f"{row.get('name')} {row['state']}" if row.get("state") else str(row.get("name")) for row in found]
    if len(found) == len(rows) and 0 < len(named) <= FEW:
        return ", ".join(named)
    states = Counter(str(row["state"]) for row in found if row.get("state"))
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{len(rows)} {noun}" + (f": {counted}" if counted else "")


def seconds(count: float) -> str:
    """A time as people read it: ``0.4 s``, ``12 s``, ``3m5s``."""
    return f"{count:.1f} s" if count < 10 else f"{count:.0f} s" if count < 120 else show_duration(count)


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
        more = f" and {len(value) - MOST} more" if len(value) > MOST else ""
        return ", ".join(str(item) for item in value[:MOST]) + more or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _mappings(value: object) -> list[Mapping[str, object]]:
    return list(value) if isinstance(value, list) else []
