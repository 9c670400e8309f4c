"""The step ``use-registry``: what ``anka`` knows afterwards, and what is taken back at the end of a run."""

from __future__ import annotations

import pytest

from anka_ci import pipeline
from anka_ci.clock import Cancelled
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotFoundError, RefusedError, UsageError
from anka_ci.rules import remotes
from anka_ci.wire.remote import Remote

A, B = Remote(name="a", url="http://a:8089", default=True), Remote(name="b", url="http://b:8089")


def use(anka, confirm=None, **inputs):
    return perform("use-registry", inputs, anka, confirm=confirm)


def known(anka):
    return {each.name: each.default for each in anka.host.remotes()}


def test_add_set_list_and_forget(anka):
    url = anka.registry.url
    first = use(anka, action="add", name="one")
    assert ("done", True, "one", url, None) == (
        first.status,
        *(first.outputs.get(key) for key in ("added", "name", "url", "former")),
    )
    assert ("unchanged", False) == ((again := use(anka, action="add", name="one")).status, again.outputs["added"])
    with pytest.raises(RefusedError, match=f"knows one as {url}, not as http://127.0.0.1:1"):
        use(anka, action="add", name="one", url="http://127.0.0.1:1")
    second = use(anka, action="add", name="two", url="http://127.0.0.1:9", force="true")
    assert ("one", "two") == (second.outputs["former"], second.outputs["name"])
    assert "one" == use(anka, name="one").outputs["name"]
    assert "unchanged" == use(anka, name="one").status
    listed = use(anka, action="list")
    assert [("one", True), ("two", False)] == [(row["name"], row["default"]) for row in listed.outputs["registries"]]
    with pytest.raises(NotFoundError, match="no registry 'three'"):
        use(anka, name="three")
    with pytest.raises(ConfirmationError, match="how it is signed in to"):
        use(anka, action="forget", name="one")
    assert "two" == use(anka, action="forget", name="one", then="two", confirm="yes").outputs["name"]
    assert {"two": True} == known(anka)


FILE = """
version: 1
name: Registries
steps:
  - {use: use-registry, id: other, with: {action: add, name: other, temporary: true}}
  - {use: use-registry, id: back, with: {name: usual, temporary: true}}
  - {use: use-registry, id: again, with: {name: other, temporary: true}}
  - {use: show, with: {template: TEMPLATE}}
"""


@pytest.mark.parametrize("end", ["well", "failure", "interruption", "plan"])
def test_at_the_end_of_a_run_the_former_default_is_back_however_it_ends(anka, end):
    anka.host.add_remote("usual", anka.registry.url)
    found = pipeline.parse(FILE.replace("TEMPLATE", "nobody" if end == "failure" else "sonoma"))
    anka.cancelled = Cancelled()
    defaults = []

    def tell(event):
        if getattr(getattr(event, "result", None), "id", "") == "again":
            defaults.append(known(anka))
            if end == "interruption":
                anka.cancelled.set("SIGTERM")

    anka.tell = tell
    result = (pipeline.plan if end == "plan" else pipeline.run)(
        found, anka, pipeline.prepare(found, {}, {}, anka.clock)
    )
    code = {"failure": 4, "interruption": 130}.get(end, 0)
    assert code == result.code, result.error
    anka.cancelled = Cancelled()
    assert {"usual": True} == known(anka)
    if end == "plan":
        return
    assert [{"usual": False, "other": True}] == defaults
    undone = ["again-undo", "back-undo", "other-undo"]
    assert [(id, "done") for id in undone] == [(step.id, step.status) for step in result.steps[4:]]


def test_what_is_decided_without_asking_anybody():
    assert [] == remotes.choosing([A, B], "a")
    assert "make b (http://b:8089) the default registry in place of a" == remotes.choosing([A, B], "b")[0].text
    assert [] == remotes.adding([A], "a", "http://a:8089/", force=False)
    assert ["set"] == [action.verb for action in remotes.adding([A, B], "b", "http://b:8089", force=False)]
    oci = Remote(name="o", url="http://o:5000", default=True)
    assert [] == remotes.adding([oci], "o", "oci+http://o:5000/prefix", force=False)
    for url, said in (("--force", "the registry URL '--force' is none"), ("oci://a@b", "holds no user")):
        with pytest.raises(UsageError, match=said):
            remotes.adding([A], "x", url, force=False)
    assert ["forget", "set"] == [action.verb for action in remotes.forgetting([A, B], "a", "b")]
    with pytest.raises(UsageError, match="cannot be the default once it is forgotten"):
        remotes.forgetting([A, B], "a", "a")


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({}, "set needs a name"),
        ({"action": "list", "name": "a"}, "list takes no name"),
        ({"name": "a", "url": "http://a"}, "url goes with add, not with set"),
        ({"name": "a", "force": "true"}, "force goes with add, not with set"),
        ({"action": "add", "name": "a", "then": "b"}, "then goes with forget, not with add"),
        ({"action": "forget", "name": "a", "temporary": "true"}, "temporary goes with add and set"),
        ({"action": "use", "name": "a"}, "none of add, set, forget, list"),
    ],
)
def test_inputs_that_do_not_go_together(vmhost, inputs, said):
    with pytest.raises(UsageError, match=said):
        use(vmhost.doors(), **inputs)
