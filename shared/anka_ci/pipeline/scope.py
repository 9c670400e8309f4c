"""What an expression sees: parameters, earlier steps, the environment, the run, the time, and secrets where allowed.

Reads no environment itself. A text that is one expression and nothing else keeps a list, a mapping or a truth value;
anything else becomes text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from anka_ci.pipeline.expressions import (
    WORDS,
    Expression,
    ExpressionError,
    Names,
    condition,
    evaluate,
    split,
    to_json,
)

ROOTS = ("params", "steps", "env", "run", "now", "secrets")
"""The names that an expression can start from."""
RUN_FACTS = ("id", "number", "attempt", "sha", "ref")
NOW_FACTS = ("date", "compact", "unix", "strftime")
STEP_FACTS = ("outputs", "status")


class Moment(str):
    """A time in UTC, as text ``2024-05-01T10:15:30Z``; ``compact`` is fit for a tag, ``unix`` are seconds."""

    @classmethod
    def of(cls, seconds: float) -> Moment:
        """The moment so many seconds after 1970."""
        return cls(datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))

    @property
    def _time(self) -> datetime:
        return datetime.strptime(self, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)

    @property
    def date(self) -> str:
        return self[:10]

    @property
    def compact(self) -> str:
        return self.strftime("%Y%m%dT%H%M%SZ")

    @property
    def unix(self) -> int:
        return int(self._time.timestamp())

    def strftime(self, form: str) -> str:
        return self._time.strftime(form)


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What an expression sees. ``secrets`` are texts, and empty wherever an expression may not use them."""

    params: Mapping[str, Any]
    steps: Mapping[str, Any]
    env: Mapping[str, str]
    run: Mapping[str, str]
    now: Moment
    secrets: Mapping[str, str]
    known: frozenset[str]

    @cached_property
    def names(self) -> dict[str, Any]:
        return {
            "params": Names(self.params, "the parameter"),
            "steps": Names(self.steps, "the step"),
            "env": Names(self.env, "the environment variable"),
            "run": Names(self.run, "the fact of the run"),
            "now": self.now,
            "secrets": Names(self.secrets, "the secret"),
        }

    def value(self, text: str) -> Any:
        """The value of a text: itself, the value of the one expression that it is, or its parts joined to a text.

        Raises ``ExpressionError``, or ``PendingError`` when it needs what is not known yet.
        """
        parts = split(text)
        written = [part for part in parts if isinstance(part, Expression) or part.strip()]
        if len(written) == 1 and isinstance(written[0], Expression):
            value = self._evaluate(written[0])
            return value if isinstance(value, (bool, list, tuple, dict)) else as_text(value)
        return "".join(part if isinstance(part, str) else as_text(self._evaluate(part)) for part in parts)

    def _evaluate(self, expression: Expression) -> Any:
        return evaluate(expression, self.names, self.known)

    def truth(self, text: str) -> bool:
        """Whether a condition holds; it need not stand in ``${{ }}``. ``ExpressionError`` when it is neither."""
        (expression,) = condition(text) or (None,)
        value = text if expression is None else self._evaluate(expression)
        if value is None or isinstance(value, bool):
            return bool(value)
        word = str(value).strip().lower()
        if word not in WORDS:
            raise ExpressionError(f"{value!r} is neither true nor false; compare it with something")
        return WORDS[word]


def as_text(value: Any) -> str:
    """A value inside a text: ``true``, a number, or JSON; ``ExpressionError`` when there is none."""
    if value is None:
        raise ExpressionError("the expression has no value")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, int, float, list, tuple, dict)):
        return to_json(value)
    raise ExpressionError(f"the expression gives a {type(value).__name__}, which is neither text nor data")
