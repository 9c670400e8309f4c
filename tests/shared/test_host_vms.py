"""The host door's way with VMs, guests and remembered registries, through the stand-in; no registry is asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.errors import FellShortError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.host import Host
from anka_ci.server import launcher
from anka_ci.settings import Context
from anka_ci.wire.remote import Remote
from conftest import plain_env


@pytest.fixture
def host(near: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The stand-in on a library of its own, in which guests may run."""
    for name in [name for name in os.environ if name.startswith("ANKA")]:
        monkeypatch.delenv(name)
    for name, value in plain_env(tmp_path).items():
        monkeypatch.setenv(name, value)
    defaults = {"ANKA_HOME": str(tmp_path / "host library"), "ANKA_STANDIN_GUESTS": "1"}
    return Anka(Context(anka=(launcher.write(tmp_path, defaults),))).host


def create(host: Host, name: str) -> str:
    return str(host._body(["create", name]))


def test_clone_run_and_delete(host, tmp_path):
    id_ = create(host, "base")
    assert host.free() == pytest.approx(os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize, rel=0.2)
    host.start("base")
    with pytest.raises(RefusedError, match="already running"):
        host.start("base")
    heard = []
    done = host.run(
        "base",
        ["sh", "-c", 'cat; printf "%s\\n" "$GREETING" >file; echo oops >&2; exit 7'],
        env={"GREETING": "$HOME 'and' more"},
        input=b"in\n",
        on_line=lambda stream, line: heard.append((stream, line)),
    )
    assert (7, "in\n", "oops\n") == (done.status, done.stdout, done.stderr)
    assert {("stdout", "in"), ("stderr", "oops")} == set(heard)
    assert "$HOME 'and' more\n" == host.run("base", ["cat", "file"]).stdout
    running = host.vm(id_)
    assert (True, "running") == (running.running, running.status)
    host.stop("base")
    host.stop("base", force=True)
    before = host.layers("base")
    copy = host.clone(id_, "copy")
    assert ("copy", False, before) == (copy.name, copy.running, host.layers(copy.id))
    assert copy.accessed == pytest.approx(host.vm("base").accessed, abs=60)
    with pytest.raises(RefusedError, match="a VM named copy exists on this host"):
        host.clone(id_, "copy")
    with pytest.raises(NotFoundError):
        host.clone("nothing", "other")
    host.suspend(copy.id)
    host.delete("copy")
    assert ["base"] == [vm.name for vm in host.vms()]
    with pytest.raises(NotFoundError):
        host.delete("copy")


@pytest.mark.parametrize("generation", ["2", "3", "3.9"])
def test_reset_and_local_tags(host, generation, monkeypatch):
    monkeypatch.setenv("ANKA_STANDIN_GENERATION", generation)
    create(host, "base")
    for tag in ("v1", "v2"):
        host.run("base", ["sh", "-c", f"echo {tag} >file"])
        host.stop("base")
        host._body(["registry", "push", "--local", "--tag", tag, "base"])
    assert ["v2", "v1"] == host.tags("base")
    new, old = host.layers("base", "v2"), host.layers("base", "v1")
    assert (new, 1, 1, True) == (host.layers("base"), len(new), len(old), new != old)
    assert host.layers("base", "v3") is None
    host.reset("base", "v1")
    assert ("v1", old) == (host.vm("base").tag, host.layers("base"))
    host.run("base", ["rm", "file"])
    host.stop("base")
    assert old != host.layers("base")
    host.reset("base")
    assert old == host.layers("base")
    with pytest.raises(NotFoundError):
        host.reset("base", "v3")
    if generation == "2":
        with pytest.raises(RefusedError, match=r"the anka of this host \(2.5.7\) has no clone of a tag"):
            host.clone("base", "copy", tag="v2")
    else:
        assert new == host.layers(host.clone("base", "copy", tag="v2").id)
    host.delete_tag("base", "v2")
    assert ["v1"] == host.tags("base")
    with pytest.raises(NotFoundError):
        host.delete_tag("base", "v2")


@pytest.mark.parametrize("generation", ["2", "3", "3.9"])
def test_remembered_registries(host, generation, monkeypatch):
    monkeypatch.setenv("ANKA_STANDIN_GENERATION", generation)
    assert [] == host.remotes()
    host.add_remote("one", "http://127.0.0.1:8089", force=True)
    host.add_remote("two", "http://127.0.0.1:8090", force=True)
    one, two = (Remote(name=name, url=f"http://127.0.0.1:{port}") for name, port in (("one", 8089), ("two", 8090)))
    assert [one, Remote(name=two.name, url=two.url, default=True)] == host.remotes()
    host.choose_remote("one")
    host.forget_remote("two")
    assert [Remote(name="one", url=one.url, default=True)] == host.remotes()
    with pytest.raises(UnreachableError, match="no registry named two is configured"):
        host.choose_remote("two")


TOLD = """case "$*" in
*version) echo '{"status": "OK", "body": {"version": "2.5.7"}}'; exit;;
*show*) echo '{"status": "OK", "body": {"uuid": "u", "name": "vm"}}'; exit;;
esac
"""


def test_what_a_guest_is_given_is_for_its_owner_only():
    script = TOLD + 'for word; do echo "$word"; done; ls -l "$7" | cut -c1-10; cat "$7"'
    host = Anka(Context(anka=("sh", "-c", script, "anka"))).host
    lines = host.run("vm", ["true", "a b"], env={"A": "1", "B": "x y"}, folder="/w").stdout.splitlines()
    file = lines.pop(6)
    assert ["run", "--no-volume", "--wait-network", "-w", "/w", "--env-file"] == lines[:6]
    assert ["vm", "true", "a b", "-rw-------", "A=1", "B=x y"] == lines[6:]
    assert not Path(file).parent.exists()
    with pytest.raises(UsageError, match="holds more than one line"):
        host.run("vm", ["true"], env={"A": "1\n2"})
    with pytest.raises(UsageError, match="'1 A' is no name of a variable"):
        host.run("vm", ["true"], env={"1 A": "1"})
    with pytest.raises(UsageError, match="nothing is to be run in vm"):
        host.run("vm", [])


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("exit 125", UnreachableError, "vm: guest connection lost"),
        ("echo 'anka: vm: failed to start: no room' >&2; exit 1", RefusedError, "anka run vm: vm: failed to start"),
        ("echo '-anka: No registry' >&2; echo '  do this' >&2; exit 30", UnreachableError, "anka run vm: No registry"),
        ("sleep 60", FellShortError, "did not finish within 0.1 s"),
    ],
)
def test_a_guest_that_does_not_get_to_its_end(script, error, said):
    host = Anka(Context(anka=("sh", "-c", TOLD + script, "anka"))).host
    with pytest.raises(error, match=said):
        host.run("vm", ["true"], timeout=0.1 if error is FellShortError else 60)
