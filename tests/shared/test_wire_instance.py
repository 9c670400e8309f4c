"""Instances and save-image requests on the wire: what every release sends is read, and only what no client trips over
is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from anka_ci.wire.image import ImageRequest
from anka_ci.wire.instance import Instance, ScriptResult
from anka_ci.wire.vm_info import PortRule, VmInfo

VM = VmInfo(
    uuid="v",
    status="running",
    name="sonoma-1",
    tag="v1",
    cpu_cores=4,
    ram="8G",
    node_id="n",
    host_ip="10.0.0.9",
    ip="192.168.64.2",
    vnc_port=5900,
    vnc_connection_string="vnc://:secret@10.0.0.9:5900",
    vnc_password="secret",
    port_forwarding=(PortRule(guest_port=22, host_port=10000, name="ssh"),),
    created=60.0,
    accessed=61.0,
    started=62.5,
)
FULL = Instance(
    id="i",
    state="Started",
    template_id="t",
    tag="v1",
    version=0,
    message='Unexpected VM state: "stopped"',
    vm=VM,
    node_id="n",
    group_id="g",
    name="job-7",
    external_id="anka-ci/me/20261124T000000Z",
    metadata={"job": 7},
    arch="arm64",
    mac_address="02:00:00:00:00:01",
    vlan="12",
    usb_device="iphone",
    registry_url="http://r",
    progress=0.5,
    created=60.0,
    updated=61.0,
    startup_script=ScriptResult(return_code=3, errors=("no such file",), stdout="out", stderr="err"),
)


def test_an_instance_survives_both_of_its_shapes() -> None:
    assert FULL == Instance.read(FULL.emit())
    assert FULL == Instance.read(FULL.emit_row())


def test_what_is_empty_is_absent() -> None:
    bare = Instance(id="i", state="Scheduling", template_id="t", registry_url="http://r", created=1.0, updated=1.0)
    always = ["instance_id", "instance_state", "anka_registry", "vmid", "ts", "cr_time", "progress", "vlan"]
    assert always == list(bare.emit())
    assert ["instance_id", "vm"] == list(bare.emit_row())
    row = FULL.emit_row()
    assert (FULL.external_id, FULL.external_id) == (row["external_id"], row["vm"]["external_id"])
    assert ("job-7", "job-7") == (row["name"], row["vm"]["name"])
    assert {"uuid": "v", "status": "stopped"} == VmInfo(uuid="v", status="stopped").emit()


def test_an_integer_progress_stays_one_at_its_ends() -> None:
    assert ["0", "0.5", "1"] == [str(replace(FULL, progress=share).emit()["progress"]) for share in (0.0, 0.5, 1.0)]


@pytest.mark.parametrize("key", ["name", "rule_name", "Name"])
def test_the_name_of_a_port_rule_in_every_release(key: str) -> None:
    assert PortRule(guest_port=22, host_port=10000, name="ssh") == PortRule.read(
        {"guest_port": "22", "host_port": 10000, key: "ssh"}
    )
    assert "ssh" == PortRule(guest_port=22, host_port=1, name="ssh").emit()["name"]


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        ({"instance_id": "i", "external_id": "e", "vm": {"instance_state": "Started"}}, ("i", "Started", "e")),
        ({"instance_id": "i", "vm": {"instance_state": "Deploying", "external_id": "e"}}, ("i", "Deploying", "e")),
        ({"instance_id": "i", "external_id": None, "name": None, "vm": None}, ("i", "", "")),
        ({"vm": {"instance_id": "i", "instance_state": "Error", "vminfo": None}}, ("i", "Error", "")),
        ({"instance_id": "i", "instance_state": "Pulling", "external_id": ""}, ("i", "Pulling", "")),
    ],
)
def test_shapes_that_were_seen(obj: dict[str, Any], expected: tuple[str, str, str]) -> None:
    found = Instance.read(obj)
    assert expected == (found.id, found.state, found.external_id)
    assert found.vm is None


def test_an_inner_object_need_not_know_its_id() -> None:
    assert "i" == Instance.read({"instance_state": "Started", "vmid": "t"}, id="i").id
    for obj in ({}, {"vm": {"instance_state": "Started"}}, {"instance_state": "Started"}):
        with pytest.raises(ValueError, match="without instance_id"):
            Instance.read(obj)


def test_never_is_none_also_far_from_utc() -> None:
    read = VmInfo.read({"uuid": "v", "status": "running", "stop_date": "0001-01-01T00:00:00Z", "start_date": ""})
    assert (None, None) == (read.stopped, read.started)


def test_an_unknown_state_is_pending() -> None:
    states = ("Scheduling", "Pulling", "Deploying", "Pushing", "Started", "Stopped", "Terminating", "Error")
    found = [Instance(id="i", state=state) for state in states]
    assert [False] * 4 + [True] + [False] * 3 == [each.started for each in found]
    assert [False] * 5 + [True] * 3 == [each.ended for each in found]
    assert not replace(FULL, vm=replace(VM, status="stopped")).started


def test_the_address_of_ssh() -> None:
    assert ("10.0.0.9", 10000) == FULL.address()
    assert FULL.address(80) is None
    assert replace(FULL, vm=None).address() is None
    assert replace(FULL, vm=replace(VM, host_ip="")).address() is None


def test_what_a_script_came_to() -> None:
    assert {"return_code": 0, "did_timeout": False, "stdout": "", "stderr": ""} == ScriptResult().emit()
    assert [True, True, True, True, False] == [
        ScriptResult.read(obj).failed
        for obj in (
            {"return_code": 3},
            {"did_timeout": True, "return_code": 0},
            {"errors": "x"},
            {"errors": ["x"], "return_code": None},
            {"return_code": 0, "errors": None},
        )
    ]


IMAGE = ImageRequest(
    id="r",
    status="error",
    error="Script execution failed",
    script_result=ScriptResult(return_code=1),
    instance_id="i",
    node_id="n",
    source_id="v",
    template_id="t",
    tag="v2",
    description="d",
    suspend=False,
    script="ZXhpdCAx",
    suspend_test=True,
    revert=True,
    revert_tag="v1",
    cancel_on_script_failure=True,
    registry_url="http://r",
    requested=60.0,
)


def test_a_save_image_request_survives() -> None:
    assert IMAGE == ImageRequest.read(IMAGE.emit())
    fresh = ImageRequest(id="r", status="pending").emit()
    assert (None, None) == (fresh["error"], fresh["script_result"])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"Message": "m", "Code": 3}, "m"),
        ({"message": "m", "Type": 3}, "m"),
        ({"Type": "full"}, "full"),
        ("plain", "plain"),
        (None, ""),
        ({}, ""),
    ],
)
def test_errors_of_a_save_image_request(error: object, expected: str) -> None:
    found = ImageRequest.read({"id": "r", "status": "ERROR", "error": error})
    assert (expected, True) == (found.error, found.ended)


def test_a_save_image_request_without_id_is_none() -> None:
    assert not ImageRequest.read({"id": "r", "status": "uploading"}).ended
    with pytest.raises(ValueError, match="without id"):
        ImageRequest.read({"status": "done"})
