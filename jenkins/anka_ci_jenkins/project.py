"""The Jenkins jobs of a pipeline file: what Jenkins has to know of it, and the texts that are rendered from that.

A job whose script is in the job declares parameters, triggers and options in its configuration, and nothing in the
script; one from a repository declares them in the Jenkinsfile, and nothing in its configuration: what both declared,
Jenkins would rewrite on each run. Every text of the pipeline file enters quoted. Reads no server and writes no file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from anka_ci import document
from anka_ci.adapter.jobs import Job, canonical
from anka_ci.adapter.system import Source, params
from anka_ci.errors import RefusedError, UsageError
from anka_ci.pipeline.model import Parameter
from anka_ci.render import quote_groovy, render
from anka_ci_jenkins import config
from anka_ci_jenkins.section import FOLDERS, INLINE, MULTIBRANCH, Section

PACKAGE = "anka_ci_jenkins"
SCRIPT, JENKINSFILE, JOB, BRANCHES, FOLDER = (
    "script.groovy.j2",
    "Jenkinsfile.j2",
    "job.xml.j2",
    "multibranch.xml.j2",
    "folder.xml.j2",
)
LARGEST = 60_000
"""Bytes of a pipeline file that a job can hold: a text in a script is a constant of a Java class, below 64 KiB."""
GRACE = 600
"""Seconds that the job has beside the run's own time: for the checkout, and to end by itself."""
TAKEN = re.compile(r"(?i)PATH|HOME|SHELL|USER|TMPDIR|LD_.*|DYLD_.*|ANKA_CI_.*|JENKINS_.*|WORKSPACE")
"""Variables of a build that a parameter must not replace: Jenkins sets one for each parameter."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A parameter as Jenkins asks for it: ``kind`` is string, boolean or choice, the first choice is the default."""

    name: str
    kind: str
    help: str
    default: str
    choices: tuple[str, ...]


def job(source: Source, section: Section, templates: Path | None = None) -> Job:
    """The job of a pipeline file. ``UsageError`` for what Jenkins cannot do, and for a template that fails."""
    values = facts(source, section)
    if section.kind == INLINE:
        values["script"] = render(PACKAGE, SCRIPT, values, templates)
    template = BRANCHES if section.kind == MULTIBRANCH else JOB
    return _job(section.job, source.path, template, values, templates)


def jenkinsfile(source: Source, section: Section, templates: Path | None = None) -> Job:
    """The Jenkinsfile of a pipeline file, named by its path in the repository."""
    name = section.scm.jenkinsfile if section.scm else "Jenkinsfile"
    text = canonical(render(PACKAGE, JENKINSFILE, facts(source, section), templates))
    return Job(name=name, text=text, source=source.path)


def folders(sections: Iterable[Section], templates: Path | None = None) -> list[Job]:
    """The folders that the pipeline files want to be made, the outer ones first."""
    names = {
        "/".join(parts[:count])
        for section in sections
        if section.folders
        for parts in [section.job.split("/")]
        for count in range(1, len(parts))
    }
    return [_job(name, FOLDERS, FOLDER, {"name": name}, templates) for name in sorted(names)]


def _job(name: str, source: str, template: str, values: dict[str, object], templates: Path | None) -> Job:
    text = render(PACKAGE, template, values, templates)
    try:
        return Job(name=name, text=config.canonical(text)[0], source=source)
    except RefusedError as error:
        where = templates / template if templates else template
        raise UsageError(f"{where}: what it gives for {name}: {error.message}", hint="correct the template") from None


def facts(source: Source, section: Section) -> dict[str, object]:
    """What the templates are given."""
    pipeline = source.pipeline
    wanted = pipeline.job
    if section.kind == INLINE and section.scm is None and wanted.triggers.push:
        hint = "name it: `jenkins: {scm: {url: …}}`, or leave `push` out"
        raise UsageError(f"{source.path}: a push needs a repository", hint=hint, file=source.path)
    asks = [_ask(source, each) for each in pipeline.parameters.values()]
    if wanted.triggers.schedule or wanted.triggers.push:
        _unattended(source)
    for text in (section.description, pipeline.name, *wanted.runner, wanted.concurrency or ""):
        _plain(source, text)
    scm = section.scm
    branches = wanted.triggers.push or ((scm.branch,) if scm else ())
    return {
        "file": source.path,
        "name": pipeline.name,
        "section": section,
        "scm": scm,
        "branches": branches,
        "text": None if scm else _text(source),
        "label": _label(source),
        "asks": asks,
        "set": _set(pipeline.parameters.values()),
        # A schedule is in UTC here, and in the time zone of the controller in Jenkins.
        "cron": "\n".join(["TZ=Etc/UTC", *wanted.triggers.schedule]) if wanted.triggers.schedule else "",
        "poll": section.poll if wanted.triggers.push else "",
        "timeout": None if wanted.timeout is None else math.ceil(wanted.timeout),
        "limit": None if wanted.timeout is None else math.ceil(wanted.timeout) + GRACE,
        "lock": _lock(source),
        "secrets": dict(section.credentials),
    }


def _text(source: Source) -> str:
    """The pipeline file as one Groovy literal, line by line, so that a difference in it can be read."""
    text = document.text(Path(source.pipeline.file))
    if len(text.encode()) > LARGEST:
        said = f"{source.path}: larger than {LARGEST} bytes, which is more than a script can hold as one text"
        raise UsageError(said, hint="name its repository: `jenkins: {scm: {url: …}}`", file=source.path)
    for each in text.splitlines():
        _plain(source, each)
    escapes = {"\\": "\\\\", "'": "\\'", "\r": "\\r"}
    return "'''" + "".join(escapes.get(char, char) for char in text) + "'''"


def _ask(source: Source, parameter: Parameter) -> Ask:
    where = f"{source.path}: parameter {parameter.name}"
    if TAKEN.fullmatch(parameter.name):
        raise UsageError(f"{where}: Jenkins makes it a variable of the build, which has one", hint="call it otherwise")
    for text in (parameter.help, parameter.default or "", *parameter.choices):
        _plain(source, text, where)
    default = parameter.default or ""
    if parameter.choices:
        first = [default] if default in parameter.choices else []
        choices = (*first, *(each for each in parameter.choices if each not in first))
        return Ask(name=parameter.name, kind="choice", help=parameter.help, default="", choices=choices)
    if parameter.type == "bool":
        default = "true" if default and parameter.parse(default) else "false"
        return Ask(name=parameter.name, kind="boolean", help=parameter.help, default=default, choices=())
    return Ask(name=parameter.name, kind="string", help=parameter.help, default=default, choices=())


def _set(parameters: Iterable[Parameter]) -> str:
    """A Groovy map of the parameters; one that may be left out is, when nothing was entered."""
    sure, maybe = [], []
    for each in parameters:
        value = f"params[{quote_groovy(each.name)}]"
        pair = f"[({quote_groovy(each.name)}): {value}]"
        if each.required or each.choices or each.type == "bool" or each.default is not None:
            sure.append(f"{quote_groovy(each.name)}: {value}")
        else:
            maybe.append(f" + ({value} ? {pair} : [:])")
    return "[" + (", ".join(sure) or ":") + "]" + "".join(maybe) if sure or maybe else ""


def _label(source: Source) -> str:
    """The labels as one expression; source of the syntax: https://www.jenkins.io/doc/book/using/using-agents/."""
    found = []
    for label in source.pipeline.job.runner:
        if '"' in label:
            raise UsageError(
                f"{source.path}: runner {label!r} holds a quotation mark", hint="Jenkins has no such label"
            )
        found.append(label if re.fullmatch(r"[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)*", label) else f'"{label}"')
    return " && ".join(found)


def _lock(source: Source) -> str:
    """A Groovy expression of the resource that jobs of one ``concurrency`` lock; empty for none."""
    wanted = source.pipeline.job.concurrency
    if wanted is None:
        return ""
    parts = params(wanted, source.pipeline, "concurrency")
    texts = [quote_groovy(part) if isinstance(part, str) else f"params[{quote_groovy(part.name)}]" for part in parts]
    return " + ".join(texts if isinstance(parts[0], str) else ["''", *texts])


def _unattended(source: Source) -> None:
    """``UsageError`` for a parameter that a scheduled run or a push would lack."""
    lacking = [each.name for each in source.pipeline.parameters.values() if each.required and each.default is None]
    if lacking:
        said = f"{source.path}: nobody gives {', '.join(lacking)} when a schedule or a push starts the job"
        raise UsageError(said, hint="give a default, or leave these triggers out", file=source.path)


def _plain(source: Source, text: str, where: str = "") -> None:
    """``UsageError`` for a character that no XML can hold."""
    found = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", text)
    if found:
        said = f"{where or source.path}: the character {found[0]!r} cannot be written in a job's configuration"
        raise UsageError(said, hint="leave it out", file=source.path)
