"""Expressions: what they give, what they may use, and what they cannot do."""

from __future__ import annotations

import pytest

from anka_ci.pipeline.expressions import (
    Absent,
    ExpressionError,
    Names,
    Pending,
    PendingError,
    condition,
    expressions,
    references,
    split,
)
from anka_ci.pipeline.scope import Moment, Scope

OUTPUTS = {
    "bytes-sent": 4096,
    "bytes": 7,
    "sent": 2,
    "tags": ["base", "v1"],
    "items": "an output, not a method",
    "fresh": True,
    "note": None,
    "config": {"cpu": {"cores": 4}},
    "gone": Absent(hint="push was skipped"),
    "later": Pending(hint="known once push has run"),
}
SCOPE = Scope(
    params={"tag": "13.10", "a": 5, "b": 3, "on": "on", "keep": True, "dash-ed": "d"},
    steps={"push-2": Names({"outputs": Names(OUTPUTS, "the output of push-2"), "status": "done"}, "the step's")},
    env={"HOME": "/root"},
    run={"id": "1", "number": "12", "attempt": "1", "sha": "0123456789", "ref": "main"},
    now=Moment.of(1_714_558_530),
    secrets={},
    known=frozenset({"push-2", "a", "b", "tag", "dash-ed", *OUTPUTS}),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain $HOME ${x} {{ x }} {% x %}", "plain $HOME ${x} {{ x }} {% x %}"),
        ("${{ params.tag }}", "13.10"),
        ("v-${{ params.tag }}-${{ run.number }}", "v-13.10-12"),
        ("${{ steps.push-2.outputs.bytes-sent }}", "4096"),
        ("${{ steps['push-2'].outputs['bytes-sent'] }}", "4096"),
        ("${{ steps.push-2.outputs.bytes - steps.push-2.outputs.sent }}", "5"),
        ("${{ params.a-params.b }}", "2"),
        ("${{ params.a-1 }}", "4"),
        ("${{ params.dash-ed ~ '.dash-ed' }}", "d.dash-ed"),
        ("${{ steps.push-2.outputs.tags }}", ["base", "v1"]),
        (" ${{ steps.push-2.outputs.tags }}\n", ["base", "v1"]),
        ("tags: ${{ steps.push-2.outputs.tags }}", 'tags: ["base", "v1"]'),
        ("${{ steps.push-2.outputs.items }}", "an output, not a method"),
        ("${{ steps.push-2.outputs.fresh }}", True),
        ("is ${{ steps.push-2.outputs.fresh }}", "is true"),
        ("${{ steps.push-2.outputs.config.cpu.cores }}", "4"),
        ("${{ steps.push-2.outputs.note or 'none' }}", "none"),
        ("${{ steps.push-2.outputs.gone | default('x') }}", "x"),
        ("${{ env.NOT_SET | default('x') }}", "x"),
        ("${{ '}}' ~ \"${{\" }}", "}}${{"),
        ("${{ {'a': {'b': params.a}} }}", {"a": {"b": 5}}),
        ("${{ ['<', '&'] | tojson }}", '["<", "&"]'),
        ("${{ run.sha[:7] }}", "0123456"),
        ("${{ now }}", "2024-05-01T10:15:30Z"),
        ("${{ now.compact }} ${{ now.date }} ${{ now.unix }}", "20240501T101530Z 2024-05-01 1714558530"),
        ("${{ now.strftime('%Y.%m') }}", "2024.05"),
    ],
)
def test_values(text, value):
    assert value == SCOPE.value(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${{ params.tag", "does not end with"),
        ("${{ params.tga }}", "the parameter 'tga' is not set"),
        ("${{ env.NOT_SET }}", "the environment variable 'NOT_SET' is not set"),
        ("${{ secrets.TOKEN }}", "the secret 'TOKEN' is not set"),
        ("${{ steps.push-2.outputs.gone }}", "push was skipped"),
        ("x${{ steps.push-2.outputs.gone }}", "push was skipped"),
        ("${{ steps.push-2.outputs.note }}", "the expression has no value"),
        ("x${{ steps.push-2.outputs.note }}", "the expression has no value"),
        ("${{ nothing }}", "'nothing' is undefined"),
        ("${{ params.tag + 1 }}", "params.tag + 1"),
        ("${{ 1 / 0 }}", "division by zero"),
        ("${{ params. }}", "not an expression"),
        ("${{ }}", "not an expression"),
        ("${{ params.tag }} ${{ % }}", "not an expression"),
        ("${{ 9 ** 99999999 }}", "there is no **"),
        ("${{ 'x' * 99999999999 }}", "works on two numbers only"),
        ("${{ params.tag.__class__ }}", "unsafe"),
        ("${{ ''.__class__.__mro__[1].__subclasses__() }}", "unsafe"),
        ("${{ '{0.__class__}'.format(params) }}", "'__class__' is not set"),
        ("${{ range(9) }}", "'range' is undefined"),
        ("${{ [1] | random }}", "random"),
        ("${{ now.strftime }}", "neither text nor data"),
    ],
)
def test_what_has_no_value(text, said):
    with pytest.raises(ExpressionError) as caught:
        SCOPE.value(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("text", ["${{ steps.push-2.outputs.later }}", "x ${{ steps.push-2.outputs.later + 1 }}"])
def test_what_is_not_known_yet(text):
    with pytest.raises(PendingError, match="known once push has run"):
        SCOPE.value(text)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("true", True),
        ("off", False),
        ("params.keep", True),
        ("${{ not params.keep }}", False),
        ("${{ params.on }}", True),
        ("steps.push-2.outputs.bytes-sent > 0 and steps.push-2.status == 'done'", True),
        ("steps.push-2.outputs.note", False),
        ("'base' in steps.push-2.outputs.tags", True),
    ],
)
def test_conditions(text, holds):
    assert holds is SCOPE.truth(text)


@pytest.mark.parametrize("text", ["params.tag", "${{ params.a }}", "${{ true }} and ${{ true }}", "${{ steps }}"])
def test_what_is_no_condition(text):
    with pytest.raises(ExpressionError):
        SCOPE.truth(text)


def test_names_that_are_used():
    (found,) = expressions("${{ params.a if steps['push-2'].outputs.tags[params.b] else env.X.upper() ~ now | f }}")
    with pytest.raises(ExpressionError, match="no filter 'f'"):
        references(found, SCOPE.known)
    (found,) = expressions("${{ params.a if steps['push-2'].outputs.tags[params.b] else env.X.upper() ~ now }}")
    assert {"params.a", "steps.push-2.outputs.tags", "params.b", "env.X.upper", "now"} == {
        str(each) for each in references(found, SCOPE.known)
    }
    assert [] == condition("yes")


def test_split_tells_where_an_expression_is():
    plain, found = split("ab ${{ x }}")
    assert ("ab ", 3, " x ") == (plain, found.offset, found.source)  # type: ignore[union-attr]
