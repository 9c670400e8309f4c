"""The one Jinja environment for files in other languages: faces, workflows, jobs.

``[[ x ]]`` and ``[% %]`` leave ``${{ }}`` and ``${ }`` alone. A value enters a file only through a filter that quotes
it for that language; an undefined name is an error; XML is escaped by the engine. Nothing here writes a file.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

import jinja2

Faces = dict[str, str]
"""Rendered files: path below the checkout, with ``/``, to text."""


def render(package: str, template: str, values: Mapping[str, object], overrides: Path | None = None) -> str:
    """The text of ``template``, found below ``templates/`` of ``package`` or in ``overrides``, with ``values``."""
    return environment(package, overrides).get_template(template).render(values)


def environment(package: str, overrides: Path | None = None) -> jinja2.Environment:
    """The environment over a package's templates; a file of the same name in ``overrides`` wins and may extend it."""
    loaders: list[jinja2.BaseLoader] = [] if overrides is None else [jinja2.FileSystemLoader(overrides)]
    loaders.append(jinja2.PackageLoader(package))
    found = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=jinja2.StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith((".xml.j2", ".xml")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "json": quote_json,
        "yaml": quote_json,
        "groovy": quote_groovy,
        "shell": quote_shell,
        "cell": cell,
    }
    return found


def quote_json(value: object) -> str:
    """A JSON value; a JSON string is a YAML scalar too."""
    return json.dumps(value, ensure_ascii=False)


def quote_groovy(value: object) -> str:
    """A Groovy string literal that interpolates nothing."""
    escapes = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "'" + "".join(escapes.get(char, char) for char in str(value)) + "'"


def quote_shell(value: object) -> str:
    """One word of a POSIX shell."""
    return shlex.quote(str(value))


def cell(value: object) -> str:
    """A cell of a Markdown table: one line, no column break."""
    return re.sub(r"\s*\n\s*", " ", str(value)).replace("|", "\\|")
