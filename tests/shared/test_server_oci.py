"""The data plane over raw HTTP: uploads, commits, and what must never become visible."""

import hashlib
import json

import pytest
import requests

from anka_ci.server.app import Server
from anka_ci.wire.manifest import Layer, Manifest

ID = "0f1e2d3c-0000-43dc-54dc-000000000001"


def put_blob(url, content, digest=None):
    started = requests.post(f"{url}/v2/{ID}/blobs/uploads/", timeout=10)
    assert 202 == started.status_code
    digest = digest or "sha256:" + hashlib.sha256(content).hexdigest()
    place = url + started.headers["Location"]
    return requests.put(place, params={"digest": digest}, data=content, timeout=10), digest


def manifest(url, tag="one", content=b"layer", **more):
    _, config = put_blob(url, b"{}")
    _, digest = put_blob(url, content)
    layer = Layer(file=digest[7:39] + ".ank", digest=digest, size=len(content))
    return Manifest(id=ID, name="made", tag=tag, config_digest=config, config_size=2, layers=(layer,), **more).emit()


def put_manifest(url, content, tag="one", **headers):
    return requests.put(f"{url}/v2/{ID}/manifests/{tag}", data=content, headers=headers, timeout=10)


def tags(url):
    body = requests.get(f"{url}/registry/v2/vm", params={"id": ID}, timeout=10).json()["body"]
    return [version["tag"] for version in (body or {"versions": []})["versions"]]


@pytest.fixture
def url(server):
    return server.registry_url


def test_bytes_that_do_not_match_their_digest_are_refused(url):
    reply, digest = put_blob(url, b"other", "sha256:" + "0" * 64)
    assert (400, "DIGEST_INVALID") == (reply.status_code, reply.json()["errors"][0]["code"])
    assert 404 == requests.head(f"{url}/v2/{ID}/blobs/{digest}", timeout=10).status_code


def test_a_manifest_with_a_missing_blob_is_refused(url):
    layer = Layer(file="a.ank", digest="sha256:" + "1" * 64, size=1)
    _, config = put_blob(url, b"{}")
    lone = Manifest(id=ID, name="made", tag="one", config_digest=config, config_size=2, layers=(layer,)).emit()
    assert 400 == put_manifest(url, lone).status_code
    assert [] == tags(url)


def test_the_same_push_again_changes_nothing_and_another_is_refused(url):
    first = put_manifest(url, manifest(url))
    again = put_manifest(url, manifest(url), **{"If-None-Match": "*"})
    other = put_manifest(url, manifest(url, content=b"other"), **{"If-None-Match": "*"})
    plain = put_manifest(url, manifest(url, content=b"other"))
    assert [201, 201, 412, 409] == [reply.status_code for reply in (first, again, other, plain)]
    assert ("0", "0") == (first.headers["Anka-Ci-Version"], again.headers["Anka-Ci-Version"])
    assert ["one"] == tags(url)


def test_only_the_newest_version_can_be_replaced(url):
    old = put_manifest(url, manifest(url)).headers["Docker-Content-Digest"]
    assert 201 == put_manifest(url, manifest(url, tag="two"), "two").status_code
    refused = put_manifest(url, manifest(url, content=b"new"), **{"If-Match": old})
    assert 412 == refused.status_code
    assert ["one", "two"] == tags(url)


def test_a_tag_outside_the_oci_grammar_keeps_its_text(url):
    assert 201 == put_manifest(url, manifest(url, tag="a/b:c+d"), "x").status_code
    assert ["a/b:c+d"] == tags(url)


def test_an_upload_goes_on_after_a_restart(tmp_path):
    content = bytes(range(256)) * 1000
    with Server(tmp_path / "data") as server:
        location = requests.post(f"{server.registry_url}/v2/{ID}/blobs/uploads/", timeout=10).headers["Location"]
        requests.patch(server.registry_url + location, data=content[:100_000], timeout=10)
    with Server(tmp_path / "data") as server:
        url = server.registry_url
        assert "0-99999" == requests.get(url + location, timeout=10).headers["Range"]
        wrong = requests.patch(url + location, data=b"x", headers={"Content-Range": "5-5"}, timeout=10)
        assert 416 == wrong.status_code
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        done = requests.put(url + location, params={"digest": digest}, data=content[100_000:], timeout=10)
        assert 201 == done.status_code
        part = requests.get(f"{url}/v2/{ID}/blobs/{digest}", headers={"Range": "bytes=10-19"}, timeout=10)
        assert (206, content[10:20]) == (part.status_code, part.content)


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}],
)
def test_a_web_page_elsewhere_cannot_reach_it(url, headers):
    assert 403 == requests.get(f"{url}/registry/v2/vm", headers=headers, timeout=10).status_code


def test_unknown_paths_and_bad_bodies(url):
    assert "404 page not found\n" == requests.get(f"{url}/nothing", timeout=10).text
    bad = requests.delete(f"{url}/registry/revert?id={ID}", data=b"{", timeout=10)
    assert (400, "FAIL") == (bad.status_code, json.loads(bad.content)["status"])
