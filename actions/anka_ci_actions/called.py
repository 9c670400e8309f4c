"""What a workflow calls: our actions, and pipeline files, with the inputs of ``workflow_dispatch``.

Reads text and asks no server. An expression is never evaluated: one that is an input of the workflow is what that may
be, every other is known only when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from anka_ci import document, inputs
from anka_ci.adapter import LEFT_OUT
from anka_ci.adapter.calls import Call, Called
from anka_ci.document import Node, Place
from anka_ci.errors import UsageError
from anka_ci.pipeline.model import Parameter
from anka_ci.pipeline.setting import FileInputs, pairs
from anka_ci.steps import catalog
from anka_ci_actions import mark

_STEP = re.compile(r"(?:^|/)actions/([a-z-]+)/?(?:@|$)")
_FILE = re.compile(r"(?:^|/)anka-ci/?(?:@|$)|^\./?$")
_INPUT = re.compile(r"\$\{\{\s*(?:github\.event\.)?inputs\.([A-Za-z_][A-Za-z0-9_-]*)\s*\}\}")
_RENDERED = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=\{0\}', inputs\.([A-Za-z_][A-Za-z0-9_-]*)\)")
"""A parameter, and the input that it is, as our own workflows hand them over."""


def calls(file: str, text: str) -> Called | None:
    """What the workflow in a file calls; None when it is none. ``UsageError`` for what is no YAML."""
    if Path(file).suffix not in (".yml", ".yaml"):  # GitHub knows no others
        return None
    ours = mark.take(text)[1] is not None
    root = document.parse(text, file)
    if not isinstance(root.value, dict) or "jobs" not in root.value:
        return None
    found = [
        call
        for job in root.value["jobs"].mapping("jobs").values()
        for step in (job.mapping("a job")["steps"].items("steps") if "steps" in job.mapping("a job") else [])
        for call in _call(step.mapping("a step"), ours)
    ]
    return Called(file=file, parameters=_inputs(root.value), calls=tuple(found))


def _call(step: Mapping[str, Node], ours: bool) -> Iterator[Call]:
    """``ours``: the file was rendered, so what takes a pipeline file is the action of whatever name."""
    uses = str(step["uses"].plain()) if "uses" in step else ""
    given = step["with"].mapping("with") if "with" in step else {}
    found = {key: _value(node) for key, node in given.items() if node.value not in (None, LEFT_OUT)}
    action = _STEP.search(uses)
    if action is not None:
        if action[1] in catalog.BUILT:
            yield Call(use=action[1], place=step["uses"].place, inputs=found)
    elif uses and (_FILE.search(uses) or (ours and "file" in found)):
        set, sure = _set(given["set"]) if "set" in found else ({}, True)
        more = {"param-file", "inputs-file"} & found.keys()
        yield Call(use=None, place=step["uses"].place, inputs=found, set=set, sure=sure and not more)


def _value(node: Node) -> Node:
    if not isinstance(node.value, str):
        return node
    match = _INPUT.fullmatch(node.value.strip())
    value = f"${{{{ params.{match[1]} }}}}" if match else node.value
    return Node(value=value, place=node.place, quoted=node.quoted)


def _set(node: Node) -> tuple[Mapping[str, Node], bool]:
    """The parameters that ``set`` gives, and whether these are all."""
    text = str(node.plain())
    ours = _RENDERED.findall(text)
    if ours:
        return {name: _value(Node(value=f"${{{{ inputs.{input} }}}}", place=node.place)) for name, input in ours}, True
    if text.lstrip().startswith("${{"):
        return {}, False
    try:
        (field,) = (each for each in inputs.fields(FileInputs) if each.key == "set")
        lines: tuple[str, ...] = inputs.parse(field, text)  # type: ignore[assignment]
        found = {name: _value(Node(value=value, place=node.place)) for name, value in pairs(lines).items()}
    except (ValueError, UsageError):  # such as a list that an expression gives
        return {}, False
    return found, True


def _inputs(workflow: Mapping[str, Node]) -> dict[str, Parameter]:
    """What a person who starts the workflow is asked for."""
    found = {}
    node: Node | None = workflow.get("on")
    for key in ("workflow_dispatch", "inputs"):
        node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
    for name, each in (node.value if node is not None and isinstance(node.value, dict) else {}).items():
        keys = each.value if isinstance(each.value, dict) else {}
        options, default = keys.get("options"), keys.get("default")
        items = options.value if options is not None and isinstance(options.value, list) else []
        choices = tuple(item.value for item in items if isinstance(item.value, str))
        text = default.value if default is not None and isinstance(default.value, str) and default.value else None
        place: Place = options.place if choices and options else default.place if default else each.place
        found[name] = Parameter(name=name, default=text, choices=choices, place=place)
    return found
