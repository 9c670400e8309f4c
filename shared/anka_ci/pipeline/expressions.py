"""Expressions in pipeline files: ``${{ … }}``, found in a text, checked and evaluated.

A sandboxed Jinja expression. Nothing is rendered: there is no statement, no template and no loop, and no value but what
the names that are handed in give.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError, TemplateSyntaxError, UndefinedError
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False, "": False}
"""What a condition may be when it is plain text."""
_DASHED = re.compile(r"\.\s*([A-Za-z_]\w*(?:-\w+)+)")


class ExpressionError(ValueError):
    """An expression that cannot be read or has no value; the message says why."""


class PendingError(ExpressionError):
    """The value is known only once an earlier step has run."""


@dataclass(frozen=True, kw_only=True)
class Expression:
    """One ``${{ … }}``: what is between the braces, and how many characters of the text come before it."""

    source: str
    offset: int


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A name that an expression uses: its root, and the keys after it as far as they are written out."""

    root: str
    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join((self.root, *self.path))


class Names(dict[str, Any]):
    """Values by name; ``what`` says in an error what kind of name was not there."""

    def __init__(self, values: Mapping[str, Any], what: str) -> None:
        super().__init__(values)
        self.what = what


class Absent(jinja2.StrictUndefined):
    """A value that is not there and never will be: any use of it but ``default`` fails with its hint."""


class _PendingUseError(UndefinedError):
    """A value that is not known yet was used."""


class Pending(jinja2.StrictUndefined):
    """A value that an earlier step will give: any use of it but ``default`` is a ``PendingError``."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint=hint, exc=_PendingUseError)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Keys come before methods, so that an output named ``items`` is that output."""

    intercepted_binops = frozenset(["*", "**"])

    def __init__(self) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, autoescape=False)
        self.globals.clear()
        del self.filters["random"]
        self.filters["tojson"] = to_json  # Jinja's own is meant for HTML and escapes

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._key(obj, attribute, super().getattr)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._key(obj, argument, super().getitem)

    def _key(self, obj: Any, key: Any, otherwise: Callable[[Any, Any], Any]) -> Any:
        if isinstance(obj, Mapping) and isinstance(key, str):
            if key in obj:
                return obj[key]
            if isinstance(obj, Names):
                return Absent(hint=f"{obj.what} {key!r} is not set")
        return otherwise(obj, key)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        numbers = all(isinstance(each, (int, float)) and abs(each) < 1 << 53 for each in (left, right))
        if operator == "**" or not numbers:
            raise SecurityError(f"{operator} works on two numbers only" if operator == "*" else "there is no **")
        return super().call_binop(context, operator, left, right)


def to_json(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


_ENVIRONMENT = _Sandbox()


def split(text: str) -> list[str | Expression]:
    """A text as its plain parts and its expressions; ``ExpressionError`` for one that does not end."""
    found: list[str | Expression] = []
    at = 0
    while (start := text.find("${{", at)) >= 0:
        end = _end(text, start + 3)
        if start > at:
            found.append(text[at:start])
        found.append(Expression(source=text[start + 3 : end], offset=start))
        at = end + 2
    if at < len(text):
        found.append(text[at:])
    return found


def _end(text: str, at: int) -> int:
    """Where the ``}}`` of an expression is, beyond quoted texts and braces of its own."""
    quote, depth = "", 0
    while at < len(text):
        letter = text[at]
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif depth == 0 and text.startswith("}}", at):
            return at
        else:
            depth += (letter == "{") - (letter == "}")
        at += 1
    raise ExpressionError("an expression starts with ${{ and does not end with }}")


def expressions(text: str) -> list[Expression]:
    """The expressions of a text."""
    return [part for part in split(text) if isinstance(part, Expression)]


def _unreadable(error: TemplateSyntaxError) -> ExpressionError:
    said = str(error.message).replace("end of template", "end").replace("end of print statement", "end")
    return ExpressionError(f"not an expression: {said}")


def condition(text: str) -> list[Expression]:
    """The one expression of a condition, with or without its ``${{ }}``; none for a plain ``true`` or ``false``."""
    if text.strip().lower() in WORDS:
        return []
    parts = [part for part in split(text) if isinstance(part, Expression) or part.strip()]
    if len(parts) != 1:
        raise ExpressionError("a condition is one expression; join several with `and` and `or` inside of it")
    return [part if isinstance(part, Expression) else Expression(source=part, offset=0) for part in parts]


def references(expression: Expression, known: Iterable[str]) -> list[Reference]:
    """The names that an expression uses; ``ExpressionError`` when it is none. ``known``: see ``_translate``."""
    source = _translate(expression.source, known)
    try:
        tree = Parser(_ENVIRONMENT, source, state="variable").parse_expression()
        for kind, there in ((nodes.Filter, _ENVIRONMENT.filters), (nodes.Test, _ENVIRONMENT.tests)):
            for used in (
                each for each in (tree, *tree.find_all(kind)) if isinstance(each, kind)
            ):  # in a branch Jinja itself would notice only when it is taken
                if used.name not in there:
                    raise ExpressionError(f"no {kind.__name__.lower()} {used.name!r}")
        _ENVIRONMENT.compile_expression(source)
    except TemplateSyntaxError as error:
        raise _unreadable(error) from None
    return list(_names(tree))


def _names(node: nodes.Node) -> Iterator[Reference]:
    path: list[str] = []
    while isinstance(node, (nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr):
            path.insert(0, node.attr)
        elif isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            path.insert(0, node.arg.value)
        else:
            path.clear()
            yield from _names(node.arg)
        node = node.node
    if isinstance(node, nodes.Name):
        yield Reference(root=node.name, path=tuple(path))
    for child in node.iter_child_nodes():
        yield from _names(child)


def _translate(source: str, known: Iterable[str]) -> str:
    """The expression as Jinja reads it: ``.bytes-sent`` is a key, not a subtraction.

    ``known`` are the names that the file declares; the longest of them wins, so ``params.a-params.b`` subtracts when
    there is an ``a`` and no ``a-params``.
    """
    names = set(known)

    def key(match: re.Match[str]) -> str:
        parts = match[1].split("-")
        tails = range(len(parts), 0, -1)
        count = next((count for count in tails if "-".join(parts[:count]) in names), 0)
        if not count:
            letters = (number for number, part in enumerate(parts) if number and not part[0].isalpha())
            count = next(letters, len(parts))
        rest = "".join(f"-{part}" for part in parts[count:])
        return f"[{'-'.join(parts[:count])!r}]{rest}"

    quoted = re.compile(r"('(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")", re.DOTALL)
    pieces = quoted.split(source)
    return "".join(piece if number % 2 else _DASHED.sub(key, piece) for number, piece in enumerate(pieces)).strip()


def evaluate(expression: Expression, names: Mapping[str, Any], known: Iterable[str]) -> Any:
    """The value of an expression; ``ExpressionError`` when it has none, ``PendingError`` when it has none yet."""
    try:
        compiled = _ENVIRONMENT.compile_expression(_translate(expression.source, known), undefined_to_none=False)
        value = compiled(**names)
        if isinstance(value, jinja2.Undefined):
            value._fail_with_undefined_error()
    except _PendingUseError as error:
        raise PendingError(str(error.message)) from None
    except TemplateSyntaxError as error:
        raise _unreadable(error) from None
    except UndefinedError as error:
        raise ExpressionError(str(error.message)) from None
    except (TemplateRuntimeError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise ExpressionError(f"${{{{{expression.source}}}}}: {error}") from None
    return value
