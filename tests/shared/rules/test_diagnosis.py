"""The rules of ``doctor``: what facts mean, at every edge that a test with real servers would be slow to reach."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from anka_ci.reach import Proxy, Reach, Tls
from anka_ci.rules import diagnosis
from anka_ci.rules.diagnosis import Finding, Told, redaction
from anka_ci.rules.diagnosis import host as of_host
from anka_ci.rules.diagnosis import nodes as of_nodes
from anka_ci.rules.diagnosis import server as of_server
from anka_ci.rules.diagnosis.facts import Read, ServerFacts
from anka_ci.rules.diagnosis.host import CommandFacts, HostFacts, LibraryFacts
from anka_ci.wire.certificate import Certificate
from anka_ci.wire.node import Node, NodeTemplate
from anka_ci.wire.vm import Vm

NOW = 1_700_000_000.0
DAY = 86400.0
REACHED = Reach(host="anka.internal", port=8090, secure=False, proxy=Proxy(), addresses=("10.0.0.9",), seconds=0.002)
STATUS = {"status": "Running", "version": "1.50.1-5e3c3f5b", "registry_status": "Running", "license": "enterprise"}


def read(name: str, body: Any = None, **changed: Any) -> Read:
    facts = Read(name=name, path="/x", status=200, ok=True, sent=NOW, seconds=0.5, date=NOW, headers={}, body=body)
    return dataclasses.replace(facts, **changed)


def controller(**changed: Any) -> ServerFacts:
    facts = ServerFacts(
        what="the controller",
        url="http://anka.internal:8090",
        reach=REACHED,
        signed="",
        now=NOW,
        first=read("status", STATUS),
    )
    return dataclasses.replace(facts, **changed)


def tell(findings: list[Finding], name: str) -> tuple[str, str]:
    (found,) = (finding for finding in findings if finding.name == name)
    return found.level, found.seen


def problem(code: int) -> Finding:
    return Finding(area="a", name="n", level="problem", seen="s", code=code)


@pytest.mark.parametrize(("codes", "code"), [([], 0), ([3], 3), ([5, 6, 3], 6), ([6, 2], 2), ([7, 5], 5), ([9, 7], 7)])
def test_the_exit_code_is_that_of_the_worst_problem(codes, code):
    told = Told("a")
    told.warning("w", "seen", "do")
    told.unknown("u", "why")
    assert code == diagnosis.worst([*told.findings, *map(problem, codes)])


@pytest.mark.parametrize(
    ("version", "level", "said"),
    [
        ("1.50.1-5e3c3f5b", "ok", "has all that the steps need"),
        ("1.44.0", "ok", "has all"),
        ("1.43.9-x", "warning", "lacks: restarting an instance (since 1.44)"),
        ("1.9.0", "warning", "lacks: evict"),
        ("2.0.0", "ok", "has all"),
        ("0.1.0", "ok", "the embedded server"),
        ("", "not known", "it tells ''"),
        ("next", "not known", "it tells 'next'"),
    ],
)
def test_releases_are_compared_as_numbers(version, level, said):
    facts = controller(first=read("status", {**STATUS, "version": version}))
    found = tell(of_server.findings(facts), "version")
    assert (level, True) == (found[0], said in found[1])


@pytest.mark.parametrize(
    ("date", "sent", "seconds", "level", "said"),
    [
        (NOW, NOW + 0.9, 0.0, "ok", "the same as here"),  # the header counts whole seconds
        (NOW, NOW - 10, 10.0, "ok", "the same as here"),  # within the time that the request took
        (NOW + 20, NOW, 0.0, "ok", "20 s ahead of ours"),
        (NOW + 31, NOW, 0.0, "warning", "31s ahead of ours"),
        (NOW - 32, NOW, 0.0, "warning", "31s behind ours"),
        (NOW + 301, NOW, 0.0, "problem", "5m1s ahead of ours"),
    ],
)
def test_a_clock_is_off_by_what_the_request_cannot_explain(date, sent, seconds, level, said):
    facts = controller(first=read("status", STATUS, date=date, sent=sent, seconds=seconds))
    assert (level, said) == tell(of_server.findings(facts), "clock")


@pytest.mark.parametrize(
    ("before", "after", "level", "said"),
    [
        (-DAY, 22 * DAY, "ok", "holds for 22 days"),
        (-DAY, 20 * DAY, "warning", "expires in 20 days"),
        (-DAY, 7200, "warning", "expires in 2h"),
        (-9 * DAY, -3 * DAY, "problem", "expired 3 days ago"),
        (3600, 30 * DAY, "problem", "holds only from 1h on"),
    ],
)
def test_a_certificate_is_told_before_it_ends(before, after, level, said):
    shown = Certificate(subject="CN=a", issuer="CN=b", not_before=NOW + before, not_after=NOW + after)
    secure = dataclasses.replace(
        REACHED, secure=True, tls=Tls(version="TLSv1.3", authorities="ca.pem", certificate=shown)
    )
    found = of_server.findings(controller(reach=secure))
    assert (level, said) == tell(found, "certificate")
    assert ("ok", "TLSv1.3, trusted (CN=a, signed by CN=b); checked against ca.pem") == tell(found, "tls")


def test_a_secret_over_plain_http_is_a_warning_but_not_on_loopback():
    level, said = tell(of_server.findings(controller(signed="root token")), "tls")
    assert ("warning", "none, so that whoever listens can sign in as we do (root token)") == (level, said)
    here = controller(signed="root token", reach=dataclasses.replace(REACHED, host="localhost"))
    assert ("ok", "none: plain HTTP") == tell(of_server.findings(here), "tls")


@pytest.mark.parametrize(
    ("first", "name", "level", "code"),
    [
        (read("status", status=401, ok=False, said="Authentication Required"), "sign-in", "problem", 5),
        (read("status", status=200, ok=False, said="Authentication Required"), "sign-in", "problem", 5),
        (read("status", status=401, ok=None, said="nginx"), "sign-in", "problem", 5),
        (read("status", status=403, ok=None), "sign-in", "problem", 5),
        (read("status", status=500, ok=False, said="database"), "answer", "problem", 3),
        (read("status", status=404, ok=None, said="404 page not found"), "answer", "problem", 6),
        (read("status", status=0, ok=None, failure="timed out"), "answer", "problem", 6),
        (None, "sign-in", "not known", 0),
    ],
)
def test_what_a_status_that_is_none_means(first, name, level, code):
    found = of_server.findings(controller(first=first))
    assert (level, code) == next((each.level, each.code) for each in found if each.name == name)
    assert "not known" == tell(found, "version")[0]
    assert "not known" == tell(found, "permissions")[0]


def test_every_finding_that_cannot_be_had_says_why():
    for facts in (
        controller(reach=dataclasses.replace(REACHED, failed="name", failure="anka.internal: unknown"), first=None),
        controller(first=read("status", {"status": "Running"}, date=None)),
        controller(first=read("status", STATUS), reads=(read("list nodes", status=0, ok=None, failure="timed out"),)),
    ):
        unknown = [each for each in of_server.findings(facts) if each.level == "not known"]
        assert [] != unknown
        assert [] == [each for each in unknown if not each.seen.startswith("not known, because ")]


def test_room_is_measured_by_the_largest_template():
    rows = [{"id": "1", "name": "small", "size": 1 << 30}, {"id": "2", "name": "xcode", "size": 90 << 30}, {"id": "3"}]
    for free, level in [(100 << 30, "ok"), (80 << 30, "warning"), (1 << 29, "problem")]:
        reads = (read("list templates", rows), read("read its disk", {"free": free, "total": 1 << 40}))
        found = of_server.findings(controller(what="the registry", reads=reads))
        assert level == tell(found, "disk")[0]
    assert ("xcode", 90 << 30) == of_server.largest([controller(reads=reads)])


def test_the_templates_of_two_lists_are_compared_in_every_shape():
    listed = controller(reads=(read("list templates", [{"id": "A-1", "name": "x"}, {"id": "b-2", "name": "y"}]),))
    maps = controller(what="the registry", reads=(read("list templates", [{"a-1": "x"}, {"B-2": "y"}]),))
    less = controller(what="the registry", reads=(read("list templates", [{"a-1": "x"}]),))
    none = controller(what="the registry", reads=())
    assert ["ok", "warning", "not known"] == [
        of_server.same_templates(listed, each).level for each in (maps, less, none)
    ]


def joined(name: str, **changed: Any) -> dict[str, Any]:
    node = Node(id=name, name=name, state="Active", free_disk=100 << 30, anka_version="3.8.5")
    row = dataclasses.replace(node, **changed).emit()
    row["anka_version"]["expires"] = "31-dec-2023"
    return row


def of_fleet(*rows: dict[str, Any], now: float = NOW, size: int = 90 << 30) -> list[Finding]:
    return of_nodes.findings(controller(reads=(read("list nodes", list(rows)),), now=now), ("xcode", size))


def test_a_fleet_is_summed_up_and_its_odd_nodes_are_named():
    found = of_fleet(*(joined(f"mini-{number}") for number in range(12)))
    assert ("ok", "12 of 12 Active") == tell(found, "nodes")
    assert ("ok", "each has room for xcode (90.0 GiB)") == tell(found, "node disks")
    assert ("ok", "Anka 3.8.5 on all") == tell(found, "node releases")
    assert ("ok", "hold for 46 days and more") == tell(found, "node licences")

    odd = joined("mini-12", state="Offline", free_disk=20 << 30, anka_version="3.5.0")
    found = of_fleet(*(joined(f"mini-{number}") for number in range(12)), odd, now=NOW + 40 * DAY)
    assert {"warning"} == {each.level for each in found if each.seen != "12 of 13 Active"}
    assert "Offline: mini-12" in [each.seen for each in found]
    assert "less room than xcode has (90.0 GiB): mini-12 (20.0 GiB)" == tell(found, "node disks")[1]
    assert "Anka 3.8.5 on 12; 3.5.0 on mini-12" == tell(found, "node releases")[1]
    assert "mini-0 (6 days left), mini-1 (6 days left)" in tell(found, "node licences")[1]
    assert "and 5 more" in tell(found, "node licences")[1]


def test_nodes_that_tell_little_and_none_at_all():
    assert ("warning", "none has joined") == tell(of_fleet(), "nodes")
    found = of_fleet({"node_id": "n", "state": "Sleeping"}, {"no": "node"}, size=0)
    assert ("warning", "Sleeping: n") == tell(found, "nodes")
    assert ["not known"] * 3 == [each.level for each in found if each.name != "nodes"]
    assert "not known" == tell(of_nodes.findings(controller(reads=()), ("", 0)), "nodes")[0]


COMMAND = CommandFacts(
    found="bare path",
    command=("anka",),
    program="/usr/bin/anka",
    version={"product": "Anka", "version": "3.8.5"},
    license={},
)
HOST = HostFacts(
    system="Darwin",
    release="15.5",
    machine="arm64",
    python="3.12.1",
    anka_ci="0.1.0",
    user="ci",
    names=("mini-1.local", "10.0.0.9"),
    work="/tmp",
    work_free=90 << 30,
    command=COMMAND,
    library=LibraryFacts(folder="/Users/ci/img_lib", free=50 << 30, total=1 << 40, vms=(), tags={}),
)
NODE = Node(
    id="i-1", name="mini-1", state="Active", ip="10.0.0.9", templates=(NodeTemplate(id="T", name="x", tag="v2"),)
)


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [
        (("mini-1.local",), None, True),
        (("MINI-1",), None, True),
        (("other", "10.0.0.9"), None, True),
        (("other",), None, False),
        (("other",), "i-1", True),
        (("mini-1",), "mini-2", False),
    ],
)
def test_this_hosts_node_goes_by_its_name_its_address_or_what_is_asked_for(names, asked, found):
    facts = dataclasses.replace(HOST, names=names, node=asked, nodes=(NODE,))
    assert found == (of_host.this_node(facts) is NODE)
    assert ("ok" if found else "not known") == tell(of_host.findings(facts), "node")[0]


@pytest.mark.parametrize(
    ("vms", "tags", "level"),
    [
        ((), {}, "warning"),
        ((Vm(id="t", name="x", tag="v2"),), {}, "ok"),
        ((Vm(id="t", name="x", tag="v1"),), {"t": ("v1", "v2")}, "ok"),
        ((Vm(id="t", name="x", tag="v1"),), {"t": ("v1",)}, "warning"),
        ((Vm(id="t", name="x", tag=""),), {"t": ()}, "warning"),
        ((Vm(id="t", name="x", tag="v1"),), {}, "not known"),
        (None, {}, "not known"),
    ],
)
def test_a_library_that_lacks_what_the_node_holds_is_another_users(vms, tags, level):
    library = dataclasses.replace(HOST.library, vms=vms, tags=tags)
    found = of_host.findings(dataclasses.replace(HOST, library=library, nodes=(NODE,)))
    assert level == tell(found, "whose library")[0]


def test_a_mac_without_anka_is_warned_and_a_linux_host_is_not():
    bare = dataclasses.replace(HOST, command=CommandFacts(version={}, license={}))
    assert "warning" == tell(of_host.findings(bare), "anka")[0]
    assert "ok" == tell(of_host.findings(dataclasses.replace(bare, system="Linux")), "anka")[0]


@pytest.mark.parametrize(
    ("state", "level"), [("Active", "ok"), ("Drain Mode", "warning"), ("Offline", "warning"), ("", "warning")]
)
def test_a_node_that_takes_no_work_is_told(state, level):
    found = of_host.findings(dataclasses.replace(HOST, nodes=(dataclasses.replace(NODE, state=state),)))
    assert level == tell(found, "node")[0]


def test_what_a_server_calls_a_secret_is_not_handed_on():
    told = {
        "vminfo": {"vnc_password": "x1", "vnc_connection_string": "vnc://x2", "name": "kept", "description": "kept"},
        "startup_script": {"stdout": "x3"},
        "metadata": {"any": "x4"},
        "token-env": "kept",
        "password": "",
        "publicKey": "-----BEGIN RSA PRIVATE KEY-----\nx5",
        "rows": [{"apiKey": "x6", "id": "kept", "session_id": "kept"}],
    }
    shown = redaction.body(json.dumps(told).encode())
    assert [] == [secret for secret in ("x1", "x2", "x3", "x4", "x5", "x6") if secret in json.dumps(shown)]
    assert 5 == json.dumps(shown).count('"kept"')
    assert "" == dict(shown)["password"]  # type: ignore[call-overload]
    assert "left out: 1048577 bytes" == redaction.body(b"x" * ((1 << 20) + 1))
