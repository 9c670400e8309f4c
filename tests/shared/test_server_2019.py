"""Every call of Anka's page of 2019, as documented, over raw HTTP; and what bad input to them gets.

The replies are in ``tests/wire``, where the client's tests take them from as well.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from anka_ci.server.app import Server
from anka_ci.server.seed import ID

WIRE = Path(__file__).parent.parent / "wire"
VARYING = {
    "last_push",
    "creation_date",
    "request_id",
    "time",
    "time_requested",
    "registry_address",
    "progress",
}
"""What differs from run to run; its type does not."""
EFFECTS = {
    "delete-template": [],
    "revert-tag": ["base"],
    "revert-version": ["base"],
    "revert-latest": ["base"],
    "revert-all": [],
}
"""The tags that are left, where a call removes some."""


def ask(server: Server, which: str, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, Any]:
    """Status, headers and content of one raw request, with the Content-Type that curl sends."""
    address = urlsplit(server.registry_url if which == "registry" else server.controller_url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()
    finally:
        connection.close()


def tags(server: Server) -> list[str]:
    found = json.loads(ask(server, "registry", "GET", f"/registry/v2/vm?id={ID}")[2])["body"]
    return [version["tag"] for version in found["versions"]] if found else []


def masked(value: Any, key: str = "") -> Any:
    """The same with its varying values replaced by their types."""
    if isinstance(value, dict):
        return {name: masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, bool) and key == "status":
        return "bool"
    if key in VARYING:
        return "number" if isinstance(value, (int, float)) else type(value).__name__
    return value


@pytest.mark.parametrize("name", sorted(file.stem for file in WIRE.glob("*.json")))
def test_the_call_as_it_is_documented(server: Server, name: str) -> None:
    wire = json.loads((WIRE / f"{name}.json").read_text())
    path, body = wire["path"], None if wire["send"] is None else json.dumps(wire["send"])
    if "{group}" in (body or ""):
        (group,) = json.loads(ask(server, "controller", "GET", "/api/v1/group")[2])["body"]
        body = (body or "").replace("{group}", group["id"])
    if "{request}" in path:
        sent = json.dumps({"template_id": ID, "tag": "v1"}).encode()
        found = json.loads(ask(server, "controller", "POST", "/api/v1/registry/vm/distribute", sent)[2])
        path = path.replace("{request}", found["body"]["request_id"])
    status, headers, content = ask(server, wire["server"], wire["method"], path, body.encode() if body else None)
    assert (wire["status"], masked(wire["reply"])) == (status, masked(json.loads(content)))
    assert list(wire["reply"]) == list(json.loads(content))
    assert ("application/json", "no-store") == (headers["Content-Type"], headers["Cache-Control"])
    assert content.endswith(b"}\n")
    assert EFFECTS.get(name, ["base", "v1"]) == tags(server)


LIST, DISTRIBUTE, REVERT = "/api/v1/registry/vm", "/api/v1/registry/vm/distribute", "/registry/revert"
UNKNOWN = "00000000-0000-43dc-54dc-000000000000"
BAD = [
    *[
        (which, method, path, None)
        for which, method, call in (
            ("controller", "GET", f"{LIST}?info"),
            ("controller", "DELETE", LIST + "?"),
            ("registry", "DELETE", REVERT + "?"),
            ("registry", "DELETE", "/registry/vm?"),
            ("registry", "GET", "/registry/vm/info?"),
        )
        for path in (
            call,
            f"{call}&id=",
            f"{call}&id={UNKNOWN}",
            f"{call}&id=..%2F..%2Fetc",
            f"{call}&id=%00",
            f"{call}&id={'x' * 5000}",
            f"{call}&id={ID}&id={UNKNOWN}",
            f"{call}&id={ID}&vm_id={UNKNOWN}",
            f"{call}&id=%27%20OR%201=1",
        )
    ],
    *[
        (which, method, f"{path}id={ID}&{selector}", None)
        for which, method, path in (("registry", "DELETE", REVERT + "?"), ("controller", "GET", f"{LIST}?info&"))
        for selector in (
            "tag=v9",
            "tag_name=v9",
            "tag=V1",
            "tag=base&tag_name=v1",
            "version=7",
            "Version=-1",
            "version=1.0",
            "version=x",
            "version=%C2%B2",
            f"version={'9' * 5000}",
            "tag=v1&version=0",
            "number=0&version=1",
        )
    ],
    *[
        ("registry", "DELETE", f"{REVERT}?id={ID}&{empty}", None)
        for empty in ("tag=", "tag=&version=1", "Tag_name=", "version=", "tag=v1&number=")
    ],
    *[
        ("registry", "DELETE", f"{REVERT}?id={ID}", body)
        for body in (
            b"{",
            b"[]",
            b"null1",
            b'"tag"',
            b"\xff\xfe",
            b'{"tag": ""}',
            b'{"tag": ["v1"]}',
            b'{"tag": {"a": 1}}',
            b'{"tag": 1}',
            b'{"tag": "\\ud800"}',
            b'{"id": "other"}',
            b'{"id": 5}',
            b'{"version": true}',
            b'{"version": [0]}',
            b'{"version": 1.5}',
            b'{"version": NaN}',
            b'{"version": 1e999}',
            b'{"version": ' + b"9" * 5000 + b"}",
            b'{"tag": "v1", "TAG": "base"}',
            b"[" * 100_000,
            b" " * (5 << 20),
        )
    ],
    *[
        ("controller", "POST", DISTRIBUTE, body)
        for body in (
            b"",
            b"{",
            b"[]",
            b'{"tag": "v1"}',
            b'{"template_id": ""}',
            b'{"template_id": 1}',
            b'{"template_id": null}',
            b'{"template_id": ["' + ID.encode() + b'"]}',
            b'{"template_id": "' + UNKNOWN.encode() + b'"}',
            *[
                b'{"template_id": "' + ID.encode() + b'", ' + rest + b"}"
                for rest in (
                    b'"tag": "v9"',
                    b'"tag": 1',
                    b'"tag": []',
                    b'"version": 9',
                    b'"version": -1',
                    b'"version": "one"',
                    b'"version": false',
                    b'"version": "\xc2\xb2"',
                    b'"tag": "v1", "version": 0',
                    b'"group_id": "none"',
                    b'"group_id": 3',
                    b'"node_ids": ["node-9"]',
                    b'"node_ids": [1]',
                    b'"node_ids": {"a": 1}',
                    b'"node_ids": "node-9"',
                )
            ],
        )
    ],
    ("controller", "GET", f"{DISTRIBUTE}?id=none", None),
    ("controller", "GET", f"{DISTRIBUTE}?id=%00", None),
    ("controller", "DELETE", DISTRIBUTE, None),
    ("controller", "DELETE", f"{DISTRIBUTE}?id=none", None),
]


def test_bad_input_is_refused_and_changes_nothing(server: Server) -> None:
    wrong = []
    for which, method, path, body in BAD:
        status, _, content = ask(server, which, method, path, body)
        try:
            found = json.loads(content)
        except ValueError:
            found = {"status": "no JSON", "message": content[:100]}
        if (status, found["status"]) != (400, "FAIL") or not found["message"]:
            wrong.append((method, path[:100], (body or b"")[:60], status, found))
    assert [] == wrong
    assert ["base", "v1"] == tags(server)
    assert [] == json.loads(ask(server, "controller", "GET", DISTRIBUTE)[2])["body"]


def test_failures_of_an_old_release_have_status_200(tmp_path: Path) -> None:
    with Server(tmp_path, legacy_fail_200=True) as server:
        status, _, content = ask(server, "controller", "GET", f"{LIST}?id={UNKNOWN}")
    assert (200, "FAIL") == (status, json.loads(content)["status"])


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("tag=v1", None),
        ("Tag_name=v1", None),
        ("version=1", None),
        ("number=1", None),
        ("TAG=v1&Version=1", None),
        ("", {"tag": "v1"}),
        ("tag=v1", {"tag": "v1", "version": "1"}),
    ],
)
def test_every_spelling_of_a_revert(server: Server, query: str, body: object) -> None:
    sent = None if body is None else json.dumps(body).encode()
    assert 200 == ask(server, "registry", "DELETE", f"{REVERT}?id={ID.upper()}&{query}", sent)[0]
    assert ["base"] == tags(server)


def test_reverting_the_first_version_removes_the_template(server: Server) -> None:
    assert 200 == ask(server, "registry", "DELETE", f"{REVERT}?id={ID}&number=0")[0]
    assert [] == json.loads(ask(server, "registry", "GET", "/registry/v2/vm")[2])["body"]
