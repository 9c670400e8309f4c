"""The faces that belong to no CI system: the step reference and the schema of pipeline files.

Rendered from the steps' own declarations; the files are never edited by hand. Writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from anka_ci import adapter, inputs
from anka_ci.adapter import StepFacts
from anka_ci.inputs import Duration, Field, Percent, Size
from anka_ci.render import Faces, quote_groovy, quote_shell, render

SCALAR = ["string", "number", "boolean"]
"""What a plain text may look like to an editor: ``13.10`` is text to us and a number to YAML."""
EXPRESSION = {"type": "string", "pattern": r"\$\{\{"}


def faces() -> Faces:
    """``shared/STEPS.md`` and ``shared/anka-ci.schema.json``."""
    steps = adapter.facts()
    values = {"steps": steps, "shared": adapter.SHARED, "type_of": type_of, "default": inputs.show_default}
    return {
        "shared/STEPS.md": render(
            "anka_ci", "STEPS.md.j2", values | {"examples": {s.name: examples(s) for s in steps}}
        ),
        "shared/anka-ci.schema.json": json.dumps(schema(steps), indent=2, ensure_ascii=False) + "\n",
    }


def type_of(field: Field) -> str:
    """A field's type in words."""
    one = "one of " + ", ".join(f"`{choice}`" for choice in field.choices) if field.choices else ""
    word = one or {
        str: "text",
        bool: "true or false",
        int: "whole number",
        Duration: "duration (`30m`)",
        Size: "size (`10GiB`)",
        Percent: "percentage (`50%`)",
        dict: "mapping",
    }.get(field.type, field.type.__name__)
    plural = {"mapping": "mappings", "whole number": "whole numbers"}.get(word, word)
    return f"list of {plural}" if field.many else word


def examples(step: StepFacts) -> Mapping[str, str]:
    """The same example in each face: the command, a pipeline file, GitHub Actions, Jenkins."""
    words = ["anka-ci", step.name, *(f"--{key} {_word(value)}" for key, value in step.example.items())]
    own, shared = inputs.split_shared(step.example)
    lines = [f"- use: {step.name}"]
    lines += ["  with:", *(f"    {key}: {_scalar(value)}" for key, value in own.items())] if own else []
    lines += [f"  {key}: {_scalar(value)}" for key, value in shared.items()]
    action = [f"- uses: OWNER/anka-ci/actions/{step.name}@v1"]
    if step.example:
        action += ["  with:", *(f"    {key}: {_scalar(value)}" for key, value in step.example.items())]
    arguments = ", ".join(f"{inputs.camel(key)}: {_groovy(value)}" for key, value in step.example.items())
    return {
        "command": " ".join(words),
        "pipeline": "\n".join(lines),
        "github": "\n".join(action),
        "jenkins": f"{step.groovy()}({arguments})",
    }


def schema(steps: list[StepFacts]) -> dict[str, object]:
    """A JSON Schema (2020-12) of pipeline files, for completion and checking in an editor."""
    text, texts = {"type": SCALAR}, {"type": ["array", "string"], "items": {"type": SCALAR}}
    either = {"oneOf": [{"required": ["use"]}, {"required": ["run"]}]}
    step = _closed(
        {
            "id": _said(
                {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"}, "Name of this step for expressions."
            ),
            "use": {"enum": [each.name for each in steps], "description": "A step of the catalog."},
            "with": {"type": "object", "description": "The step's inputs."},
            "run": _said({"type": "string"}, "A shell text (`sh -euc`); values reach it by `env`."),
            "env": {"type": "object", "additionalProperties": text, "description": "Variables of the shell text."},
            "if": _said(text, "Run the step only when this expression is true."),
            "always": _said({"type": "boolean"}, "Run also after a failure or an interruption."),
            "confirm": _said(text, "The digest of the plan that may lose data, or `yes`."),
            "timeout": _said(text, "Give up after this long, such as 30m."),
        }
    )
    step |= either
    step["allOf"] = [
        {
            "if": {"properties": {"use": {"const": each.name}}, "required": ["use"]},
            "then": {"description": each.summary, "properties": {"with": _with(each)}},
        }
        for each in steps
    ]
    parameter = _closed(
        {
            "help": {"type": "string"},
            "default": text,
            "required": {"type": "boolean"},
            "choices": texts,
            "type": {"enum": ["text", "bool", "int"]},
        }
    )
    triggers = _closed({"manual": {"type": "boolean"}, "schedule": texts, "push": texts})
    job = _closed({"runner": texts, "triggers": triggers, "timeout": text, "concurrency": text})
    found = _closed(
        {
            "version": {"const": 1},
            "name": text,
            "context": _said(text, "Name of the context in the settings file."),
            "parameters": {"type": "object", "additionalProperties": {"anyOf": [parameter, text, {"type": "null"}]}},
            "secrets": _said(texts, "Variables of the environment that are secret."),
            "job": _said(job, "How a CI system runs the file."),
            "github": {"type": "object"},
            "jenkins": {"type": "object"},
            "steps": {"type": "array", "minItems": 1, "items": step},
        }
    )
    return {
        "$comment": "Made from shared/anka_ci/steps by `anka-ci render`; do not edit.",
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "anka-ci pipeline file",
        **found,
        "required": ["version", "steps"],
    }


def _with(step: StepFacts) -> dict[str, object]:
    shared = [field for field in adapter.SHARED if not field.secret and field.key not in ("confirm", "timeout")]
    found = _closed({field.key: _said(_value(field), field.help) for field in (*step.inputs, *shared)})
    needed = [field.key for field in step.inputs if field.required]
    return found | ({"required": needed} if needed else {})


def _value(field: Field) -> dict[str, object]:
    one: dict[str, object] = {"type": SCALAR}
    if field.choices:
        one = {"enum": list(field.choices)}
    elif field.type is bool:
        one = {"type": "boolean"}
    elif field.type is int:
        one = {"type": "integer"}
    elif field.type is dict:
        one = {"type": ["object", "array", "string"], "additionalProperties": {"type": SCALAR}}
    if field.many:
        one = {"type": ["array", "string"], "items": one}
    return one if one == {"type": SCALAR} or field.many else {"anyOf": [one, EXPRESSION]}


def _closed(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _said(schema: Mapping[str, object], text: str) -> dict[str, object]:
    return {"description": text, **schema}


def _word(value: str) -> str:
    return quote_shell(value)


def _scalar(value: object) -> str:
    """A text as a YAML scalar, plain where that reads the same."""
    text = str(value)
    plain = text.replace("-", "").replace(".", "").replace("/", "").isalnum() and not text[0].isdigit()
    return text if plain else json.dumps(text, ensure_ascii=False)


def _groovy(value: str) -> str:
    return value if value in ("true", "false") else quote_groovy(value)
