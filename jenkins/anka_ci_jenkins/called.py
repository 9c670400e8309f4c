"""What a Jenkinsfile or the configuration of a job calls: our variables, and pipeline files, with its parameters.

Reads text and asks no server; no Groovy is run. A job that takes its Jenkinsfile from a repository is told by that
file, where it is in the repository of the configuration.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

from anka_ci import document, inputs
from anka_ci.adapter import system
from anka_ci.adapter.calls import RUN_TELLS, Call, Called
from anka_ci.document import Node, Place
from anka_ci.pipeline.model import Parameter
from anka_ci.steps import catalog
from anka_ci_jenkins import config, groovy
from anka_ci_jenkins.groovy import Invocation

PIPELINE = "ankaPipeline"
STEPS = {inputs.camel(name, "anka"): name for name in catalog.BUILT}
ASKS = ("string", "text", "choice", "booleanParam")
"""What declares a parameter in a Jenkinsfile."""
_ROOTS = ("flow-definition", config.BRANCHES, config.FOLDER)


def calls(file: str, text: str) -> Called | None:
    """What the job in a file calls; None when it is none of Jenkins.

    ``RefusedError`` for a configuration that is no XML.
    """
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        return _configuration(file, text)
    path = Path(file)
    named = path.name.startswith("Jenkinsfile") or path.suffix in (".groovy", ".jenkinsfile")
    if named or (path.suffix not in (".yml", ".yaml", ".json") and re.search(r"\banka[A-Z]", text)):
        return _script(file, text)
    return None


def _configuration(file: str, text: str) -> Called | None:
    root = config.parse(text)
    if root.tag not in _ROOTS:
        return None
    asked = {each.name: each for each in _parameters(root, file, text)}
    script, path = root.findtext("definition/script"), root.findtext(".//scriptPath")
    if script is not None:
        return _script(file, script, _line(text, "<script>"), asked)
    if path:
        place = Place(file=file, line=_line(text, "<scriptPath>"), column=1)
        there = system.repository(Path(file).absolute().parent) / path
        if not there.is_file():
            return Called(file=file, parameters=asked, unknown=(place,))
        found = _script(str(there), document.text(there))
        return Called(
            file=file,
            parameters={**asked, **found.parameters},
            calls=found.calls,
            texts=found.texts,
            unknown=found.unknown,
        )
    return Called(file=file)


def _line(text: str, sought: str) -> int:
    return text[: max(text.find(sought), 0)].count("\n") + 1


def _parameters(root: ET.Element, file: str, text: str) -> list[Parameter]:
    found = []
    for each in root.findall(".//parameterDefinitions/*"):
        name, default = each.findtext("name"), each.findtext("defaultValue")
        choices = tuple(item.text or "" for item in each.iter("string"))
        if name:
            place = Place(file=file, line=_line(text, f"<name>{name}</name>"), column=1)
            found.append(Parameter(name=name, default=default or None, choices=choices, place=place))
    return found


def _script(file: str, text: str, line: int = 1, asked: Mapping[str, Parameter] | None = None) -> Called:
    parameters, texts = dict(asked or {}), dict[str, str]()
    found, unknown = list[Call](), list[Place]()
    for each in groovy.invocations(text, file, line):
        named = each.arguments
        if each.name in ASKS and "name" in named:
            parameter = _parameter(each)
            parameters[parameter.name] = parameter
        elif each.name == "writeFile" and {"file", "text"} <= named.keys():
            texts[str(named["file"].plain())] = str(named["text"].plain())
        elif each.name != PIPELINE and each.name not in STEPS:
            continue
        elif not each.whole:
            unknown.append(each.place)
        else:
            found.append(_call(each))
    return Called(file=file, parameters=parameters, calls=tuple(found), texts=texts, unknown=tuple(unknown))


def _call(invocation: Invocation) -> Call:
    given = {inputs.dashed(re.sub("([A-Z])", r"_\1", key).lower()): node for key, node in invocation.arguments.items()}
    set = given.get("set")
    pairs = set.value if set is not None and isinstance(set.value, dict) else {}
    sure = (set is None or isinstance(set.value, dict)) and not {"param-file", "inputs-file"} & given.keys()
    found = {key: _lines(node) for key, node in given.items() if key != "set"}
    use = STEPS.get(invocation.name)
    return Call(use=use, place=invocation.place, inputs=found, set=pairs, sure=sure)


def _lines(node: Node) -> Node:
    """A map as a value of a step is never a name."""
    return Node(value=RUN_TELLS, place=node.place) if isinstance(node.value, dict) else node


def _parameter(invocation: Invocation) -> Parameter:
    named = invocation.arguments
    choices = named.get("choices")
    items = choices.value if choices is not None else None
    if isinstance(items, str):
        values = tuple(items.split("\n"))
    else:
        values = tuple(each.value for each in items if isinstance(each.value, str)) if isinstance(items, list) else ()
    default = named.get("defaultValue")
    text = default.value if default is not None and isinstance(default.value, str) else None
    known = text if text and "${{" not in text else None
    place = choices.place if values and choices else default.place if default else invocation.place
    return Parameter(name=str(named["name"].plain()), default=known, choices=values, place=place)
