"""``cp``: into a guest and out of one, as BSD's does, and never out of the guest's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture
def guest_folder(ask, library: Path) -> Path:
    """A VM named ``org/vm``, which is not running."""
    made = ask("create", "org/vm")
    return library / "vm_lib" / made / "guest"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a file, a link, a folder below it, and one that only its owner may enter."""
    folder = tmp_path / "files"
    (folder / "sub").mkdir(parents=True)
    (folder / "file").write_text("one")
    (folder / "file").chmod(0o640)
    os.utime(folder / "file", (5, 5))
    (folder / "link").symlink_to("file")
    (folder / "sub" / "deep").write_text("two")
    (folder / "sub").chmod(0o750)
    return folder


def tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


ALL = {"file": "one", "link": "-> file", "sub/deep": "two"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["-a", "FILES/file", "org/vm:"], {"file": "one"}),
        (["FILES/file", "org/vm:new"], {"new": "one"}),
        (["-a", "FILES", "org/vm:"], {f"files/{name}": text for name, text in ALL.items()}),
        (["-a", "FILES", "org/vm:new"], {f"new/{name}": text for name, text in ALL.items()}),
        (["-fRH", "FILES/", "org/vm:"], ALL),
        (["-a", "FILES/.", "org/vm:"], ALL),
        (["-pRLf", "FILES/", "org/vm:new"], {"new/file": "one", "new/link": "one", "new/sub/deep": "two"}),
        (["-fa", "FILES/file", "FILES/sub", "org/vm:"], {"file": "one", "sub/deep": "two"}),
        (["org/vm:", "-a", "FILES/file"], None),
        (["-a", "FILES/file", "org/vm:/usr/local/bin/"], {"usr/local/bin/file": "one"}),
        (["-a", "FILES/file", "org/vm:/Users/anka/x/y"], {"x/y": "one"}),
        (["FILES/link", "org/vm:copy"], {"copy": "one"}),
        (["-P", "-R", "FILES/link", "org/vm:copy"], {"copy": "-> file"}),
    ],
)
def test_into_a_guest(ask, files, guest_folder, words, found):
    said = ask("cp", *(word.replace("FILES", str(files)) for word in words))
    if found is None:
        assert 1 == said[0]
        return
    assert {} == said
    assert found == tree(guest_folder)
    assert "running" == ask("show", "org/vm", "status")


def test_out_of_a_guest_with_times_and_modes(ask, files, guest_folder, tmp_path):
    ask("cp", "-a", f"{files}/.", "org/vm:work")
    out = tmp_path / "out"
    assert {} == ask("cp", "-a", "org/vm:work/.", str(out))
    assert ALL == tree(out)
    info = (out / "file").stat()
    assert (0o640, 5.0, 0o750) == (info.st_mode & 0o777, info.st_mtime, (out / "sub").stat().st_mode & 0o777)
    assert {} == ask("cp", "-n", "org/vm:work/sub/deep", f"{out}/file")
    assert "one" == (out / "file").read_text()
    assert {} == ask("cp", "-f", "org/vm:work/sub/deep", f"{out}/file")
    assert "two" == (out / "file").read_text()


def test_a_temporary_folder_is_the_one_that_commands_see(ask, files, guest_folder, tmp_path):
    assert {} == ask("cp", str(files / "file"), f"org/vm:{tmp_path}/script")
    assert {"stdout": "one", "stderr": ""} == ask("run", "org/vm", "cat", f"{tmp_path}/script")


def test_people_are_told_where_an_absolute_path_is(say, files, guest_folder):
    code, out, err = say("cp", "-av", str(files / "file"), "org/vm:/opt/tool")
    where = f"{guest_folder}/opt/tool"
    assert (0, f"{files}/file -> {where}\n") == (code, out)
    assert f"anka: org/vm:/opt/tool: the guest's commands find this as {where}\n" == err


def test_nothing_is_written_outside_of_the_guest(ask, files, guest_folder, tmp_path):
    ask("start", "org/vm")
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (guest_folder / "out").symlink_to("/")
    (guest_folder / "file").symlink_to(victim)
    code, said = ask("cp", str(files / "file"), "org/vm:out/file")
    assert (1, "org/vm:out/file: a link leads out of the guest, to /") == (code, said)
    assert {} == ask("cp", str(files / "file"), "org/vm:../../../file")
    assert ("untouched", "one") == (victim.read_text(), (guest_folder / "file").read_text())
    assert not (guest_folder / "file").is_symlink()
    target = tmp_path / "target"
    target.mkdir()
    (target / "sub").symlink_to(tmp_path)
    assert {} == ask("cp", "-a", f"{files}/.", "org/vm:work")
    code, said = ask("cp", "-a", "org/vm:work/.", str(target))
    assert (1, f"{target}/sub: is a link where a folder is to be") == (code, said)
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["FILES/none", "org/vm:"], 1, "FILES/none: No such file or directory"),
        (["FILES", "org/vm:"], 1, "FILES is a directory (not copied)"),
        (["FILES/file", "nothing:x"], 3, "nothing: not found"),
        (["FILES/file", "FILES/other"], 1, "one side has to be in a guest, the other on this machine"),
        (["org/vm:a", "org/vm:b"], 1, "one side has to be in a guest, the other on this machine"),
        (["-Z", "FILES/file", "org/vm:"], 1, "no such option: -Z"),
        (["FILES/file", "org/vm:none/file"], 1, "org/vm:none/file: No such file or directory"),
        (["FILES/file"], 1, "usage: anka cp [-RLHPfnpav] VM:[PATH] PATH, or anka cp [-RLHPfnpav] PATH… VM:[PATH]"),
        (["", "org/vm:"], 1, "a path is empty"),
    ],
)
def test_what_cannot_be_copied(ask, files, guest_folder, words, code, said):
    found = ask("cp", *(word.replace("FILES", str(files)) for word in words))
    assert (code, said.replace("FILES", str(files))) == found


def test_a_file_of_this_machine_may_have_a_colon(ask, files, guest_folder, monkeypatch):
    (files / "a:b").write_text("colon")
    monkeypatch.chdir(files)
    assert {} == ask("cp", "a:b", "org/vm:")
    assert {"a:b": "colon"} == tree(guest_folder)


def test_special_files_are_left_and_told(ask, files, guest_folder):
    os.mkfifo(files / "pipe")
    code, said = ask("cp", "-a", f"{files}/.", "org/vm:")
    assert (1, f"{files}/pipe is neither file, folder nor link (not copied)") == (code, said)
    assert ALL == tree(guest_folder)
