"""Room: what goes so that a download fits, what never does, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anka_ci.desk import perform
from anka_ci.errors import RefusedError
from anka_ci.rules import room
from anka_ci.rules.lineage import Content
from anka_ci.rules.room import Held
from anka_ci.wire.template import Template, Version
from anka_ci.wire.vm import DownloadSize, Vm

MIB = 1 << 20


def held(vm, tag=None, files="", accessed=0.0, kept="", current=False):
    """A VM or tag made of layers of one letter each."""
    return Held(vm=vm, name=vm, tag=tag, files=frozenset(files), accessed=accessed, kept=kept, current=current)


SIZES = dict.fromkeys("abcdefgh", 10)
A1, A2 = held("a", "1", "a", 5), held("a", "2", "ab", 5, current=True)
A = held("a", None, "ab", 5)
B1, B = held("b", "1", "cd", 9, current=True), held("b", None, "cd", 9)


@pytest.mark.parametrize(
    ("there", "missing", "goes", "freed"),
    [
        ([A2, A, B1, B], 20, ["a"], 20),  # used before b was
        ([A2, A, B1, B], 21, ["a", "b"], 40),
        ([A2, A, B1, B], 0, [], 0),
        ([held("a", "0", "ae", 5), A2, A], 5, ["a:0"], 10),  # an older tag is enough
        ([held("a", "0", "ae", 5), A2, A], 11, ["a:0", "a"], 30),
        ([A1, A2, A, B1, B], 20, ["a"], 20),  # a:1 alone frees nothing, so it stays until its VM goes
        ([A2, replace(A, kept="it runs"), B1, B], 20, ["b"], 20),
        ([replace(A2, kept="not pushed"), A, B1, B], 20, ["b"], 20),  # a VM does not go without its tags
        ([A2, A, held("clone", None, "b", 9, "it runs")], 5, ["a"], 10),  # what the clone is made of is not counted
        ([A2, A, held("clone", None, "ab", 9, "it runs")], 5, [], 0),
        ([A2, A, Held(vm="x", name="x", files=None, kept="not pushed")], 5, [], 0),  # it may be made of anything
        ([replace(A2, accessed=0), replace(A, accessed=0), B1, B], 5, ["a"], 20),
    ],
)
def test_what_goes(there, missing, goes, freed):
    chosen, count = room.choose(there, SIZES, missing)
    assert (goes, freed) == ([each.title for each, _ in chosen], count)
    assert count == sum(bytes_ for _, bytes_ in chosen)


HOME = Template(
    id="u",
    name="n",
    versions=(Version(number=0, tag="1", images=("a",)), Version(number=1, tag="2", images=("b", "a"))),
)
VM = Vm(id="u", name="n", tag="2", status="stopped", accessed=7.0)


def rows(vm=VM, top="b", state="", **tops):
    below = room.chains([HOME])
    return {each.tag: each for each in room.of_vm(vm, HOME, Content(top=top, state=state), tops or {"2": "b"}, below)}


def test_what_a_vm_is_made_of_and_why_it_stays():
    assert {"a": ("a",), "b": ("b", "a")} == room.chains([HOME])
    as_pushed = rows(**{"2": "b", "1": "a"})
    assert {"2": (True, ""), "1": (False, ""), None: (False, "")} == {
        tag: (row.current, row.kept) for tag, row in as_pushed.items()
    }
    assert (frozenset("ab"), frozenset("a"), 7.0) == (
        as_pushed[None].files,
        as_pushed["1"].files,
        as_pushed["1"].accessed,
    )
    changed = rows(top="w")
    assert (frozenset("abw"), "the registry does not have what it is now") == (changed[None].files, changed[None].kept)
    assert "the registry does not have what it is now" == rows(state="s")[None].kept
    clone = rows(replace(VM, tag=""), top="w", **{"other": "x"})
    assert (None, None, "the registry does not have it") == (
        clone[None].files,
        clone["other"].files,
        clone["other"].kept,
    )
    assert {"the VM is running"} == {row.kept for row in rows(replace(VM, status="running")).values()}
    assert "the VM is in a state that is not told" == rows(replace(VM, status=""))[None].kept
    assert "the registry does not have it" == rows(**{"2": ""})["2"].kept  # what is not told counts as different


@pytest.fixture
def full(anka, near):
    """A host with sonoma:v1, and a VM that nobody has pushed; and how a download looks on a disk with so much free."""
    perform("pull", {"template": "sonoma", "tag": "v1"}, anka)
    template = anka.registry.template("sonoma")
    other = replace(template, id="11111111-2222-4333-8444-555555555555", name="other")

    def make(free, download=200 * MIB, **more):
        size = DownloadSize(size=download, cached=0, download=download, available=free)
        version = Version(number=0, tag="x", images=("new.ank",))
        return room.make(anka, anka.host.vms(), other, version, size, shrink=False)

    return make


def test_a_template_that_the_registry_has_makes_room_and_one_that_it_lacks_does_not(anka, full):
    version = anka.registry.template("sonoma").newest
    weight = sum(anka.host.weigh(version.images).values())
    assert version.size <= weight < version.size + 64 * 1024
    assert [] == full(200 * MIB + room.SPARE)
    (evict,) = full(200 * MIB + room.SPARE - 1)
    assert ("evict", None) == (evict.verb, evict.with_["tag"])
    assert evict.text.startswith("remove sonoma from this host, which frees 3.")
    assert [evict] == full(200 * MIB - weight)
    with pytest.raises(
        RefusedError, match=rf"200 MiB \(209715200 bytes\).*7 bytes\) are free; .*frees .* \({weight} bytes"
    ) as caught:
        full(7)
    assert "delete with delete-local" in caught.value.hint
    perform("clone", {"vm": "sonoma", "name": "job"}, anka)
    with pytest.raises(RefusedError, match="what can be removed frees 0 B"):
        full(200 * MIB - weight)
    anka.host.start("job")
    with pytest.raises(RefusedError) as caught:
        full(200 * MIB - weight)
    assert "job stays: the VM is running" in caught.value.hint


def test_it_stops_as_soon_as_there_is_room_and_leaves_what_runs_now(anka, full):
    (evict,) = full(200 * MIB)
    told = []
    anka.tell = told.append
    small, enough = (DownloadSize(size=9, cached=0, download=9, available=free) for free in (9, 9 + room.SPARE))
    assert enough == room.clear(anka, [evict], lambda: enough)
    anka.host.start("sonoma")
    assert small == room.clear(anka, [evict], lambda: small)
    assert "sonoma stays, because the VM is running now" == told[-1].text
    anka.host.stop("sonoma")
    answers = iter([small, enough])
    assert enough == room.clear(anka, [evict, evict], lambda: next(answers))
    assert ([], "removed sonoma to make room") == (anka.host.vms(), told[-1].text)
