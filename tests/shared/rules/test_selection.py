"""Which nodes are meant, and which of them can take a template."""

import json
import urllib.request

import pytest

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.rules import selection
from anka_ci.wire.node import ACTIVE, Node, NodeTemplate
from anka_ci.wire.template import Template
from anka_ci.wire.vm import Vm

SONOMA = Template(id="AB-1", name="sonoma", arch="arm64")


def node(name, *, state=ACTIVE, arch="arm64", tag=None):
    held = () if tag is None else (NodeTemplate(id="ab-1", name="sonoma", tag=tag),)
    return Node(id=f"id-{name}", name=name, state=state, arch=arch, templates=held)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"all_": False, "group": None, "nodes": None}, "exactly one of all, group and nodes$"),
        ({"all_": True, "group": "ios", "nodes": None}, "not all and group$"),
        ({"all_": False, "group": "ios", "nodes": ("a",)}, "not group and nodes$"),
    ],
)
def test_exactly_one_selector(given, said):
    with pytest.raises(ValueError, match=said):
        selection.only_one(**given)


def test_one_selector_is_right():
    selection.only_one(all_=False, group=None, nodes=("a",))


def test_a_node_by_id_name_and_group(anka):
    assert ["node-1", "node-3"] == [each.name for each in selection.choose(anka, names=["node-3", "node-1", "node-1"])]
    assert ["node-1", "node-2"] == [each.name for each in selection.choose(anka, group="ios")]


def test_a_group_without_nodes_is_an_error_and_never_all(server, anka):
    body = json.dumps({"name": "empty"}).encode()
    urllib.request.urlopen(f"{server.controller_url}/api/v1/group", data=body).close()
    with pytest.raises(NotFoundError, match="no node in the group 'empty'"):
        selection.choose(anka, group="empty")


def test_a_vm_by_id_and_by_name():
    vms = [Vm(id="AA", name="bb"), Vm(id="bb", name="cc")]
    assert "bb" == selection.local_vm(vms, "BB").id  # an id wins over a name
    assert "bb" == selection.local_vm(vms, "cc").id
    with pytest.raises(NotFoundError, match="no VM 'cd'"):
        selection.local_vm(vms, "cd")
    with pytest.raises(UsageError, match="2 VMs of this host are named 'x'"):
        selection.local_vm([Vm(id="1", name="x"), Vm(id="2", name="x")], "x")


def test_a_running_vm_is_refused():
    with pytest.raises(RefusedError, match="push: the VM cc"):
        selection.check_stopped(Vm(id="bb", name="cc", status="running"), "push")


def test_of_few_nodes_each_has_its_note_and_of_many_each_thing_that_is_said():
    why = {f"n{number}": "is offline" for number in range(12)} | {"other": "is full"}
    few = dict(list(why.items())[10:])
    assert ["n10 is offline", "n11 is offline", "other is full"] == selection.notes(few)
    names = ", ".join(f"n{number}" for number in range(10))
    assert [f"12 nodes, each is offline ({names} and 2 more)", "other is full"] == selection.notes(why)
    assert [] == selection.notes({})
