"""The result document as JUnit XML: a suite for the command, a test case for each of its steps.

A view only; decides nothing. A failure that is the infrastructure's or ours is an ``error``, one of the caller's own is
a ``failure``, as the readers of such files tell them apart. There is no standard; what Jenkins reads is described in
https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Document = Mapping[str, Any]


def of(document: Document) -> str:
    """A result document (``anka-ci/result/1``) as a file's text. Characters that no XML can hold are ``?``."""
    steps: Sequence[Document] = document["steps"]
    cases = [_case(document["name"], step["id"], step["step"], step) for step in steps]
    if document.get("error") is not None and not any(step.get("error") for step in steps):
        cases.append(_case(document["name"], document["name"], document["name"], document))
    count = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error", "skipped")}
    began = datetime.fromtimestamp(document["started"], timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    total = {"tests": str(len(cases)), "failures": str(count["failure"]), "errors": str(count["error"])}
    total |= {"time": _seconds(document), "name": _text(document["name"])}
    root = ET.Element("testsuites", total)
    suite = ET.SubElement(root, "testsuite", {**total, "skipped": str(count["skipped"]), "timestamp": began})
    if document["context"]:
        properties = ET.SubElement(suite, "properties")
        ET.SubElement(properties, "property", {"name": "context", "value": _text(document["context"])})
    suite.extend(cases)
    ET.indent(root)
    return "<?xml version='1.0' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode") + "\n"


def _case(name: str, id_: str, step: str, of: Document) -> ET.Element:
    case = ET.Element("testcase", {"classname": _text(f"{name}.{step}"), "name": _text(id_), "time": _seconds(of)})
    error: Document | None = of.get("error")
    if error is not None:
        kind = "failure" if error.get("fault") == "yours" and of["status"] != "interrupted" else "error"
        told = ET.SubElement(case, kind, {"message": _text(error["message"]), "type": _text(error["class"])})
        told.text = _text(_whole(error))
    elif of["status"] == "skipped":
        ET.SubElement(case, "skipped")
    lines = [each["text"] for each in (of.get("plan") or {}).get("actions", ())] + list(of.get("notes", ()))
    if lines:
        ET.SubElement(case, "system-out").text = _text("\n".join([f"{of['status']}:", *lines]))
    return case


def _whole(error: Document) -> str:
    """All that an error says: the message, what to do, and its facts, such as what became of each node."""
    lines = [error["message"], *([error["hint"]] if error.get("hint") else [])]
    known = ("class", "code", "message", "hint", "fault")
    lines += [f"{key}: {_fact(value)}" for key, value in error.items() if key not in known]
    return "\n".join(lines)


def _fact(value: object) -> str:
    if isinstance(value, Mapping):
        return "".join(f"\n  {key}: {_fact(each)}" for key, each in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _seconds(of: Document) -> str:
    return f"{of['seconds']:.3f}"


def _text(value: object) -> str:
    return _NO_XML.sub("?", str(value))
