"""The Jenkins variables: for each step, and for pipeline files, ``vars/ankaNAME.groovy`` and its help.

Writes nothing; the only Groovy with logic, ``ankaCi.groovy``, is not made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anka_ci import adapter, inputs
from anka_ci.inputs import Field
from anka_ci.pipeline.setting import FileInputs
from anka_ci.render import Faces, quote_groovy, render

NOT_HERE = {"summary"}
"""Shared inputs that mean nothing here: a Jenkins build has no job summary."""
NOT_OF_A_FILE = NOT_HERE | {"confirm"}
"""A confirmation belongs to one step, and stands in the pipeline file."""
FILE_SOURCE = "shared/anka_ci/pipeline/setting.py"
COMMAND_HELP = "What to do with the file: run it, plan (tell what it would do and lose) or check (ask no server)."


@dataclass(frozen=True)
class Argument:
    """An argument of a variable: its Groovy name, the input's key (of a secret its variable), kind, and help."""

    name: str
    key: str
    kind: str
    help: str
    required: bool


def faces() -> Faces:
    """``jenkins/vars/anka*.groovy`` and ``.txt``."""
    found: Faces = {}
    for step in adapter.facts():
        values = {
            "source": step.module,
            "step": step.name,
            "variable": step.groovy(),
            "summary": step.summary,
            "words": step.words,
            "runs": step.runs.value,
            "arguments": arguments((*step.inputs, *adapter.SHARED), NOT_HERE),
            "outputs": [(inputs.camel(field.key), f"{field.help}{_form(field)}") for field in step.outputs],
            "example": f"{step.groovy()}({_example(step.example)})",
        }
        found |= _variable("step", step.groovy(), values)
    values = {
        "source": FILE_SOURCE,
        "variable": "ankaPipeline",
        "command_help": COMMAND_HELP,
        "arguments": arguments((*inputs.fields(FileInputs), *adapter.SHARED), NOT_OF_A_FILE),
    }
    return found | _variable("pipeline", "ankaPipeline", values)


def arguments(fields: Sequence[Field], left_out: set[str]) -> list[Argument]:
    """The arguments that the inputs become; a secret is given as the id of a credential."""
    found = []
    for field in fields:
        if field.key in left_out:
            continue
        name, text = inputs.camel(field.key), field.help
        if field.secret:
            text = f"Id of a secret text credential. {text}"
            found.append(Argument(f"{name}CredentialsId", adapter.secret_variable(field), "secret", text, False))
            continue
        if field.choices:
            text += f" One of {', '.join(field.choices)}."
        default = inputs.show_default(field)
        text += " Required." if field.required else f" Default: {default}." if default else ""
        # Groovy's 13.10 is a number and loses its zero; what is text has to be given as text.
        found.append(Argument(name, field.key, "text" if field.type is str else "value", text, field.required))
    return found


def _variable(template: str, name: str, values: Mapping[str, object]) -> Faces:
    return {
        f"jenkins/vars/{name}.{ending}": render("anka_ci_jenkins", f"{template}.{ending}.j2", values)
        for ending in ("groovy", "txt")
    }


def _form(field: Field) -> str:
    """How an output looks in Groovy, where that is not text."""
    if field.many:
        return " (a list" + ("; each item is JSON text)" if field.type in (dict, object) else ")")
    return {bool: " (a Boolean)", dict: " (JSON text)", object: " (JSON text)"}.get(field.type, "")


def _example(example: Mapping[str, str]) -> str:
    return ", ".join(f"{inputs.camel(key)}: {quote_groovy(value)}" for key, value in example.items())
