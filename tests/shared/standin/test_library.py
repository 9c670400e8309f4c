"""The library on disk: what scripts do to it, what is damaged in it, and what two commands do at once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import tempfile
import uuid
from pathlib import Path

import pytest

from anka_ci.clock import Cancelled
from anka_ci.standin.__main__ import main

OLD = {"ANKA_STANDIN_GENERATION": "2"}


def layer_of(ask, library: Path, vm: str = "vm") -> Path:
    return library / "img_lib" / ask("show", vm, "disk")["file"]


@pytest.fixture
def pulled(ask, server) -> str:
    """The sample, pulled; its id."""
    return str(ask("registry", "-r", server.registry_url, "pull", "--tag", "base", "sonoma")["uuid"])


def test_2_x_names_a_configuration_after_the_id(ask, library):
    made = ask("create", "vm", **OLD)
    folder = library / "vm_lib" / made
    assert [f"{made}.yaml"] == [each.name for each in folder.glob("*.yaml")]
    assert {} == ask("modify", "vm", "set", "cpu", "6", **OLD)
    assert {} == ask("modify", "vm", "name", "new")
    assert [f"{made}.yaml"] == [each.name for each in folder.glob("*.yaml")]
    assert ("new", 6) == (ask("show", made, "name"), ask("show", made, **OLD)["cpu_cores"])
    new = str(uuid.uuid4())
    folder.rename(library / "vm_lib" / new)
    assert new == ask("show", "new", "uuid", **OLD)


def test_a_change_of_the_configuration_is_part_of_the_next_tag_only(ask):
    ask("create", "vm", "--cpu-count", "2")
    ask("registry", "push", "--local", "--tag", "two", "vm")
    ask("modify", "vm", "cpu", "4")
    ask("registry", "push", "--local", "--tag", "four", "vm")
    assert (2, 4) == tuple(ask("show", "vm", "--tag", tag)["cpu_cores"] for tag in ("two", "four"))
    ask("registry", "pull", "--local", "--tag", "two", "vm")
    assert 2 == ask("show", "vm")["cpu_cores"]
    assert "two" == ask("show", "vm")["version"]


@pytest.mark.parametrize("harm", ["a byte", "the end", "all"])
def test_a_damaged_layer_is_found_told_and_fetched_again(ask, guest, library, server, pulled, harm):
    file = layer_of(ask, library, "sonoma")
    content = file.read_bytes()
    if harm == "all":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "the end" else content[:700] + b"\xff" + content[701:])
    if harm != "a byte":
        row = ask("list", "sonoma")[0]
        assert ("failed", False) == (row["status"], "version" in row)
        assert [] == ask("show", "sonoma", "tag")
    code, said = ask("start", "sonoma")
    what = "gone" if harm == "all" else "damaged"
    assert (1, f"sonoma: failed to checkout: Input/output error: {file.name} is {what}") == (code, said)
    assert "failed" == ask("list", "sonoma")[0]["status"]
    assert "base" == ask("registry", "-r", server.registry_url, "pull", "--tag", "base", "sonoma")["tag"]
    assert content == file.read_bytes()
    row = ask("list", "sonoma")[0]
    assert ("stopped", "base") == (row["status"], row["version"])
    assert {} == ask("start", "sonoma")


def test_a_library_that_cannot_be_written_can_be_read(ask, library, monkeypatch):
    """As on a volume that is mounted read-only: nothing but what changes something opens a file to write."""
    made = ask("create", "vm")
    real = Path.open

    def refuse(path, mode="r", *rest, **more):
        if set(mode) & set("wax+"):
            raise OSError(30, "Read-only file system", str(path))
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert ["vm"] == [row["name"] for row in ask("list")]
    assert made == ask("show", "vm", "uuid")
    assert made == ask("describe", "vm")["uuid"]
    assert str(library / "vm_lib") == ask("config", "vm_lib_dir")
    code, said = ask("start", "vm")
    assert (1, f"{library}/vm_lib/.locks/library: Read-only file system") == (code, said)


def test_two_commands_at_once_take_turns(ask, launch):
    ask("create", "vm")
    children = [launch("-j", "clone", "vm", "same") for _ in range(2)]
    said = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    assert [0, 18] == sorted(each["code"] for each in said)
    assert ["same", "vm"] == [row["name"] for row in ask("list")]


def test_a_copy_stands_by_itself(ask, guest, library):
    ask("create", "vm")
    guest(ask, "vm", "echo one > one; echo gone > gone")
    ask("registry", "push", "--local", "--tag", "t", "vm")
    guest(ask, "vm", "rm gone; echo two > two")
    ask("clone", "--copy", "vm", "copy")
    ask("delete", "--yes", "vm")
    assert "one\ntwo\n" == guest(ask, "copy", "cat *")
    assert 1 == len(json.loads((library / "vm_lib" / ask("show", "copy", "uuid") / "meta.json").read_text())["images"])


def test_the_cache_is_what_nothing_needs(ask, library):
    ask("create", "vm")
    kept = layer_of(ask, library)
    for name in (".0123.ank.part", "0123.ank"):
        (library / "img_lib" / name).write_bytes(b"orphan")
    assert {} == ask("delete", "--cache")
    assert [kept] == [*(library / "img_lib").iterdir()]


def test_the_cache_is_left_alone_while_layers_are_fetched(env, ask, library, capsys):
    """What a fetch has half here looks like nobody's, so that who clears the cache waits for its end."""
    ask("create", "vm")
    part = library / "img_lib" / ".0123.ank.part"
    part.write_bytes(b"half")
    lock = (library / "vm_lib" / ".locks" / "fetching").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    seen = []

    class Waiting(Cancelled):
        def wait(self, seconds):
            seen.append(part.exists())
            if len(seen) == 3:  # the fetch ends
                part.rename(part.with_name("0123.ank"))
                lock.close()
            return super().wait(0)

    assert 0 == main(["-j", "delete", "--cache"], env, Waiting())
    capsys.readouterr()
    assert [True] * 3 == seen
    assert not part.with_name("0123.ank").exists()  # nothing needs it


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another disk, where this machine has one."""
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    folder = Path(tempfile.mkdtemp(prefix="anka-ci-states-", dir=place))
    yield folder
    shutil.rmtree(folder)


def test_states_have_a_folder_of_their_own_where_that_is_wished(ask, library, server, tmp_path, elsewhere):
    ask("create", "vm")
    folder = library / "vm_lib" / ask("show", "vm", "uuid")
    state, content = "ab" * 16 + ".ank", b"what the memory held"
    (library / "img_lib" / state).write_bytes(content)
    meta = json.loads((folder / "meta.json").read_text())
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    meta |= {"states": [{"file": state, "digest": digest, "size": len(content)}], "status": "suspended"}
    (folder / "meta.json").write_text(json.dumps(meta))
    with (folder / "config.yaml").open("a") as config:
        config.write(f"state_file: {state}\n")
    ask("registry", "-r", server.registry_url, "push", "-t", "v1", "vm")
    there = {
        "ANKA_HOME": str(tmp_path / "there"),
        "ANKA_STATE_LIB_DIR": str(elsewhere),
        "ANKA_REGISTRY": server.registry_url,
    }
    assert str(elsewhere) == ask("config", "state_lib_dir", **there)
    assert len(content) < ask("pull", "vm", "--check-download-size", **there)["bytes"]
    ask("pull", "vm", **there)
    assert [state] == [path.name for path in elsewhere.iterdir() if not path.name.startswith(".")]
    assert (False, state) == (
        (tmp_path / "there" / "img_lib" / state).exists(),
        ask("describe", "vm", **there)["state_file"],
    )
    assert {} == ask("pull", "vm", "--check-download-size", **there)
    ask("export", "-t", "v1", "--copy", "vm", str(tmp_path / "archive"), **there)
    ask("delete", "--yes", "vm", **there)
    assert [] == list(elsewhere.iterdir())
    ask("import", str(tmp_path / "archive"), **there)
    assert content == (elsewhere / state).read_bytes()
    ask("delete", "--cache", **there)
    assert content == (elsewhere / state).read_bytes()


def test_locks_are_where_that_is_wished(ask, tmp_path):
    ask("create", "vm", ANKA_VM_LOCK_DIR=str(tmp_path / "locks"))
    assert ["library"] == [path.name for path in (tmp_path / "locks").iterdir()]


def test_2_x_deletes_only_the_label_of_a_tag(ask, guest, library):
    """3.0.1 and later also remove the layers that nothing else needs."""
    for generation, left in (("2", 1), ("3", 0)):
        ask("create", "vm")
        guest(ask, "vm", "echo one > one")
        for tag in ("a", "b"):
            ask("registry", "push", "--local", "--tag", tag, "vm")
            guest(ask, "vm", f"echo {tag} > {tag}")
        ask("registry", "pull", "--local", "--tag", "a", "vm")
        before = {*(library / "img_lib").glob("*.ank")}
        ask("delete", "--yes", "--tag", "b", "vm", ANKA_STANDIN_GENERATION=generation)
        assert ["a"] == [row["tag"] for row in ask("show", "vm", "tag")]
        assert (1 - left) == len(before - {*(library / "img_lib").glob("*.ank")})
        ask("delete", "--yes", "vm")
        ask("delete", "--cache")


def test_names_need_not_be_unique_where_that_is_wished(ask):
    ask("create", "vm")
    ask("config", "allow_nonunique_names", "1")
    second = ask("create", "vm")
    assert (1, "vm: there are 2 of that name") == ask("show", "vm")
    assert {} == ask("delete", "--yes", second)
    assert (18, "vm: vm already exists") == ask("create", "vm", ANKA_ALLOW_NONUNIQUE_NAMES="0")
