"""The data plane over raw HTTP: uploads, commits, and what must never become visible."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from anka_ci.wire.manifest import Layer, Manifest, oci_tag

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


def reason(reply):
    return reply.status_code, reply.json()["errors"][0]["code"]


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
    spelt = oci_tag("a/b:c+d")
    assert 201 == put_manifest(url, manifest(url, tag="a/b:c+d"), spelt).status_code
    assert ["a/b:c+d"] == tags(url)
    assert [spelt] == requests.get(f"{url}/v2/{ID}/tags/list", timeout=10).json()["tags"]


def test_a_manifest_goes_under_its_own_tag_or_its_digest_only(url):
    content = manifest(url)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    refused = [put_manifest(url, content, reference) for reference in ("two", "sha256:" + "0" * 64, "a+b")]
    assert [400, 400, 400] == [reply.status_code for reply in refused]
    assert [] == tags(url)
    assert 201 == put_manifest(url, content, digest).status_code
    assert ["one"] == tags(url)


@pytest.mark.parametrize("config", [b"[]", b"{", b'"text"'])
def test_a_configuration_that_is_no_object_is_refused(url, config):
    _, digest = put_blob(url, config)
    broken = Manifest(id=ID, name="made", tag="one", config_digest=digest, config_size=len(config), layers=()).emit()
    assert 409 == put_manifest(url, broken).status_code
    assert [] == tags(url)


@pytest.mark.parametrize(
    "change",
    [
        {"layers": [1]},
        {"layers": None},
        {"annotations": []},
        {"annotations": {"anka-ci.id": 1, "anka-ci.name": "a", "anka-ci.tag": "one"}},
        {"annotations": {"anka-ci.id": ID, "anka-ci.name": "a", "anka-ci.tag": "../one"}},
        {"config": {"digest": "sha256:0", "size": 1}},
        {"config": {"digest": "sha256:" + "0" * 64, "size": "x"}},
        {"layers": [{"digest": "sha256:" + "0" * 64, "size": 1, "annotations": "x"}]},
    ],
)
def test_a_broken_template_manifest_is_refused(url, change):
    content = json.dumps(json.loads(manifest(url)) | change)
    assert (400, "MANIFEST_INVALID") == reason(put_manifest(url, content))
    assert [] == tags(url)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null", b"[" * 100_000, b"{}"])
def test_what_is_no_manifest_is_refused(url, content):
    assert (400, "MANIFEST_INVALID") == reason(put_manifest(url, content))


def test_a_manifest_that_is_too_large_is_refused(url):
    assert (413, "SIZE_INVALID") == reason(put_manifest(url, b" " * ((4 << 20) + 1)))


def test_two_pushes_at_once_land_both_and_of_one_tag_the_first(url):
    contents = [manifest(url, tag=f"t{number % 8}", content=b"%d" % number) for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda n: put_manifest(url, contents[n], f"t{n % 8}"), range(16)))
    assert [201] * 8 + [409] * 8 == sorted(reply.status_code for reply in replies)
    assert {f"t{number}" for number in range(8)} == set(tags(url))
    assert list(range(8)) == sorted(int(r.headers["Anka-Ci-Version"]) for r in replies if r.status_code == 201)


def test_unknown_paths_and_bad_bodies(url):
    assert "404 page not found\n" == requests.get(f"{url}/nothing", timeout=10).text
    bad = requests.delete(f"{url}/registry/revert?id={ID}", data=b"{", timeout=10)
    assert (400, "FAIL") == (bad.status_code, json.loads(bad.content)["status"])
