"""The fleet: groups and distributions that outlive a restart, and nodes whose failures are told."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.clock import SystemClock
from anka_ci.errors import UsageError
from anka_ci.server.app import Server
from anka_ci.settings import Context
from anka_ci.wire.manifest import Layer, Manifest


def settle(anka: Anka, request: str) -> dict[str, str]:
    clock = SystemClock()
    for _ in range(600):
        found = anka.controller.distribution(request)
        if found.ended:
            return {node: share.state for node, share in found.nodes.items()}
        clock.sleep(0.05)
    raise AssertionError("the distribution did not end")


def test_a_group_of_an_unknown_node_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names the unknown node 'node-9'"):
        Server(tmp_path / "data", nodes=2, groups={"ios": ("node-1", "node-9")}).start()


@pytest.mark.parametrize("names", [["../x"], ["a/b"], [""], ["."], ["-n"], ["a b"], ["a\0"], ["a", "A"], ["n" * 64]])
def test_names_that_no_node_can_have(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(UsageError, match="name"):
        Server(tmp_path / "data", nodes=names).start()


def test_nodes_may_have_other_names(tmp_path: Path) -> None:
    with Server(tmp_path / "data", nodes=["mini-1.local", "Studio_2"]) as server:
        nodes = Anka(Context(controller_url=server.controller_url)).controller.nodes()
    assert ["Studio_2", "mini-1.local"] == sorted(node.name for node in nodes)


def test_a_group_name_is_taken_once_and_a_fallback_has_to_be_there(server: Server) -> None:
    def ask(method: str, query: str = "", **body: str) -> tuple[int, Any]:
        reply = requests.request(method, f"{server.controller_url}/api/v1/group{query}", json=body, timeout=10)
        return reply.status_code, reply.json()

    night = ask("POST", name="night", fallback_group_id=anka_group(server, "ios"))[1]["body"]["id"]
    assert (400, "Group ios already exists") == (ask("POST", name="ios")[0], ask("POST", name="ios")[1]["message"])
    assert 400 == ask("PUT", f"?id={night}", name="ios")[0]
    assert 400 == ask("POST", name="day", fallback_group_id="none")[0]
    assert 400 == ask("PUT", f"?id={night}", fallback_group_id="none")[0]
    assert 200 == ask("DELETE", f"?id={anka_group(server, 'ios')}")[0]
    (left,) = ask("GET")[1]["body"]
    assert {"id": night, "name": "night", "description": "", "fallback_group_id": None} == left


def anka_group(server: Server, name: str) -> str:
    return Anka(Context(controller_url=server.controller_url)).controller.group(name).id


def test_groups_and_distributions_outlive_a_restart(server: Server, anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    request = anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1"])
    group = anka.controller.group("ios")
    server.stop()
    with Server(server.data, nodes=3) as again:
        anka = Anka(Context(controller_url=again.controller_url))
        assert group == anka.controller.group("ios")
        assert ["node-1"] == list(settle(anka, request))


def test_nodes_really_pull(anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    request = anka.controller.distribute(template_id=template.id, tag="v1", version=1)
    assert {"node-1": "done", "node-2": "done", "node-3": "done"} == settle(anka, request)
    assert ["v1"] * 3 == [node.tag_of(template.id) for node in anka.controller.nodes()]


def test_an_evicted_template_is_gone_from_the_node(anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    settle(anka, anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1"]))
    assert ["node-1"] == anka.controller.evict(template.id, ["node-1"])
    clock = SystemClock()
    while anka.controller.node("node-1").tag_of(template.id) is not None:
        clock.sleep(0.05)


def test_a_node_keeps_one_tag_per_template_and_tells_its_disk(anka: Anka) -> None:
    template = anka.registry.template("sonoma")
    for version in template.versions or ():
        request = anka.controller.distribute(
            template_id=template.id, tag=version.tag, version=version.number, node_ids=["node-2"]
        )
        assert {"node-2": "done"} == settle(anka, request)
        node = anka.controller.node("node-2")
        assert [(template.id, "sonoma", version.tag)] == [(t.id, t.name, t.tag) for t in node.templates or ()]
        assert (version.size or 0) <= (node.anka_disk_usage or 0)
    assert 0 < (node.free_disk or 0) <= (node.disk_size or 0)


def test_a_replaced_tag_is_pulled_again(anka: Anka, server: Server) -> None:
    template = anka.registry.template("sonoma")
    repository = f"{server.registry_url}/v2/{template.id}"

    def distribute() -> str:
        request = anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1"])
        return settle(anka, request)["node-1"]

    assert "done" == distribute()
    found = requests.get(f"{repository}/manifests/v1", timeout=10)
    manifest = Manifest.read(found.content)
    assert manifest is not None
    layer = b"another layer" * 1000
    digest = "sha256:" + hashlib.sha256(layer).hexdigest()
    requests.post(f"{repository}/blobs/uploads/", params={"digest": digest}, data=layer, timeout=10)
    new = Layer(file=digest[7:39] + ".ank", digest=digest, size=len(layer))
    changed = replace(manifest, layers=(*manifest.layers[:-1], new)).emit()
    headers = {"If-Match": found.headers["Docker-Content-Digest"]}
    assert 201 == requests.put(f"{repository}/manifests/v1", data=changed, headers=headers, timeout=10).status_code
    assert "done" == distribute()
    home = server.data / "nodes" / "node-1"
    assert [layer] == [file.read_bytes() for file in home.rglob(new.file)]
    assert [] == list(home.rglob(manifest.layers[-1].file))


def test_a_node_that_gets_damaged_bytes_says_so_and_holds_nothing(anka: Anka, server: Server) -> None:
    template = anka.registry.template("sonoma")
    manifest = Manifest.read(requests.get(f"{server.registry_url}/v2/{template.id}/manifests/v1", timeout=10).content)
    assert manifest is not None
    layer = manifest.layers[-1]
    blob = server.data / "blobs" / "sha256" / layer.digest[7:9] / layer.digest[7:]
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    request = anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1", "node-3"])
    assert {"node-1": "failed", "node-3": "failed"} == settle(anka, request)
    for name, share in anka.controller.distribution(request).nodes.items():
        assert layer.digest in share.error
        assert share.progress < 1
        assert anka.controller.node(name).tag_of(template.id) is None
    blob.write_bytes(whole)
    again = anka.controller.distribute(template_id=template.id, tag="v1", version=1, node_ids=["node-1"])
    assert {"node-1": "done"} == settle(anka, again)
