"""The desk: what is asked for before anything is lost or written, and the status of a step."""

from dataclasses import replace

import pytest

from anka_ci.anka import Anka
from anka_ci.desk import check, needs_confirmation, perform
from anka_ci.errors import ConfirmationError
from anka_ci.plan import Action, Loss, Plan
from anka_ci.secret import Secret

WRITES = Action(verb="write", text="write something")
LOOKS = Action(verb="look", text="look at something", writes=False)
LITTLE, MUCH = Loss(text="a:v1 (version 1)", little=True), Loss(text="a:v0 (version 0)")


@pytest.mark.parametrize(
    ("plan", "protected", "asked", "yes"),
    [
        (Plan(step="x"), True, False, True),
        (Plan(step="x", actions=(LOOKS,)), True, False, True),
        (Plan(step="x", actions=(WRITES,)), False, False, True),
        (Plan(step="x", actions=(WRITES,)), True, True, True),
        (Plan(step="x", actions=(WRITES,), loses=(LITTLE,)), False, True, True),
        (Plan(step="x", actions=(WRITES,), loses=(MUCH,)), False, True, False),
        (Plan(step="x", actions=(WRITES,), loses=(LITTLE, LITTLE)), False, True, False),
    ],
)
def test_what_needs_a_confirmation_and_where_yes_is_enough(plan, protected, asked, yes):
    assert asked == needs_confirmation(plan, protected=protected)
    check(plan, plan.digest, protected=protected)
    check(plan, "yes" if yes else plan.digest, protected=protected)
    for confirm in ((None, "no", "0123456789ab") if yes else (None, "no", "yes")) if asked else ():
        with pytest.raises(ConfirmationError) as caught:
            check(plan, confirm, protected=protected)
        assert plan.digest == caught.value.facts["digest"]
        assert [] == [loss.text for loss in plan.loses if loss.text not in caught.value.message]
        assert ("(or yes)" in caught.value.hint) == yes


def test_a_digest_is_of_actions_and_losses_alone():
    plan = Plan(step="x", actions=(WRITES,), loses=(MUCH,))
    assert plan.digest == replace(plan, notes=("a note",), bytes=7, expects={"a": 1}).digest
    others = [replace(plan, step="y"), replace(plan, loses=(LITTLE,)), replace(plan, actions=(WRITES, LOOKS))]
    assert plan.digest not in [other.digest for other in others]


def test_a_secret_is_in_no_digest_and_no_document():
    with_ = {"env": {"TOKEN": Secret("one")}, "list": [Secret("two")]}
    plan = Plan(step="x", actions=(Action(verb="run", text="run", with_=with_),))
    assert {"env": {"TOKEN": "***"}, "list": ["***"]} == plan.emit()["actions"][0]["with"]
    other = replace(plan.actions[0], with_={"env": {"TOKEN": Secret("other")}, "list": [Secret("two")]})
    assert plan.digest == replace(plan, actions=(other,)).digest
    assert "one" == plan.actions[0].with_["env"]["TOKEN"].reveal()


def test_a_protected_context_asks_for_every_write_and_for_no_reading(anka):
    doors = Anka(replace(anka.context, protected=True))
    values = {"template": "sonoma", "nodes": "node-1"}
    with pytest.raises(ConfirmationError, match="would write to a protected context: distribute sonoma:v1 to node-1"):
        perform("distribute", values, doors)
    assert [] == anka.controller.distributions()
    request = perform("distribute", values, doors, confirm="yes").outputs["request-id"]
    assert "unchanged" == perform("distribute", values, doors).status
    for step, reading in [
        ("nodes", {"template": "sonoma", "at-least": "1"}),
        ("distribution", {"action": "list"}),
        ("distribution", {"action": "wait", "request-id": request}),
    ]:
        assert "done" == perform(step, reading, doors).status


def test_a_plan_changes_nothing_and_moves_nothing(anka):
    before = anka.registry.template("sonoma")
    planned = perform("revert", {"template": "sonoma", "latest": "true"}, anka, plan_only=True)
    assert ("planned", 0) == (planned.status, planned.plan["bytes"])
    assert {"id": before.id, "removed": ["v1"], "remaining": ["base"]} == planned.outputs
    assert before == anka.registry.template("sonoma")
