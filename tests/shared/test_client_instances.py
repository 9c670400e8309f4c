"""The door to instances and their saving, on the replies that the server is tested against and on older ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.errors import (
    AnkaCiError,
    FellShortError,
    InterruptError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.instances import Instances
from anka_ci.rules import instances, saving
from anka_ci.settings import Context
from anka_ci.wire.image import ImageRequest
from anka_ci.wire.start import Save, Start
from shared.test_transport import _no_proxy, foreign, reply  # noqa: F401

WIRE = Path(__file__).parent.parent / "wire" / "instances"
ID = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"
PLAIN_404 = reply(404, b"404 page not found\n")
STATUS = {"status": "Running", "version": "1.12.0-abc", "license": "basic"}


def wire(name: str) -> bytes:
    found = json.loads((WIRE / f"{name}.json").read_text())
    return reply(found["status"], json.dumps(found["reply"]).encode())


def ok(body: Any = None) -> bytes:
    return reply(200, json.dumps({"status": "OK", "message": "", "body": body}).encode())


def fail(message: str, status: int = 400) -> bytes:
    return reply(status, json.dumps({"status": "FAIL", "message": message}).encode())


def doors(url: str, timeout: float | None = None) -> Anka:
    clock = ManualClock()
    return Anka(Context(controller_url=url, registry_urls=(url,)), clock=clock, deadline=Deadline(clock, timeout))


def asked(*script: bytes, call: Callable[[Instances], Any]) -> tuple[Any, list[str]]:
    """What a call comes to, value or error, and the method and path of each request."""
    with foreign(*script) as server:
        try:
            found = call(doors(server.url).controller.instances)
        except AnkaCiError as error:
            found = error
        return found, [head.split(" HTTP", 1)[0] for head in server.asked]


def test_a_list_and_one_of_it() -> None:
    (found,), _ = asked(wire("list"), call=lambda door: door.all())
    assert ("{instance}", "Started", ID, "v1", ("10.0.0.1", 10000)) == (
        found.id,
        found.state,
        found.template_id,
        found.tag,
        found.address(),
    )
    one, requests = asked(wire("started"), call=lambda door: door.get("{instance}"))
    assert (found.id, found.vm, ["GET /api/v1/vm?id=%7Binstance%7D"]) == (one.id, one.vm, requests)
    assert [] == asked(wire("no-instances"), call=lambda door: door.all())[0]
    assert [] == asked(ok(), call=lambda door: door.all())[0]


@pytest.mark.parametrize(
    "script",
    [
        (wire("unknown"), wire("list")),  # any refusal: the list settles it
        (fail("something new", 200), wire("no-instances")),
        (ok([]),),
    ],
)
def test_an_instance_that_is_gone(script: tuple[bytes, ...]) -> None:
    error, _ = asked(*script, call=lambda door: door.get("gone"))
    assert isinstance(error, NotFoundError)
    assert "no instance 'gone'" in error.message


@pytest.mark.parametrize("body", [None, {}, ""])
def test_nothing_instead_of_an_instance_is_no_answer(body: object) -> None:
    error, _ = asked(ok(body), call=lambda door: door.get("i"))
    assert isinstance(error, UnreachableError)


def test_a_refusal_for_one_that_is_listed_is_not_taken_for_its_absence() -> None:
    found, requests = asked(fail("busy"), wire("list"), call=lambda door: door.get("{instance}"))
    assert ("{instance}", 2) == (found.id, len(requests))
    error, _ = asked(fail("busy"), wire("list"), call=lambda door: door.terminate("{instance}"))
    assert (RefusedError, "busy") == (type(error), error.facts["said"])
    for call in (
        lambda door: door.terminate("gone"),
        lambda door: door.update("gone", name="x"),
        lambda door: door.restart("gone"),
        lambda door: door.save(Save(instance_id="gone", tag="v2", template_id=ID)),
    ):
        error, _ = asked(wire("terminate-unknown"), wire("list"), call=call)
        assert isinstance(error, NotFoundError)


@pytest.mark.parametrize("body", [["i"], "i", {"instance_id": "i"}, [{"id": "i"}]])
def test_the_id_of_a_start_in_any_shape(body: object) -> None:
    assert (["i"], ["POST /api/v1/vm"]) == asked(ok(body), call=lambda door: door.start(Start(template_id=ID)))


@pytest.mark.parametrize("answer", [ok(), ok([]), ok(["i", "j"]), ok([1]), b"", reply(503, b"busy"), reply(502, b"")])
def test_a_start_is_sent_once_whatever_comes_back(answer: bytes) -> None:
    error, requests = asked(answer, ok(["again"]), call=lambda door: door.start(Start(template_id=ID)))
    assert (UnreachableError, ["POST /api/v1/vm"]) == (type(error), requests)


def test_what_ends_or_renames_is_sent_again() -> None:
    for method, call in (
        ("DELETE", lambda door: door.terminate("i")),
        ("PUT", lambda door: door.update("i", name="x", external_id="y", metadata={})),
    ):
        done, requests = asked(reply(503, b"busy"), b"", ok(), call=call)
        assert (None, 3, {method}) == (done, len(requests), {each.split(" ")[0] for each in requests})


def test_what_a_controller_does_not_offer_is_told_with_its_release_and_licence() -> None:
    error, _ = asked(PLAIN_404, ok(STATUS), call=lambda door: door.restart("i"))
    assert (RefusedError, "this controller cannot restart instances (1.12.0-abc, licence basic)") == (
        type(error),
        error.message,
    )
    assert "since 1.44" in error.hint
    error, _ = asked(PLAIN_404, ok(STATUS), call=lambda door: door.images())
    assert "this controller cannot save instances (1.12.0-abc, licence basic)" == error.message
    error, _ = asked(fail("no", 403), ok(STATUS), call=lambda door: door.start(Start(template_id=ID)))
    assert isinstance(error, NotAuthorisedError)
    assert "does not let us start instances (1.12.0-abc, licence basic)" in error.message
    error, _ = asked(PLAIN_404, PLAIN_404, call=lambda door: door.all())
    assert "this controller cannot list instances" == error.message


def test_only_what_was_meant_is_sent() -> None:
    assert {"vmid": ID} == Start(template_id=ID).emit()
    assert {"vmid": ID, "version": 0, "vlan_tag": 0, "disk": {"size": "256G"}} == Start(
        template_id=ID, version=0, vlan_tag=0, disk="256G"
    ).emit()
    sent = Start(template_id=ID, script="é", script_at_boot=True, script_monitored=True, script_timeout=5).emit()
    assert {
        "vmid": ID,
        "startup_script": "w6k=",
        "startup_script_condition": 1,
        "script_monitoring": True,
        "script_timeout": 5,
        "script_fail_handler": 0,
    } == sent
    assert {"id": "i", "tag": "v2", "target_vm_id": ID, "suspend": True} == Save(
        instance_id="i", tag="v2", template_id=ID
    ).emit()
    assert "secret" not in repr(Start(template_id=ID, vnc_password="secret"))


REQUEST = ImageRequest(id="r", status="pending", instance_id="i", tag="v2", template_id=ID)


@pytest.mark.parametrize("body", [{"request_id": "r"}, "r", {"id": "r"}])
def test_the_id_of_a_save_in_any_shape(body: object) -> None:
    wanted = Save(instance_id="i", tag="v2", template_id=ID)
    assert ("r", ["POST /api/v1/image"]) == asked(ok(body), call=lambda door: door.save(wanted))


def test_a_save_request_in_the_shapes_that_were_seen() -> None:
    assert REQUEST == asked(ok(REQUEST.emit()), call=lambda door: door.image("r"))[0]
    assert REQUEST == asked(ok([REQUEST.emit()]), call=lambda door: door.image("r"))[0]
    assert [REQUEST] == asked(ok([REQUEST.emit()]), call=lambda door: door.images())[0]
    assert [] == asked(wire("no-images"), call=lambda door: door.images())[0]
    for script in ((ok(),), (wire("unknown-image"), wire("no-images"))):
        assert isinstance(asked(*script, call=lambda door: door.image("r"))[0], NotFoundError)


@pytest.mark.parametrize("answer", [ok(["x"]), ok("x"), ok({"a": 1}), reply(200, b"<html>")])
def test_what_is_not_ankas_is_told(answer: bytes) -> None:
    for call in (lambda door: door.all(), lambda door: door.images()):
        assert isinstance(asked(answer, call=call)[0], UnreachableError)


def test_waiting_goes_on_through_unknown_states_and_back_to_scheduling() -> None:
    def one(state: str, **more: object) -> bytes:
        return ok({"instance_id": "i", "instance_state": state, "vmid": ID, **more})

    states = [one("Scheduling"), one("Pulling", progress=0.5), one("Scheduling")]
    with foreign(ok(), *states, one("Deploying"), one("Started")) as server:
        found = instances.await_started(doors(server.url), "i", stall=60)
    assert "Started" == found.state
    with foreign(*states, wire("unknown"), ok([])) as server:
        with pytest.raises(FellShortError, match="somebody ended it"):
            instances.await_started(doors(server.url), "i", stall=60)
    with foreign(one("Deploying")) as server:
        with pytest.raises(FellShortError, match=r"nothing moved for 1m; it is Deploying: no node had a place"):
            instances.await_started(doors(server.url), "i", stall=60)
    script = {"return_code": 7, "did_timeout": False, "stdout": "out", "stderr": "err"}
    with foreign(one("Stopped", message="startup script exit code 7", startup_script=script)) as server:
        with pytest.raises(FellShortError, match="it is Stopped: startup script exit code 7") as caught:
            instances.await_started(doors(server.url), "i", stall=60)
    assert "its script said:\n  | out\n  | err" == caught.value.hint


def test_an_earlier_save_of_the_same_is_not_taken_for_one_whose_answer_was_lost() -> None:
    old, new = REQUEST.emit(), replace(REQUEST, id="new").emit()
    with foreign(ok([old]), b"", ok([old]), ok([old, new])) as server:
        wanted = Save(instance_id="i", tag="v2", template_id=ID)
        assert "new" == saving.begin(doors(server.url), wanted)
        assert ["GET", "POST", "GET", "GET"] == [head.split(" ")[0] for head in server.asked]


def test_ending_names_what_is_left() -> None:
    stuck = ok([{"instance_id": "i", "vm": {"instance_state": "Error", "message": "the node is gone"}}])
    targets = {"i": "one", "j": "two"}
    with foreign(ok(), ok(), stuck) as server:
        with pytest.raises(FellShortError, match="not done within 60 s; one: it is Error: the node is gone") as caught:
            instances.end(doors(server.url, timeout=60), targets)
    assert {"i": "it is Error: the node is gone"} == caught.value.facts["instances"]
    with foreign(ok(), fail("not now"), stuck.replace(b'"i"', b'"j"')) as server:
        with pytest.raises(FellShortError, match=r"1 of 2 were not ended: two: DELETE .*: not now") as caught:
            instances.end(doors(server.url), targets)
    assert ["j"] == list(caught.value.facts["instances"])
    cancelled = Cancelled()
    cancelled.set("SIGTERM")
    with foreign(ok()) as server:
        anka = Anka(doors(server.url).context, clock=ManualClock(), cancelled=cancelled)
        with pytest.raises(InterruptError) as interrupted:
            instances.end(anka, targets)
    assert dict.fromkeys(targets, "not asked yet") == interrupted.value.facts["instances"]


def test_a_save_that_never_ends_goes_on_without_us() -> None:
    with foreign(ok(), ok(REQUEST.emit())) as server:
        with pytest.raises(FellShortError, match="not done within 60 s; the request goes on at the controller"):
            saving.follow(doors(server.url, timeout=60), "r")
    with foreign(ok({**REQUEST.emit(), "status": "DONE"})) as server:
        assert "done" == saving.follow(doors(server.url), "r").status
    with foreign(ok({**REQUEST.emit(), "status": "error", "error": {"Message": "no disk"}})) as server:
        with pytest.raises(FellShortError, match="it failed: no disk"):
            saving.follow(doors(server.url), "r")


def test_a_tag_that_the_registry_never_shows() -> None:
    template = {"id": ID, "name": "sonoma", "versions": [{"tag": "v1", "number": 0}]}
    with foreign(ok(template)) as server:
        with pytest.raises(FellShortError, match=f"does not show {ID}:v2"):
            saving.arrived(doors(server.url), "v2", template_id=ID)
    later = {**template, "versions": [*template["versions"], {"tag": "v2", "number": 1}]}
    with foreign(ok(template), ok(template), ok(later)) as server:
        assert 1 == saving.arrived(doors(server.url), "v2", template_id=ID)[1].number
