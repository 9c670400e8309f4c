"""Golden files: what a runner has of a step, as text that is the same with every run, beside what it was once.

Ids, times and bytes are masked; all else counts. After a change that is meant: ``ANKA_CI_GOLDEN=write make integration
ARGS='-k test_act'``, and read the diff.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from integration.acting import ROOT, Step

FOLDER = Path(__file__).with_name("golden")
MASKS = {
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b": "<id>",
    r"\b\d{8}T\d{6}Z\b": "<time>",
    r"\b\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)": "<time>",
    r"\b(?:\d+ (?:min|h) )?\d+(?:\.\d+)?[ \xa0](?:s|min|h|ms)\b": "<time>",
    r"\b\d+(?:\.\d+)? (?:B|[KMGT]iB)(?![A-Za-z])": "<bytes>",
    r"\b(?:Linux|Darwin)\b": "<system>",
    r"127\.0\.0\.1:\d+": "127.0.0.1:<port>",
    r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b": "<hex>",
    r"\b\d{4,}\b": "<number>",
}
"""What differs from run to run, and what stands for it."""
HIDDEN = {"result", "result-file"}
"""Outputs that tell everything once more, and the place of a file."""


def declared(path: str) -> list[str]:
    """The outputs that an action of this checkout declares."""
    return list(yaml.safe_load((ROOT / path / "action.yml").read_text())["outputs"])


def told(step: Step, outputs: Iterable[str]) -> str:
    """What a runner has of a step: how it ended, its outputs, its annotations, its summary."""
    parts = [f"# {step.outcome}\n"]
    shown = {key: step.outputs[key] for key in outputs if key not in HIDDEN and step.outputs.get(key)}
    parts += [f"{key}: {value}\n" for key, value in shown.items()]
    for each in step.annotations:
        place = " ".join(f"{key}={value}" for key, value in sorted(each.place.items()))
        parts.append(f"\n! {each.level} {place}\n{each.message}\n")
    return "".join([*parts, "\n---\n", step.summary])


def masked(text: str, hidden: Mapping[str, str]) -> str:
    """The text without what differs from run to run; ``hidden`` are texts of this run and what stands for them."""
    for value, name in hidden.items():
        text = text.replace(value, name)
    for pattern, name in MASKS.items():
        text = re.sub(pattern, name, text)
    return text


def check(name: str, text: str, hidden: Mapping[str, str] | None = None) -> None:
    """Compare with the golden file of that name, or write it when that is asked for."""
    file, text = FOLDER / f"{name}.md", masked(text, hidden or {})
    if os.environ.get("ANKA_CI_GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert file.exists(), f"no {file.name}: write it with ANKA_CI_GOLDEN=write, and read it"
    differs = list(difflib.unified_diff(file.read_text().splitlines(), text.splitlines(), "golden", "now", lineterm=""))
    assert not differs, "\n".join(differs)
