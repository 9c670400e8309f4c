"""The step ``groups``, as a process against the embedded controller."""

import json


def test_groups_and_their_nodes(cli):
    (group,) = json.loads(cli("groups", "--json").stdout)["steps"][0]["outputs"]["groups"]
    assert ("ios", ["node-1", "node-2"]) == (group["name"], group["nodes"])
