"""Images of ordinary clients beside the templates: kept, found, removed, and never mixed with them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests

from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.wire.manifest import MANIFEST_TYPE

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
NAME = "team/tools"


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Client:
    """An ordinary OCI client, as short as it can be."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        return requests.request(method, f"{self.url}/v2/{path}", timeout=10, **more)

    def blob(self, content: bytes, name: str = NAME) -> dict[str, object]:
        reply = self.ask("POST", f"{name}/blobs/uploads/", params={"digest": digest(content)}, data=content)
        assert 201 == reply.status_code
        return {"mediaType": "application/octet-stream", "digest": digest(content), "size": len(content)}

    def image(self, layer: bytes = b"layer", **more: object) -> bytes:
        found = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": self.blob(b"{}")}
        return json.dumps(found | {"layers": [self.blob(layer)]} | more).encode()

    def put(self, content: bytes, reference: str = "v1", name: str = NAME, kind: str = "") -> requests.Response:
        headers = {"Content-Type": kind} if kind else {}
        return self.ask("PUT", f"{name}/manifests/{reference}", data=content, headers=headers)

    def tags(self, name: str = NAME, **params: object) -> Any:
        return self.ask("GET", f"{name}/tags/list", params=params).json()


@pytest.fixture
def client(server: Server) -> Client:
    return Client(server.registry_url)


def code(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["errors"][0]["code"]


def test_an_image_comes_back_as_it_was_put(client: Client, server: Server) -> None:
    content = client.image()
    reply = client.put(content, kind=MANIFEST_TYPE)
    assert (201, digest(content)) == (reply.status_code, reply.headers["Docker-Content-Digest"])
    for reference in ("v1", digest(content)):
        found = client.ask("GET", f"{NAME}/manifests/{reference}")
        head = client.ask("HEAD", f"{NAME}/manifests/{reference}")
        assert (content, MANIFEST_TYPE) == (found.content, found.headers["Content-Type"])
        assert (200, str(len(content)), b"") == (head.status_code, head.headers["Content-Length"], head.content)
    assert {"name": NAME, "tags": ["v1"]} == client.tags()
    rows = requests.get(f"{server.registry_url}/registry/v2/vm", timeout=10).json()["body"]
    assert ["sonoma"] == [row["name"] for row in rows]


def test_an_index_needs_its_manifests(client: Client) -> None:
    image = client.image()
    item = {"mediaType": MANIFEST_TYPE, "digest": digest(image), "size": len(image)}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [item]}).encode()
    assert (400, "MANIFEST_BLOB_UNKNOWN") == code(client.put(index))
    assert 201 == client.put(image, digest(image)).status_code
    assert 201 == client.put(index).status_code
    assert INDEX_TYPE == client.ask("GET", f"{NAME}/manifests/v1").headers["Content-Type"]


@pytest.mark.parametrize(
    "change",
    [
        {"schemaVersion": 1},
        {"mediaType": "text/plain"},
        {"layers": "x"},
        {"config": None},
        {"config": {"digest": "sha256:0", "size": 1}},
        {"layers": [{"digest": "sha512:" + "0" * 128, "size": 1}]},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": -1}]},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": True}]},
        {"layers": [7]},
        {"subject": 3},
        {"annotations": 3},
    ],
)
def test_a_broken_manifest_is_refused(client: Client, change: dict[str, object]) -> None:
    assert (400, "MANIFEST_INVALID") == code(client.put(json.dumps(json.loads(client.image()) | change).encode()))
    assert 404 == client.ask("GET", f"{NAME}/tags/list").status_code


def test_a_manifest_with_missing_blobs_is_refused(client: Client) -> None:
    for layer in ({"digest": digest(b"none"), "size": 4}, {"digest": digest(b"layer"), "size": 4}):
        assert (400, "MANIFEST_BLOB_UNKNOWN") == code(client.put(client.image(layers=[layer])))
    elsewhere = {"digest": digest(b"none"), "size": 4, "urls": ["https://example.com/layer"]}
    assert 201 == client.put(client.image(layers=[elsewhere])).status_code


@pytest.mark.parametrize("name", ["Upper", "a//b", "-a", "a/-b", "a..b", "a/../b", "a" * 256, "a b"])
def test_a_name_outside_the_grammar_is_refused(client: Client, name: str) -> None:
    reply = client.ask("GET", f"{name}/tags/list")
    assert reply.status_code in (400, 404)
    if reply.status_code == 400:
        assert "NAME_INVALID" == reply.json()["errors"][0]["code"]


def test_a_tag_moves_and_the_old_image_stays_by_its_digest(client: Client) -> None:
    old, new = client.image(b"old"), client.image(b"new")
    client.put(old)
    client.put(new)
    assert new == client.ask("GET", f"{NAME}/manifests/v1").content
    assert old == client.ask("GET", f"{NAME}/manifests/{digest(old)}").content


def test_deleting_a_tag_an_image_and_a_blob(client: Client) -> None:
    content = client.image()
    client.put(content)
    client.put(content, "v2")
    layer = f"{NAME}/blobs/{digest(b'layer')}"
    assert (405, "UNSUPPORTED") == code(client.ask("DELETE", layer))
    assert 202 == client.ask("DELETE", f"{NAME}/manifests/v1").status_code
    assert ["v2"] == client.tags()["tags"]
    assert 202 == client.ask("DELETE", f"{NAME}/manifests/{digest(content)}").status_code
    assert (404, "MANIFEST_UNKNOWN") == code(client.ask("GET", f"{NAME}/manifests/v2"))
    assert (404, "MANIFEST_UNKNOWN") == code(client.ask("DELETE", f"{NAME}/manifests/v2"))
    assert 202 == client.ask("DELETE", layer).status_code
    assert (404, "BLOB_UNKNOWN") == code(client.ask("DELETE", layer))
    assert 404 == client.ask("GET", layer).status_code


def test_tags_in_pages(client: Client) -> None:
    content = client.image()
    for tag in ("c", "a", "B", "d"):
        client.put(content, tag)
    reply = client.ask("GET", f"{NAME}/tags/list", params={"n": 3})
    assert (["B", "a", "c"], f'</v2/{NAME}/tags/list?n=3&last=c>; rel="next"') == (
        reply.json()["tags"],
        reply.headers["Link"],
    )
    rest = client.ask("GET", f"{NAME}/tags/list?n=3&last=c")
    assert (["d"], None) == (rest.json()["tags"], rest.headers.get("Link"))
    assert [] == client.tags(n=0)["tags"]
    assert 400 == client.ask("GET", f"{NAME}/tags/list", params={"n": "x"}).status_code


def test_referrers(client: Client) -> None:
    image = client.image()
    client.put(image)
    subject = {"mediaType": MANIFEST_TYPE, "digest": digest(image), "size": len(image)}
    note = client.image(b"signature", subject=subject, artifactType="application/x-signature", annotations={"a": "b"})
    reply = client.put(note, digest(note))
    assert digest(image) == reply.headers["OCI-Subject"]
    found = client.ask("GET", f"{NAME}/referrers/{digest(image)}")
    assert INDEX_TYPE == found.headers["Content-Type"]
    expected = {
        "mediaType": MANIFEST_TYPE,
        "digest": digest(note),
        "size": len(note),
        "artifactType": "application/x-signature",
        "annotations": {"a": "b"},
    }
    assert [expected] == found.json()["manifests"]
    other = client.ask("GET", f"{NAME}/referrers/{digest(image)}", params={"artifactType": "text/x"})
    assert ([], "artifactType") == (other.json()["manifests"], other.headers["OCI-Filters-Applied"])
    assert [] == client.ask("GET", f"none/referrers/{digest(b'')}").json()["manifests"]


def test_a_template_repository_takes_only_its_own_versions(client: Client) -> None:
    assert (409, "DENIED") == code(client.put(client.image(), name=ID))
    template = client.ask("GET", f"{ID}/manifests/base").content
    assert (400, "MANIFEST_INVALID") == code(client.put(template, "other", name=ID))
    assert ["base", "v1"] == client.tags(ID)["tags"]
    for method in ("v1", digest(template)):
        assert (405, "UNSUPPORTED") == code(client.ask("DELETE", f"{ID}/manifests/{method}"))


def test_a_template_elsewhere_is_an_artifact_and_keeps_its_layers(client: Client, server: Server) -> None:
    template = client.ask("GET", f"{ID}/manifests/base").content
    assert 201 == client.put(template, "copy", name="backup/sonoma").status_code
    requests.delete(f"{server.registry_url}/registry/vm?id={ID}", timeout=10)
    assert [] == requests.get(f"{server.registry_url}/registry/v2/vm", timeout=10).json()["body"]
    for layer in json.loads(template)["layers"]:
        assert 200 == client.ask("HEAD", f"backup/sonoma/blobs/{layer['digest']}").status_code


def test_a_repository_of_artifacts_becomes_no_template(client: Client, server: Server) -> None:
    template = client.ask("GET", f"{ID}/manifests/base").content
    requests.delete(f"{server.registry_url}/registry/vm?id={ID}", timeout=10)
    image = client.image()
    assert 201 == client.put(image, name=ID).status_code
    assert (409, "DENIED") == code(client.put(template, "base", name=ID))
    assert [] == requests.get(f"{server.registry_url}/registry/v2/vm", timeout=10).json()["body"]


def test_artifacts_outlive_a_restart_and_a_clean_up(client: Client, server: Server) -> None:
    content = client.image()
    client.put(content)
    server.stop()
    with Server(server.data) as again:
        client = Client(again.registry_url)
        requests.delete(f"{again.registry_url}/registry/vm?id={ID}", timeout=10)
        assert content == client.ask("GET", f"{NAME}/manifests/v1").content
        assert b"layer" == client.ask("GET", f"{NAME}/blobs/{digest(b'layer')}").content
