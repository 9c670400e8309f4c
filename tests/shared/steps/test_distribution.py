"""The step ``distribution``: one job starts, another looks, waits and cancels."""

import fcntl

import pytest

from anka_ci.desk import perform
from anka_ci.errors import FellShortError, NotFoundError, UsageError


@pytest.fixture
def started(server, anka):
    """A distribution to ``node-1``, whose library another command holds; what is returned lets go of it."""
    place = server.data / "nodes" / "node-1" / "vm_lib" / ".locks" / "library"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        values = {"template": "sonoma", "nodes": "node-1", "wait": False}
        request_id = perform("distribute", values, anka).outputs["request-id"]
        yield request_id, lock.close


def of(anka, request_id, action):
    return perform("distribution", {"request-id": request_id, "action": action}, anka)


def test_another_job_waits(anka, started):
    request_id, let_go = started
    looked = of(anka, request_id, "status")
    assert (False, ["node-1"], "v1") == tuple(looked.outputs[key] for key in ("ended", "pending", "tag"))
    let_go()
    waited = of(anka, request_id, "wait")
    assert ("done", True, ["node-1"]) == (waited.status, waited.outputs["ended"], waited.outputs["succeeded"])
    assert waited.outputs == of(anka, request_id, "status").outputs


def test_cancelling_ends_it_and_the_wait_falls_short(anka, started):
    request_id, _ = started
    assert ["node-1"] == of(anka, request_id, "cancel").outputs["failed"]
    with pytest.raises(FellShortError, match="node-1: request canceled"):
        of(anka, request_id, "wait")
    again = of(anka, request_id, "cancel")
    assert ("unchanged", ["node-1"]) == (again.status, again.outputs["failed"])


def test_all_are_listed(anka, started):
    request_id, _ = started
    (row,) = perform("distribution", {"action": "list"}, anka).outputs["distributions"]
    assert (request_id, "v1", 1, 0) == tuple(row[key] for key in ("request-id", "tag", "nodes", "done"))


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "action: status needs a request-id"),
        ({"action": "wait"}, UsageError, "action: wait needs a request-id"),
        ({"action": "list", "request-id": "x"}, UsageError, "leave request-id out"),
        ({"request-id": ""}, UsageError, "given but empty"),
        ({"request-id": "x"}, NotFoundError, "no distribution 'x'"),
    ],
)
def test_bad_input(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        perform("distribution", inputs, anka)
