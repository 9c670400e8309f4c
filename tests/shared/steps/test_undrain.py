"""The step ``undrain``: the inverse of ``drain``, which leaves alone what is not in drain mode."""

from anka_ci.desk import perform


def test_drained_nodes_are_taken_back_and_others_left_alone(anka):
    perform("drain", {"nodes": "node-1"}, anka)
    done = perform("undrain", {"group": "ios"}, anka)
    assert (["node-1"], ["node-2"]) == (done.outputs["changed"], done.outputs["already"])
    assert ["Active"] * 3 == [node.state for node in anka.controller.nodes()]
    assert "unchanged" == perform("undrain", {"all": "true"}, anka).status


def test_an_offline_node_is_told_and_unverified(fleet_as):
    anka = fleet_as(node_1={"state": "Offline"})
    done = perform("undrain", {"nodes": "node-1\nnode-2"}, anka)
    assert (["node-1"], ["node-2"]) == (done.outputs["unverified"], done.outputs["already"])
