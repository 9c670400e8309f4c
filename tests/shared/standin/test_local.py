"""Local VMs: their names, their guests, and what a change becomes."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from anka_ci.standin.words import CONNECTION, options, parse


def top(ask, vm):
    return ask("describe", vm)["hard_drives"][0]["file"]


def test_a_vm_from_create_to_delete(ask, library):
    made = ask("create", "fresh", "--app", "/Applications/Install.app", "--disk-size", "40G", "--cpu-count", "3")
    assert str(uuid.UUID(made)) == made
    assert ["fresh"] == [row["name"] for row in ask("list")]
    shown = ask("show", made[:8])
    assert ("fresh", made, 3, "4G", 4 << 30, "stopped", 2) == tuple(
        shown[key] for key in ("name", "uuid", "cpu_cores", "ram", "ram_size", "status", "arch")
    )
    assert "version" not in shown
    assert [] == ask("show", "fresh", "tag")
    assert (18, "fresh: vm already exists") == ask("create", "fresh")
    assert (1, f"are you sure you want to delete vm {made} fresh?") == ask("delete", "fresh")
    assert {} == ask("delete", "--yes", "fresh")
    assert (3, "fresh: not found") == ask("show", "fresh")
    assert [] == [*(library / "img_lib").glob("*.ank")]


def test_names_resolve_as_id_then_name_then_unique_beginning(ask):
    first = ask("create", "first")
    ask("create", first[:8])  # a name that looks like the beginning of another's id
    assert first[:8] == ask("show", first[:8], "name")
    assert "first" == ask("show", first[:9], "name")
    assert "first" == ask("show", first.upper(), "name")
    assert (3, f"{first[:5]}: not found") == ask("show", first[:5])


def test_the_tables_that_people_and_scripts_read(ask, say):
    assert "| name | uuid | access_date | status |" in say("list")[1]
    made = ask("create", "a name")
    assert f"| a name | {made} |" in say("list")[1]
    assert (3, "", "anka: nothing: not found\n") == say("list", "nothing")
    assert (3, "", "-anka: nothing: not found\n") == say("list", "nothing", ANKA_STANDIN_GENERATION="2")
    assert (0, made + "\n", "") == say("show", "a name", "uuid")
    assert 3 == say("show", "a name", "ip")[0]
    assert 0 == say()[0]
    assert say("config", "img_lib_dir")[1].endswith("img_lib\n")


def test_what_it_says_it_is(ask, say):
    assert say("version")[1].startswith("Anka ")
    assert "3.8.5" == ask("version")["version"]
    assert "2.5.7" == ask("version", ANKA_STANDIN_GENERATION="2")["version"]
    assert "amd64" == ask("version", ANKA_STANDIN_ARCH="amd64")["host_arch"]
    assert "valid" == ask("license", "show")["status"]


def test_a_guest_runs_commands_in_its_own_folder(ask, launch):
    ask("create", "vm")
    child = launch("run", "-n", "-e", "A=b c", "vm", "sh", "-c", 'echo "$A|$HOME|$ANKA_VM_NAME"; pwd; exit 7')
    said = child.communicate(timeout=60)[0].splitlines()
    assert (7, f"b c|{said[1]}|vm") == (child.returncode, said[0])
    assert "running" == ask("show", "vm", "status")
    missing = launch("run", "vm", "no-such-command")
    assert "anka: no-such-command: No such file or directory\n" == missing.communicate(timeout=60)[1]
    assert 127 == missing.returncode
    assert {"stdout": "out\n", "stderr": "err\n"} == ask("run", "vm", "sh", "-c", "echo out; echo err >&2")
    assert (4, "the command ended with status 4") == ask("run", "vm", "sh", "-c", "exit 4")


def test_guests_run_only_where_it_is_allowed(ask, tmp_path):
    ask("create", "vm")
    file = tmp_path / "never"
    code, said = ask("run", "vm", "touch", str(file), ANKA_STANDIN_GUESTS="")
    assert (1, "guests may not run commands here", False) == (code, said, file.exists())


def test_a_change_is_a_layer_and_no_change_is_none(ask, guest):
    ask("create", "vm")
    empty = top(ask, "vm")
    guest(ask, "vm", "mkdir d; echo one > d/file; ln -s file d/link; chmod 700 d")
    changed = top(ask, "vm")
    assert empty != changed
    ask("registry", "push", "--local", "--tag", "t", "vm")
    assert changed == top(ask, "vm")
    guest(ask, "vm", "touch d/file; echo two > d/file; echo one > d/file")
    assert changed == top(ask, "vm")
    guest(ask, "vm", "echo two > d/file")
    assert changed != top(ask, "vm")
    assert "t" == ask("registry", "pull", "--local", "vm")["tag"]
    assert changed == top(ask, "vm")
    found = guest(ask, "vm", "cat d/file; readlink d/link; ls -ld d").splitlines()
    assert ["one", "file", "drwx------"] == [*found[:2], found[2][:10]]


def test_what_was_removed_stays_removed_in_a_clone(ask, guest):
    ask("create", "vm")
    guest(ask, "vm", "mkdir -p a/b c; touch a/b/f c/f g; ln -s g l")
    ask("registry", "push", "--local", "--tag", "full", "vm")
    guest(ask, "vm", "rm -r a l; rm c/f g; mkdir g; touch g/now-a-folder a")
    ask("clone", "vm", "copy")
    assert {".", "./a", "./c", "./g", "./g/now-a-folder"} == set(guest(ask, "copy", "find .").split())
    ask("clone", "--tag", "full", "vm", "old")
    full = {".", "./a", "./a/b", "./a/b/f", "./c", "./c/f", "./g", "./l"}
    assert full == set(guest(ask, "old", "find .").split())


def test_the_same_change_is_the_same_layer_everywhere(ask, guest, tmp_path):
    tops = set()
    for name in ("one", "two"):
        there = {"ANKA_HOME": str(tmp_path / name)}
        ask("create", "vm", **there)
        guest(ask, "vm", "for n in c a b; do echo $n > $n; done", **there)
        tops.add(ask("describe", "vm", **there)["hard_drives"][0]["file"])
    assert 1 == len(tops)


@pytest.mark.parametrize("make", ["ln -s /etc/passwd l", "ln -s ../../x l", "touch .wh.x"])
def test_what_no_layer_can_hold_is_refused_with_its_name(ask, guest, make):
    ask("create", "vm")
    guest(ask, "vm", make)
    code, said = ask("registry", "push", "--local", "--tag", "t", "vm")
    assert (1, True) == (code, "the guest's " in said)
    assert [] == ask("show", "vm", "tag")


def test_layers_that_a_clone_needs_outlive_the_vm(ask, guest):
    ask("create", "vm")
    guest(ask, "vm", "echo kept > file")
    ask("clone", "vm", "copy")
    ask("delete", "--yes", "vm")
    assert "kept\n" == guest(ask, "copy", "cat file")


def test_states_that_do_not_go_together(ask):
    ask("create", "vm")
    assert {} == ask("stop", "vm")
    assert {} == ask("start", "vm")
    assert (1, "vm: failed to start: already running") == ask("start", "vm")
    assert (1, "vm: the VM is running") == ask("registry", "-r", "http://127.0.0.1:1", "push", "--tag", "t", "vm")
    assert (1, "vm: the VM is running") == ask("clone", "vm", "copy")
    assert ["vm"] == [row["name"] for row in ask("list", "--running")]
    assert {} == ask("suspend", "vm")
    assert "stopped" == ask("show", "vm", "status")
    assert (3, "b: not found") == ask("start", "vm", "b")
    assert "stopped" == ask("show", "vm", "status")


def test_a_damaged_vm_is_told_and_can_be_deleted(ask, library):
    made = ask("create", "vm")
    ask("create", "sound")
    (library / "vm_lib" / made / "meta.json").write_text("{")
    assert {"vm": "failed", "sound": "stopped"} == {row["name"]: row["status"] for row in ask("list")}
    assert 1 == ask("start", "vm")[0]
    assert {} == ask("delete", "--yes", "vm")
    assert ["sound"] == [row["name"] for row in ask("list")]


def test_a_vm_whose_folder_was_renamed_works_at_once(ask, library):
    """Scripts of the field copy a VM's folder to a new id and write it into ``config.yaml``."""
    made, new = ask("create", "vm"), str(uuid.uuid4())
    folder = library / "vm_lib"
    (folder / made).rename(folder / new)
    config = folder / new / "config.yaml"
    config.write_text(config.read_text().replace(made, new))
    assert new == ask("show", "vm", "uuid")
    assert {} == ask("start", new)


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        (["push", "vm", "-t", "x"], {"tag": "x"}, ("push", "vm")),
        (["-t", "x", "vm", "--force"], {"tag": "x", "force": ""}, ("vm",)),
        (["vm", "--tag=a=b"], {"tag": "a=b"}, ("vm",)),
        (["--", "-t"], {}, ("-t",)),
    ],
)
def test_options_stand_before_or_after(words, values, rest):
    found = parse(words, options("-t --tag=", "-f --force"))
    assert (values, rest) == (dict(found.values), found.rest)


def test_every_spelling_of_a_connection_is_taken():
    for flag in ("-c", "-i", "--cert", "--pem"):
        assert {"cert": "x"} == parse([flag, "x"], CONNECTION).values
    assert {"registry_path": "u"} == parse(["-a", "u"], CONNECTION).values


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["frob"], "no such command: frob"),
        (["registry", "frob"], "no such command: registry frob"),
        (["list", "--frob"], "no such option: --frob"),
        (["registry", "pull", "--tag", "", "vm"], "--tag is empty"),
        (["registry", "push", "vm", "--tag"], "--tag option requires an argument"),
        (["show", ""], "an argument is empty"),
    ],
)
def test_words_that_make_no_sense(ask, words, said):
    assert (1, said) == ask(*words)


def test_registries_that_are_remembered(ask, say, server):
    assert (30, "No registry configured") == ask("registry", "list")
    assert [] == ask("registry", "list-repos")
    ask("registry", "add", "here", server.registry_url)
    ask("registry", "add", "--force", "away", "http://127.0.0.1:1")
    assert [("here", False), ("away", True)] == [(row["name"], row["default"]) for row in ask("registry", "list-repos")]
    ask("registry", "set", "here")
    assert ["sonoma"] == [row["name"] for row in ask("registry", "list")]
    assert "| id     | here" in say("registry", "list-repos", "-d")[1]
    assert isinstance(ask("registry", "list-repos", ANKA_STANDIN_GENERATION="2"), dict)
    ask("registry", "delete", "here")
    assert (30, "no registry named here is configured") == ask("registry", "-r", "here", "list")


def test_the_library_is_laid_out_as_scripts_expect_it(ask, library):
    made = ask("create", "vm")
    ask("registry", "push", "--local", "--tag", "a/b", "vm")
    folder: Path = library / "vm_lib" / made
    assert {"config.yaml", "current", "meta.json", "nvram", "tags"} == {each.name for each in folder.iterdir()}
    assert {"config.yaml", "meta.json", "nvram"} == {each.name for each in (folder / "tags" / "a%2Fb").iterdir()}
    lines = (folder / "config.yaml").read_text().splitlines()
    assert 1 == len([line for line in lines if line.startswith("  file: ") and line.endswith(".ank")]), lines
