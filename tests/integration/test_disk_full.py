"""A disk that is really full, under the registry and under a node: a small memory disk, so Linux as root."""

from __future__ import annotations

import hashlib
from pathlib import Path

import requests

from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from integration.conftest import wait_until

MIB = 1 << 20
CONTENT = bytes(range(256)) * (12 * MIB // 256)
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


def code(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["errors"][0]["code"]


def test_the_registry_says_so_keeps_what_came_and_goes_on_when_there_is_room(small: Path) -> None:
    ballast = small / "ballast"
    with Server(small / "data") as server:
        url = f"{server.registry_url}/v2/some/image/blobs"
        place = server.registry_url + requests.post(f"{url}/uploads/", timeout=10).headers["Location"]
        told = requests.patch(place, data=CONTENT, timeout=30)
        assert (507, "INSUFFICIENT_STORAGE") == code(told)
        assert "12582912 bytes are to come" in told.text
        assert "0" == requests.get(place, timeout=10).headers["Upload-Offset"]
        untold = requests.patch(place, data=iter([CONTENT[:MIB]] * 12), timeout=30)
        assert (507, "INSUFFICIENT_STORAGE") == code(untold)
        offset = int(requests.get(place, timeout=10).headers["Upload-Offset"])
        assert 4 * MIB < offset < 8 * MIB
        assert 404 == requests.head(f"{url}/{DIGEST}", timeout=10).status_code
        assert 507 == requests.post(f"{url}/uploads/", params={"digest": DIGEST}, data=CONTENT, timeout=30).status_code
        for method, path in (("GET", "/registry/v2/vm"), ("DELETE", f"/registry/vm?id={ID}")):
            assert requests.request(method, server.registry_url + path, timeout=10).json()["status"] in ("OK", "FAIL")
        assert 204 == requests.delete(place, timeout=10).status_code
        ballast.write_bytes(bytes(6 * MIB))
        part = CONTENT[: 4 * MIB]
        place = server.registry_url + requests.post(f"{url}/uploads/", timeout=10).headers["Location"]
        assert 507 == requests.patch(place, data=iter([part]), timeout=30).status_code
        ballast.unlink()
        offset = int(requests.get(place, timeout=10).headers["Upload-Offset"])
        digest = "sha256:" + hashlib.sha256(part).hexdigest()
        assert 201 == requests.put(place, params={"digest": digest}, data=part[offset:], timeout=30).status_code
        assert part == requests.get(f"{url}/{digest}", timeout=30).content


def test_a_full_node_says_so_and_the_others_go_on(small: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "nodes").mkdir(parents=True)
    (data / "nodes" / "node-1").symlink_to(small)
    with Server(data, nodes=2, sample=True, sample_bytes=24 * MIB) as server:
        api = server.controller_url + "/api/v1"
        node = requests.get(f"{api}/node?id=node-1", timeout=10).json()["body"][0]
        assert 8 * MIB == node["disk_size"]
        assert node["free_disk_space"] <= 8 * MIB
        asked = {"template_id": ID, "tag": "v1"}
        request = requests.post(f"{api}/registry/vm/distribute", json=asked, timeout=10).json()["body"]["request_id"]

        def shares() -> dict[str, dict[str, object]]:
            found = requests.get(f"{api}/registry/vm/distribute?id={request}", timeout=10).json()["body"]
            return dict(found["distribute_status"])

        wait_until(lambda: all(share["status"] or share.get("error") for share in shares().values()))
        assert shares()["node-2"]["status"] is True
        assert "disk" in str(shares()["node-1"]["error"])
        held = {row["node_id"]: row["templates"] for row in requests.get(f"{api}/node", timeout=10).json()["body"]}
        assert [] == held["node-1"]
        assert ["v1"] == [template["tag"] for template in held["node-2"]]
