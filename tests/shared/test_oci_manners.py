"""The client of the data plane and the manners of registries that are not ours: chunks, pages, parts, pauses."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, ManualClock, SystemClock
from anka_ci.errors import InterruptError, RefusedError, UnreachableError
from anka_ci.oci import Oci
from anka_ci.oci.connection import Connection
from anka_ci.oci.lanes import side_by_side
from anka_ci.oci.upload import CHUNK, Chunks
from anka_ci.server.app import Server
from anka_ci.settings import Context
from foreign import foreign, reply
from registries import Manners, front

MEBI = 1 << 20


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("data")) as server:
        yield server.registry_url


@pytest.fixture
def layer(tmp_path, request):
    """Ten MiB that no other test has, their digest, and where the upload is noted."""
    content = hashlib.sha256(request.node.name.encode()).digest() * (10 * MEBI // 32)
    (tmp_path / "layer").write_bytes(content)
    return "sha256:" + hashlib.sha256(content).hexdigest(), tmp_path / "layer", tmp_path / "ticket"


def client(there: Manners | str, clock: ManualClock | SystemClock | None = None, **more) -> Oci:
    url = there if isinstance(there, str) else there.url
    return Oci(url, Anka(Context(), clock=clock or ManualClock(), **more), foreign=True)


def sizes(there: Manners) -> list[int]:
    return [size for method, size in there.sizes if method == "PATCH"]


@pytest.mark.parametrize("patched", [202, 204])  # go-containerregistry's registry says the second
def test_one_piece_is_what_everybody_takes(embedded, layer, patched):
    with front(embedded, plain=True, patched=patched) as there:
        assert 10 * MEBI == client(there).push("team/one", *layer)
        assert [10 * MEBI] == sizes(there)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_host_that_takes_little_at_once_gets_chunks_from_then_on(embedded, layer, absolute):
    with front(embedded, most=3 * MEBI, plain=True, absolute=absolute) as there:
        oci = client(there)
        oci.push("team/chunks", *layer)
        wanted = [5 * MEBI // 2] * 4
        assert wanted == sizes(there)
        there.sizes.clear()
        content = layer[1].read_bytes()[::-1]
        layer[1].write_bytes(content)
        oci.again(oci._anka).push("team/chunks", "sha256:" + hashlib.sha256(content).hexdigest(), *layer[1:])
        assert wanted == sizes(there)
        assert not layer[2].exists()


def test_no_chunk_is_smaller_than_the_registry_wants(embedded, layer):
    with front(embedded, most=3 * MEBI, least=4 * MEBI) as there:
        with pytest.raises(RefusedError, match="takes no 5242880 bytes at once: too large"):
            client(there).push("team/least", *layer)
    chunks = Chunks()
    assert 100 * CHUNK == chunks.end(0, 100 * CHUNK)
    assert chunks.shrink(100 * CHUNK)
    assert CHUNK + 5 == chunks.end(5, 100 * CHUNK)
    assert CHUNK + 5 == chunks.end(5, CHUNK + 5)


def test_a_blob_is_taken_over_from_another_repository_where_that_may_be(embedded):
    with front(embedded) as there:
        oci = client(there)
        digest = oci.put_content("team/first", b"of the first")
        assert oci.mount("team/second", digest, "team/first")
        assert not oci.mount("team/second", "sha256:" + "0" * 64, "team/first")
    with front(embedded, sign_in="basic") as there:
        assert not client(there).mount("team/third", digest, "team/first")


def test_a_small_blob_in_two_steps(embedded):
    with front(embedded, two_steps=True) as there:
        oci = client(there)
        assert b"in two steps" == oci.content("team/two", oci.put_content("team/two", b"in two steps"))
        assert ["POST", "PUT"] == [method for method, _, _ in there.asked if method in ("POST", "PUT")]


def test_a_part_that_is_not_continued_is_fetched_from_the_beginning(embedded, layer, tmp_path):
    digest, file, ticket = layer
    with front(embedded, whole=True) as there:
        oci = client(there)
        oci.push("team/whole", digest, file, ticket)
        (tmp_path / "part").write_bytes(file.read_bytes()[:1000])
        assert 10 * MEBI == oci.pull("team/whole", digest, 10 * MEBI, tmp_path / "part")
        assert file.read_bytes() == (tmp_path / "part").read_bytes()


def test_a_registry_that_is_busy_is_given_the_time_it_asks_for(embedded):
    clock = ManualClock()
    with front(embedded, busy=2) as there:
        before = clock.now()
        assert client(there, clock).tags("team/none") is None
        assert 14 == clock.now() - before
    with front(embedded, busy=100) as there, pytest.raises(UnreachableError, match="429: slow down"):
        client(there, clock).tags("team/none")
    before = clock.now()
    with front(embedded, busy=1, wait="86400") as there, pytest.raises(UnreachableError) as caught:
        client(there, clock).tags("team/none")
    assert (before, "it asks to come back in 86400 s; try again then") == (clock.now(), caught.value.hint)


def test_a_digest_that_is_not_told_is_computed(embedded):
    with front(embedded, plain=True) as there:
        oci = client(there)
        config = oci.put_content("team/plain", b"{}")
        content = json.dumps({"schemaVersion": 2, "config": {"digest": config, "size": 2}, "layers": []}).encode()
        oci.put_manifest("team/plain", "v1", content)
        assert "sha256:" + hashlib.sha256(content).hexdigest() == oci.manifest_digest("team/plain", "v1")
        assert oci.manifest_digest("team/plain", "v2") is None


def page(*names: str, more: str = "") -> bytes:
    link = [f'Link: <{more}>; rel="next"'] if more else []
    return reply(200, json.dumps({"tags": names}).encode(), *link)


def test_lists_page_after_page():
    with foreign(page("a", "b", more="/v2/x/tags/list?n=2&last=b"), page("c")) as server:
        assert ["a", "b", "c"] == client(server.url).tags("x")
        assert "GET /v2/x/tags/list?n=2&last=b HTTP/1.1" == server.asked[1].splitlines()[0]
    with foreign(page("a", more="/v2/x/tags/list?n=1000")) as server:  # a circle
        assert ["a"] == client(server.url).tags("x")
    with (
        foreign(page("a", more="http://elsewhere.invalid/")) as server,
        pytest.raises(UnreachableError, match="elsewh"),
    ):
        client(server.url).tags("x")
    with foreign(reply(200, b'{"tags": null}')) as server:
        assert [] == client(server.url).tags("x")
    with foreign(reply(200, b"<html>")) as server, pytest.raises(UnreachableError, match="told no tags"):
        client(server.url).tags("x")


def test_where_we_are_redirected_to_and_where_not():
    turn = "Location: /v2/x/manifests/v1"
    with foreign(reply(307, b"", turn)) as server, pytest.raises(UnreachableError, match="more than 5 times"):
        client(server.url).manifest_digest("x", "v1")
    with (
        foreign(reply(302, b"", "Location: ftp://127.0.0.1/x")) as server,
        pytest.raises(UnreachableError, match="ftp"),
    ):
        client(server.url).manifest_digest("x", "v1")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/v2/x?y=1", ("https://reg.example", "/v2/x?y=1")),
        ("https://reg.example:443/v2/x", ("https://reg.example", "/v2/x")),
        ("http://reg.example/v2/x", ("https://reg.example", "/v2/x")),  # a proxy in front of it took the TLS off
        ("https://store.example/x?sig=1", ("https://store.example", "/x?sig=1")),
        ("http://store.example/x", None),
        ("http://reg.example.evil.example/x", None),
    ],
)
def test_where_a_location_leads(location, expected):
    there = Connection.to("https://reg.example", Anka(Context()), foreign=True)
    if expected is None:
        with pytest.raises(UnreachableError, match="redirected to http://"):
            there.follow(location)
        return
    found, path = there.follow(location)
    assert expected == (found.url, path)
    assert (found is there) == (expected[0] == "https://reg.example")


def test_lanes_keep_the_order_and_end_with_the_first_failure(tmp_path: Path):
    cancelled = Cancelled()
    anka = Anka(Context(), cancelled=cancelled)
    oci = Oci("http://127.0.0.1:9", anka, foreign=True)
    assert [n * n for n in range(20)] == side_by_side(oci, anka, range(20), lambda _, n: n * n)

    def fails(own: Oci, number: int) -> None:
        if number == 3:
            raise RefusedError("the third")
        own._anka.cancelled.wait(60)
        own._anka.cancelled.check("this one")

    with pytest.raises(RefusedError, match="the third"):
        side_by_side(oci, anka, range(20), fails)

    def interrupts(own: Oci, number: int) -> None:
        cancelled.set("SIGTERM")
        own._anka.cancelled.wait(60)

    with pytest.raises(InterruptError, match="SIGTERM"):
        side_by_side(oci, anka, range(20), interrupts)
