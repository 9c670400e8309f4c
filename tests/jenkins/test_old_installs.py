"""What installs of other versions have left on an agent: removed by the next install, unless it is used or young."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import time
from pathlib import Path
from types import ModuleType

import pytest

FILE = Path(__file__).parent.parent.parent / "jenkins" / "resources" / "anka-ci" / "install.py"


@pytest.fixture(scope="module")
def installer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("jenkins_install", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(folder: Path, name: str, days: float, *, whole: bool = True) -> Path:
    """An environment as an install leaves it, last started so many days ago; without its link when it is not whole."""
    place, home = folder / name, folder / f"{name}.4711"
    (home / "bin").mkdir(parents=True)
    marker = home / "last-start"
    marker.touch()
    Path(f"{place}.lock").touch()
    os.utime(marker, (time.time() - days * 86400,) * 2)
    if whole:
        place.symlink_to(home.name)
    return place


def there(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir() if each.suffix != ".lock"}


def test_only_what_nothing_started_for_long_or_never_became_whole_goes(installer: ModuleType, tmp_path: Path) -> None:
    mine = made(tmp_path, "0.2.0-1", 99)
    made(tmp_path, "0.1.0-1", 31)
    made(tmp_path, "0.1.0-11", 29)
    made(tmp_path, "0.1.5-2", 0, whole=False)
    (tmp_path / "notes of somebody").mkdir()
    installer.sweep(mine)
    assert {"0.2.0-1", "0.2.0-1.4711", "0.1.0-11", "0.1.0-11.4711", "notes of somebody"} == there(tmp_path)


def test_what_another_build_installs_is_left(installer: ModuleType, tmp_path: Path) -> None:
    other = made(tmp_path, "0.1.5-2", 99, whole=False)
    with Path(f"{other}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installer.sweep(tmp_path / "0.2.0-1")
        assert {"0.1.5-2.4711"} == there(tmp_path)
    installer.sweep(tmp_path / "0.2.0-1")
    assert set() == there(tmp_path)


def test_one_that_is_started_in_that_moment_is_kept(
    installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = made(tmp_path, "0.1.0-1", 31)
    unlink = Path.unlink

    def started(self: Path, missing_ok: bool = False) -> None:
        (old / "last-start").touch()
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", started)
    installer.sweep(tmp_path / "0.2.0-1")
    assert {"0.1.0-1", "0.1.0-1.4711"} == there(tmp_path)
    assert (old / "bin").is_dir()
