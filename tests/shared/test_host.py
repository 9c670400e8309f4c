"""The host door through the stand-in: what each method gives, and which class each failure has."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.errors import InterruptError, NotFoundError, RefusedError, UnreachableError, UsageError
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


def test_pull_look_and_push(anka, url, standin):
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


def test_failures_have_their_class(anka, url, standin, monkeypatch):
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


def test_onto_and_force(anka, url, standin):
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


@pytest.mark.parametrize(
    ("generation", "pull", "size"),
    [
        ("2", "registry --registry-path URL pull --tag v1 sonoma", "registry --registry-path URL check-download-size"),
        ("3", "registry --remote URL pull --tag v1 sonoma", "pull --check-download-size --tag v1 sonoma URL"),
    ],
)
def test_each_generation_gets_its_own_words(recorded, url, monkeypatch, generation, pull, size):
    monkeypatch.setenv("ANKA_STANDIN_GENERATION", generation)
    doors, log = recorded
    assert doors.host.download_size("sonoma", "v1", url).download > 0
    doors.host.pull("sonoma", "v1", registry_url=url)
    lines = log.read_text().replace(url, "URL").splitlines()
    assert "--machine-readable version" == lines[0]
    assert lines[1].startswith(f"--machine-readable {size}")
    assert f"--machine-readable {pull}" == lines[2]


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        ("exit 1", RefusedError, "no JSON came back"),
        ("echo oops >&2; exit 4", RefusedError, "no JSON came back .status 4.: oops"),
        ('echo "[]"', RefusedError, "no JSON came back"),
        ("""echo '{"status": "OK", "body": 7}'""", RefusedError, "its answer is no mapping"),
        (
            """echo progress; echo '{"status": "ERROR", "message": "X failed to pause"}'; exit 1""",
            RefusedError,
            "pause",
        ),
        (
            """echo '{"status": "ERROR", "code": 3, "message": "vm: not found"}'; exit 3""",
            NotFoundError,
            "no VM or tag",
        ),
        (
            """echo '{"status": "FAIL", "code": 30, "message": "No registry"}'; exit 30""",
            UnreachableError,
            "No registry",
        ),
        ("""echo '{"status": "ERROR", "message": "vm: not found"}'; exit 1""", NotFoundError, "no VM or tag"),
        ("""echo '{"status": "OK", "body": {}}'; exit 1""", RefusedError, "anka show vm"),
    ],
)
def test_answers_of_other_releases(script, error, said):
    with pytest.raises(error, match=said):
        Anka(Context(anka=("sh", "-c", script))).host.vm("vm")


def test_a_success_may_come_behind_other_lines():
    script = """echo '{"progress": 3}'; printf '{"status": "OK", "body": [{"uuid": "u", "name": "n"}]}'"""
    (vm,) = Anka(Context(anka=("sh", "-c", script))).host.vms()
    assert ("u", "n", "") == (vm.id, vm.name, vm.tag)


def test_a_command_that_is_not_there(tmp_path: Path, monkeypatch):
    with pytest.raises(UsageError, match="is not there"):
        Anka(Context(anka=(str(tmp_path / "anka"),))).host.vms()
    monkeypatch.setenv("PATH", str(tmp_path))
    if not any(Path(place).exists() for place in ("/usr/local/bin/anka", "/opt/homebrew/bin/anka")):
        with pytest.raises(UsageError, match="no `anka` command on this machine"):
            _ = Anka(Context()).host


def test_a_cancelled_build_ends_the_command():
    doors = Anka(Context(anka=("sh", "-c", "sleep 60")))
    doors.cancelled.set("SIGTERM")
    with pytest.raises(InterruptError):
        doors.host.vms()
