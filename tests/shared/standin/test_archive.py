"""``export`` and ``import``: what leaves as a file arrives whole, or not at all."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest


@pytest.fixture
def there(tmp_path: Path) -> dict[str, str]:
    """The variable that stands for another library."""
    return {"ANKA_HOME": str(tmp_path / "there")}


def test_tags_travel_in_order_and_share_layers(ask, guest, there, tmp_path):
    made = ask("create", "vm", "--cpu-count", "3")
    for tag in ("one", "two"):
        guest(ask, "vm", f"echo {tag} > {tag}")
        ask("registry", "push", "--local", "--tag", tag, "vm")
    one, two, both = (str(tmp_path / name) for name in ("one", "two", "both"))
    assert made == ask("export", "-t", "one", "vm", one)["uuid"]
    ask("export", "-t", "two", "vm", two)
    ask("export", "-c", "-t", "two", "vm", both)
    assert Path(two).stat().st_size < Path(both).stat().st_size
    code, said = ask("import", two, **there)
    assert (1, True) == (code, said.endswith(".ank: is neither in the archive nor in the library"))
    assert [] == ask("list", **there)
    assert {"uuid": made, "name": "vm", "tag": "one"} == ask("import", one, **there)
    assert "one\n" == guest(ask, "vm", "cat one", **there)
    assert "two" == ask("import", two, **there)["tag"]
    assert (["two", "one"], 3) == (
        [each["tag"] for each in ask("show", "vm", "tag", **there)],
        ask("show", "vm", **there)["cpu_cores"],
    )
    assert "one\ntwo\n" == guest(ask, "vm", "cat one two", **there)
    assert (1, "two: tag already exists") == ask("import", both, **there)


def test_a_vm_without_a_tag_and_fetch_only(ask, guest, there, tmp_path):
    ask("create", "vm")
    guest(ask, "vm", "echo own > own")
    file = str(tmp_path / "file")
    ask("export", "vm", file)
    assert (18, f"{file}: exists") == ask("export", "vm", file)
    assert "tag" not in ask("import", file, **there)
    assert "own\n" == guest(ask, "vm", "cat own", **there)
    assert (18, "vm: vm already exists") == ask("import", file, **there)
    ask("registry", "push", "--local", "--tag", "t", "vm", **there)
    ask("registry", "push", "--local", "--tag", "u", "vm")
    ask("export", "-c", "-t", "u", "vm", file + "2")
    assert "u" == ask("import", "--fetch-only", file + "2", **there)["tag"]
    assert "t" == ask("show", "vm", **there)["version"]


def test_an_archive_of_another_vm_of_that_name_is_refused(ask, there, tmp_path):
    ask("create", "vm")
    ask("create", "vm", **there)
    ask("export", "vm", str(tmp_path / "file"))
    assert (18, "vm: vm already exists") == ask("import", str(tmp_path / "file"), **there)


def _with(file: Path, name: str, change) -> None:
    """The archive with one member changed, or with one more."""
    with tarfile.open(file) as tar:
        members = [(each.name, tar.extractfile(each).read()) for each in tar]
    if name not in dict(members):
        members.append((name, b""))
    with tarfile.open(file, "w") as tar:
        for each, content in members:
            content = change(content) if each == name else content
            info = tarfile.TarInfo(each)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("../../evil", lambda _: b"x", "holds '../../evil', which belongs to no archive of a VM"),
        ("/etc/evil", lambda _: b"x", "holds '/etc/evil', which belongs to no archive of a VM"),
        ("index.json", lambda _: b"{", "is no archive of a VM"),
        ("index.json", lambda _: b'{"manifests": []}', "is no archive of a VM"),
        ("BLOB", lambda content: content[:-1] + b"!", "is damaged"),
    ],
)
def test_a_bad_archive_leaves_nothing(ask, there, tmp_path, name, change, said):
    ask("create", "vm")
    file = tmp_path / "file"
    ask("export", "vm", str(file))
    with tarfile.open(file) as tar:
        index = json.loads(tar.extractfile("index.json").read())
    name = "blobs/sha256/" + index["manifests"][0]["digest"][7:] if name == "BLOB" else name
    _with(file, name, change)
    code, message = ask("import", str(file), **there)
    assert (1, True) == (code, said in message), message
    assert [] == ask("list", **there)
    assert [] == [*(tmp_path / "there" / "img_lib").glob("*")]


def test_half_an_archive_leaves_nothing(ask, guest, there, tmp_path):
    ask("create", "vm")
    guest(ask, "vm", "dd if=/dev/urandom of=big bs=1048576 count=5 2>/dev/null")
    file = tmp_path / "file"
    ask("export", "vm", str(file))
    file.write_bytes(file.read_bytes()[: 3 << 20])
    code, message = ask("import", str(file), **there)
    assert (1, True) == (code, "not all of it" in message), message
    assert ([], []) == (ask("list", **there), [*(tmp_path / "there" / "img_lib").glob("*")])
    assert (1, f"{tmp_path}/none: No such file or directory") == ask("import", str(tmp_path / "none"), **there)
