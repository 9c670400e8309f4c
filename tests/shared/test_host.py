"""The host door through the stand-in: what each method gives, and which class each failure has."""

from __future__ import annotations

import dataclasses
import shlex

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import InterruptError, NotFoundError, RefusedError, UnreachableError
from anka_ci.settings import Context

SAMPLE = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"


@pytest.fixture(autouse=True)
def nothing_inherited(monkeypatch):
    for name in ("ANKA_HOME", "ANKA_REGISTRY", "ANKA_STANDIN_GENERATION", "ANKA_STANDIN_ARCH", "ANKA_STANDIN_GUESTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def url(server):
    return server.registry_url


@pytest.fixture
def recorded(server, tmp_path):
    """The doors, and a file with every command line that the host door ran."""
    log = tmp_path / "log"
    script = f'echo "$*" >> {shlex.quote(str(log))}; exec {shlex.quote(server.anka)} "$@"'
    return Anka(Context(anka=("sh", "-c", script, "anka"))), log


def test_pull_look_and_push(anka, near, url, standin):
    told = []
    anka.tell = told.append
    host = anka.host
    assert [] == host.vms()
    before = host.download_size("sonoma", "v1", url)
    assert (before.size, 0, before.size) == (before.download, before.cached, before.size)
    assert before.available > 0
    base = host.pull("sonoma", "base", registry_url=url)
    assert (before.size > base.moved > 0, 0) == (True, base.shared)
    newest = host.pull("sonoma", "v1", registry_url=url, shrink=True)
    assert (before.size - base.moved, base.moved) == (newest.moved, newest.shared)
    assert ("v1", 1.0) == (told[-1].subject, told[-1].done)
    assert 0 == host.download_size("sonoma", "v1", url).download
    (vm,) = host.vms()
    assert (SAMPLE, "sonoma", "v1", "stopped") == (vm.id, vm.name, vm.tag, vm.status)
    shown = host.vm("sonoma")
    assert ("v1", "arm64", before.size) == (shown.tag, shown.arch, shown.image_size)
    assert ["v1"] == host.tags(SAMPLE)
    top = host.config("sonoma")["hard_drives"][0]["file"]
    assert top == anka.registry.template("sonoma").pick("v1").images[0]
    standin("run", "sonoma", "sh", "-c", "echo 1 > file")
    standin("stop", "sonoma")
    assert top != host.config("sonoma")["hard_drives"][0]["file"]
    pushed = host.push("sonoma", "v2", registry_url=url, description="more")
    assert (2, True, before.size) == (pushed.version, pushed.moved > 0, pushed.shared)
    assert "more" == anka.registry.template("sonoma").pick("v2").description
    assert ["v2", "v1"] == host.tags("sonoma")
    assert 0 == host.pull("sonoma", "v1", registry_url="http://127.0.0.1:1", local=True).moved


def test_the_architecture_is_the_one_that_the_command_tells(anka, monkeypatch):
    monkeypatch.setenv("ANKA_STANDIN_ARCH", "amd64")
    assert "amd64" == anka.host.arch()


def test_failures_have_their_class(anka, near, url, standin):
    anka.clock = ManualClock()
    host = anka.host
    for call in (host.vm, host.tags, host.config):
        with pytest.raises(NotFoundError):
            call("nothing")
    with pytest.raises(NotFoundError, match="no VM or tag 'nothing'"):
        host.pull("nothing", "v1", registry_url=url)
    with pytest.raises(NotFoundError) as caught:
        host.pull("sonoma", "nothing", registry_url=url)
    assert "sonoma:nothing: not found" == caught.value.hint
    with pytest.raises(NotFoundError):
        host.pull("sonoma", "v1", registry_url=url, local=True)
    with pytest.raises(UnreachableError):  # something answers, but it is no registry
        host.pull("sonoma", "v1", registry_url=f"{url}/nowhere")
    host.pull("sonoma", "v1", registry_url=url)
    with pytest.raises(RefusedError, match="v1: tag already exists"):
        host.push("sonoma", "v1", registry_url=url)
    standin("start", "sonoma")
    with pytest.raises(RefusedError, match="the VM is running"):
        host.push("sonoma", "v2", registry_url=url)
    with pytest.raises(RefusedError, match="the VM is running"):
        host.pull("sonoma", "v1", registry_url=url)


def test_onto_and_force(anka, near, url, standin):
    standin("create", "other")
    with pytest.raises(NotFoundError):
        anka.host.push("other", "v2", registry_url=url, onto="nothing")
    assert 2 == anka.host.push("other", "v2", registry_url=url, onto="sonoma").version
    standin("run", "other", "touch", "file")
    standin("stop", "other")
    with pytest.raises(RefusedError, match="v2: tag already exists"):
        anka.host.push("other", "v2", registry_url=url, onto="sonoma")
    assert 2 == anka.host.push("other", "v2", registry_url=url, onto="sonoma", force=True).version
    with pytest.raises(RefusedError, match="only the newest version can be replaced"):
        anka.host.push("other", "v1", registry_url=url, onto="sonoma", force=True)


def test_the_stand_in_of_2_x_understands_the_words_of_2_x(anka, near, url, standin, monkeypatch):
    monkeypatch.setenv("ANKA_STANDIN_GENERATION", "2")
    host = anka.host
    assert host.download_size("sonoma", "v1", url).download > 0
    host.pull("sonoma", "v1", registry_url=url)
    assert ("2.5.7", ["v1"]) == (host.version()["version"], host.tags("sonoma"))
    host.run("sonoma", ["touch", "file"])
    host.stop("sonoma")
    assert 2 == host.push("sonoma", "v2", registry_url=url, description="more").version


def test_a_cancelled_build_ends_the_command():
    doors = Anka(Context(anka=("sh", "-c", "sleep 60")))
    doors.cancelled.set("SIGTERM")
    with pytest.raises(InterruptError):
        doors.host.vms()


def test_a_pull_of_what_the_vm_is_already_asks_no_more_than_it_has_to(recorded, server, url, standin):
    standin("registry", "--remote", url, "pull", "--tag", "v1", "sonoma")
    doors, log = recorded
    doors = Anka(dataclasses.replace(doors.context, registry_urls=(url,)))
    doors.host.version()
    log.write_text("")
    result = perform("pull", {"template": "sonoma", "tag": "v1"}, doors)
    assert (True, 0) == (result.outputs["already-here"], result.outputs["bytes-received"])
    calls = [line.split()[1] for line in log.read_text().splitlines()]
    assert ["list", "describe", "registry"] == calls
