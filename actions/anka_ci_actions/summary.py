"""The job summary: a result as Markdown that a person wants to read.

A view of the result document only, capped far below what a runner takes; what is left out is stated. Gets results
without secrets. A text of a server never becomes Markdown or HTML of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from anka_ci import account
from anka_ci.result import Result, StepResult
from anka_ci_actions.markdown import capped, fenced, folded, table, text

ICONS = {
    "done": "✅",
    "unchanged": "✅",
    "planned": "📝",
    "checked-when-run": "⏳",
    "skipped": "⏭️",
    "failed": "❌",
    "interrupted": "🛑",
}
WHOSE = {"infrastructure": "the infrastructure's", "anka-ci": "a fault of anka-ci"}
"""Whose a failure is, by its ``fault``."""
MARKS = {
    "failed": "❌",
    "pending": "⏳",
    "unverified": "❔",
    "skipped": "⏭️",
    "succeeded": "✅",
    "already": "☑️",
    "absent": "➖",
}
STATES, FINE = tuple(MARKS), ("succeeded", "already", "absent")
"""Outputs that are lists of nodes by what became of them, and those that nobody has to look at."""
FEW, NAMES, SAID, WORDS = 20, 2000, 20, 160
"""So many nodes have a row each, so many names are told, so many warnings, losses or notes, and
characters of what was done."""


def of(result: Result) -> str:
    """The summary of a result: headline, failure, what was said and lost, what was done, tables; details folded."""
    alone = len(result.steps) == 1 and result.steps[0].step == result.name
    words = [f"### {ICONS[result.status]} anka-ci {text(result.name)}: {result.status}"]
    if result.seconds:
        words.append(f"in {account.seconds(result.seconds)}")
    if result.context:
        words.append(f"({text(result.context)})")
    parts = [" ".join(words) + "\n"]
    if result.error is not None:
        failed = next((step for step in result.steps if step.error == result.error and not alone), None)
        parts.append(_failure(result.error, f" in the step {text(failed.id)}" if failed else ""))
    parts += _said(result)
    if alone:
        return capped([*parts, *_step(result.steps[0])])
    parts += _lost(result)
    if result.steps:
        parts.append(table([_row(step) for step in result.steps]))
        inside = [(step, _inside(step, result)) for step in result.steps]
        parts += [folded(f"{step.id}: {step.status}", "\n".join(told)) for step, told in inside if told]
    return capped(parts)


def _row(step: StepResult) -> Mapping[str, object]:
    """A step of a pipeline file, in one line."""
    what = account.gist(step)
    if step.status == "planned" and step.plan is not None:
        loses = len(_texts(step.plan, "loses"))
        what = "; ".join(_texts(step.plan, "actions")) or "change nothing"
        what += f" ⚠️ {loses} {'thing' if loses == 1 else 'things'} lost" if loses else ""
    return {
        "": ICONS[step.status],
        "step": step.id if step.id == step.step else f"{step.id} ({step.step})",
        "status": step.status,
        "time": account.seconds(step.seconds).replace(" ", "\N{NO-BREAK SPACE}") if step.status != "skipped" else "",
        "would do" if step.status in ("planned", "checked-when-run") else "what happened": what,
    }


def _inside(step: StepResult, result: Result) -> list[str]:
    """What is folded of a step: what it did, and its failure; nothing when the table above tells it all."""
    parts = _step(step) if step.outputs or step.plan else []
    if step.error is not None and step.error != result.error:
        parts.insert(0, _failure(step.error, ""))
    return parts


def _said(result: Result) -> list[str]:
    """Warnings and notices."""
    rows = [
        f"- {'⚠️' if each['level'] == 'warning' else 'ℹ️'} "
        + (f"{text(str(each['step']))}: " if each["step"] else "")
        + f"{text(str(each['text']))}\n"
        for each in result.said
    ]
    more = f"- … and {len(rows) - SAID} more; `result` holds all of them\n" if len(rows) > SAID else ""
    return ["".join(rows[:SAID]) + more] if rows else []


def _lost(result: Result) -> list[str]:
    """What a planned pipeline file would lose: never folded."""
    planned = [step for step in result.steps if step.status == "planned" and step.plan is not None]
    rows = [f"- {text(step.id)}: {text(loss)}\n" for step in planned for loss in _texts(step.plan or {}, "loses")]
    more = f"- … and {len(rows) - SAID} more\n" if len(rows) > SAID else ""
    return ["**⚠️ This would be lost:**\n", "".join(rows[:SAID]) + more] if rows else []


def _texts(plan: Mapping[str, object], key: str) -> list[str]:
    """What a plan's actions or losses say."""
    return [str(row["text"]) for row in _rows(plan, key)]


def _rows(plan: Mapping[str, object], key: str) -> list[Mapping[str, object]]:
    rows = plan.get(key)
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, (list, tuple)) else []


def _failure(error: Mapping[str, object], where: str) -> str:
    """A failure: its class and whose it is, what happened, what to do, and the facts that are not told by then."""
    found = error.get("facts")
    facts = dict(found) if isinstance(found, Mapping) else {}
    message, hint = _without_nodes(str(error["message"]), facts), str(error.get("hint") or "")
    place = ":".join(str(facts.pop(key)) for key in ("file", "line", "column") if key in facts)
    rows = [{"fact": key, "value": value} for key, value in facts.items() if not isinstance(value, (dict, list))]
    rows = [row for row in rows if not re.search(rf"(?<!\w){re.escape(str(row['value']))}(?!\w)", f"{message} {hint}")]
    whose = WHOSE.get(str(error["fault"]), "yours")
    kind = str(error["class"]).replace("-", " ").capitalize()
    parts = [f"**{text(kind)}**{where} ({whose}, exit code {error['code']})\n"]
    parts.append(fenced(message) if "\n" in message.strip() else f"> {text(message)}\n")
    if place and place not in message:
        parts.append(f"**Where:** {text(place)}\n")
    if hint:
        parts.append(f"**What to do:** {text(hint)}\n")
    return "\n".join([*parts, table(rows)] if rows else parts)


def _without_nodes(message: str, facts: Mapping[str, object]) -> str:
    """The message up to where it goes through the nodes one by one: a table tells them."""
    nodes = facts.get("nodes")
    found = [message.find(f": {name}: ") for name in nodes] if isinstance(nodes, Mapping) else []
    return message[: min((place for place in found if place > 0), default=len(message))]


def _step(step: StepResult) -> list[str]:
    """What a step did, its nodes and tables, and folded the other outputs and the plan."""
    plan = dict(step.plan or {})
    ran, parts = step.status in ("done", "failed", "interrupted"), []
    if step.status == "planned" and step.plan is not None:
        parts.append(fenced(account.of_plan(step.plan, confirm="confirm: {}")))
    elif ran or step.status == "unchanged":
        found = _texts(plan, "actions")[:SAID] if ran else ["Nothing had to be done"]
        did = [f"**{text(each if len(each) <= WORDS else each[:WORDS] + ' …')}**" for each in found]
        words = text(account.gist(step)) if step.error is None else ""
        told = "<br>".join(did) + (": " if did and words else "") + words
        parts += [f"{told}\n"] if told else []
    notes = step.notes or plan.get("notes")
    if isinstance(notes, (list, tuple)) and notes and step.status != "planned":
        parts.append("".join(f"- _{text(str(note))}_\n" for note in notes[:SAID]))
    nodes = _nodes(step.outputs)
    parts += _of_nodes(nodes)
    plain, tables = _outputs(step.outputs, {*STATES, "reasons"} if nodes else set())
    acted = ran and any(action.get("writes", True) for action in _rows(plan, "actions"))
    if plain and not acted:
        parts.append(table(plain))
    parts += tables
    if plain and acted:
        parts.append(folded("Outputs", table(plain)))
    if acted and step.plan is not None:
        told = account.of_plan(step.plan, confirm="confirm: {}")
        parts.append(folded(f"Plan {plan.get('digest', '')}", fenced(told)))
    return parts


def _outputs(outputs: Mapping[str, object], but: set[str]) -> tuple[list[dict[str, object]], list[str]]:
    """The outputs as rows of one table, and those that are tables themselves."""
    plain: list[dict[str, object]] = []
    tables = []
    for key, value in outputs.items():
        if key in but:
            continue
        if key == "diff":
            tables += [fenced(str(value), "diff")] if value else []
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            tables.append(f"**{text(key)}**\n\n{table(value)}")
        else:
            plain.append({"output": key, "value": account.cell(key, value)})
    return plain, tables


def _nodes(outputs: Mapping[str, object]) -> list[dict[str, object]]:
    """One row per node and what became of it, when the outputs tell; those in trouble first."""
    listed = {state: outputs[state] for state in STATES if isinstance(outputs.get(state), (list, tuple))}
    if not {"succeeded", "failed"} & set(listed):
        return []
    told = outputs.get("reasons")
    reasons = {row.get("node"): row.get("reason") for row in told or ()} if isinstance(told, (list, tuple)) else {}
    return [
        {"": MARKS[state], "node": name, "result": state, "reason": reasons.get(name, "")}
        for state, names in listed.items()
        for name in names  # type: ignore[attr-defined]
    ]


def _of_nodes(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """A table of few nodes; of many the counts, a table of those in trouble, and the others' names folded."""
    if len(rows) <= FEW:
        return [table(rows)] if rows else []
    counts = Counter(str(row["result"]) for row in rows)
    told = " · ".join(f"{MARKS[state]} {counts[state]} {state}" for state in STATES if state in counts)
    parts = [f"**{len(rows)} nodes:** {told}\n"]
    trouble = [row for row in rows if row["result"] not in FINE]
    parts += [table(trouble)] if trouble else []
    for state in (state for state in FINE if state in counts):
        names = [text(str(row["node"])) for row in rows if row["result"] == state]
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        parts.append(folded(f"{len(names)} {state}", ", ".join(names[:NAMES]) + more + "\n"))
    return parts
