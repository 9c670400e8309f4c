"""The workflow of a pipeline file: what GitHub has to know of it, and the text that is rendered from that.

The workflow names the pipeline file and never embeds it, so a change of a step is no change of the workflow. Every text
of the pipeline file enters it quoted, and none can become an expression of GitHub's. Reads and writes no file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from anka_ci import adapter, document, inputs
from anka_ci.adapter.jobs import Job, canonical
from anka_ci.adapter.system import Source, params
from anka_ci.errors import UsageError
from anka_ci.pipeline.model import Parameter, Pipeline
from anka_ci.render import render
from anka_ci_actions.section import Section

TEMPLATE = "workflow.yml.j2"
CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
"""What checks the repository out, where the settings name nothing else."""
MOST_INPUTS = 25
"""Inputs of a workflow that is started by hand. Ten until December 2025, and on servers of before:
https://github.blog/changelog/2025-12-04-actions-workflow-dispatch-workflows-now-support-25-inputs/."""
GRACE = 600
"""Seconds that the job has beside the run's own time: for the checkout, the set-up, and to end by itself."""
_TYPES = {"text": "string", "bool": "boolean", "int": "number"}


@dataclass(frozen=True, kw_only=True)
class Uses:
    """A ``uses:`` of a workflow: ``OWNER/REPO@REF`` or ``./PATH``, and the ``version`` a pinned hash stands for."""

    action: str
    version: str = ""

    @classmethod
    def read(cls, text: str, what: str) -> Uses:
        """From ``OWNER/REPO@REF``, perhaps with `` # VERSION`` behind it; ``UsageError`` for anything else."""
        found = re.fullmatch(
            r"(?P<action>[\w.-]+(?:/[\w.-]+)+@[\w./-]+|\./[\w./-]*)(?: +# *(?P<version>[\w./ -]+))?", text.strip()
        )
        if found is None:
            hint = "write OWNER/anka-ci@REF (best a commit's hash) or ./PATH; GitHub takes no host here"
            raise UsageError(f"{what}: {text!r} names no action", hint=hint)
        return cls(action=found["action"], version=(found["version"] or "").strip())


@dataclass(frozen=True, kw_only=True)
class Input:
    """An input of ``workflow_dispatch``; ``default`` and ``options`` as YAML values, None where there are none."""

    name: str
    help: str
    type: str
    required: bool
    default: object
    options: tuple[str, ...]


def job(source: Source, section: Section, *, uses: Uses, checkout: Uses, templates: Path | None = None) -> Job:
    """The workflow file of a pipeline file. ``UsageError`` for what GitHub cannot do, and for a template that fails."""
    text = canonical(render("anka_ci_actions", TEMPLATE, facts(source, section, uses, checkout), templates))
    where = f"{source.path}: the workflow that {templates / TEMPLATE if templates else TEMPLATE} gives"
    document.parse(text, where).mapping(where)
    return Job(name=section.workflow, text=text, source=source.path)


def facts(source: Source, section: Section, uses: Uses, checkout: Uses) -> dict[str, object]:
    """What the template is given."""
    pipeline = source.pipeline
    wanted, triggers = pipeline.job, pipeline.job.triggers
    if not wanted.runner:
        hint = "name the labels of the runner: `job: {runner: [self-hosted, macOS, anka]}`"
        raise UsageError(f"{source.path}: no runner is named", hint=hint, file=source.path)
    if not (triggers.manual or triggers.schedule or triggers.push):
        hint = "`triggers:` has manual, schedule and push"
        raise UsageError(f"{source.path}: nothing starts the job", hint=hint, file=source.path)
    if section.paths and not triggers.push:
        raise UsageError(f"{source.path}: `github: paths` narrows a push, and `triggers:` has none", file=source.path)
    for name in pipeline.secrets:
        if name.upper().startswith("GITHUB_") and name != "GITHUB_TOKEN":
            hint = "GitHub keeps these names for itself; call it otherwise"
            raise UsageError(f"{source.path}: GitHub has no secret {name}", hint=hint, file=source.path)
    found: dict[str, object] = {
        "file": source.path,
        "name": pipeline.name,
        "inputs": _inputs(pipeline) if triggers.manual else (),
        "triggers": triggers,
        "group": _group(pipeline, section),
        "runner": wanted.runner,
        "timeout": inputs.show_duration(wanted.timeout) if wanted.timeout is not None else None,
        "minutes": math.ceil((wanted.timeout + GRACE) / 60) if wanted.timeout is not None else None,
        "set": _set(pipeline) if triggers.manual else (),
        "permissions": {"contents": "read"} | dict(section.permissions),
        "secrets": pipeline.secrets,
        "section": section,
        "uses": uses,
        "checkout": checkout,
    }
    for what, text in (("path", source.path), ("name", pipeline.name)):
        _plain([text], f"{source.path}: {what}")
    for what, texts in (("runner", wanted.runner), ("schedule", triggers.schedule), ("push", triggers.push)):
        _plain(texts, f"{source.path}: {what}")
    if triggers.schedule or triggers.push:
        _unattended(source)
    return found


def _inputs(pipeline: Pipeline) -> Sequence[Input]:
    """The parameters as inputs; ``UsageError`` for more than there may be, or names that differ in case only."""
    if len(pipeline.parameters) > MOST_INPUTS:
        said = f"{pipeline.file}: {len(pipeline.parameters)} parameters, and a workflow can have {MOST_INPUTS} inputs"
        raise UsageError(said, hint="leave some to the file itself, or set `triggers: {manual: false}`")
    names: dict[str, str] = {}
    for name in pipeline.parameters:
        if (other := names.setdefault(name.lower(), name)) != name:
            raise UsageError(f"{pipeline.file}: GitHub takes {other!r} and {name!r} for one input", hint="rename one")
    return [_input(pipeline, each) for each in pipeline.parameters.values()]


def _input(pipeline: Pipeline, parameter: Parameter) -> Input:
    what = f"{pipeline.file}: parameter {parameter.name}"
    _plain([parameter.help, *parameter.choices, parameter.default or ""], what)
    default: object = parameter.default
    if parameter.default is not None and not parameter.choices and parameter.type != "text":
        default = parameter.parse(parameter.default)
    return Input(
        name=parameter.name,
        help=parameter.help,
        type="choice" if parameter.choices else _TYPES[parameter.type],
        required=parameter.required,
        default=default,
        options=parameter.choices,
    )


def _set(pipeline: Pipeline) -> Sequence[str]:
    """The lines of an expression that gives the parameters as the action's ``set``: a JSON list of ``name=value``.

    A run that nobody started by hand has no inputs, and leaves the parameters out.
    """
    if not pipeline.parameters:
        return ()
    every = [f"toJSON(format('{name}={{0}}', inputs.{name}))" for name in pipeline.parameters]
    places = ",".join(f"{{{number}}}" for number in range(len(every)))
    lines = [f"format('[{places}]',", *(f"{each}," for each in every[:-1]), f"{every[-1]})"]
    if pipeline.job.triggers.schedule or pipeline.job.triggers.push:
        lines = ["github.event_name == 'workflow_dispatch' &&", *lines, f"|| '{adapter.LEFT_OUT}'"]
    return ["${{", *lines, "}}"]


def _group(pipeline: Pipeline, section: Section) -> str:
    """The concurrency group: what the file says, else the one template it works on, else the workflow itself."""
    wanted = pipeline.job.concurrency
    if wanted is not None:
        return "".join(_part(each, pipeline) for each in params(wanted, pipeline, "concurrency"))
    templates = {text for text in _templates(pipeline) if "${{" not in text or _is_param(text)}
    if len(templates) == 1:
        (only,) = templates
        return "anka-template-" + "".join(_part(each, pipeline) for each in params(only, pipeline, "template"))
    return f"anka-ci-{Path(section.workflow).stem}"


def _templates(pipeline: Pipeline) -> Iterable[str]:
    for step in pipeline.steps:
        for key, node in step.inputs.items():
            if inputs.dashed(key) == "template" and isinstance(node.value, str):
                yield node.value.strip()


def _is_param(text: str) -> bool:
    return re.fullmatch(r"\$\{\{\s*params\.[A-Za-z0-9_-]+\s*\}\}", text) is not None


def _part(part: str | Parameter, pipeline: Pipeline) -> str:
    """A part of a group: its text, or an expression for a parameter, whose default counts where none is given.

    In ``github.event.inputs`` every value is text: in ``inputs`` 0 and false would give way to the default.
    """
    if isinstance(part, str):
        return part
    value = f"github.event.inputs.{part.name}"
    default = (part.default or "").replace("'", "''")
    if not pipeline.job.triggers.manual:
        return part.default or ""
    return f"${{{{ {value} || '{default}' }}}}" if default else f"${{{{ {value} }}}}"


def _plain(texts: Iterable[str], what: str) -> None:
    """``UsageError`` for a text that GitHub would take for an expression of its own."""
    for text in texts:
        if "${{" in text:
            hint = "GitHub would take it for an expression of its own; write it without one"
            raise UsageError(f"{what}: {text!r} holds an expression", hint=hint)


def _unattended(source: Source) -> None:
    """``UsageError`` for a parameter that a scheduled run or a push would lack."""
    lacking = [each.name for each in source.pipeline.parameters.values() if each.required and each.default is None]
    if lacking:
        said = f"{source.path}: nobody gives {', '.join(lacking)} when a schedule or a push starts the job"
        raise UsageError(said, hint="give a default, or leave these triggers out", file=source.path)
