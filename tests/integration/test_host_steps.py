"""The steps of a host at length: many runs in VMs, and what becomes of the VMs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, SystemClock
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, FellShortError, InterruptError, RefusedError
from conftest import plain_env
from vmhost import VmHost


@pytest.fixture(scope="module")
def vmhost(tmp_path_factory):
    return VmHost(tmp_path_factory.mktemp("vmhost"))


def run_in(anka, confirm=None, **inputs):
    values = {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("run-in-vm", values, anka, confirm=confirm)


def test_the_command_takes_variables_one_by_one_and_secrets_from_its_environment(vmhost, cli):
    vmhost.make("asked")
    done = cli(
        *("run-in-vm", "asked", "--script", 'echo "$A and $B, $TOKEN"; exit 4', "--env", "A=1 2", "--env", "B=x=y"),
        env={"ANKA_CI_ANKA": vmhost.command, "ANKA_CI_SECRET_ENV": "TOKEN=hidden\nOTHER=unseen"},
    )
    assert 3 == done.returncode
    assert "1 2 and x=y, ***\n" in done.stderr
    assert "hidden" not in done.stdout + done.stderr
    assert "exit-status  4" in done.stdout


def test_where_a_run_leaves_the_vm_and_what_reaches_it(vmhost):
    vmhost.make("words")
    anka = vmhost.doors()
    command = '["sh", "-c", "pwd; echo \\"$1\\"", "-", "a  b;$(c)"]'
    assert 0 == run_in(anka, vm="words", script="mkdir -p deep/er").outputs["exit-status"]
    done = run_in(anka, vm="words", command=command, folder="deep/er", afterwards="leave")
    where, word = done.outputs["output"].splitlines()
    assert ("a  b;$(c)", str(vmhost.guest("words") / "deep" / "er")) == (word, where)
    assert ("running", "running") == (done.outputs["state"], vmhost.status("words"))
    again = run_in(anka, vm="words", command="true", afterwards="suspend")
    assert ("running", True) == (again.outputs["state"], "runs already" in again.notes[0])
    vmhost.ask("stop", "words")
    assert "stopped" == run_in(anka, vm="words", command="true", afterwards="suspend").outputs["state"]  # as ARM does


def test_a_failure_can_leave_the_vm_as_it_was(vmhost):
    vmhost.make("fails", "v1")
    anka = vmhost.doors()
    with pytest.raises(RefusedError) as caught:
        run_in(anka, vm="fails", script="echo half >half; exit 3", on_failure="stop")
    assert "the VM was stopped" == caught.value.hint.splitlines()[-1].strip()
    assert (vmhost.guest("fails") / "half").exists()
    # now it has something of its own, which a reset would take away
    with pytest.raises(ConfirmationError, match="if the run fails, what was changed in the VM fails since its tag v1"):
        run_in(anka, vm="fails", command="true")
    with pytest.raises(RefusedError, match="status 9"):
        run_in(anka, vm="fails", command="sh\n-c\nexit 9", on_failure="keep")
    assert "running" == vmhost.status("fails")
    vmhost.ask("stop", "fails")


def test_a_time_limit_and_an_interruption_stop_the_vm(vmhost):
    vmhost.make("slow")
    cancelled, told = Cancelled(), []

    def tell(event):
        told.append(event)
        cancelled.set("SIGTERM")

    with pytest.raises(FellShortError) as caught:
        run_in(vmhost.doors(), vm="slow", command="sleep\n60", script_timeout="0.3")
    assert "the VM was stopped" == caught.value.hint.splitlines()[-1].strip()
    with pytest.raises(InterruptError) as caught:
        run_in(vmhost.doors(cancelled=cancelled, tell=tell), vm="slow", script="echo begun; sleep 60")
    assert "the VM was stopped" == caught.value.hint.splitlines()[-1].strip()
    assert ("begun", "stopped") == (told[0].text, vmhost.status("slow"))


def test_a_pull_makes_room_on_a_disk_that_is_really_full(small, anka, standin, tmp_path):
    library = {"ANKA_HOME": str(tmp_path / "elsewhere")}
    made = standin("create", "large", env=library).stdout.strip()
    for words in (
        ("run", "large", "sh", "-c", "head -c 6000000 /dev/urandom >file"),
        ("stop", "large"),
        ("registry", "--remote", anka.registry.url, "push", "--tag", "v1", "large"),
    ):
        done = standin(*words, env=library)
        assert 0 == done.returncode, done.stderr
    (command,) = anka.context.anka
    doors = Anka(dataclasses.replace(anka.context, anka=("env", f"ANKA_HOME={small}", command)))
    perform("pull", {"template": "sonoma"}, doors)
    with pytest.raises(RefusedError, match=r"large:v1 does not fit: .* are to be downloaded, .* are free") as caught:
        perform("pull", {"template": "large"}, doors)
    assert "make-room" in caught.value.hint
    assert ["sonoma"] == [vm.name for vm in doors.host.vms()]
    planned = perform("pull", {"template": "large", "make-room": "true"}, doors, plan_only=True)
    assert ["evict", "pull"] == [action["verb"] for action in planned.plan["actions"]]
    done = perform("pull", {"template": "large", "make-room": "true"}, doors)
    assert made == done.outputs["id"]
    assert [("large", "v1")] == [(vm.name, vm.tag) for vm in doors.host.vms()]


def layers(library):
    """The layer files of a library with their digests."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in library.glob("img_lib/*.ank")}


def test_the_example_that_changes_a_template_in_its_vm_shares_layers_byte_by_byte(cli, anka, server):
    example = Path(__file__).parents[2] / "shared" / "examples" / "change-in-vm.yml"
    done = cli("run", str(example), "--json")
    assert 0 == done.returncode, done.stderr
    steps = {step["id"]: step for step in json.loads(done.stdout)["steps"]}
    assert {"done"} == {step["status"] for step in steps.values()}
    assert "simulator-cache\nversion" == steps["change"]["outputs"]["output"]
    _, v1, v2 = anka.registry.template("sonoma").versions
    pushed = steps["push"]["outputs"]
    assert (v1.size, v2.size - v1.size) == (pushed["bytes-shared"], pushed["bytes-sent"])
    assert (v2.size, 0) == tuple(steps["tidy"]["outputs"][key] for key in ("bytes-shared", "bytes-received"))
    assert v1.images == v2.images[1:]
    # shrink left what v2 is made of, and a node that pulled it has the very same bytes
    here = layers(Path(anka.host.library()).parent)
    assert {*v2.images} == {*here}
    (node,) = (server.data / "nodes").glob("node-1")
    there = layers(node)
    assert here == {name: there[name] for name in v2.images}
    assert ["v2"] == anka.host.tags("sonoma")
    again = cli("run", str(example), "--json")
    assert 0 == again.returncode, again.stderr
    steps = {step["id"]: step for step in json.loads(again.stdout)["steps"]}
    assert ("skipped", 0) == tuple(steps["push"]["outputs"][key] for key in ("outcome", "bytes-sent"))
    assert (here, ["v2"]) == (layers(Path(anka.host.library()).parent), anka.host.tags("sonoma"))


@pytest.mark.parametrize("generation", ["2", "3", "3.9"])
def test_the_steps_of_a_host_under_every_release_that_the_stand_in_plays(anka, generation):
    (command,) = anka.context.anka
    words = ("env", f"ANKA_STANDIN_GENERATION={generation}", command)
    doors = Anka(dataclasses.replace(anka.context, anka=words))

    def step(name_, confirm=None, **inputs):
        return perform(name_, {key.replace("_", "-"): value for key, value in inputs.items()}, doors, confirm=confirm)

    assert {"one": True} == {
        row["name"]: row["default"] for row in step("use-registry", action="add", name="one").outputs["registries"]
    }
    assert "two" == step("use-registry", action="add", name="two", url=anka.registry.url + "/").outputs["name"]
    assert "one" == step("use-registry", action="forget", name="two", then="one", confirm="yes").outputs["name"]
    size = step("size", template="sonoma").outputs
    assert size["fits"]
    assert size["available"] > 0
    for tag in ("base", "v1"):
        step("pull", template="sonoma", tag=tag)
    made = step("clone", vm="sonoma", name="job")
    ran = step("run-in-vm", vm="job", script='echo "$A"; pwd; echo x >new', env={"A": "1 2"}, folder="/")
    assert ("1 2", 0, "stopped") == (
        ran.outputs["output"].splitlines()[0],
        *(ran.outputs[key] for key in ("exit-status", "state")),
    )
    with pytest.raises(RefusedError, match="ended with status 5"):
        step("run-in-vm", vm="sonoma", command="sh\n-c\necho x >new; exit 5")
    assert "v1" == doors.host.vm("sonoma").tag
    assert doors.host.top("sonoma", "v1") == doors.host.config("sonoma")["hard_drives"][0]["file"]
    if generation == "2":
        with pytest.raises(RefusedError, match="has no clone of a tag"):
            step("clone", vm="sonoma", name="other", tag="base")
    else:
        assert "base" == step("clone", vm="sonoma", name="other", tag="base").outputs["source-tag"]
    assert ["base"] == step("delete-local", vm="sonoma", tag="base").outputs["tags"]
    assert made.outputs["id"] == step("delete-local", vm="job", confirm="yes").outputs["id"]
    assert "job" not in [vm.name for vm in doors.host.vms()]


def test_a_signal_ends_the_command_within_five_seconds_and_the_vm_is_what_its_tag_is(vmhost, tmp_path):
    vmhost.make("signalled", "v1")
    clock = SystemClock()
    words = ("run-in-vm", "signalled", "--script", "echo half >half; echo begun; sleep 300")
    child = subprocess.Popen(
        [sys.executable, "-Im", "anka_ci.cli", *words],
        env=plain_env(tmp_path) | {"ANKA_CI_ANKA": vmhost.command},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert any("begun" in line for line in child.stderr)
    began = clock.monotonic()
    child.send_signal(signal.SIGTERM)
    said = child.stderr.read()
    assert 130 == child.wait(timeout=30)
    assert clock.monotonic() - began < 5
    assert "the VM was set back to its tag v1" in said
    assert "stopped" == vmhost.status("signalled")
    assert not (vmhost.guest("signalled") / "half").exists()
