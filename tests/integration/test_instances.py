"""Instances that live through more than the default suite has time for: beside a distribution, with scripts that go on,
and a save that the server does not survive."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from anka_ci.clock import SystemClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from instances import VM, guests, node, restart, runs, script, shown, start, state, until
from raw import ask, ok


def test_a_distribution_holds_up_no_instance_of_its_node(seeded: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True))
    with Server(data) as server:
        newest = json.loads(urlopen(f"{server.registry_url}/v2/{ID}/manifests/v1", timeout=10).read())["layers"][-1]
    faults = tmp_path / "faults.yml"
    faults.write_text(f"http: [{{match: GET /v2/*/blobs/{newest['digest']}, does: stall, for: 60s}}]\n")
    with Server(data, nodes=1, faults=faults) as server:
        one = start(server, tag="base")
        until(server, one, "Started")
        request = ok(server, "POST", "/api/v1/registry/vm/distribute", {"template_id": ID, "tag": "v1"})["request_id"]
        two = start(server, tag="base")
        until(server, two, "Started")
        three = start(server, tag="v1")
        assert "Scheduling" == state(server, three)
        restart(server, one)
        ok(server, "DELETE", VM, {"id": one})
        until(server, one, "Terminated")
        until(server, three, "Pulling")  # it waits for its turn, and can be ended all the same
        ok(server, "DELETE", VM, {"id": three})
        until(server, three, "Terminated")
        (share,) = ok(server, "GET", f"/api/v1/registry/vm/distribute?id={request}")["distribute_status"].values()
        assert (False, None) == (share["status"], share.get("error"))


def test_what_a_script_leaves_running_ends_with_the_vm(server: Server) -> None:
    """As those do that start a build agent."""
    text = "sleep 300 >/dev/null 2>&1 & echo $!"
    instance = start(server, startup_script=script(text), script_monitoring=True, node_id="node-2")
    until(server, instance, "Started")
    left = int(shown(server, instance)["startup_script"]["stdout"])
    assert runs(left)
    ok(server, "DELETE", VM, {"id": instance})
    until(server, instance, "Terminated")
    assert not runs(left)


def test_a_script_that_nobody_monitors(server: Server) -> None:
    """The instance is started at once, and what the script came to is told nowhere; it ends with the instance."""
    instance = start(server, startup_script=script("touch begun; sleep 60"), node_id="node-2")
    until(server, instance, "Started")
    found, clock = shown(server, instance), SystemClock()
    guest = server.data / "nodes" / found["node_id"] / "vm_lib" / found["vminfo"]["uuid"] / "guest"
    while not (guest / "begun").exists():
        clock.sleep(0.02)
    assert ("Started", False) == (state(server, instance), "startup_script" in shown(server, instance))
    ok(server, "DELETE", VM, {"id": instance})
    until(server, instance, "Terminated")
    assert not guest.exists()


def test_a_save_that_the_server_does_not_survive(server: Server) -> None:
    instance = start(server)
    until(server, instance, "Started")
    wanted = {"id": instance, "tag": "v2", "target_vm_id": ID, "script": script("sleep 60")}
    request = ok(server, "POST", "/api/v1/image", wanted)["request_id"]
    assert "Pushing" == state(server, instance)
    refused = ask(server, "POST", "/api/v1/image", {**wanted, "tag": "v3"})[1]
    assert "Pushing" in refused["message"]
    server.stop()
    with Server(server.data, nodes=1) as again:
        found = ok(again, "GET", f"/api/v1/image?id={request}")
        assert "error" == found["status"]
        assert "server" in found["error"]["Message"]
        assert "Stopped" == state(again, instance)
        assert ["base", "v1"] == [each["tag"] for each in ok(again, "GET", f"/api/v1/registry/vm?id={ID}")["versions"]]


def test_an_instance_that_is_ended_while_it_is_saved(server: Server) -> None:
    instance = start(server)
    until(server, instance, "Started")
    wanted = {"id": instance, "tag": "v2", "target_vm_id": ID, "script": script("sleep 60")}
    request = ok(server, "POST", "/api/v1/image", wanted)["request_id"]
    ok(server, "DELETE", VM, {"id": instance})
    until(server, instance, "Terminated")
    found = ok(server, "GET", f"/api/v1/image?id={request}")
    assert "error" == found["status"]
    assert "ended" in found["error"]["Message"]
    assert ["base", "v1"] == [each["tag"] for each in ok(server, "GET", f"/api/v1/registry/vm?id={ID}")["versions"]]


def test_startup_scripts(server: Server) -> None:
    def run(text: str, **options: object) -> dict[str, Any]:
        instance = start(server, startup_script=script(text), script_monitoring=True, node_id="node-2", **options)
        seen = until(server, instance, "Started", "Error")
        return {**shown(server, instance), "seen": seen}

    def told(instance: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(instance.get(key) for key in ("instance_state", "message", "startup_script"))

    fine = run("echo out; echo err >&2; pwd")
    vm = fine["vminfo"]["uuid"]
    assert ("Started", None) == told(fine)[:2]
    assert (0, False, "err\n") == tuple(fine["startup_script"][key] for key in ("return_code", "did_timeout", "stderr"))
    assert ["out", vm, "guest"] == [
        fine["startup_script"]["stdout"].split()[0],
        *Path(fine["startup_script"]["stdout"].split()[1]).parts[-2:],
    ]
    ok(server, "DELETE", VM, {"id": fine["instance_id"]})
    until(server, fine["instance_id"], "Terminated")
    failed = {"return_code": 3, "did_timeout": False, "stdout": "", "stderr": ""}
    # The handler is about the VM alone: the instance is an Error with each.
    stopped, kept, deleted = (run("exit 3", script_fail_handler=handler) for handler in (0, 1, 2))
    for each, status in ((stopped, "stopped"), (kept, "running"), (deleted, None)):
        assert ("Error", "startup script exit code 3", failed) == told(each)
        assert status == each.get("vminfo", {}).get("status")
        assert "Started" not in each["seen"]
    assert sorted(each["vminfo"]["uuid"] for each in (stopped, kept)) == sorted(guests(server, "node-2"))
    assert 1 == node(server, "node-2")["vm_count"]
    ok(server, "DELETE", VM, {"id": kept["instance_id"]})
    late = run("echo begun; sleep 60", script_timeout=1)
    assert ("Error", "startup script exit code -1") == told(late)[:2]
    assert (-1, True, "begun\n") == tuple(
        late["startup_script"][key] for key in ("return_code", "did_timeout", "stdout")
    )


def test_instances_when_the_server_is_started_again(seeded: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(seeded, tmp_path / "data", symlinks=True))
    with Server(data, nodes=1) as server:
        one, two, three = ok(server, "POST", VM, {"vmid": ID, "count": 3})
        until(server, two, "Started")
        refused = start(server, startup_script=script("true"), priority=1)
        assert "Scheduling" == state(server, three)
        ok(server, "DELETE", VM, {"id": one})
        until(server, one, "Terminated")
        until(server, refused, "Error")
        assert "--run-guests" in shown(server, refused)["message"]
        until(server, three, "Started")
        assert 2 == node(server, "node-1")["vm_count"]
    metas = [json.loads((each / "meta.json").read_text()) for each in (data / "nodes/node-1/vm_lib").glob("*-*")]
    assert ["stopped"] * 3 == [meta["status"] for meta in metas]
    with Server(data, nodes=1) as server:
        found = {instance: shown(server, instance) for instance in (one, two, three, refused)}
        assert ["Terminated", "Stopped", "Stopped", "Error"] == [each["instance_state"] for each in found.values()]
        assert ("stopped", "the VM was stopped together with the server") == (
            found[two]["vminfo"]["status"],
            found[two]["message"],
        )
        assert 0 == node(server, "node-1")["vm_count"]
        again = start(server)
        until(server, again, "Started")
        ok(server, "DELETE", VM, {"id": two})
        until(server, two, "Terminated")
    with Server(data) as server:
        assert ("Error", "the node node-1 is gone") == tuple(
            shown(server, again)[key] for key in ("instance_state", "message")
        )
