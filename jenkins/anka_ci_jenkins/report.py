"""The report to Jenkins: the outputs file that ``ankaCi.groovy`` reads, and the result document.

Prints nothing. Both files are written whole or not at all, and redacted.

The outputs file is UTF-8, one line ``KIND KEY=VALUE`` for each fact, so that Groovy can read it without any plugin:

- ``fact``: ``code``, ``status``, and for a failure its ``class`` and ``message``;
- ``text``, ``flag`` (``true`` or ``false``), ``list`` (begins a list, its value is empty) and ``item`` (the list's
  next): an output. A mapping, or a list's item that is one, is its JSON text;
- ``step``: a step of a pipeline file with its status. The keys of its outputs begin with its id and a dot.

Keys are as Groovy spells them (``requestId``). In values ``%``, line feed and carriage return are ``%25``, ``%0A`` and
``%0D``.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from anka_ci.errors import RefusedError
from anka_ci.inputs import camel
from anka_ci.result import Result
from anka_ci.secret import Redactor
from anka_ci.steps.catalog import CATALOG

STEP, OUTPUTS, DOCUMENT = "ANKA_CI_STEP", "ANKA_CI_OUTPUTS", "ANKA_CI_RESULT"
"""Variables that name the step, and the files to write; the document is beside the outputs when it has no own."""


def report(result: Result, redactor: Redactor, env: Mapping[str, str]) -> None:
    """Write the files that the environment asks for; ``RefusedError`` when one cannot be written."""
    document = redactor.tree(result.emit())
    assert isinstance(document, dict)
    outputs = env.get(OUTPUTS)
    place = env.get(DOCUMENT) or (f"{outputs}.json" if outputs else "")
    if place:
        write(Path(place), json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    if outputs:
        write(Path(outputs), "".join(f"{line}\n" for line in lines(document, single=env.get(STEP) in CATALOG)))


def lines(document: Mapping[str, object], *, single: bool) -> Iterator[str]:
    """The lines of the outputs file; ``single``: the command is one step, its outputs stand for themselves."""
    error = document.get("error")
    yield f"fact code={document['code']}"
    yield f"fact status={document['status']}"
    if isinstance(error, dict):
        message = f"{error['message']}\n  {error['hint']}" if error.get("hint") else error["message"]
        yield f"fact class={_quoted(error['class'])}"
        yield f"fact message={_quoted(message)}"
    steps = document["steps"]
    assert isinstance(steps, list)
    for step in steps:
        if not single:
            yield f"step {step['id']}={step['status']}"
        for key, value in step["outputs"].items():
            yield from _output(camel(key) if single else f"{step['id']}.{camel(key)}", value)


def _output(key: str, value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield f"list {key}="
        for item in value:
            yield f"item {key}={_quoted(item)}"
    elif isinstance(value, bool):
        yield f"flag {key}={_quoted(value)}"
    else:
        yield f"text {key}={_quoted(value)}"


def _quoted(value: object) -> str:
    """A value on one line: text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def write(file: Path, text: str) -> None:
    """Write a file whole or not at all. Readable for the agent, which may be another user than a container's."""
    part = file.with_name(f"{file.name}.part-{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(text.encode("utf-8", "replace"))
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise RefusedError(f"the report {file} cannot be written: {error.strerror}") from error
