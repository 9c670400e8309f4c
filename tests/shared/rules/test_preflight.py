"""What a distribution would move to nodes, and whether there is room and time for it."""

from __future__ import annotations

import pytest

from anka_ci.rules import preflight
from anka_ci.rules.layers import Range
from anka_ci.rules.preflight import Load, Preflight
from anka_ci.wire.node import Node, NodeTemplate
from anka_ci.wire.template import Template, Version

GIB = 1 << 30
SIZES = {"a": 10, "b": 5, "c": 1, "x": 3, "y": 40}


def template(name, *versions, told=True):
    """Versions as letters, each a layer in GiB."""
    found = tuple(
        Version(
            number=number,
            tag=f"v{number}",
            images=tuple(reversed(layers)),
            size=sum(SIZES[layer] for layer in layers) * GIB if told else None,
        )
        for number, layers in enumerate(versions)
    )
    return Template(id=f"ID-{name}", name=name, versions=found)


SONOMA = template("sonoma", "a", "ab", "abc")
OTHER = template("other", "xy")
SHARING = template("sharing", "ax")


def node(name="one", *held, **more):
    found = tuple(
        NodeTemplate(id=f"id-{one}", name=one, tag=tag) for one, _, tag in (each.partition(":") for each in held)
    )
    return Node(id=f"id-{name}", name=name, templates=found, **more)


def loads(*nodes, template=SONOMA, number=2, known=(SONOMA, OTHER, SHARING), named=()):
    return preflight.loads(nodes, template.versions[number], template, {each.id.lower(): each for each in known}, named)


@pytest.mark.parametrize(
    ("held", "least", "most"),
    [
        ((), 16, 16),
        (("sonoma:v0",), 6, 6),
        (("sonoma:v1",), 1, 1),
        (("other:v0",), 16, 16),
        (("sharing:v0",), 6, 6),  # a layer of another template is the same layer
        (("sonoma:v1", "sharing:v0"), 1, 1),
        (("lost:v0",), 0, 16),  # the registry no longer has it: what it is made of is not known
        (("sonoma:v9", "other:v0"), 0, 16),
    ],
)
def test_bytes_are_exact_where_sizes_determine_them(held, least, most):
    (found,) = loads(node("one", *held))
    assert Range(least=least * GIB, most=most * GIB) == found.moves


def test_bytes_are_a_range_where_sizes_leave_it_open():
    fork = Template(
        id="ID-fork", name="fork", versions=(Version(number=0, tag="v0", images=("a", "x"), size=13 * GIB),)
    )
    (found,) = loads(node("one", "fork:v0"), template=SONOMA, known=(template("sonoma", "abc"), fork), number=0)
    assert (3 * GIB, 16 * GIB) == (found.moves.least, found.moves.most)
    (found,) = loads(node("one"), known=(template("sonoma", "a", "ab", "abc", told=False),))
    assert (0, None) == (found.moves.least, found.moves.most)


def test_what_a_node_does_not_report_is_not_guessed():
    silent = Node(id="id-silent", name="silent", templates=None)
    again = node("again", "sonoma:v2")
    assert [(0, 16 * GIB)] * 2 == [
        (each.moves.least, each.moves.most) for each in loads(silent, again, named={"id-again"})
    ]


@pytest.mark.parametrize(
    ("free", "usage", "disk", "said"),
    [
        (20, 0, 100, ""),
        (16, 60, 100, ""),
        (10, 60, 100, "has 10.0 GiB free for 16.0 GiB, so it evicts other templates it holds (other:v0)"),
        (0, 60, 100, "has 0 B free for 16.0 GiB, so it evicts other templates it holds (other:v0)"),
        (4, 10, 15, "at least 16.0 GiB are needed, and 14.0 GiB is all that can come free"),
        (0, 0, 0, ""),  # its disk is not told
        (None, None, None, ""),
        (4, 0, 100, "has 4.0 GiB free for 16.0 GiB, so it evicts other templates it holds (other:v0)"),  # 0: not told
    ],
)
def test_room(free, usage, disk, said):
    sizes = {
        key: value if value is None else value * GIB
        for key, value in {"free_disk": free, "anka_disk_usage": usage, "disk_size": disk}.items()
    }
    (found,) = loads(node("one", "other:v0", **sizes))
    assert said == (found.never or found.tight)


def test_room_for_a_range():
    sizes = {"free_disk": 4 * GIB, "anka_disk_usage": 50 * GIB, "disk_size": 100 * GIB}
    (found,) = loads(node("one", "lost:v0", **sizes))
    assert "has 4.0 GiB free for 0 B to 16.0 GiB, so it may evict other templates it holds (lost:v0)" == found.tight


def test_a_fleet_in_few_words():
    found = Preflight(loads=loads(node("one"), node("two")))
    assert (["moves 16.0 GiB to each of 2 nodes"], {}) == found.notes()
    assert 32 * GIB == found.exact
    found = Preflight(loads=loads(node("one"), node("two", "sonoma:v1")), bandwidth=100 << 20)
    (said,), single = found.notes()
    assert {"one": "gets 16.0 GiB", "two": "gets 1.0 GiB"} == single
    assert "moves 17.0 GiB to 2 nodes in all, which takes 2m44s at 100 MiB/s a node" == said
    found = Preflight(loads=loads(node("one", "lost:v0")), bandwidth=100 << 20)
    (said,), _ = found.notes()
    assert "moves 0 B to 16.0 GiB, which takes 0s to 2m44s at 100 MiB/s a node" == said
    assert ([], {}, None, {}) == (*Preflight(loads=()).notes(), None, Preflight(loads=()).expects())


def test_who_surely_does_not_get_it():
    small = node("small", free_disk=GIB, anka_disk_usage=GIB, disk_size=2 * GIB)
    found = Preflight(loads=loads(node("one"), node("two", "sonoma:v1"), small), bandwidth=100 << 20, left=60.0)
    assert {
        "id-one": "moving 16.0 GiB takes 2m44s or more at 100 MiB/s, and there are 1m",
        "id-small": "at least 16.0 GiB are needed, and 2.0 GiB is all that can come free",
    } == found.unfit()
    assert ["will fail: moving", "gets 1.0 GiB", "will fail: at"] == [
        " ".join(said.split()[:3]) for said in found.notes()[1].values()
    ]
    assert {} == Preflight(loads=loads(node("one")), bandwidth=100 << 20).unfit()


@pytest.mark.parametrize(
    ("one", "other", "older"),
    [
        ("3.7.2", "3.8.5", True),
        ("3.8.5", "3.8.5", False),
        ("3.10.0", "3.9.1", False),
        ("", "3.8", False),
        ("x", "3", False),
    ],
)
def test_an_older_anka(one, other, older):
    assert older == preflight.older(one, other)
    (found,) = loads(node("one", anka_version=one))
    _, single = Preflight(loads=(found,), made_with=other).notes()
    assert ({"one": f"runs Anka {one}, older than the {other} the template was made with"} if older else {}) == single


def test_a_disk_that_is_not_told_is_no_obstacle():
    load = Load(node=Node(id="x", name="x", disk_size=0, free_disk=0), moves=Range(least=5, most=5))
    assert (0, "", "") == (load.short, load.never, load.tight)
