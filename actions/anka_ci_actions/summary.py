"""The job summary: a result as Markdown that a person wants to read.

A view of the result document only, capped far below what a runner takes; what is left out is stated. Gets results
without secrets. A text of a server never becomes Markdown or HTML of its own.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence

from anka_ci import account
from anka_ci.result import Result, StepResult

LIMIT = 256 << 10
"""Bytes of a summary; a runner refuses more than 1 MiB per step."""
ROWS, CHARS = 300, 1000
"""Rows of a table, and characters of a cell."""
ICONS = {
    "done": "✅",
    "unchanged": "✅",
    "planned": "📝",
    "checked-when-run": "⏳",
    "skipped": "⏭️",
    "failed": "❌",
    "interrupted": "🛑",
}
STATES = ("succeeded", "failed", "already", "skipped", "absent", "unverified", "pending")
"""Outputs that are lists of nodes by what became of them."""


def of(result: Result) -> str:
    """The summary of a result: headline, failure, what was done, tables; details folded."""
    alone = len(result.steps) == 1 and result.steps[0].step == result.name
    words = [f"### {ICONS[result.status]} anka-ci {text(result.name)}: {result.status}"]
    if result.seconds:
        words.append(f"in {account.seconds(result.seconds)}")
    if result.context:
        words.append(f"({text(result.context)})")
    parts = [" ".join(words) + "\n"]
    if result.error is not None:
        parts.append(_failure(result.error))
    if alone:
        parts += _step(result.steps[0])
    elif result.steps:
        rows = [
            {
                "": ICONS[step.status],
                "step": step.id if step.id == step.step else f"{step.id} ({step.step})",
                "status": step.status,
                "time": account.seconds(step.seconds),
                "what happened": account.gist(step),
            }
            for step in result.steps
        ]
        parts.append(table(rows))
        parts += [folded(f"{step.id}: {step.status}", "\n".join(_step(step))) for step in result.steps if _told(step)]
    return capped(parts)


def capped(parts: Iterable[str], limit: int = LIMIT) -> str:
    """The parts that fit, whole, and a sentence about those that do not."""
    found, used, left = [], 0, 0
    for part in parts:
        size = len(part.encode(errors="replace")) + 1
        if left or used + size > limit - 200:
            left += size
        else:
            found.append(part)
            used += size
    if left:
        found.append(f"_Cut here: {left} more bytes. The output `result` holds everything._\n")
    return "\n".join(found)


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
    """A text as it is, whatever is in it."""
    longest = max((len(run) for run in re.findall("`+", value)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{value.rstrip()}\n{fence}\n"


def folded(title: str, body: str) -> str:
    """A body that is shown when its title is clicked."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{body}\n</details>\n"


def _told(step: StepResult) -> bool:
    return bool(step.outputs or step.plan or step.error)


def _failure(error: Mapping[str, object]) -> str:
    facts = error.get("facts")
    rows = [{"fact": key, "value": value} for key, value in facts.items()] if isinstance(facts, Mapping) else []
    rows = [row for row in rows if not isinstance(row["value"], (dict, list))]  # those are in the message
    message = str(error["message"])
    hint = f"**What to do:** {text(str(error['hint']))}\n" if error.get("hint") else ""
    whose = "the infrastructure's" if error.get("fault") == "infrastructure" else "the request's"
    head = f"**{text(str(error['class']))}** (exit code {error['code']}, {whose})\n"
    return "\n".join(filter(None, [head, fenced(message[: CHARS * 20]), hint, table(rows) if rows else ""]))


def _step(step: StepResult) -> list[str]:
    """What a step did, its outputs as tables, and its plan."""
    parts = []
    plan = dict(step.plan or {})
    actions = plan.get("actions")
    if step.status == "planned" or not isinstance(actions, list):
        actions = []
    if step.status in ("done", "failed", "interrupted") and actions:
        parts.append("".join(f"- {text(action['text'])}\n" for action in actions))
    elif step.status == "unchanged":
        parts.append("Nothing had to be done.\n")
    notes = step.notes or plan.get("notes")
    if isinstance(notes, (list, tuple)) and notes and step.status != "planned":
        parts.append("".join(f"- _{text(str(note))}_\n" for note in notes))
    nodes = _nodes(step.outputs)
    if nodes:
        parts.append(table(nodes))
    hidden = {*STATES, "reasons"} if nodes else set()
    plain, tables = [], []
    for key, value in step.outputs.items():
        if key in hidden:
            continue
        if key == "diff":
            tables += [fenced(str(value), "diff")] if value else []
            continue
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            tables.append(f"**{text(key)}**\n\n{table(value)}")
        else:
            plain.append({"output": key, "value": account.cell(key, value)})
    parts += [table(plain)] if plain else []
    parts += tables
    if step.plan is not None and step.status == "planned":
        parts.insert(0, fenced(account.of_plan(step.plan, confirm="confirm: {}")))
    elif step.plan is not None and actions:
        parts.append(
            folded(f"Plan {plan.get('digest', '')}", fenced(account.of_plan(step.plan, confirm="confirm: {}")))
        )
    return parts


def _nodes(outputs: Mapping[str, object]) -> list[dict[str, object]]:
    """One row per node and what became of it, when the outputs tell."""
    listed = {state: outputs[state] for state in STATES if isinstance(outputs.get(state), (list, tuple))}
    if not {"succeeded", "failed"} & set(listed):
        return []
    told = outputs.get("reasons")
    reasons = {row.get("node"): row.get("reason") for row in told or ()} if isinstance(told, (list, tuple)) else {}
    return [
        {"node": name, "result": state, "reason": reasons.get(name, "")}
        for state, names in listed.items()
        for name in names  # type: ignore[attr-defined]
    ]
