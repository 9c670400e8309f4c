"""``mount``: folders of this machine in a running guest, and never in a layer."""

from __future__ import annotations


def test_a_mount_is_there_while_the_guest_runs_and_in_no_layer(ask, guest, library, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_text("from the host")
    made = ask("create", "vm")
    assert (1, "vm: the VM is not running") == ask("mount", "vm", str(shared))
    before = ask("describe", "vm")["hard_drives"][0]["file"]
    ask("start", "vm")
    mounted = ask("mount", "vm", str(shared))
    path = f"{library}/vm_lib/{made}/guest/Volumes/My Shared Files/shared"
    row = {"fsid": 1, "host_path": str(shared), "guest_folder_name": "shared", "guest_path": path}
    assert row == mounted
    assert (1, "shared: is mounted already") == ask("mount", "vm", str(shared))
    assert 2 == ask("mount", "vm", f"{shared}:other")["fsid"]
    assert "from the host" == ask("run", "vm", "cat", f"{path}/file")["stdout"]
    ask("run", "vm", "sh", "-c", f"echo changed > '{path}/new'; echo own > own")
    assert "changed\n" == (shared / "new").read_text()
    assert [1, 2] == [each["fsid"] for each in ask("mount", "vm")]
    assert {} == ask("unmount", "vm", "2")
    assert (3, "2: not found") == ask("unmount", "vm", "2")
    ask("stop", "vm")
    after = ask("describe", "vm")["hard_drives"][0]["file"]
    assert before != after
    assert {"own"} == {each.name for each in (library / "vm_lib" / made / "guest").iterdir()}
    assert ["file", "new"] == sorted(each.name for each in shared.iterdir())
    ask("delete", "--yes", "vm")
    assert ["file", "new"] == sorted(each.name for each in shared.iterdir())


def test_mounts_of_the_configuration_come_at_every_start(ask, say, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    ask("create", "vm")
    assert {} == ask("modify", "vm", "mount", f"{shared}:code")
    assert (18, "code: is mounted already") == ask("modify", "vm", "mount", f"{tmp_path}:code")
    assert [str(shared)] == [each["host_path"] for each in ask("show", "vm", "mount")]
    for _ in range(2):
        ask("start", "vm")
        assert ["code"] == [each["guest_folder_name"] for each in ask("mount", "vm")]
        ask("stop", "vm")
    ask("start", "--mount", f"{shared}:more", "vm")
    assert ["code", "more"] == [each["guest_folder_name"] for each in ask("mount", "vm")]
    ask("stop", "vm")
    shared.rmdir()
    code, said = ask("start", "vm")
    assert (1, f"vm: failed to start: {shared} is to be mounted, and there is no such folder") == (code, said)
    assert {} == ask("modify", "vm", "delete", "mount", "code")
    assert {} == ask("start", "vm")
    assert "| fsid | host_path | guest_folder_name | guest_path |" in say("mount", "vm")[1]


def test_what_cannot_be_mounted(ask, tmp_path):
    ask("create", "vm")
    ask("start", "vm")
    assert (1, f"{tmp_path}/none: there is no such folder on this machine") == ask("mount", "vm", f"{tmp_path}/none")
    assert (1, "'..' is no name of a folder in the guest") == ask("mount", "vm", f"{tmp_path}:..")
    assert (3, "nothing: not found") == ask("mount", "nothing", str(tmp_path))
    assert (1, "usage: anka unmount [--all] VM MOUNT…") == ask("unmount", "vm")
    assert {} == ask("unmount", "-a", "vm")
