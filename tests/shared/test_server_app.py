"""The server as a whole: its ports, its guards, and what keeps it from starting."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from anka_ci.errors import UsageError
from anka_ci.server.app import Server


def raw(url: str, *lines: str, path: str = "/registry/v2/vm") -> tuple[int, bytes]:
    """A request head written out by hand; ``lines`` are its headers."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = [f"GET {path} HTTP/1.1", "Connection: close", *lines, "", ""]
        connection.sendall("\r\n".join(head).encode())
        found = b""
        while block := connection.recv(65536):
            found += block
    return int(found.split(b" ")[1]), found.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "headers",
    [
        ["Host: evil.example"],
        ["Host: evil.example:{port}"],
        ["Host: localhost.evil.example"],
        ["Host: 127.0.0.1.evil.example"],
        ["Host: 127.0.0.1@evil.example"],
        ["Host:"],
        ["Host: 127.0.0.1:{port}", "Origin: http://evil.example"],
        ["Host: 127.0.0.1:{port}", "Origin: null"],
        ["Host: 127.0.0.1:{port}", "Origin: https://127.0.0.1:{port}"],
        ["Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:1"],
        ["Host: 127.0.0.1:{port}", "Sec-Fetch-Site: cross-site"],
        ["Host: 127.0.0.1:{port}", "sec-fetch-site:  Cross-Site "],
    ],
)
def test_a_web_page_elsewhere_cannot_reach_it(server: Server, headers: list[str]) -> None:
    port = urlsplit(server.registry_url).port
    lines = [line.format(port=port) for line in headers]
    for path in ("/registry/v2/vm", "/v2/", "/nothing"):
        status, body = raw(server.registry_url, *lines, path=path)
        assert (403, b'{"status":"FAIL"') == (status, body[:16])


@pytest.mark.parametrize(
    "headers",
    [
        ["Host: localhost:{port}"],
        ["Host: LOCALHOST"],
        ["Host: [::1]:{port}"],
        ["Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:{port}"],
        ["Host: 127.0.0.1:{port}", "Sec-Fetch-Site: same-origin"],
        ["Host: 127.0.0.1:{port}", "Sec-Fetch-Site: none"],
    ],
)
def test_a_caller_on_this_machine_can(server: Server, headers: list[str]) -> None:
    port = urlsplit(server.registry_url).port
    assert 200 == raw(server.registry_url, *(line.format(port=port) for line in headers))[0]


def test_no_host_or_two_of_them(server: Server) -> None:
    assert raw(server.registry_url)[0] in (400, 403)
    assert raw(server.registry_url, "Host: 127.0.0.1", "Host: evil.example")[0] in (400, 403)


def test_a_host_that_was_allowed(tmp_path: Path) -> None:
    with Server(tmp_path, allowed_hosts=["Build.Local"]) as server:
        assert 200 == raw(server.registry_url, "Host: build.local:80")[0]


def test_slashes_are_collapsed_and_methods_told(server: Server) -> None:
    assert 200 == requests.get(f"{server.controller_url}//api//v1/status", timeout=10).status_code
    wrong = requests.post(f"{server.registry_url}/registry/status", timeout=10)
    assert (405, "GET") == (wrong.status_code, wrong.headers["Allow"])
    assert ["ok\n"] * 2 == [requests.get(server.registry_url + path, timeout=10).text for path in ("/livez", "/readyz")]


def test_two_ports_answer_each_its_own_calls(tmp_path: Path) -> None:
    with Server(tmp_path, registry_port=0) as server:
        assert server.controller_url != server.registry_url
        for path in ("/registry/status", "/v2/", "/registry/v2/vm"):
            assert 200 == requests.get(server.registry_url + path, timeout=10).status_code
            assert 404 == requests.get(server.controller_url + path, timeout=10).status_code
        for path in ("/api/v1/status", "/api/v1/node", "/api/v1/registry/vm"):
            assert 200 == requests.get(server.controller_url + path, timeout=10).status_code
            assert 404 == requests.get(server.registry_url + path, timeout=10).status_code
        status = requests.get(server.controller_url + "/api/v1/status", timeout=10).json()["body"]
        assert server.registry_url == status["registry_address"]


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option, ports in (("--port", {"port": port}), ("--registry-port", {"registry_port": port})):
            with pytest.raises(UsageError, match=f"port {port} cannot be used: it is in use") as caught:
                Server(tmp_path / "data", **ports).start()
            assert f"choose another {option}" in caught.value.hint
    with Server(tmp_path / "data", port=port, registry_port=0) as server:
        assert f"http://127.0.0.1:{port}" == server.controller_url


def test_an_address_that_is_not_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.1: ") as caught:
        Server(tmp_path, host="203.0.113.1", tls=True, auth=["token"]).start()
    assert "an address of this machine" in caught.value.hint


def test_a_data_folder_in_use_is_free_again_after_the_end(tmp_path: Path) -> None:
    with Server(tmp_path):
        with pytest.raises(UsageError, match="another server uses"):
            Server(tmp_path).start()
    with Server(tmp_path):
        pass


def test_a_data_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"the data folder .* cannot be used"):
        Server(tmp_path / "file").start()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "blobs").write_text("")
    with pytest.raises(UsageError, match=r"the data folder .* cannot be used"):
        Server(tmp_path / "data").start()
    (tmp_path / "data" / "blobs").unlink()
    (tmp_path / "data" / "bin").write_text("")
    with pytest.raises(UsageError, match=r"the data folder .* cannot be used"):
        Server(tmp_path / "data").start()


def test_a_damaged_database_is_told_and_left_alone(seeded: Path, tmp_path: Path) -> None:
    file = tmp_path / "registry.sqlite3"
    whole = (seeded / "registry.sqlite3").read_bytes()
    for content in (b"this is no database, whatever it is called" * 100, whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"the database .* cannot be used"):
            Server(tmp_path).start()
        assert content == file.read_bytes()
