"""Every controller call of Anka's page of 2019, and those since, over raw HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import requests

from anka_ci.clock import ManualClock
from anka_ci.server.app import Server
from raw import ask, ok


@pytest.fixture
def template(server: Server) -> str:
    (row,) = ok(server, "GET", "/api/v1/registry/vm")
    return str(row["id"])


def test_list_templates(server: Server) -> None:
    assert ["sonoma"] == [row["name"] for row in ok(server, "GET", "/api/v1/registry/vm")]


def test_show_a_template(server: Server, template: str) -> None:
    found = ok(server, "GET", f"/api/v1/registry/vm?id={template}")
    assert (template, "sonoma") == (found["id"], found["name"])
    assert [(0, "base"), (1, "v1")] == [(each["number"], each["tag"]) for each in found["versions"]]


@pytest.mark.parametrize("selector", ["", "&tag=v1", "&Version=1"])
def test_show_the_configuration(server: Server, template: str, selector: str) -> None:
    found = ok(server, "GET", f"/api/v1/registry/vm?info&id={template}{selector}")
    keys = {"ram", "hard_drives", "usb", "uuid", "network_cards", "firmware", "state_file", "name", "nvram", "version"}
    assert set() == (keys | {"cpu", "display"}) - set(found)
    newest = ok(server, "GET", f"/api/v1/registry/vm?id={template}")["versions"][-1]
    assert newest["images"][0] == found["hard_drives"][0]["file"]


def test_delete_a_template(server: Server, template: str) -> None:
    ok(server, "DELETE", f"/api/v1/registry/vm?id={template}")
    assert [] == ok(server, "GET", "/api/v1/registry/vm")


@pytest.mark.parametrize(("later", "said"), [(0, "bytes stay for up to an hour"), (3601, "")])
def test_a_removal_says_which_bytes_a_push_may_still_rely_on(tmp_path: Path, later: float, said: str) -> None:
    clock = ManualClock()
    with Server(tmp_path / "data", sample=True, sample_bytes=1 << 20, clock=clock) as server:
        (row,) = ok(server, "GET", "/api/v1/registry/vm")
        manifest = requests.get(f"{server.registry_url}/v2/{row['id']}/manifests/v1", timeout=10).json()
        layer = manifest["layers"][-1]
        blob = f"{server.registry_url}/v2/{row['id']}/blobs/{layer['digest']}"
        assert 200 == requests.head(blob, timeout=10).status_code
        clock.advance(later)
        status, found = ask(server, "DELETE", f"/registry/vm?id={row['id']}")
        assert (200, "OK", None) == (status, found["status"], found["body"])
        assert found["message"].startswith(f"{layer['size']} {said}") if said else found["message"] == ""
        assert (404 if not said else 200) == requests.head(blob, timeout=10).status_code


def test_revert(server: Server, template: str) -> None:
    ok(server, "DELETE", f"/registry/revert?id={template}&tag_name=v1")
    assert ["base"] == [each["tag"] for each in ok(server, "GET", f"/api/v1/registry/vm?id={template}")["versions"]]


def test_distribute_has_an_entry_for_every_target_at_once(server: Server, template: str) -> None:
    group = next(row["id"] for row in ok(server, "GET", "/api/v1/group") if row["name"] == "ios")
    body = {"template_id": template, "tag": "v1", "group_id": group}
    request = ok(server, "POST", "/api/v1/registry/vm/distribute", body)["request_id"]
    found = ok(server, "GET", f"/api/v1/registry/vm/distribute?id={request}")
    assert {"request", "distribute_status"} == set(found)
    assert (request, template) == (found["request"]["request_id"], found["request"]["template_id"])
    assert "time_requested" in found["request"]
    assert {"node-1", "node-2"} == set(found["distribute_status"])
    for entry in found["distribute_status"].values():
        assert isinstance(entry["status"], bool)
        assert 0 <= entry["progress"] <= 1
        assert (template, "v1", 1) == (entry["template_id"], entry["tag"], entry["version"])
    assert [request] == [each["request"]["request_id"] for each in ok(server, "GET", "/api/v1/registry/vm/distribute")]


def test_cancel_marks_what_has_not_finished(server: Server, template: str) -> None:
    body = {"template_id": template}
    request = ok(server, "POST", "/api/v1/registry/vm/distribute", body)["request_id"]
    assert (200, {"status": "OK", "message": ""}) == ask(
        server, "DELETE", f"/api/v1/registry/vm/distribute?id={request}"
    )
    entries = ok(server, "GET", f"/api/v1/registry/vm/distribute?id={request}")["distribute_status"]
    assert {"node-1", "node-2", "node-3"} == set(entries)
    assert all(entry["status"] or entry["error"] for entry in entries.values())


def test_removal_names_the_nodes_that_were_asked(server: Server, template: str) -> None:
    found = ok(server, "DELETE", f"/api/v1/registry/vm/remove?id={template}", {"node_ids": ["node-2"]})
    assert {"requests_sent": 1, "node_ids": ["node-2"]} == found


def test_status(server: Server) -> None:
    found = ok(server, "GET", "/api/v1/status")
    assert ("Running", server.registry_url, "Running") == (
        found["status"],
        found["registry_address"],
        found["registry_status"],
    )


def test_nodes_show_their_groups(server: Server) -> None:
    found = {
        row["node_id"]: [group["name"] for group in row.get("groups", [])] for row in ok(server, "GET", "/api/v1/node")
    }
    assert {"node-1": ["ios"], "node-2": ["ios"], "node-3": []} == found
    (one,) = ok(server, "GET", "/api/v1/node?id=node-3")
    assert ("node-3", "Active", "arm64", []) == (one["node_name"], one["state"], one["host_arch"], one["templates"])


def test_groups_are_made_changed_joined_and_deleted(server: Server) -> None:
    group = ok(server, "POST", "/api/v1/group", {"name": "night"})
    ok(server, "PUT", f"/api/v1/group?id={group['id']}", {"description": "builds at night"})
    ok(server, "POST", "/api/v1/node/group", {"group_ids": [group["id"]], "node_ids": ["node-3"]})
    (node,) = ok(server, "GET", "/api/v1/node?id=node-3")
    assert [("night", "builds at night")] == [(each["name"], each["description"]) for each in node["groups"]]
    ok(server, "DELETE", "/api/v1/node/group", {"group_ids": [group["id"]], "node_ids": ["node-3"]})
    ok(server, "DELETE", f"/api/v1/group?id={group['id']}")
    assert ["ios"] == [row["name"] for row in ok(server, "GET", "/api/v1/group")]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"template_id": "nothing"}, "VM not in the registry"),
        ({"tag": "v1"}, "template_id is missing"),
        ({"template_id": "", "tag": "v9"}, "No such tag v9"),
        ({"template_id": "", "version": 9}, "No such version 9"),
        ({"template_id": "", "tag": "v1", "version": 0}, "tag 'v1' of sonoma is version 1, not 0"),
        ({"template_id": "", "node_ids": ["node-9"]}, "Not found: node node-9"),
        ({"template_id": "", "group_id": "none"}, "Not found: group none"),
    ],
)
def test_what_cannot_be_distributed(server: Server, template: str, body: dict[str, Any], said: str) -> None:
    body = {key: template if (key, value) == ("template_id", "") else value for key, value in body.items()}
    status, found = ask(server, "POST", "/api/v1/registry/vm/distribute", body)
    assert (400, "FAIL", said) == (status, found["status"], found["message"])
    assert [] == ok(server, "GET", "/api/v1/registry/vm/distribute")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"node_id": ""},
        {"node_id": "node-9"},
        {"node_id": ["node-1"]},
        {"node_id": "node-1", "drain_mode": "perhaps"},
        {"node_id": "node-1", "drain_mode": 2},
        {"node_id": "node-1", "max_vm_count": -1},
        {"node_id": "node-1", "max_vm_count": "many"},
        {"node_id": "node-1", "max_vm_count": 10**12},
        {"node_id": "node-1", "capacity_mode": "weight"},
        {"node_id": "node-1", "name": {"a": 1}},
        {"node_id": "node-1", "vcpu_override": 1.5, "drain_mode": True},
    ],
)
def test_a_bad_configuration_of_a_node_changes_nothing(server: Server, body: object) -> None:
    before = ask(server, "GET", "/api/v1/node")
    status, found = ask(server, "POST", "/api/v1/node/config", body)
    assert (400, "FAIL") == (status, found["status"])
    assert found["message"]
    after = ask(server, "GET", "/api/v1/node")
    assert before[1]["body"][0]["state"] == after[1]["body"][0]["state"] == "Active"
    assert before[1]["body"][0]["capacity"] == after[1]["body"][0]["capacity"]


def test_what_is_configured_of_a_node_is_shown_and_a_deleted_node_is_gone(server: Server, template: str) -> None:
    sent = {"node_id": "node-1", "max_vm_count": "1", "name": "mini", "capacity_mode": "resource", "ram_override": 4}
    assert 200 == ask(server, "POST", "/api/v1/node/config", sent)[0]
    (node,) = ask(server, "GET", "/api/v1/node?id=node-1")[1]["body"]
    keys = ("node_name", "capacity", "capacity_mode", "ram_override", "state")
    assert ("mini", 1, "resource", 4, "Active") == tuple(node[key] for key in keys)
    assert 200 == ask(server, "DELETE", "/api/v1/node", {"node_id": "node-1"})[0]
    assert ["node-2", "node-3"] == [node["node_id"] for node in ask(server, "GET", "/api/v1/node")[1]["body"]]
    assert 400 == ask(server, "DELETE", "/api/v1/node", {"node_id": "node-1"})[0]
    sent = {"template_id": template, "node_ids": ["node-1"]}
    assert 400 == ask(server, "POST", "/api/v1/registry/vm/distribute", sent)[0]
