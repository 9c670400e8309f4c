"""Uploads over raw HTTP: hashed as they come, resumed after a restart, and what happens when there is no room."""

from __future__ import annotations

import hashlib
import os
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from anka_ci.clock import ManualClock, SystemClock
from anka_ci.server.app import Server
from anka_ci.server.state import ABANDONED

NAME = "some/image"
CONTENT = bytes(range(256)) * 12_000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with Server(tmp_path / "data") as server:
        yield server.registry_url


def begin(url: str) -> str:
    reply = requests.post(f"{url}/v2/{NAME}/blobs/uploads/", timeout=10)
    assert (202, "0") == (reply.status_code, reply.headers["Upload-Offset"])
    return url + reply.headers["Location"]


def code(reply: requests.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["errors"][0]["code"]


def send(place: str, content: bytes, start: int | None = None) -> requests.Response:
    headers = {} if start is None else {"Content-Range": f"{start}-{start + len(content) - 1}"}
    return requests.patch(place, data=content, headers=headers, timeout=10)


def finish(place: str, content: bytes = b"", digest: str = DIGEST) -> requests.Response:
    return requests.put(place, params={"digest": digest}, data=content, timeout=10)


def blob(url: str, digest: str = DIGEST) -> requests.Response:
    return requests.get(f"{url}/v2/{NAME}/blobs/{digest}", timeout=10)


def test_a_blob_in_one_request(url: str) -> None:
    reply = requests.post(f"{url}/v2/{NAME}/blobs/uploads/", params={"digest": DIGEST}, data=CONTENT, timeout=10)
    assert (201, DIGEST) == (reply.status_code, reply.headers["Docker-Content-Digest"])
    assert CONTENT == blob(url).content
    assert CONTENT == requests.get(url + reply.headers["Location"], timeout=10).content


def test_a_blob_in_one_request_with_another_digest_leaves_nothing(url: str, tmp_path: Path) -> None:
    query = {"digest": "sha256:" + "0" * 64}
    reply = requests.post(f"{url}/v2/{NAME}/blobs/uploads/", params=query, data=CONTENT, timeout=10)
    assert (400, "DIGEST_INVALID") == code(reply)
    assert [] == list((tmp_path / "data" / "uploads").iterdir())


def test_a_blob_in_pieces(url: str) -> None:
    place = begin(url)
    for start in range(0, len(CONTENT), 1_000_000):
        part = CONTENT[start : start + 1_000_000]
        reply = send(place, part, start)
        end = start + len(part)
        assert (202, f"0-{end - 1}", str(end)) == (
            reply.status_code,
            reply.headers["Range"],
            reply.headers["Upload-Offset"],
        )
    assert 201 == finish(place).status_code
    assert CONTENT == blob(url).content
    assert (404, "BLOB_UPLOAD_UNKNOWN") == code(requests.get(place, timeout=10))


def test_pieces_out_of_order_are_refused_and_say_where_it_stands(url: str) -> None:
    place = begin(url)
    send(place, CONTENT[:100], 0)
    for start in (0, 99, 101):
        reply = send(place, CONTENT[:50], start)
        assert (416, "0-99", "100") == (reply.status_code, reply.headers["Range"], reply.headers["Upload-Offset"])
    assert (400, "SIZE_INVALID") == code(
        requests.patch(place, data=b"abc", headers={"Content-Range": "100-200"}, timeout=10)
    )
    for wrong in ("x", "100", "-5", "5-", "100-102-103"):
        assert (400, "BLOB_UPLOAD_INVALID") == code(
            requests.patch(place, data=b"abc", headers={"Content-Range": wrong}, timeout=10)
        )
    assert 201 == finish(place, CONTENT[100:]).status_code


@pytest.mark.parametrize("digest", ["", "sha256:0", "md5:" + "0" * 32, "sha256:" + "g" * 64, "../x"])
def test_a_digest_that_is_none_is_refused_and_the_upload_stays(url: str, digest: str) -> None:
    place = begin(url)
    assert (400, "DIGEST_INVALID") == code(finish(place, CONTENT, digest))
    assert 201 == finish(place, CONTENT).status_code


def test_bytes_of_another_digest_end_the_upload(url: str) -> None:
    place = begin(url)
    send(place, CONTENT)
    assert (400, "DIGEST_INVALID") == code(finish(place, b"more"))
    assert 404 == finish(place).status_code
    assert 404 == blob(url).status_code


@pytest.mark.parametrize("upload", ["0", "f" * 8, "00000000-0000-4000-8000-000000000000", "-"])
def test_an_upload_that_is_none(url: str, upload: str) -> None:
    place = f"{url}/v2/{NAME}/blobs/uploads/{upload}"
    for method in ("GET", "PATCH", "DELETE"):
        assert (404, "BLOB_UPLOAD_UNKNOWN") == code(requests.request(method, place, data=b"x", timeout=10))
    assert (404, "BLOB_UPLOAD_UNKNOWN") == code(finish(place))


def test_a_cancelled_upload_is_gone(url: str) -> None:
    place = begin(url)
    send(place, b"x")
    assert 204 == requests.delete(place, timeout=10).status_code
    assert 404 == finish(place, CONTENT).status_code


def test_a_blob_that_is_here_is_mounted(url: str) -> None:
    finish(begin(url), CONTENT)
    mount = {"mount": DIGEST, "from": NAME}
    assert 201 == requests.post(f"{url}/v2/other/blobs/uploads/", params=mount, timeout=10).status_code
    mount["mount"] = "sha256:" + "0" * 64
    assert 202 == requests.post(f"{url}/v2/other/blobs/uploads/", params=mount, timeout=10).status_code


def test_ranges_of_a_blob(url: str) -> None:
    finish(begin(url), CONTENT)
    for asked, start, end in (("10-19", 10, 20), ("-5", -5, None), (f"{len(CONTENT) - 3}-", -3, None)):
        reply = requests.get(f"{url}/v2/{NAME}/blobs/{DIGEST}", headers={"Range": f"bytes={asked}"}, timeout=10)
        assert (206, CONTENT[start:end]) == (reply.status_code, reply.content)
    beyond = {"Range": f"bytes={len(CONTENT)}-"}
    assert 416 == requests.get(f"{url}/v2/{NAME}/blobs/{DIGEST}", headers=beyond, timeout=10).status_code
    head = requests.head(f"{url}/v2/{NAME}/blobs/{DIGEST}", timeout=10)
    assert (200, str(len(CONTENT)), DIGEST) == (
        head.status_code,
        head.headers["Content-Length"],
        head.headers["Docker-Content-Digest"],
    )


def test_an_upload_goes_on_after_a_restart(tmp_path: Path) -> None:
    with Server(tmp_path / "data") as server:
        place = begin(server.registry_url)
        send(place, CONTENT[:1_500_000])
    with Server(tmp_path / "data") as server:
        place = server.registry_url + urlsplit(place).path
        assert "0-1499999" == requests.get(place, timeout=10).headers["Range"]
        send(place, CONTENT[1_500_000:2_000_000], 1_500_000)
        assert 201 == finish(place, CONTENT[2_000_000:]).status_code
        assert CONTENT == blob(server.registry_url).content


@contextmanager
def half_sent(place: str, sent: bytes) -> Iterator[socket.socket]:
    """A PATCH of all of CONTENT of which only ``sent`` was sent so far, and has arrived."""
    address = urlsplit(place)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = f"PATCH {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        connection.sendall(head.encode() + sent)
        yield connection


def wait_for(place: str, offset: int) -> None:
    """Wait until at least ``offset`` bytes are written."""
    clock = SystemClock()
    for _ in range(1500):
        if stands_at(place) >= offset:
            return
        clock.sleep(0.02)
    raise AssertionError(f"the upload stays at {stands_at(place)}")


def stands_at(place: str) -> int:
    return int(requests.get(place, timeout=10).headers["Upload-Offset"])


def test_what_arrived_before_the_connection_broke_is_kept(url: str) -> None:
    place = begin(url)
    with half_sent(place, CONTENT[:1_234_567]):
        wait_for(place, 1 << 20)
    # What the server had not read yet may be lost with the connection, and its last write may still be under way.
    for _ in range(100):
        offset = stands_at(place)
        assert 1 << 20 <= offset <= 1_234_567
        if send(place, CONTENT[offset:], offset).status_code == 202:
            break
    assert 201 == finish(place).status_code
    assert CONTENT == blob(url).content


def test_a_second_writer_is_refused_while_the_first_writes(url: str) -> None:
    place = begin(url)
    with half_sent(place, CONTENT[: 2 << 20]) as first:
        wait_for(place, 1 << 20)  # the rest may wait for its batch to be full
        others = [send(place, b"x"), finish(place, b"x"), requests.delete(place, timeout=10)]
        assert [(409, "BLOB_UPLOAD_INVALID")] * 3 == [code(reply) for reply in others]
        first.sendall(CONTENT[2 << 20 :])
        assert b"HTTP/1.1 202" == first.recv(12)
    assert 201 == finish(place).status_code


def test_many_writers_at_once_never_mix_their_bytes(url: str) -> None:
    place = begin(url)
    pieces = [bytes([number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda piece: send(place, piece, 0), pieces))
    assert [202] + [416] * 7 == sorted(reply.status_code for reply in replies)
    (first,) = (piece for piece, reply in zip(pieces, replies, strict=True) if reply.status_code == 202)
    digest = "sha256:" + hashlib.sha256(first).hexdigest()
    assert 201 == finish(place, b"", digest).status_code
    assert first == blob(url, digest).content


@pytest.fixture
def limit() -> Iterator[None]:
    """No file of this process may grow beyond a million bytes: the nearest thing to a full disk without a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_it_says_so_and_can_go_on_later(url: str, limit: None) -> None:
    place = begin(url)
    reply = send(place, CONTENT)
    assert (507, "INSUFFICIENT_STORAGE") == code(reply)
    assert "no room" in reply.json()["errors"][0]["message"]
    assert (507, "INSUFFICIENT_STORAGE") == code(finish(place, CONTENT))
    assert 404 == blob(url).status_code
    assert "1000000" == requests.get(place, timeout=10).headers["Upload-Offset"]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert 201 == finish(place, CONTENT[1_000_000:]).status_code
    assert CONTENT == blob(url).content


def test_more_than_is_free_is_refused_before_it_is_sent(url: str) -> None:
    address = urlsplit(begin(url))
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = f"PATCH {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {1 << 60}\r\n\r\n"
        connection.sendall(head.encode())
        assert b"HTTP/1.1 507" == connection.recv(12)


def test_uploads_that_nobody_goes_on_with_are_forgotten(tmp_path: Path) -> None:
    clock = ManualClock()
    with Server(tmp_path, clock=clock) as server:
        old, new = begin(server.registry_url), begin(server.registry_url)
        for place, age in ((old, ABANDONED + 1), (new, ABANDONED - 1)):
            file = tmp_path / "uploads" / place.rsplit("/", 1)[1]
            os.utime(file, (clock.now() - age, clock.now() - age))
    with Server(tmp_path, clock=clock) as server:
        found = [
            requests.get(server.registry_url + urlsplit(place).path, timeout=10).status_code for place in (old, new)
        ]
        assert [404, 204] == found
