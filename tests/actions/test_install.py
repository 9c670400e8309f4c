"""The environments of a tool cache: which are kept, which are removed, and that none in use is."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import pytest

from anka_ci_actions import install

DAY = 86400.0


def made(folder: Path, number: int, days: float = 0.0) -> Path:
    """An environment as an install leaves it, last started so many days ago; its link."""
    name = f"{number:020x}"
    place = folder / f"{name}.1{number}"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").touch()
    (place / install.IN_USE).touch()
    then = time.time() - days * DAY
    os.utime(place / install.IN_USE, (then, then))
    (folder / name).symlink_to(place.name)
    (folder / f"{name}.lock").touch()
    return folder / name


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_what_was_not_started_for_long_goes_with_all_that_belongs_to_it(tmp_path, capsys):
    kept, gone = made(tmp_path, 1, days=13), made(tmp_path, 2, days=15)
    target = gone.resolve()
    install.sweep(tmp_path, "another")
    assert [kept.name, f"{kept.name}.11", f"{kept.name}.lock"] == names(tmp_path)
    assert f"removed {target}, which nobody uses any more" in capsys.readouterr().err


def test_of_many_the_last_started_stay(tmp_path):
    links = [made(tmp_path, number, days=number / 10) for number in range(1, install.MOST + 3)]
    install.sweep(tmp_path, "another")
    assert [each.name for each in links[: install.MOST]] == [name for name in names(tmp_path) if len(name) == 20]


@pytest.mark.parametrize("file", ["in-use", "lock"])
def test_one_in_use_or_being_made_is_never_removed(tmp_path, file):
    link = made(tmp_path, 1, days=100)
    place = link / install.IN_USE if file == "in-use" else install.lock_of(link)
    before = names(tmp_path)
    with place.open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        install.sweep(tmp_path, "another", old=0.0, most=0)
        assert before == names(tmp_path)
    install.sweep(tmp_path, "another", old=0.0, most=0)
    assert [] == names(tmp_path)


def test_a_start_takes_its_environment_into_use_and_makes_it_young(tmp_path):
    link = made(tmp_path, 1, days=100)
    target = install.used(link)
    assert link.resolve() == target
    assert time.time() - link.joinpath(install.IN_USE).stat().st_mtime < DAY
    install.sweep(tmp_path, "another", old=0.0, most=0)
    assert target is not None
    assert target.exists()


def test_one_that_is_half_removed_or_missing_is_none(tmp_path):
    link = made(tmp_path, 1)
    (link / "bin" / "python").unlink()
    assert install.used(link) is None
    assert install.used(tmp_path / "nowhere") is None


def test_the_own_one_and_what_is_none_of_ours_stay(tmp_path):
    own = made(tmp_path, 1, days=100)
    (tmp_path / "notes.txt").touch()
    (tmp_path / f"{2:020x}.77" / "lib").mkdir(parents=True)  # of an install that was killed
    install.sweep(tmp_path, own.name)
    assert [own.name, f"{own.name}.11", f"{own.name}.lock", "notes.txt"] == names(tmp_path)


def test_a_lock_that_was_removed_with_its_environment_is_taken_anew(tmp_path):
    file = tmp_path / "a.lock"
    with install._locked(file) as held:
        assert os.path.samestat(os.fstat(held), file.stat())
    with file.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        file.unlink()
    with install._locked(file) as held:
        assert os.path.samestat(os.fstat(held), file.stat())


def test_without_room_nothing_is_begun_and_the_figures_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(install, "LEAST", 1 << 60)
    with pytest.raises(OSError, match="MiB are free where 1099511627776 MiB are needed"):
        install.environment(tmp_path)
    assert [] == [name for name in names(tmp_path) if not name.endswith(".lock")]
