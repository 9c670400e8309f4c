"""The client of the data plane against the real one: conditions, retries, and answers that are none."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, ManualClock, SystemClock
from anka_ci.errors import InterruptError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.oci import Oci
from anka_ci.settings import Context
from anka_ci.wire.manifest import Layer, Manifest
from gate import Gate

ID = "0f1e2d3c-0000-43dc-54dc-000000000001"


def client(url, clock=None, **more):
    return Oci(url, Anka(Context(registry_urls=(url,)), clock=clock or ManualClock(), **more))


@pytest.fixture
def oci(server):
    return client(server.registry_url)


def manifest(oci, content=b"layer", tag="one"):
    layer = Layer(file="a.ank", digest=oci.put_content(ID, content), size=len(content))
    config = oci.put_content(ID, b"{}")
    return Manifest(id=ID, name="made", tag=tag, config_digest=config, config_size=2, layers=(layer,)).emit()


def test_a_manifest_and_its_conditions(oci):
    first = manifest(oci)
    assert 0 == oci.put_manifest(ID, "one", first)
    assert 0 == oci.put_manifest(ID, "one", first)
    content, digest = oci.manifest(ID, "one")
    assert (first, digest) == (content, oci.manifest_digest(ID, "one"))
    with pytest.raises(RefusedError, match="tag already exists"):
        oci.put_manifest(ID, "one", manifest(oci, b"other"))
    assert 0 == oci.put_manifest(ID, "one", manifest(oci, b"other"), replaces=digest)
    with pytest.raises(RefusedError):
        oci.put_manifest(ID, "one", manifest(oci, b"third"), replaces=digest)
    assert oci.manifest_digest(ID, "two") is None
    with pytest.raises(NotFoundError):
        oci.manifest(ID, "two")


def test_only_a_get_of_a_manifest_counts_as_a_pull(oci, anka):
    template = anka.registry.template("sonoma")
    oci.manifest_digest(template.id, "v1")
    assert anka.registry.template("sonoma").pick("v1").last_pull is None
    oci.manifest(template.id, "v1")
    assert anka.registry.template("sonoma").pick("v1").last_pull is not None


def test_a_blob_up_and_down(oci, tmp_path):
    content = bytes(range(256)) * 10_000
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    (tmp_path / "layer").write_bytes(content)
    moved = []
    assert len(content) == oci.push(ID, digest, tmp_path / "layer", tmp_path / "ticket", moved.append)
    assert len(content) == sum(moved)
    assert not (tmp_path / "ticket").exists()
    assert 0 == oci.push(ID, digest, tmp_path / "layer", tmp_path / "ticket")
    assert len(content) == oci.pull(ID, digest, len(content), tmp_path / "part")
    assert content == (tmp_path / "part").read_bytes()
    assert 0 == oci.pull(ID, digest, len(content), tmp_path / "part")
    (tmp_path / "part").write_bytes(content[:1000])
    assert len(content) - 1000 == oci.pull(ID, digest, len(content), tmp_path / "part")
    with pytest.raises(RefusedError, match="has 2560000 bytes at"):
        oci.pull(ID, digest, len(content) + 1, tmp_path / "other")
    with pytest.raises(NotFoundError):
        oci.pull(ID, "sha256:" + "0" * 64, 1, tmp_path / "other")


def test_an_empty_blob(oci, tmp_path):
    digest = "sha256:" + hashlib.sha256(b"").hexdigest()
    (tmp_path / "layer").touch()
    assert 0 == oci.push(ID, digest, tmp_path / "layer", tmp_path / "ticket")
    assert 0 == oci.blob_size(ID, digest)
    assert 0 == oci.pull(ID, digest, 0, tmp_path / "part")


def test_a_layer_that_is_not_what_its_digest_says_is_refused(oci, tmp_path):
    (tmp_path / "layer").write_bytes(b"damaged")
    digest = "sha256:" + hashlib.sha256(b"sound").hexdigest()
    with pytest.raises(RefusedError, match="the registry did not take the bytes"):
        oci.push(ID, digest, tmp_path / "layer", tmp_path / "ticket")
    assert oci.blob_size(ID, digest) is None


@pytest.mark.parametrize(
    "ticket",
    [
        "no JSON",
        "{}",
        '{"registry": "URL", "digest": "DIGEST", "location": "/v2/x/blobs/uploads/11111111-1111-4111-8111-111111111111"}',  # noqa: E501
        '{"registry": "URL", "digest": "DIGEST", "location": "http://elsewhere.example/x"}',
    ],
)
def test_a_ticket_that_is_good_for_nothing_means_a_new_upload(server, oci, tmp_path, ticket):
    content = b"layer of one"
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    (tmp_path / "layer").write_bytes(content)
    (tmp_path / "ticket").write_text(ticket.replace("URL", server.registry_url).replace("DIGEST", digest))
    assert len(content) == oci.push(ID, digest, tmp_path / "layer", tmp_path / "ticket")


def test_a_cut_connection_is_taken_up_again_by_itself(server, tmp_path):
    content = bytes(range(256)) * 80_000
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    (tmp_path / "layer").write_bytes(content)
    with Gate(server.registry_url) as gate:
        oci = client(gate.url, SystemClock())  # a connection takes its time to die
        gate.cut("up", 15_000_000)
        sent = oci.push(ID, digest, tmp_path / "layer", tmp_path / "ticket")
        assert len(content) <= sent
        assert gate.up < len(content) + 10_000_000
        gate.cut("down", 15_000_000)
        assert len(content) == oci.pull(ID, digest, len(content), tmp_path / "part")
    assert content == (tmp_path / "part").read_bytes()


def test_nobody_there_is_told_after_retries():
    clock = ManualClock()
    oci = Oci("http://127.0.0.1:1", Anka(Context(), clock=clock))
    before = clock.now()
    with pytest.raises(UnreachableError, match="Connection refused"):
        oci.manifest(ID, "one")
    assert clock.now() - before > 2


def test_a_cancelled_transfer_stops(server, tmp_path):
    cancelled = Cancelled()
    cancelled.set("SIGTERM")
    (tmp_path / "layer").write_bytes(b"x")
    with pytest.raises(InterruptError):
        client(server.registry_url, cancelled=cancelled).push(
            ID, "sha256:" + "0" * 64, tmp_path / "layer", tmp_path / "t"
        )


class Canned(http.server.BaseHTTPRequestHandler):
    status, body = 200, b""

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *words):
        pass


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (401, NotAuthorisedError, "not signed in"),
        (403, NotAuthorisedError, "not permitted"),
        (302, UnreachableError, "redirected"),
        (507, RefusedError, "broken"),
        (500, UnreachableError, "server error 500: broken"),
        (503, UnreachableError, "server error 503: broken"),
        (418, RefusedError, "broken"),
    ],
)
def test_every_status_is_an_error_of_its_class(status, error, said):
    canned = type(
        "Answer", (Canned,), {"status": status, "body": json.dumps({"errors": [{"message": "broken"}]}).encode()}
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), canned) as there:
        threading.Thread(target=there.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(error, match=said):
            client(f"http://127.0.0.1:{there.server_port}").manifest(ID, "one")
        there.shutdown()


def test_a_manifest_that_does_not_match_its_digest_is_refused():
    class Answer(Canned):
        body = b"{}"

        def end_headers(self):
            self.send_header("Docker-Content-Digest", "sha256:" + "0" * 64)
            super().end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as there:
        threading.Thread(target=there.serve_forever, args=(0.01,), daemon=True).start()
        with pytest.raises(RefusedError, match="does not match its digest"):
            client(f"http://127.0.0.1:{there.server_port}").manifest(ID, "one")
        there.shutdown()
