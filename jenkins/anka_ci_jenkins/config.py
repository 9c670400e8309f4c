"""A job's ``config.xml``: one canonical form, our mark in its description, and what in it is not ours.

Jenkins rewrites what it is given: it adds the versions of plugins, fields with their defaults, and an XML declaration
that Python's parser refuses. The canonical form has none of that, so two texts differ only where a person would say so.
Text only; nothing is read or written here.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection

from anka_ci.adapter.jobs import Job, Mark
from anka_ci.errors import RefusedError

FLOW = "flow-definition"
BRANCHES = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
FOLDER = "com.cloudbees.hudson.plugins.folder.Folder"
FROM_SCM = "org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition"

DEFAULTS = {
    "keepDependencies": "false",
    "disabled": "false",
    "trim": "false",
    "abortPrevious": "false",
    "removeLastBuild": "false",
    "doGenerateSubmoduleConfigurations": "false",
}
"""Fields that Jenkins writes with these values whether it was given them or not, and that mean the same left out."""
NOISE = "actions"
"""What Jenkins notes about the job for itself, such as what its Jenkinsfile has declared."""
EMPTY = ("description", "extensions", "credentialsId")
"""Elements that say nothing when there is nothing in them."""
EMPTY_ON_TOP = (*EMPTY, "properties", "triggers")
"""The same of a job itself; further down, Jenkins may need them."""
VIEWS = ("properties", "folderViews", "healthMetrics", "icon", "views", "primaryView", "viewsTabBar")
"""Of a folder: its credentials and permissions, and how it looks. They are its owners', and stay as they are."""
IN_A_FOLDER = (*VIEWS, "description")
"""Of a folder that is nothing but one: all there is, so that any is as good as the one we would make."""
ORDERED = ("parameterDefinitions", "a", "branches", "data")
"""Elements whose children are a list, in an order that means something; in any other it means nothing."""
NONE = ("list", "vector", "linked-list", "empty-list")
"""Classes of a list that is empty, of different versions of Jenkins."""
ENCRYPTED = re.compile(r"\{[A-Za-z0-9+/]{20,}={0,2}\}")
"""A secret as Jenkins stores it; each time it is stored it looks different."""
MARK = re.compile(
    r"Made from (?P<source>.+) by anka-ci \(sha256 (?P<hash>[0-9a-f]{64})\); change that file, not this\."
)


def parse(text: str) -> ET.Element:
    """The root; ``RefusedError`` for what is no XML. Jenkins declares version 1.1, which expat does not know."""
    body = re.sub(r"^\ufeff?\s*<\?xml[^>]*\?>", "", text)
    try:
        return ET.fromstring(body)
    except ET.ParseError as error:
        raise RefusedError(f"the configuration of the job is no XML: {error}") from None


def canonical(text: str) -> tuple[str, Mark | None]:
    """The canonical text without our mark, and the mark; None when it carries none."""
    root = parse(text)
    mark = _take(root)
    for name in kept(root):
        for child in root.findall(name):
            root.remove(child)
    root.text = None
    _clean(root, EMPTY_ON_TOP)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True) + "\n", mark


def kept(root: ET.Element) -> tuple[str, ...]:
    """The parts of a job that are not ours, and stay as they are when it is written.

    What a Jenkinsfile declares (parameters, triggers, options), Jenkins writes into the job on each run; what is set of
    a folder is its owners'.
    """
    if root.tag == FOLDER:
        return IN_A_FOLDER
    if root.tag == BRANCHES:
        return VIEWS
    definition = root.find("definition")
    if root.tag == FLOW and definition is not None and definition.get("class") == FROM_SCM:
        return ("properties",)
    return ()


def written(job: Job, there: str | None = None) -> str:
    """A job as Jenkins gets it, its mark in the description; with the parts that are not ours of what is ``there``."""
    root = parse(job.text)
    if there is not None:
        before = parse(there)
        _take(before)
        for name in kept(root) if before.tag == root.tag else ():
            root.extend(before.findall(name))
    description = root.find("description")
    if description is None:
        description = ET.Element("description")
        root.insert(0, description)
    line = f"Made from {job.mark.source} by anka-ci (sha256 {job.mark.hash}); change that file, not this."
    description.text = f"{description.text}\n\n{line}" if description.text else line
    ET.indent(root)
    return "<?xml version='1.0' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode") + "\n"


def mark_of(description: str | None) -> Mark | None:
    """The mark in a description, if there is one."""
    found = MARK.search(description or "")
    return Mark(source=found["source"], hash=found["hash"]) if found else None


def _take(root: ET.Element) -> Mark | None:
    description = root.find("description")
    if description is None or not description.text:
        return None
    mark = mark_of(description.text)
    if mark is not None:
        description.text = MARK.sub("", description.text, count=1)
    description.text = re.sub(r"[ \t]+$", "", description.text.replace("\r\n", "\n"), flags=re.MULTILINE).strip()
    return mark


def _clean(element: ET.Element, empty: Collection[str] = EMPTY) -> None:
    """Take the noise out of an element and all below it, and put them in one order; ``empty``: of its children."""
    element.attrib.pop("plugin", None)
    leaf = not len(element)
    for child in list(element):
        _clean(child)
        if _says_nothing(child, empty):
            element.remove(child)
    if element.get("class") in NONE and not len(element):
        element.set("class", "empty-list")
    if not leaf:
        element.text = None
        if element.tag not in ORDERED:
            element[:] = sorted(element, key=lambda child: child.tag)
    elif element.text is not None:
        element.text = ENCRYPTED.sub("{encrypted}", element.text.replace("\r\n", "\n").replace("\r", "\n")) or None
    element.tail = None
    element.attrib = dict(sorted(element.attrib.items()))


def _says_nothing(element: ET.Element, empty: Collection[str]) -> bool:
    if element.tag == NOISE:
        return True
    text = (element.text or "").strip()
    if len(element):
        return False
    if text:
        return DEFAULTS.get(element.tag) == text
    return element.tag in empty and element.get("class") in (None, *NONE)
