"""A text of ``job:`` in its parts, which a CI system puts together before a run begins.

Evaluates nothing: what a parameter is then is the CI system's to know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from anka_ci.errors import UsageError, suggestion
from anka_ci.pipeline.expressions import Expression, ExpressionError, split
from anka_ci.pipeline.model import Parameter


def parts(text: str, parameters: Mapping[str, Parameter]) -> list[str | Parameter]:
    """Plain text, and the parameters that ``${{ params.NAME }}`` names.

    ``UsageError`` for any other expression, and for a parameter that there is not.
    """
    try:
        return [_parameter(part.source, parameters) if isinstance(part, Expression) else part for part in split(text)]
    except ExpressionError as error:
        raise UsageError(str(error)) from None


def _parameter(source: str, parameters: Mapping[str, Parameter]) -> Parameter:
    named = re.fullmatch(r"\s*params\.([A-Za-z][A-Za-z0-9_-]*)\s*", source)
    if named is None:
        hint = "a CI system knows nothing but ${{ params.NAME }} before a run begins"
        raise UsageError(f"{source.strip()!r} cannot be used here", hint=hint)
    if named[1] not in parameters:
        hint = suggestion(named[1], parameters) if parameters else "the file has no parameters"
        raise UsageError(f"no parameter {named[1]!r}", hint=hint)
    return parameters[named[1]]
