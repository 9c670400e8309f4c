"""Bad input to every step: one clear error of the right class, and everything stays as it was."""

import pytest

from anka_ci.desk import perform
from anka_ci.errors import AnkaCiError, ConfirmationError, NotFoundError, UsageError

EMPTY = "is given but empty"
TABLE = [
    ("list", {"template": "tahoe"}, 4, "no template 'tahoe'"),
    ("list", {"templates": "sonoma"}, 2, "unknown input 'templates'"),
    ("show", {}, 2, "'template' is missing"),
    ("show", {"template": " "}, 2, EMPTY),
    ("show", {"template": "sonoma", "version": "-1"}, 4, "no version '-1'"),
    ("show", {"template": "sonoma", "version": "1.0"}, 2, "not a whole number"),
    ("show", {"template": "sonoma", "config": "maybe"}, 2, "neither true nor false"),
    ("show", {"template": "SONOMA"}, 4, "no template 'SONOMA'"),
    ("revert", {"template": "sonoma"}, 2, "either tag or version, or latest"),
    ("revert", {"template": "sonoma", "latest": "true", "tag": "v1"}, 2, "either tag or version, or latest"),
    ("revert", {"template": "sonoma", "tag": ""}, 2, EMPTY),
    ("revert", {"template": "sonoma", "tag": "v9"}, 4, "no tag 'v9'"),
    ("revert", {"template": "sonoma", "tag": "v1", "version": "0"}, 2, "is version 1, not 0"),
    ("delete", {"template": ""}, 2, EMPTY),
    ("delete", {"template": "tahoe"}, 4, "no template 'tahoe'"),
    ("nodes", {"nodes": []}, 2, EMPTY),
    ("nodes", {"group": ""}, 2, EMPTY),
    ("nodes", {"tag": "v1"}, 2, "tag needs the template"),
    ("nodes", {"template": "sonoma", "at-least": "-1"}, 2, "a number from 0 on"),
    ("nodes", {"nodes": "node-1,node-2"}, 4, "no node 'node-1,node-2'"),
    ("nodes", {"group": "ios", "nodes": "node-3"}, 4, "no node 'node-3'"),
    ("groups", {"group": "ios"}, 2, "unknown input 'group'"),
]


def state(anka):
    return anka.registry.by_id(anka.registry.templates()[0].id), [node.templates for node in anka.controller.nodes()]


def test_one_clear_error_and_nothing_changes(anka):
    before, wrong = state(anka), []
    for step, inputs, code, said in TABLE:
        try:
            perform(step, inputs, anka, confirm="yes")
            wrong.append(f"{step} {inputs}: no error")
        except AnkaCiError as error:
            if (code, True) != (error.code, said in str(error)):
                wrong.append(f"{step} {inputs}: {error.code} {error}")
    assert [] == wrong
    assert before == state(anka)


def test_an_ambiguous_name_lists_the_ids_and_the_hosts_arch_narrows_it(anka, standin):
    intel = {"ANKA_STANDIN_ARCH": "amd64"}
    for words in (("create", "sonoma"), ("registry", "--remote", anka.registry.url, "push", "--tag", "v1", "sonoma")):
        done = standin(*words, env=intel)
        assert 0 == done.returncode, done.stderr
    standin("delete", "--yes", "sonoma")
    ids = sorted(row.id for row in anka.registry.templates())
    assert 2 == len(ids)
    calls = [
        ("show", {}),
        ("revert", {"latest": "true"}),
        ("delete", {}),
        ("distribute", {"all": "true"}),
    ]
    for step, inputs in calls:
        with pytest.raises(UsageError, match="2 templates are named 'sonoma'") as caught:
            perform(step, {"template": "sonoma", **inputs}, anka, confirm="yes")
        assert [] == [each for each in ids if each not in caught.value.hint]
    assert 2 == perform("list", {"template": "sonoma"}, anka).outputs["count"]
    assert ("v1", 1) == tuple(perform("size", {"template": "sonoma"}, anka).outputs[key] for key in ("tag", "version"))


@pytest.mark.parametrize(("name", "inputs"), [("revert", {"version": "0"}), ("delete", {})])
def test_a_version_that_is_pushed_meanwhile_is_not_lost_unseen(anka, standin, name, inputs):
    from anka_ci.inputs import bind
    from anka_ci.steps import catalog

    step = catalog.load(name)
    plan = step.plan(bind(step.Inputs, {"template": "sonoma", **inputs}), anka)
    for words in (("pull",), ("push", "--tag", "v2")):
        assert 0 == standin("registry", "--remote", anka.registry.url, *words, "sonoma").returncode
    with pytest.raises(ConfirmationError, match="has changed since the plan: base, v1, v2 would go"):
        step.run(plan, anka)
    assert 3 == len(anka.registry.template("sonoma").versions)


def test_a_template_that_is_gone_meanwhile_is_not_found(anka):
    digest = perform("delete", {"template": "sonoma"}, anka, plan_only=True).plan["digest"]
    perform("delete", {"template": "sonoma"}, anka, confirm=digest)
    with pytest.raises(NotFoundError, match="no template 'sonoma'"):
        perform("delete", {"template": "sonoma"}, anka, confirm=digest)
