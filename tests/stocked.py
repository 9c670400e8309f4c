"""A registry that holds what a test says: templates with tags of small layers, pushed and pulled on given days."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.result import Event
from anka_ci.server.app import Server
from anka_ci.server.state import State
from anka_ci.settings import Context
from anka_ci.wire.manifest import Layer, Manifest, oci_tag

DAY = 86400.0
SIZES = {letter: 100 * 2**number for number, letter in enumerate("abcdefghij")}
"""Bytes of the layers, which have letters for names; no two sums of them are the same."""


def id_of(name: str) -> str:
    """The id of a template; ``name#2`` is another one that is named ``name``."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def push(state: State, name: str, tag: str, layers: str, sizes: Mapping[str, int] = SIZES) -> None:
    """Add a version; ``layers`` are letters, the base first."""
    stored = [(letter, (letter.encode() * sizes[letter])) for letter in layers]
    config = b"{}"
    manifest = Manifest(
        id=id_of(name),
        name=name.partition("#")[0],
        tag=tag,
        config_digest=state.blobs.store(config),
        config_size=len(config),
        layers=tuple(
            Layer(file=f"{letter}.ank", digest=state.blobs.store(content), size=len(content))
            for letter, content in stored
        ),
    ).emit()
    state.commit(manifest, "sha256:" + hashlib.sha256(manifest).hexdigest())


def stock(
    data: Path,
    clock: ManualClock,
    pushes: Sequence[tuple[float, str, str, str]],
    pulls: Sequence[tuple[float, str, str]] = (),
) -> None:
    """Fill a data folder: pushes as days ago, template, tag, layers; pulls as days ago, template, tag."""
    data.mkdir(parents=True, exist_ok=True)
    now = clock.now()
    at = ManualClock()
    state = State(data, at)
    for ago, name, tag, layers in pushes:
        at.advance(now - ago * DAY - at.now())
        push(state, name, tag, layers)
    for ago, name, tag in pulls:
        at.advance(now - ago * DAY - at.now())
        state.pulled(id_of(name), oci_tag(tag))
    state.close()


@contextlib.contextmanager
def serving(
    folder: Path, pushes: Sequence[tuple[float, str, str, str]], pulls: Sequence[tuple[float, str, str]] = ()
) -> Iterator[SimpleNamespace]:
    """A server of such a registry, with two nodes that move no bytes, and doors to it; all on one clock."""
    clock = ManualClock()
    stock(folder / "data", clock, pushes, pulls)
    with Server(folder / "data", virtual_nodes=2, clock=clock) as server:
        told: list[Event] = []

        def doors(**more: Any) -> Anka:
            context = Context(controller_url=server.controller_url, registry_urls=(server.registry_url,))
            return Anka(context, clock=clock, tell=told.append, **more)

        yield SimpleNamespace(server=server, clock=clock, anka=doors(), doors=doors, told=told, folder=folder)


def held(state: State) -> int:
    """Bytes of all layers that the registry holds."""
    return sum(size for digest, size in state.blobs.digests() if digest != CONFIG)


CONFIG = "sha256:" + hashlib.sha256(b"{}").hexdigest()
