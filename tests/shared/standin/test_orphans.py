"""Layers that a killed command left: removed by the next one, and only a day later when a pull may go on with them."""

from __future__ import annotations

import os
from pathlib import Path

from anka_ci.clock import Cancelled, ManualClock
from anka_ci.standin.library import Library
from anka_ci.standin.orphans import STALE
from anka_ci.wire.manifest import Layer


def layer(library: Library, name: str, *, fetched: bool) -> str:
    """A layer that nothing needs, as a command leaves it that is killed right after."""
    made = Layer(file=f"{name * 32}.ank", digest="sha256:" + "0" * 64, size=1)
    part = library.images / f".{name}"
    part.write_bytes(b"x")
    library.adopt(part, made, fetched=fetched)
    return made.file


def left(library: Library) -> list[str]:
    """What is in the layers' folder after the next command."""
    with library.locked(Cancelled()):
        pass
    return sorted(path.name for path in library.images.iterdir())


def test_what_a_killed_command_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / "img_lib").mkdir()
    clock = ManualClock()
    library = Library(tmp_path / "vm_lib", tmp_path / "img_lib", clock)
    own, fetched = layer(library, "a", fetched=False), layer(library, "b", fetched=True)
    os.utime(library.images / f".fetched-{fetched}", (clock.now(), clock.now()))
    assert {f".freed-{own}", f".fetched-{fetched}"} == {path.name for path in library.images.glob(".*")}
    assert [f".fetched-{fetched}", fetched] == left(library)
    clock.sleep(STALE + 1)
    assert [] == left(library)


def test_a_damaged_vm_keeps_them_until_it_can_tell_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "img_lib").mkdir()
    library = Library(tmp_path / "vm_lib", tmp_path / "img_lib", ManualClock())
    damaged = tmp_path / "vm_lib" / "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e" / "meta.json"
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    own = layer(library, "a", fetched=False)
    assert [f".freed-{own}", own] == left(library)
    damaged.unlink()
    assert [] == left(library)


def test_a_half_written_file_of_a_vm_goes_with_the_next(tmp_path: Path) -> None:
    library = Library(tmp_path / "vm_lib", tmp_path / "img_lib", ManualClock())
    part = tmp_path / "vm_lib" / "some-vm" / ".put-meta.json-1"
    part.parent.mkdir(parents=True)
    part.write_text("{")
    left(library)
    assert not part.exists()
