"""The Jenkins variables: for each step, for pipeline files and the version, ``vars/ankaNAME.groovy`` and its help.

Writes nothing; the only Groovy with logic, ``ankaCi.groovy``, is not made here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anka_ci import __version__, adapter, inputs
from anka_ci.inputs import Field
from anka_ci.pipeline.setting import FileInputs
from anka_ci.render import Faces, quote_groovy, render
from anka_ci.steps.catalog import CATALOG

NOT_HERE = {"summary"}
"""Shared inputs that mean nothing here: a Jenkins build has no job summary."""
CALL = tuple(field for field in inputs.fields(inputs.CallInputs) if field.key == "inputs-file")
"""The inputs of a call that mean something here."""
NOT_OF_A_FILE = NOT_HERE | {"confirm"}
"""A confirmation belongs to one step, and stands in the pipeline file."""
VERSION_SOURCE = "shared/anka_ci/__init__.py"
FILE_SOURCE = "shared/anka_ci/pipeline/setting.py"
CREDENTIALS = (
    ("certificate", "certificateFile", "file", ("ANKA_CI_CERTIFICATE_FILE",), "Client certificate: PEM or PKCS#12."),
    ("certificate", "certificate", "certificate", ("ANKA_CI_CERTIFICATE", "ANKA_CI_PASSPHRASE"), "Client certificate."),
    ("key", "keyFile", "file", ("ANKA_CI_KEY_FILE",), "Its private key, as a PEM file."),
    ("api-key", "apiKeyFile", "file", ("ANKA_CI_API_KEY_FILE",), "The private key of the API key."),
    ("api-key", "apiKeyPair", "pair", ("ANKA_CI_API_KEY_ID", "ANKA_CI_API_KEY"), "API key: its id, its private key."),
    (
        "client-secret",
        "clientPair",
        "pair",
        ("ANKA_CI_CLIENT_ID", "ANKA_CI_CLIENT_SECRET"),
        "OpenID client: id, secret.",
    ),
    ("client-secret", "registryUser", "user", ("ANKA_CI_REGISTRY_USER",), "User of an OCI registry."),
    ("ca", "caFile", "file", ("ANKA_CI_CA",), "PEM file with the certificate authority to trust."),
)
"""Credentials that are no secret text: the input they follow, the argument before ``CredentialsId``, the kind as
``ankaCi.groovy`` knows it, the variables they fill, and the help. Kinds: https://plugins.jenkins.io/credentials-binding/"""
KINDS = {
    "file": "secret file",
    "certificate": "certificate",
    "pair": "username with password",
    "user": "username with password",
}
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
        fields = (*step.inputs, *step.outputs, *adapter.SHARED)
        values = {
            "source": step.module,
            "step": step.name,
            "variable": step.groovy(),
            "summary": step.summary,
            "words": spelled(step.words, fields),
            "runs": step.runs.value,
            "arguments": arguments((*step.inputs, *adapter.SHARED, *CALL), NOT_HERE),
            "outputs": [
                (inputs.camel(field.key), f"{spelled(field.help, fields)}{_form(field)}") for field in step.outputs
            ],
            "example": f"{step.groovy()}({_example(step.example)})",
        }
        found |= _variable("step", step.groovy(), values)
    values = {
        "source": FILE_SOURCE,
        "variable": "ankaPipeline",
        "command_help": COMMAND_HELP,
        "arguments": arguments((*inputs.fields(FileInputs), *adapter.SHARED, *CALL), NOT_OF_A_FILE),
    }
    version = {"source": VERSION_SOURCE, "version": __version__}
    return found | _variable("pipeline", "ankaPipeline", values) | _variable("version", "ankaVersion", version)


def arguments(fields: Sequence[Field], left_out: set[str]) -> list[Argument]:
    """The arguments that the inputs become; a secret is given as the id of a credential."""
    found = []
    for field in fields:
        if field.key in left_out:
            continue
        name, text = inputs.camel(field.key), spelled(field.help, fields)
        if field.secret:
            text = f"Id of a secret text credential. {text}"
            found.append(Argument(f"{name}CredentialsId", adapter.secret_variable(field), "secret", text, False))
            found += _credentials(field)
            continue
        if field.choices:
            text += f" One of {', '.join(field.choices)}."
        default = inputs.show_default(field)
        text += " Required." if field.required else f" Default: {default}." if default else ""
        # Groovy's 13.10 is a number and loses its zero; what is text has to be given as text.
        found.append(Argument(name, field.key, "text" if field.type is str else "value", text, field.required))
        found += _credentials(field)
    return found


def _credentials(field: Field) -> list[Argument]:
    """The arguments for credentials of other kinds that stand beside an input."""
    return [
        Argument(f"{name}CredentialsId", " ".join(variables), kind, f"Id of a {KINDS[kind]} credential. {text}", False)
        for key, name, kind, variables, text in CREDENTIALS
        if key == field.key
    ]


def _variable(template: str, name: str, values: Mapping[str, object]) -> Faces:
    return {
        f"jenkins/vars/{name}.{ending}": render("anka_ci_jenkins", f"{template}.{ending}.j2", values)
        for ending in ("groovy", "txt")
    }


def spelled(text: str, fields: Sequence[Field]) -> str:
    """A text of the reference with its code as a Jenkinsfile has it: `if-exists: keep` is `ifExists: 'keep'`.

    Of the names of steps those with a hyphen, as the others are ordinary words too.
    """
    keys, steps = {field.key for field in fields}, {each for each in CATALOG if "-" in each}

    def code(match: re.Match[str]) -> str:
        key, value = match["key"], match["value"]
        if key in steps and value is None:
            return f"`{inputs.camel(key, 'anka')}`"
        if key not in keys:
            return match[0]
        if value is None:
            return f"`{inputs.camel(key)}`"
        return f"`{inputs.camel(key)}: {value if value in ('true', 'false') else quote_groovy(value)}`"

    return re.sub(r"`(?P<key>[a-z][a-z-]*)(?:: (?P<value>[^`\s]+))?`", code, text)


def _form(field: Field) -> str:
    """How an output looks in Groovy, where that is not text."""
    if field.many:
        return " (a list" + ("; each item is JSON text)" if field.type in (dict, object) else ")")
    return {bool: " (a Boolean)", dict: " (JSON text)", object: " (JSON text)"}.get(field.type, "")


def _example(example: Mapping[str, str]) -> str:
    return ", ".join(f"{inputs.camel(key)}: {quote_groovy(value)}" for key, value in example.items())
