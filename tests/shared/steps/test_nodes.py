"""The step ``nodes``, as a process against the embedded controller."""

import json


def names(done):
    assert 0 == done.returncode, done.stderr
    return [node["name"] for node in json.loads(done.stdout)["steps"][0]["outputs"]["nodes"]]


def test_all_nodes_and_those_of_a_group(cli):
    assert ["node-1", "node-2", "node-3"] == names(cli("nodes", "--json"))
    assert ["node-1", "node-2"] == names(cli("nodes", "--group", "ios", "--json"))
    assert ["node-3"] == names(cli("nodes", "--nodes", "node-3", "--json"))


def test_unknown_node_and_group(cli):
    assert 4 == cli("nodes", "--nodes", "node-9").returncode
    assert 4 == cli("nodes", "--group", "tvos").returncode


def test_too_few_nodes_fall_short(cli):
    done = cli("nodes", "--template", "sonoma", "--tag", "v1", "--at-least", "2")
    assert 7 == done.returncode
    assert "2 nodes were asked for, 0 are left" in done.stderr


def test_a_plan_only_tells_that_it_will_be_checked(cli):
    done = cli("nodes", "--template", "sonoma", "--at-least", "2", "--plan", "--json")
    (step,) = json.loads(done.stdout)["steps"]
    assert (0, "planned") == (done.returncode, step["status"])
    assert ["check that at least 2 nodes are left"] == [action["text"] for action in step["plan"]["actions"]]


def test_an_unknown_template_is_not_a_template_without_nodes(cli):
    done = cli("nodes", "--template", "sonomma")
    assert 4 == done.returncode
    assert "did you mean 'sonoma'?" in done.stderr
