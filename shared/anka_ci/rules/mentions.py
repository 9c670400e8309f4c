"""Mentions: which templates and tags pipeline files and workflows name, as far as their text tells before they run.

A value from a parameter is its default, or any of its choices. Nothing is checked or evaluated here: that is what the
desk does with a pipeline file.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anka_ci import document
from anka_ci.document import Node, Place
from anka_ci.errors import NotFoundError
from anka_ci.rules import fleet

KEYS = ("template", "onto")
"""Inputs of steps that name a template of the registry."""
REMOVING = ("delete", "delete-local", "evict", "prune", "revert")
"""Steps that need nothing of what they name: they take it away."""
_PARAMETER = re.compile(r"\$\{\{\s*(?:params|inputs)\.([A-Za-z][A-Za-z0-9_-]*)\s*\}\}")
_ACTION = re.compile(r"/actions/([a-z-]+)(?:@|$)")


@dataclass(frozen=True, kw_only=True)
class Mention:
    """``tag`` and ``number`` None: the newest, or one that is known only when the file runs."""

    template: str
    tag: str | None = None
    number: int | None = None
    place: Place


@dataclass(frozen=True, kw_only=True)
class Mentioned:
    """``unknown`` are the places whose template is known only when the file runs."""

    mentions: tuple[Mention, ...]
    unknown: tuple[Place, ...]


def read(patterns: Sequence[str]) -> Mentioned:
    """What the files say that paths or patterns (``ci/*.yml``) name.

    ``NotFoundError`` for a pattern that matches no file, ``UsageError`` for a file without steps.
    """
    files: dict[str, None] = {}
    for pattern in patterns:
        # Path.glob takes no pattern that begins with a slash.
        found = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207
        if not found:
            raise NotFoundError("pipeline file", pattern, hint="a pattern has to match a file")
        files |= dict.fromkeys(found)
    mentions: list[Mention] = []
    unknown: list[Place] = []
    for file in files:
        of_file(document.read(Path(file)), mentions, unknown)
    return Mentioned(mentions=tuple(mentions), unknown=tuple(unknown))


def of_file(root: Node, mentions: list[Mention], unknown: list[Place]) -> None:
    """Add what one file says, a pipeline file or a workflow of GitHub Actions."""
    found = root.mapping("a pipeline file")
    if "jobs" in found:
        jobs = [each.mapping("a job") for each in found["jobs"].mapping("jobs").values()]
        stepses = [job["steps"] for job in jobs if "steps" in job]
        parameters = _inputs(found)
    elif "steps" in found:
        stepses = [found["steps"]]
        parameters = found["parameters"].mapping("parameters") if "parameters" in found else {}
    else:
        raise root.place.wrong("this is no pipeline file: it has no steps")
    for step in (step for steps in stepses for step in steps.items("steps")):
        keys = step.mapping("a step")
        if _removing(keys) or "with" not in keys:
            continue
        inputs = keys["with"].mapping("with")
        for key in KEYS:
            if key not in inputs:
                continue
            templates = list(_values(inputs[key], parameters))
            if not templates:
                unknown.append(inputs[key].place)
            mentions += [each for template in templates for each in _tags(template, inputs, parameters, inputs[key])]
        if "channel" in inputs:
            named = list(_of_channels(inputs, parameters))
            mentions += named
            unknown += [] if named else [inputs["channel"].place]


def _of_channels(inputs: Mapping[str, Node], parameters: Mapping[str, Node]) -> Iterator[Mention]:
    """What a channel in place of a template and a tag stands for."""
    wanted = [*_values(inputs["channel"], parameters)]
    for path in _values(inputs["fleet"], parameters) if "fleet" in inputs else ():
        for each in fleet.read(path):
            if each.name in wanted:
                yield Mention(template=each.template, tag=each.tag, place=inputs["channel"].place)


def _inputs(workflow: Mapping[str, Node]) -> Mapping[str, Node]:
    """What a person who starts a workflow may choose."""
    node: Node | None = workflow.get("on")
    for key in ("workflow_dispatch", "inputs"):
        node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _removing(keys: Mapping[str, Node]) -> bool:
    """Whether a step is none of ours, or one that takes away what it names."""
    if "use" in keys:
        return keys["use"].plain() in REMOVING
    action = _ACTION.search(str(keys["uses"].plain())) if "uses" in keys else None
    return action is None or action.group(1) in REMOVING


def _tags(template: str, inputs: Mapping[str, Node], parameters: Mapping[str, Node], at: Node) -> Iterator[Mention]:
    tags = list(_values(inputs["tag"], parameters)) if "tag" in inputs else []
    numbers = list(_values(inputs["version"], parameters)) if "version" in inputs else []
    if tags:
        yield from (Mention(template=template, tag=tag, place=at.place) for tag in tags)
    elif numbers and all(number.isdigit() for number in numbers):
        yield from (Mention(template=template, number=int(number), place=at.place) for number in numbers)
    else:
        yield Mention(template=template, place=at.place)


def _values(node: Node, parameters: Mapping[str, Node]) -> Iterator[str]:
    """What a text may be; nothing when only a run can tell."""
    if not isinstance(node.value, str):
        return
    match = _PARAMETER.fullmatch(node.value.strip())
    if match is None:
        if "${{" not in node.value:
            yield node.value
        return
    parameter = parameters.get(match.group(1))
    if parameter is None:
        return
    if not isinstance(parameter.value, dict):  # the short form: its default
        found = [parameter]
    elif "choices" in parameter.value or "options" in parameter.value:
        choices = parameter.value.get("choices") or parameter.value["options"]
        found = choices.value if isinstance(choices.value, list) else [choices]
    else:
        found = [parameter.value["default"]] if "default" in parameter.value else []
    yield from (each.value for each in found if isinstance(each.value, str) and each.value)
