"""The doors to node groups, API keys, agents and architectures: against the embedded server, and what others answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.errors import AnkaCiError, NotAuthorisedError, RefusedError, UnreachableError, UsageError
from anka_ci.secret import Secret
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context
from anka_ci.wire.api_key import ApiKey
from anka_ci.wire.node import Group
from shared.test_client_instances import PLAIN_404, STATUS, doors, fail, ok
from shared.test_transport import _no_proxy, foreign, reply  # noqa: F401


@pytest.fixture
def fleet(seeded: Path, tmp_path: Path) -> Iterator[Anka]:
    """Doors to a server with two virtual nodes."""
    data = Path(copytree(seeded, tmp_path / "data", symlinks=True))
    clock = ManualClock()
    with Server(data, virtual_nodes=2, clock=clock) as server:
        yield Anka(Context(controller_url=server.controller_url, registry_urls=(server.registry_url,)), clock=clock)


def asked(*script: bytes, call: Callable[[Anka], Any]) -> tuple[Any, list[str]]:
    """What a call comes to, value or error, and the method and path of each request."""
    with foreign(*script) as server:
        try:
            found = call(doors(server.url))
        except AnkaCiError as error:
            found = error
        return found, [head.split(" HTTP", 1)[0] for head in server.asked]


def test_groups_and_who_is_in_them(fleet: Anka) -> None:
    door, nodes = fleet.controller.node_groups, ["virtual-1", "virtual-2"]

    def members() -> list[list[str]]:
        return [[group.name for group in node.groups] for node in fleet.controller.nodes()]

    ios = door.add("ios", description="phones")
    tv = door.add("tv", fallback_group_id=ios.id)
    assert [ios, tv] == fleet.controller.groups()
    assert ("phones", None, ios.id) == (ios.description, ios.fallback_group_id, tv.fallback_group_id)
    for _ in range(2):
        door.join(nodes, [ios.id, tv.id])
    assert [["ios", "tv"], ["ios", "tv"]] == [sorted(each) for each in members()]
    door.leave(["virtual-1"], [ios.id])
    assert [["tv"], ["ios", "tv"]] == [sorted(each) for each in members()]
    changed = Group(id=tv.id, name="television", description="boxes", fallback_group_id=ios.id)
    door.change(changed)
    assert [ios, changed] == fleet.controller.groups()
    door.delete(ios.id)
    assert ["television"] == [group.name for group in fleet.controller.groups()]
    assert [["television"], ["television"]] == members()
    with pytest.raises(RefusedError, match="Not found"):
        door.delete(ios.id)
    with pytest.raises(RefusedError, match="virtual-9"):
        door.join(["virtual-9"], [tv.id])


def test_one_node_at_a_time_because_newer_controllers_honour_one() -> None:
    done, requests = asked(ok(), call=lambda anka: anka.controller.node_groups.join(["a", "b"], ["g"]))
    assert (None, ["POST /api/v1/node/group"] * 2) == (done, requests)


def test_a_group_is_made_once() -> None:
    for answer in (reply(503, b"busy"), b"", ok(), ok({"name": "ios"})):
        error, requests = asked(answer, call=lambda anka: anka.controller.node_groups.add("ios"))
        assert (UnreachableError, 1) == (type(error), len(requests))


@pytest.mark.parametrize("service", ["controller", "registry"])
def test_api_keys(fleet: Anka, service: str) -> None:
    keys = getattr(fleet, service).api_keys
    before = keys.all()
    private = keys.create("build", seconds=3600, groups=["ci", "admins"])
    assert isinstance(private, Secret)
    assert ("***", True) == (str(private), len(private.reveal()) > 1000)
    (made,) = [each for each in keys.all() if each not in before]
    now = fleet.clock.now()
    assert ApiKey(id="build", groups=("ci", "admins"), created=now, expires=now + 3600) == made
    keys.change("build", groups=["ci"], seconds=60)
    (made,) = [each for each in keys.all() if each not in before]
    assert (("ci",), now + 60) == (made.groups, made.expires)
    with pytest.raises(RefusedError, match="there is an API key build already"):
        keys.create("build", seconds=60, groups=["ci"])
    keys.delete("build")
    assert before == keys.all()


def test_api_keys_as_others_tell_them() -> None:
    rows = [{"id": "a", "groups": "x, y", "expiration": "0001-01-01T00:00:00Z"}, {"id": "b", "groups": None}]
    found, _ = asked(ok(rows), call=lambda anka: anka.controller.api_keys.all())
    assert [ApiKey(id="a", groups=("x", "y")), ApiKey(id="b")] == found
    assert [] == asked(ok(), call=lambda anka: anka.registry.api_keys.all())[0]
    for body in (["x"], {"id": "a"}, [{"groups": []}]):
        error, _ = asked(ok(body), call=lambda anka: anka.controller.api_keys.all())
        assert isinstance(error, UnreachableError)
    error, requests = asked(ok(), call=lambda anka: anka.registry.api_keys.create("a", seconds=1, groups=["g"]))
    assert ("delete the key a, and make it again", ["POST /v1/apikey"]) == (error.hint, requests)
    made, _ = asked(ok(), call=lambda anka: anka.registry.api_keys.create("a", seconds=1, groups=["g"], public_key="k"))
    assert made is None


def test_what_is_not_offered_or_not_permitted_says_so() -> None:
    calls: list[tuple[str, Callable[[Anka], Any], str]] = [
        ("controller cannot manage node groups", lambda anka: anka.controller.node_groups.add("ios"), ""),
        ("controller cannot manage API keys", lambda anka: anka.controller.api_keys.all(), "since 1.19"),
        ("registry cannot manage API keys", lambda anka: anka.registry.api_keys.all(), "since 1.19"),
        (
            "controller cannot cancel a distribution",
            lambda anka: anka.controller.cancel_distribution("r"),
            "since 1.43",
        ),
        ("controller cannot remove templates from nodes", lambda anka: anka.controller.evict(ID, ["n"]), "since 1.20"),
        ("controller cannot configure nodes", lambda anka: anka.controller.configure_node("n", name="m"), "newer"),
        ("controller cannot remove nodes", lambda anka: anka.controller.delete_node("n"), "older"),
        ("controller cannot update agents", lambda anka: anka.controller.update_agents(), "older"),
    ]
    for said, call, hint in calls:
        error, _ = asked(PLAIN_404, ok(STATUS), call=call)
        assert (RefusedError, f"this {said} (1.12.0-abc, licence basic)") == (type(error), error.message)
        assert hint in error.hint
        error, _ = asked(fail("no", 403), ok(STATUS), call=call)
        assert isinstance(error, NotAuthorisedError)
        assert said.replace("cannot", "does not let us") in error.message
        assert "(1.12.0-abc, licence basic)" in error.message


def test_evicting_from_no_node_is_not_asked_of_a_controller_that_would_take_it_for_all() -> None:
    error, requests = asked(ok({"node_ids": ["n"]}), call=lambda anka: anka.controller.evict(ID, []))
    assert (UsageError, []) == (type(error), requests)


def test_the_architecture_of_a_template_and_the_update_of_agents(fleet: Anka) -> None:
    template = fleet.registry.by_id(ID)
    fleet.registry.set_arch(template, "amd64")
    assert ("arm64", "amd64") == (template.arch, fleet.registry.by_id(ID).arch)
    with pytest.raises(RefusedError, match="arch"):
        fleet.registry.set_arch(template, "ppc")
    assert "amd64" == fleet.registry.by_id(ID).arch
    fleet.controller.update_agents()


def test_devices_and_statistics(fleet: Anka) -> None:
    door = fleet.controller.devices
    assert ({}, [], []) == (door.usb(), door.vlans(), door.mac_addresses(count=5))
    assert {"average_queue_time", "tasks_per_second"} <= door.statistics().keys()


@pytest.mark.parametrize(
    ("script", "call", "expected", "path"),
    [
        (
            ok({"phone": {"available": 3, "busy": 1}}),
            lambda anka: anka.controller.devices.usb()["phone"],
            (3, 1),
            "/api/v1/usb",
        ),
        (ok(["12", 55]), lambda anka: anka.controller.devices.vlans(), ["12", "55"], "/api/v1/vlan"),
        (
            ok(["52:54:00:00:00:01"]),
            lambda anka: anka.controller.devices.mac_addresses(count=1, in_use=True),
            ["52:54:00:00:00:01"],
            "/api/v1/macaddr?count=1&in_use=true",
        ),
    ],
)
def test_devices_as_they_are_documented(
    script: bytes, call: Callable[[Anka], Any], expected: object, path: str
) -> None:
    found, requests = asked(script, call=call)
    assert (expected, [f"GET {path}"]) == (found, requests)


@pytest.mark.parametrize(
    "call",
    [
        lambda anka: anka.controller.devices.usb(),
        lambda anka: anka.controller.devices.vlans(),
        lambda anka: anka.controller.devices.statistics(),
    ],
)
def test_devices_that_are_not_what_they_should_be(call: Callable[[Anka], Any]) -> None:
    assert isinstance(asked(ok("neither"), call=call)[0], UnreachableError)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda anka: anka.controller.nodes(), "list nodes"),
        (lambda anka: anka.controller.groups(), "list node groups"),
        (lambda anka: anka.controller.devices.usb(), "list USB devices"),
        (lambda anka: anka.controller.distribute(template_id="t", tag="v", version=0), "distribute templates"),
    ],
)
def test_what_a_controller_lacks_is_said_with_its_release_and_licence(call: Callable[[Anka], Any], what: str) -> None:
    found, _ = asked(PLAIN_404, ok(STATUS), call=call)
    assert isinstance(found, RefusedError)
    assert f"this controller cannot {what} (" in found.message
