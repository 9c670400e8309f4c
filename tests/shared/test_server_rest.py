"""The REST surface row by row: one for each endpoint and each spelling, raw HTTP in, exact JSON out.

Replies that a name stands for are those of ``tests/wire``, which the client's tests read too; each is also held to the
schema of ``shared/openapi.json``. Rows that only read share one server; one that removes gets a template of its own.
Instances have rows in ``test_instance_calls``, API keys in ``test_server_keys``.
"""

from __future__ import annotations

import http.client
import json
import logging
import re
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import jsonschema
import pytest

from anka_ci.clock import ManualClock
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.wire.manifest import oci_tag

ROOT = Path(__file__).parent.parent.parent
DESCRIPTION = json.loads((ROOT / "shared" / "openapi.json").read_text())
VARYING = ("registry_address", "last_push", "creation_date", "free", "total", "request_id", "time_requested", "time")
"""What differs from run to run; its type does not."""
OTHER = "00000000-0000-43dc-54dc-000000000000"


class Raw:
    """A server with a port for each service, and raw requests to them."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server, self.clock, self.made = server, clock, 0
        self.manifests: dict[str, Any] = {}

    def ask(
        self, which: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, bytes]:
        """Status, headers and content. The path goes out as it is, the body without a Content-Type."""
        address = urlsplit(self.server.registry_url if which == "registry" else self.server.controller_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def json(self, which: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Status and parsed reply, which is one that Anka's clients can read and the description allows."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        status, found, content = self.ask(which, method, path, body, sent)
        assert ("application/json", "no-store") == (found["Content-Type"], found["Cache-Control"])
        assert content.endswith(b"}\n")
        reply = json.loads(content)
        described = DESCRIPTION["paths"][re.sub("/+", "/", path.partition("?")[0])][method.lower()]
        schema = described["responses"][str(status)]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(reply)
        return status, reply

    def template(self) -> str:
        """A new template with the sample's two tags."""
        self.made += 1
        found = f"00000000-0000-43dc-54dc-{self.made:012}"
        self.push(found, "base")
        self.push(found, "v1")
        return found

    def push(self, template: str, tag: str, like: str = "") -> None:
        """Push a version of the sample, the one of ``tag`` or ``like``, to a template."""
        like = like or tag
        if like not in self.manifests:
            self.manifests[like] = json.loads(self.ask("registry", "GET", f"/v2/{ID}/manifests/{like}")[2])
        notes = {"anka-ci.id": template, "anka-ci.name": "made", "anka-ci.tag": tag}
        manifest = self.manifests[like] | {"annotations": self.manifests[like]["annotations"] | notes}
        content = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        headers = {"Content-Type": manifest["mediaType"]}
        path = f"/v2/{template}/manifests/{oci_tag(tag)}"
        assert 201 == self.ask("registry", "PUT", path, content, headers)[0]

    def tags(self, template: str) -> list[str]:
        status, reply = self.json("registry", "GET", f"/registry/v2/vm?id={template}")
        return [version["tag"] for version in reply["body"]["versions"]] if status == 200 else []


@pytest.fixture(scope="module")
def raw(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raw]:
    data = tmp_path_factory.mktemp("rest") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    groups = {"ios": ["virtual-1"]}
    clock = ManualClock(1.7e9)
    with Server(data, virtual_nodes=2, groups=groups, registry_port=0, clock=clock) as server:
        yield Raw(server, clock)


def masked(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: masked(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return type(value).__name__ if key in VARYING else value


def reply_of(name: str) -> Any:
    return json.loads((ROOT / "tests" / "wire" / f"{name}.json").read_text())["reply"]


def ok(body: Any) -> dict[str, Any]:
    return {"status": "OK", "message": "", "body": body}


V1 = {"status": "OK", "message": "", "body": [{"id": ID, "name": "sonoma", "size": 0, "arch": ""}]}
V1["body"][0] |= {"last_pull": 0, "last_push": 0}  # type: ignore[index]
DONE = {"status": "OK", "message": ""}
DISK = ok({"free": 0, "total": 0})
C, R = "/api/v1/registry", "/registry"
INFO = (f"{R}/vm/info?", f"{R}/vm?info&", f"{R}/v2/vm/info?", f"{R}/v2/vm?info&")
READS: list[tuple[str, str, Any]] = [
    ("controller", "/api/v1/status", "controller-status"),
    ("controller", "//api/v1/status", "controller-status"),
    ("controller", "/api//v1///status", "controller-status"),
    ("controller", f"{C}/vm", "list-templates"),
    ("controller", f"/{C}/vm", "list-templates"),
    ("controller", f"{C}/vm?", "list-templates"),
    ("controller", f"{C}/vm?id=", "list-templates"),
    ("controller", f"{C}/vm?unknown=1", "list-templates"),
    ("controller", f"{C}/vm?apiVer=v1", V1),
    ("controller", f"{C}/vm?apiver=v1", V1),
    ("controller", f"{C}/vm?apiVer=v2", "list-templates"),
    ("controller", f"{C}/vm?apiVer=", "list-templates"),
    ("controller", f"{C}/vm?id={ID}", "show-template"),
    ("controller", f"{C}/vm?ID={ID}", "show-template"),
    ("controller", f"{C}/vm?id={ID.upper()}", "show-template"),
    ("controller", f"{C}/vm?id={ID.replace('-', '%2D')}", "show-template"),
    ("controller", f"{C}/vm?id={ID}&apiVer=v1", "show-template"),
    ("controller", f"{C}/vm?id=nothing", "unknown-template"),
    ("controller", f"{C}/disk", DISK),
    ("controller", "/api/v1/stats", ok({"average_queue_time": 0, "tasks_per_second": 0})),
    ("controller", "/api/v1/usb", ok({})),
    ("controller", "/api/v1/vlan", ok([])),
    ("controller", "/api/v1/macaddr", ok([])),
    ("controller", f"{C}/vm/distribute", ok([])),
    ("controller", f"{C}/vm/distribute?id=none", {"status": "FAIL", "message": "Not found: distribution none"}),
    ("controller", "/api/v1/node?id=none", {"status": "FAIL", "message": "Not found: node none"}),
    ("registry", f"{R}/status", "registry-status"),
    ("registry", f"{R}/disk", DISK),
    ("registry", f"{R}/vm", "registry-list-v1"),
    ("registry", f"{R}/v2/vm", "registry-list"),
    ("registry", f"/{R}/v2//vm", "registry-list"),
    ("registry", f"{R}/vm?id={ID}", "registry-show"),
    ("registry", f"{R}/v2/vm?id={ID}", "registry-show"),
    ("registry", f"{R}/v2/vm?vm_id={ID}", "registry-show"),
    ("registry", f"{R}/v2/vm?id={ID}&vm_id={ID}", "registry-show"),
    ("registry", f"{R}/v2/vm?id=nothing", "unknown-template-in-registry"),
    ("registry", f"{R}/vm?id=nothing", "unknown-template-in-registry"),
    *[("registry", f"{R}/v2/vm?info={no}&id={ID}", "registry-show") for no in ("0", "false", "no", "False")],
    *[("controller", f"{C}/vm?info={no}&id={ID}", "show-template") for no in ("0", "false", "no")],
    *[("controller", f"{C}/vm?info{yes}&id={ID}", "show-config") for yes in ("", "=", "=1", "=true", "=yes")],
    *[
        (which, f"{path}id={ID}{selector}", name)
        for which, paths in (("registry", INFO), ("controller", (f"{C}/vm?info&", f"{C}/vm/info?")))
        for path in paths
        for selector, name in (
            ("", "show-config"),
            ("&tag=", "show-config"),
            ("&tag=v1", "show-config"),
            ("&version=1&tag=v1", "show-config"),
            *[(f"&{key}=base", "show-config-of-tag") for key in ("tag", "tag_name", "Tag_name", "TAG")],
            *[(f"&{key}=0", "show-config-of-version") for key in ("version", "Version", "number")],
        )
    ],
]


def test_every_spelling_of_a_call_that_reads(raw: Raw) -> None:
    wrong = []
    assert len(READS) > 100
    for which, path, wanted in READS:
        status, reply = raw.json(which, "GET", path)
        wanted = reply_of(wanted) if isinstance(wanted, str) else wanted
        expected = (200 if wanted["status"] == "OK" else 400, masked(wanted), list(wanted))
        if expected != (status, masked(reply), list(reply)):
            wrong.append((which, path, status, reply))
    assert [] == wrong


def test_nodes_and_groups(raw: Raw) -> None:
    (group,) = raw.json("controller", "GET", "/api/v1/group")[1]["body"]
    assert {"id": group["id"], "name": "ios", "description": "", "fallback_group_id": None} == group
    first, second = raw.json("controller", "GET", "/api/v1/node")[1]["body"]
    assert ok([second]) == raw.json("controller", "GET", "/api/v1/node?id=virtual-2")[1]
    assert [group] == first["groups"]
    assert "groups" not in second
    assert ("virtual-1", "virtual-1", "Active", "arm64") == tuple(
        first[key] for key in ("node_id", "node_name", "state", "host_arch")
    )
    counters = ("cpu_count", "ram", "vm_count", "vcpu_count", "vram", "capacity", "disk_size", "free_disk_space")
    assert {"int"} == {type(first[key]).__name__ for key in (*counters, "anka_disk_usage", "timestamp")}


TAG, VERSION = ("tag", "tag_name", "Tag_name", "TAG"), ("version", "Version", "number")
SELECTORS: list[tuple[str, Any]] = [
    ("", None),
    ("", {}),
    *[(f"&{key}=v1", None) for key in TAG],
    *[(f"&{key}=1", None) for key in VERSION],
    *[("", {key: "v1"}) for key in TAG],
    *[("", {key: 1}) for key in VERSION],
    *[("", {key: "1"}) for key in VERSION],
    ("&tag=v1", {"tag": "v1", "tag_name": "v1", "version": 1, "number": "1"}),
    ("&tag=v1&tag_name=v1", {}),
    ("&number=1&version=1", {"tag": "v1"}),
]
REVERTS = [("registry", f"{R}/revert"), ("controller", f"{C}/revert")]


def test_every_spelling_of_a_revert(raw: Raw) -> None:
    for which, path in REVERTS:
        template = raw.template()
        for query, body in SELECTORS:
            sent = None if body is None else json.dumps(body).encode()
            status, reply = raw.json(which, "DELETE", f"{path}?id={template}{query}", sent)
            assert (200, ok(None), ["base"]) == (status, reply, raw.tags(template)), (path, query, body)
            raw.push(template, "v1")
        for query, body in (
            ("?vm_id={}&number=1", None),
            ("", '{{"id": "{}", "tag": "v1"}}'),
            ("?tag=v1", '{{"vm_id": "{}"}}'),
        ):
            sent = None if body is None else body.format(template).encode()
            assert (200, ok(None)) == raw.json(which, "DELETE", path + query.format(template), sent)
            assert ["base"] == raw.tags(template)
            raw.push(template, "v1")


def test_a_revert_that_contradicts_itself_removes_nothing(raw: Raw) -> None:
    template = raw.template()
    for which, path in REVERTS:
        fail = {"status": "FAIL", "message": "", "body": None}
        for query, body, said in (
            ("&tag=base&tag_name=v1", None, "tag and tag_name contradict each other"),
            ("&version=0&number=1", None, "version and number contradict each other"),
            ("&tag=v1", {"tag": "base"}, "two values for tag"),
            ("&tag=v1&version=0", None, "tag 'v1' of made is version 1, not 0"),
            ("&version=-1", None, "version '-1' is no number from 0 on"),
            ("", {"version": 1.0}, "version '1.0' is no number from 0 on"),
            ("", {"version": True}, "version 'True' is no number from 0 on"),
            ("&tag=v9", None, "No such tag v9"),
            ("&version=9", None, "No such version 9"),
            ("&tag=", None, "tag is given but empty"),
            ("&number=", None, "number is given but empty"),
            ("", {"tag": ""}, "tag is given but empty"),
            ("", {"tag": None}, "tag is given but empty"),
            ("", {"Version": None}, "version is given but empty"),
            ("", b'{"tag": "v1", "tag": "base"}', "two values for tag"),
            ("&vm_id=" + OTHER, None, "id and vm_id contradict each other"),
        ):
            sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            status, reply = raw.json(which, "DELETE", f"{path}?id={template}{query}", sent)
            assert (400, fail) == (status, reply | {"message": ""})
            assert reply["message"].startswith(said)
    assert ["base", "v1"] == raw.tags(template)


@pytest.mark.parametrize(
    ("which", "path", "wanted"),
    [("registry", f"{R}/vm", ok(None)), ("controller", f"{C}/vm", {"status": "OK", "message": ""})],
)
def test_every_spelling_of_a_deletion(raw: Raw, which: str, path: str, wanted: dict[str, Any]) -> None:
    for query, body in (("?id={}", None), ("?vm_id={}", None), ("?id={}", "{{}}"), ("", '{{"id": "{}"}}')):
        template = raw.template()
        sent = None if body is None else body.format(template).encode()
        status, reply = raw.json(which, "DELETE", path + query.format(template), sent)
        assert (200, wanted, []) == (status, reply, raw.tags(template))
        assert 400 == raw.json(which, "DELETE", path + query.format(template), sent)[0]


def test_the_architecture_is_taken_from_query_and_body(raw: Raw) -> None:
    template = raw.template()

    def arch() -> str:
        return str(raw.json("registry", "GET", f"{R}/v2/vm?id={template}")[1]["body"]["arch"])

    for query, body in (
        ("?id={}&arch=amd64", None),
        ("", '{{"id": "{}", "arch": "arm64"}}'),
        ("?id={}", '{{"arch": "amd64"}}'),
        ("?arch=arm64", '{{"id": "{}"}}'),
    ):
        sent = None if body is None else body.format(template).encode()
        assert (200, ok(None)) == raw.json("registry", "PUT", f"{R}/vm/arch{query.format(template)}", sent)
        assert ("amd64" in f"{query}{body}") == (arch() == "amd64")
    for query, said in (
        (f"?id={template}&arch=i386", "arch 'i386' has to be arm64 or amd64"),
        (f"?id={template}", "arch is missing"),
        (f"?id={template}&arch=", "arch is missing"),
        ("?arch=arm64", "id is missing"),
        (f"?id={OTHER}&arch=amd64", "VM not in the registry"),
    ):
        status, reply = raw.json("registry", "PUT", f"{R}/vm/arch{query}")
        assert (400, {"status": "FAIL", "message": said, "body": None}) == (status, reply)
    assert "arm64" == arch()


def test_calls_that_have_nothing_to_answer(raw: Raw) -> None:
    line = {"machine_name": "mini-1", "service": "anka", "host": "10.0.0.9", "content": "a\nb"}
    assert (200, ok(None)) == raw.json("registry", "POST", "/log", json.dumps(line).encode())
    assert (200, DONE) == raw.json("controller", "PUT", "/api/v1/node/update")


EVERYTHING = {"template_id": ID, "tag": "v1", "version": 1, "node_ids": ["virtual-1"], "group": "any"}
NOTHING = {"tag": "", "version": "", "group_id": "", "group": ""}


@pytest.mark.parametrize(
    ("sent", "nodes", "tag"),
    [
        ({"template_id": ID}, ["virtual-1", "virtual-2"], "v1"),
        ({"template_id": ID, **NOTHING}, ["virtual-1", "virtual-2"], "v1"),
        ({"template_id": ID, **dict.fromkeys(NOTHING)}, ["virtual-1", "virtual-2"], "v1"),
        (EVERYTHING, ["virtual-1"], "v1"),
        ({"template_id": ID, "version": "0", "unknown": {"a": [1]}}, ["virtual-1", "virtual-2"], "base"),
        ({"TEMPLATE_ID": ID, "Tag": "base", "node_ids": "virtual-2"}, ["virtual-2"], "base"),
    ],
)
def test_a_distribution_of_all_that_is_said_or_left_out(raw: Raw, sent: object, nodes: list[str], tag: str) -> None:
    path = f"{C}/vm/distribute"
    status, reply = raw.json("controller", "POST", path, json.dumps(sent).encode())
    request = reply["body"]["request_id"]
    assert (200, ok({"request_id": request})) == (status, reply)
    found = raw.json("controller", "GET", f"{path}?id={request}")[1]
    version, moment = ("base", "v1").index(tag), "str"
    entry = {"status": False, "progress": 0, "template_id": ID, "tag": tag, "version": version, "time": moment}
    asked = {"request_id": "str", "template_id": ID, "tag": tag, "version": version, "time_requested": moment}
    assert ok({"request": asked, "distribute_status": dict.fromkeys(nodes, entry)}) == masked(found)
    assert DONE == raw.json("controller", "DELETE", f"{path}?id={request}")[1]
    ended = raw.json("controller", "GET", path)[1]["body"][-1]["distribute_status"]
    assert {"request canceled"} == {each["error"] for each in ended.values()}
    assert DONE == raw.json("controller", "DELETE", f"{path}?id={request}")[1]


UNNAMED = f"{C}/vm/distribute", f"{C}/vm/remove?id={ID}"


@pytest.mark.parametrize("nothing", [[], None, ""])
def test_a_list_of_nodes_that_names_none_is_not_taken_for_all(raw: Raw, nothing: object) -> None:
    """Of the two calls for which a list that is left out means every node."""
    said = "node_ids is given but names nothing; leave it out for all"
    before = raw.json("controller", "GET", f"{C}/vm/distribute")
    for method, path in zip(("POST", "DELETE"), UNNAMED, strict=True):
        body = json.dumps({"template_id": ID, "node_ids": nothing}).encode()
        assert (400, {"status": "FAIL", "message": said}) == raw.json("controller", method, path, body)
    assert (400, {"status": "FAIL", "message": said}) == raw.json("controller", "DELETE", f"{UNNAMED[1]}&node_ids=")
    assert before == raw.json("controller", "GET", f"{C}/vm/distribute")


TYPES = (None, "application/json", "application/x-www-form-urlencoded", "text/plain; charset=latin-1", "x", "a/b; c=")


def test_no_content_type_matters(raw: Raw) -> None:
    body = json.dumps({"id": ID, "node_ids": ["virtual-2"]}).encode()
    for kind in TYPES:
        headers = {} if kind is None else {"Content_Type": kind}
        status, reply = raw.json("controller", "DELETE", f"{C}/vm/remove", body, **headers)
        assert (200, ok({"requests_sent": 1, "node_ids": ["virtual-2"]})) == (status, reply)


def sent_raw(url: str, content: bytes) -> tuple[int, bytes]:
    """Bytes as they are, and what comes back."""
    address = urlsplit(url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
        connection.sendall(content)
        found = b""
        while block := connection.recv(65536):
            found += block
    return int(found.split(b" ")[1]), found.partition(b"\r\n\r\n")[2]


def test_a_body_in_chunks(raw: Raw) -> None:
    head = (
        f"DELETE {C}/vm/remove HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    body = f'{{"id": "{ID}"}}'.encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:])) + b"0\r\n\r\n"
    status, content = sent_raw(raw.server.controller_url, head.encode() + chunks)
    assert (200, b'{"status":"OK"') == (status, content[:14])


@pytest.mark.parametrize(
    "content",
    [
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /api/v1/status HTTP/9.9\r\n\r\n",
        b"GET /api/v1/status HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nBad Name: x\r\n\r\n",
        b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic c2VjcmV0\x00\r\n\r\n",
        b"GET /api/v1/status?token=c2VjcmV0\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /log HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /log HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_gets_400_and_is_not_logged(raw: Raw, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url in (raw.server.controller_url, raw.server.registry_url):
        assert 400 == sent_raw(url, content)[0]
    assert "Error handling request from 127.0.0.1" in caplog.text
    assert "c2VjcmV0" not in caplog.text


BODIES = (
    b"{",
    b"[]",
    b"nul",
    b'"text"',
    b"12",
    b'{"tag": NaN}',
    b'{"tag": -Infinity}',
    b'{"tag": 1e999}',
    b"{'tag': 'v1'}",
    b'{"tag": "\xe9"}',
    b"\xef\xbb\xbf{}",
    '{"tag": "v1"}'.encode("utf-16"),
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00C\xbf\xa6\xa3\x02\x00\x00\x00",
    b"tag=v1",
    b'{"tag": "\\udc00"}',
    b'{"a":' * 100_000,
    b" " * (5 << 20),
)


def test_a_body_that_is_none_fails_everywhere_and_changes_nothing(raw: Raw) -> None:
    template = raw.template()
    for which, method, path in (
        ("registry", "DELETE", f"{R}/revert?id={template}"),
        ("registry", "PUT", f"{R}/vm/arch?id={template}&arch=arm64"),
        ("registry", "GET", f"{R}/status"),
        ("controller", "DELETE", f"{C}/vm?id={template}"),
        ("controller", "POST", f"{C}/vm/distribute?template_id={template}"),
        ("controller", "POST", f"/api/v1/vm?vmid={template}"),
        ("controller", "GET", "/livez"),
    ):
        for body in BODIES:
            status, reply = raw.json(which, method, path, body)
            assert (400, "FAIL", True) == (status, reply["status"], bool(reply["message"])), (path, body[:40])
    assert ["base", "v1"] == raw.tags(template)
    assert ok([]) == raw.json("controller", "GET", "/api/v1/vm")[1]


@pytest.mark.parametrize("which", ["controller", "registry"])
def test_paths_and_methods_that_there_are_not(raw: Raw, which: str) -> None:
    for path in (
        "/",
        "/nothing",
        "/api/v1",
        "/api/v2/status",
        "/registry",
        "/registry/vm/",
        "/api/v1/status/",
        "/%2e%2e",
    ):
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"):
            status, headers, content = raw.ask(which, method, path)
            assert (404, b"404 page not found\n") == (status, content), (method, path)
            assert headers["Content-Type"].startswith("text/plain")
    known = {"controller": ("/api/v1/status", "GET"), "registry": ("/registry/revert", "DELETE")}
    path, allowed = known[which]
    for method in {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "HEAD"} - {allowed}:
        status, headers, _ = raw.ask(which, method, path)
        assert (405, allowed) == (status, headers["Allow"])


def test_health_is_plain_text_and_has_a_head(raw: Raw) -> None:
    for which in ("controller", "registry"):
        for path in ("/livez", "/readyz", "//livez"):
            assert (200, b"ok\n") == raw.ask(which, "GET", path)[::2]
            assert (200, b"") == raw.ask(which, "HEAD", path)[::2]


@pytest.mark.parametrize("tag", ["vanilla+port-forward-22", "a:b", "x/y", "ü", "1.0_a-b", "%2B", "a&b=c"])
def test_a_tag_of_any_signs(raw: Raw, tag: str) -> None:
    template = raw.template()
    raw.push(template, tag, like="v1")
    assert ["base", "v1", tag] == raw.tags(template)
    assert 200 == raw.json("registry", "GET", f"{R}/vm/info?id={template}&tag={quote(tag, safe='')}")[0]
    status, reply = raw.json("registry", "DELETE", f"{R}/revert?id={template}&tag={quote(tag, safe='')}")
    assert (200, ok(None), ["base", "v1"]) == (status, reply, raw.tags(template))


def test_numbers_and_times_follow_pushes_pulls_and_reverts_at_once(raw: Raw) -> None:
    template = raw.template()

    def versions() -> list[dict[str, Any]]:
        found = raw.json("controller", "GET", f"{C}/vm?id={template}")[1]["body"]
        newest = max(version["last_push"] for version in found["versions"])
        assert (newest, found["size"]) == (found["last_push"], max(each["size"] for each in found["versions"]))
        return list(found["versions"])

    assert [(0, "base"), (1, "v1")] == [(each["number"], each["tag"]) for each in versions()]
    pushed = versions()[1]["last_push"]
    assert 0 == versions()[1]["last_pull"]
    raw.json("registry", "DELETE", f"{R}/revert?id={template}")
    raw.clock.advance(60)
    raw.push(template, "v2", like="v1")
    assert [(0, "base"), (1, "v2")] == [(each["number"], each["tag"]) for each in versions()]
    assert pushed + 60 == versions()[1]["last_push"] == versions()[1]["creation_date"]
    raw.clock.advance(60)
    assert 200 == raw.json("registry", "GET", f"{R}/vm/info?id={template}")[0]
    assert 0 == versions()[1]["last_pull"]
    assert 200 == raw.ask("registry", "GET", f"/v2/{template}/manifests/v2")[0]
    assert [0, pushed + 120] == [each["last_pull"] for each in versions()]
    raw.json("registry", "DELETE", f"{R}/revert?id={template}&version=0")
    assert template not in json.dumps(raw.json("controller", "GET", f"{C}/vm")[1])
    raw.push(template, "base")
    assert [(0, "base")] == [(each["number"], each["tag"]) for each in versions()]
    assert ["base", "v1"] == raw.tags(ID)
