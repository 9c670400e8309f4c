"""The one Jinja environment for files in other languages: faces, workflows, jobs.

``[[ x ]]`` and ``[% %]`` leave ``${{ }}`` and ``${ }`` alone. A value enters a file only through a filter that quotes
it for that language; an undefined name is an error; XML is escaped by the engine. Nothing here writes a file.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from anka_ci.errors import UsageError

Faces = dict[str, str]
"""Rendered files: path below the checkout, with ``/``, to text."""


_NOT_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
OURS = "anka-ci"
"""Before a template's name: ours, also where ``overrides`` has one of that name, which so can extend it."""


def render(package: str, template: str, values: Mapping[str, object], overrides: Path | None = None) -> str:
    """The text of ``template``, found below ``templates/`` of ``package`` or in ``overrides``, with ``values``.

    ``UsageError`` for a folder of overrides that is none, and for a template in it that fails, with its line.
    """
    if overrides is None:
        return _ours(package).get_template(template).render(values)
    if not overrides.is_dir():
        raise UsageError(f"{overrides} is no folder of templates", hint=f"put a {template} there, or leave it out")
    try:
        return environment(package, overrides).get_template(template).render(values)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        place = _place(error, overrides)
        raise UsageError(f"{place['file']}:{place['line']}: the template fails: {error}", **place) from error


def _place(error: Exception, overrides: Path) -> dict[str, Any]:
    """Where a template failed: the innermost line of a person's templates, else of what they are found in."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return {"file": error.filename or str(overrides), "line": error.lineno}
    lines = [(each.filename, each.lineno or 1) for each in traceback.extract_tb(error.__traceback__)]
    own = [(file, line) for file, line in lines if Path(file).is_relative_to(overrides)]
    file, line = (own or [(str(overrides), 1)])[-1]
    return {"file": file, "line": line}


@functools.cache
def _ours(package: str) -> jinja2.Environment:
    """The environment over a package's own templates, which are compiled once."""
    return environment(package)


def environment(package: str, overrides: Path | None = None) -> jinja2.Environment:
    """The environment over a package's templates; a file of the same name in ``overrides`` wins and may extend it."""
    loaders: list[jinja2.BaseLoader] = [] if overrides is None else [jinja2.FileSystemLoader(overrides)]
    ours = jinja2.PackageLoader(package)
    loaders += [ours, jinja2.PrefixLoader({OURS: ours})]
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
        "yaml": quote_yaml,
        "groovy": quote_groovy,
        "shell": quote_shell,
        "cell": cell,
    }
    return found


def quote_json(value: object) -> str:
    """A JSON value."""
    return json.dumps(value, ensure_ascii=False)


def quote_yaml(value: object) -> str:
    """A YAML value, on one line: JSON is YAML, but for the characters that YAML takes only when they are escaped."""
    return _NOT_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", quote_json(value))


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
