"""Whatever virtual nodes are told, and whenever one looks: looking changes nothing, and a restart neither."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from anka_ci.clock import ManualClock
from anka_ci.errors import NotFoundError
from anka_ci.server.faults import NodeFault
from anka_ci.server.orders import Model
from anka_ci.server.virtual import VirtualNodes
from anka_ci.wire.distribution import Distribution, NodeShare
from anka_ci.wire.manifest import Layer, Manifest

NAMES = ("one", "two", "three")
START = 1_700_000_000.0
MODEL = Model(bandwidth=10, registry=25, disk=400, spread=0.1, setup=1)
LAYERS = {
    ("a", "1"): ((1, 100),),
    ("a", "2"): ((1, 100), (2, 50)),
    ("b", "1"): ((3, 200),),
    ("c", "1"): ((1, 100), (4, 150)),
    ("d", "1"): ((5, 1000),),
}


class Memory:
    """A store in memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:", check_same_thread=False)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._db:
            yield self._db


def manifest(repository: str, tag: str) -> tuple[bytes, str, str]:
    layers = tuple(
        Layer(file=f"{number}.ank", digest=f"sha256:{number:064d}", size=size)
        for number, size in LAYERS[repository, tag]
    )
    found = Manifest(
        id=repository, name=repository, tag=tag, config_digest="sha256:" + "0" * 64, config_size=2, layers=layers
    )
    return found.emit(), "", tag


class World:
    """Virtual nodes and what they were asked for."""

    def __init__(self, faults: list[NodeFault]) -> None:
        self.store, self.clock, self.faults = Memory(), ManualClock(START), faults
        self.requests: list[Distribution] = []
        self.instances: list[str] = []
        self.nodes = self.begin()

    def begin(self) -> VirtualNodes:
        return VirtualNodes(self.store, NAMES, manifest, clock=self.clock, model=MODEL, faults=self.faults)

    def seen(self) -> dict[str, Any]:
        """Everything that can be read."""
        found: dict[str, Any] = {name: self.nodes.node(name) for name in NAMES}
        found |= {request.id: self.nodes.shares(request) for request in self.requests}
        for instance in self.instances:
            try:
                found[instance] = self.nodes.placed(instance)
            except NotFoundError:
                found[instance] = None
        return found

    def do(self, action: tuple[Any, ...]) -> None:
        verb, wait, which, name = action
        self.clock.advance(wait)
        template, tag = sorted(LAYERS)[which % len(LAYERS)]
        if verb == "distribute":
            shares = dict.fromkeys(NAMES if name == "all" else (name,), NodeShare())
            request = Distribution(id=f"r{len(self.requests)}", template_id=template, tag=tag, nodes=shares)
            self.requests.append(request)
            self.nodes.take(request)
        elif verb == "place":
            self.instances.append(f"i{len(self.instances)}")
            self.nodes.place(self.instances[-1], "one" if name == "all" else name, template, tag)
        elif verb == "remove":
            self.nodes.remove(template, NAMES if name == "all" else (name,))
        elif verb == "cancel" and self.requests:
            self.nodes.cancel(self.requests[which % len(self.requests)])
        elif verb == "free" and self.instances:
            try:
                self.nodes.free(self.instances[which % len(self.instances)])
            except NotFoundError:
                assert self.seen()[self.instances[which % len(self.instances)]] is None


VERBS = st.sampled_from(["distribute", "distribute", "place", "remove", "cancel", "free", "look"])
ACTIONS = st.lists(
    st.tuples(VERBS, st.sampled_from([0, 0.5, 3, 20, 70]), st.integers(0, 9), st.sampled_from(["all", *NAMES])),
    min_size=1,
    max_size=12,
)
FAULTS = st.lists(
    st.builds(
        lambda node, does, at, lasts: NodeFault(node=node, does=does, at=START + at, until=START + at + lasts),
        st.sampled_from(["*", "one", "t*"]),
        st.sampled_from(["offline", "restart", "full", "evict", "stuck", "silent"]),
        st.integers(0, 60),
        st.sampled_from([1, 30, 300]),
    ),
    max_size=4,
)


# Two of the nodes hold it and are done at once; it is cancelled at the same moment, because of the third.
@example(
    faults=[],
    actions=[
        ("distribute", 0, 0, "all"),
        ("distribute", 0, 1, "one"),
        ("distribute", 70, 0, "all"),
        ("cancel", 0, 2, "all"),
    ],
)
@settings(max_examples=50, deadline=None)
@given(faults=FAULTS, actions=ACTIONS)
def test_looking_changes_nothing_and_a_restart_neither(faults: list[NodeFault], actions: list[tuple[Any, ...]]) -> None:
    watched, unwatched = World(faults), World(faults)
    before: dict[str, Any] = {}
    for action in actions:
        for world in (watched, unwatched):
            world.do(action)
        now = watched.seen()
        sound(watched, before, now)
        before = now
    assert before == unwatched.seen()
    watched.nodes = watched.begin()
    assert before == watched.seen()
    for world in (watched, unwatched):
        world.clock.advance(100_000)
    after = watched.seen()
    assert after == unwatched.seen()
    unreported = {fault.does for fault in faults} & {"stuck", "silent"}
    for request in watched.requests:
        assert unreported or all(share.ended for share in after[request.id].values())


def sound(world: World, before: dict[str, Any], now: dict[str, Any]) -> None:
    """What holds at every moment."""
    for name in NAMES:
        node = now[name]
        assert 0 <= node.anka_disk_usage <= node.disk_size
        assert node.free_disk == node.disk_size - node.anka_disk_usage
        ids = [template.id for template in node.templates]
        assert len(ids) == len({*ids})
    for request in world.requests:
        assert list(request.nodes) == list(now[request.id])
        for name, share in now[request.id].items():
            assert 0 <= share.progress <= 1
            was = before.get(request.id, {}).get(name)
            if was is not None and was.ended:
                assert was == share


def test_a_figure_varies_by_node_and_never_otherwise() -> None:
    figures = {name: MODEL.of(name, "disk", 400) for name in map(str, range(200))}
    assert figures == {name: replace(MODEL).of(name, "disk", 400) for name in figures}
    assert 360 <= min(figures.values()) < 365 < 435 < max(figures.values()) <= 440
    assert math.isclose(400, sum(figures.values()) / 200, rel_tol=0.02)
