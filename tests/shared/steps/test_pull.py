"""The step ``pull``: what comes, what is here, and what would be lost."""

import json
from urllib.request import Request, urlopen

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotFoundError, RefusedError, UnreachableError, UsageError
from anka_ci.result import Progress
from anka_ci.settings import Context


def pull(anka, confirm=None, plan_only=False, **inputs):
    values = {"template": "sonoma", **{key.replace("_", "-"): value for key, value in inputs.items()}}
    return perform("pull", values, anka, confirm=confirm, plan_only=plan_only)


def offline(anka, **more):
    """The same host, whose registry does not answer; the clock spares the pauses between the tries."""
    return Anka(Context(registry_urls=("http://127.0.0.1:9",), anka=anka.context.anka), clock=ManualClock(), **more)


def change(standin, text="changed"):
    """Change the VM's guest."""
    for words in (("run", "sonoma", "sh", "-c", f"echo {text} > note"), ("stop", "sonoma")):
        done = standin(*words)
        assert 0 == done.returncode, done.stderr


@pytest.fixture
def have(anka, standin):
    """Brings a tag of sonoma onto this host with the command itself."""

    def have(tag):
        done = standin("registry", "--remote", anka.registry.url, "pull", "--tag", tag, "sonoma")
        assert 0 == done.returncode, done.stderr

    return have


def lost(caught):
    return [line[4:] for line in caught.value.message.splitlines()[1:]]


def test_only_what_is_not_here_is_downloaded(anka):
    template = anka.registry.template("sonoma")
    base, v1 = (version.size for version in template.versions)
    told = []
    first = pull(Anka(anka.context, tell=told.append), tag="base")
    assert ("done", "base", 0, False) == (
        first.status,
        *(first.outputs[key] for key in ("tag", "version", "already-here")),
    )
    assert (base, base, 0) == (first.plan["bytes"], first.outputs["bytes-received"], first.outputs["bytes-shared"])
    assert "base" in {event.subject for event in told if isinstance(event, Progress)}
    second = pull(anka)
    assert ("v1", 1) == (second.outputs["tag"], second.outputs["version"])
    assert (v1 - base, v1 - base, base) == (
        second.plan["bytes"],
        second.outputs["bytes-received"],
        second.outputs["bytes-shared"],
    )
    third = pull(anka, version="0")
    assert (True, 0, "base") == tuple(third.outputs[key] for key in ("already-here", "bytes-received", "tag"))
    assert any("here already" in note for note in third.notes)
    assert "base" == anka.host.vm("sonoma").tag


def test_unpushed_changes_go_only_with_a_confirmation(anka, standin, have):
    have("v1")
    change(standin)
    with pytest.raises(ConfirmationError, match="or yes") as caught:
        pull(anka)
    assert ["what was changed in the VM sonoma since its tag v1, which was not pushed"] == lost(caught)
    top = anka.host.config("sonoma")["hard_drives"][0]["file"]
    done = pull(anka, confirm="yes")
    assert (True, 0) == (done.outputs["already-here"], done.outputs["bytes-received"])
    images = anka.registry.template("sonoma").newest.images
    assert images[0] == anka.host.config("sonoma")["hard_drives"][0]["file"] != top


def test_shrink_lists_local_tags_that_the_registry_does_not_have(anka, standin, have):
    have("base")
    have("v1")
    change(standin)
    assert 0 == standin("registry", "push", "--local", "--tag", "mine", "sonoma").returncode
    # `mine` keeps what was changed, so without shrink another tag is checked out without a word
    assert [] == pull(anka, plan_only=True, tag="v1").plan["loses"]
    with pytest.raises(ConfirmationError) as caught:
        pull(anka, confirm="yes", tag="v1", shrink="true")
    assert ["the local tag sonoma:mine; the registry does not have it"] == lost(caught)
    done = pull(anka, confirm=caught.value.facts["digest"], tag="v1", shrink="true")
    assert "the local tag base goes; the registry has it" in done.notes
    assert ["v1"] == anka.host.tags("sonoma")


def test_a_running_vm_is_refused(anka, standin, have):
    have("v1")
    standin("start", "sonoma")
    with pytest.raises(RefusedError, match="is running"):
        pull(anka, confirm="yes", tag="base")
    assert "v1" == anka.host.vm("sonoma").tag


def test_a_local_vm_of_that_name_and_a_foreign_arch_are_refused_before_anything_moves(server, anka, standin):
    standin("create", "sonoma")
    with pytest.raises(RefusedError, match="this host has a VM named sonoma with another id"):
        pull(anka)
    standin("delete", "--yes", "sonoma")
    body = json.dumps({"id": anka.registry.template("sonoma").id, "arch": "amd64"}).encode()
    urlopen(Request(f"{server.registry_url}/registry/vm/arch", data=body, method="PUT")).close()
    with pytest.raises(RefusedError, match=r"sonoma:v1 is for amd64 and does not run on this host \(arm64\)"):
        pull(anka)
    assert [] == anka.host.vms()


def test_what_does_not_fit_is_refused_with_numbers(anka, tmp_path):
    # a command that tells little free disk, as a full Mac would; all else is the stand-in's
    told = '{"status":"OK","body":{"size":3000,"cached":1000,"available":7}}'
    command = tmp_path / "anka"
    command.write_text(
        f"#!/bin/sh\ncase \"$*\" in *check-download-size*) printf %s '{told}';;\n"
        f' *) exec {anka.context.anka[0]} "$@";; esac\n'
    )
    command.chmod(0o755)
    full = Anka(Context(registry_urls=anka.context.registry_urls, anka=(str(command),)))
    with pytest.raises(RefusedError, match=r"\(2000 bytes\) are to be downloaded, 7 B \(7 bytes\) are free"):
        pull(full)
    with pytest.raises(RefusedError, match="what shrink removes is needed until the download is complete, so it does"):
        pull(full, shrink="true")
    assert not perform("size", {"template": "sonoma"}, full).outputs["fits"]
    assert [] == anka.host.vms()


def test_an_unreachable_registry_fails_unless_the_local_tag_will_do(anka, standin, have):
    with pytest.raises(UnreachableError, match="connection refused"):
        pull(offline(anka))
    with pytest.raises(UnreachableError) as caught:
        pull(offline(anka), if_unreachable="use-local")
    assert "no VM 'sonoma'" in caught.value.hint
    have("base")
    told = []
    done = pull(offline(anka, tell=told.append), if_unreachable="use-local")
    assert ("done", "base", True) == (done.status, done.outputs["tag"], done.outputs["already-here"])
    assert "version" not in done.outputs
    assert "using sonoma:base as it is on this host" in told[-1].text
    with pytest.raises(UnreachableError) as caught:
        pull(offline(anka), if_unreachable="use-local", tag="v1")
    assert "no local tag 'v1'" in caught.value.hint
    with pytest.raises(UsageError, match="version 0 cannot be told without the registry"):
        pull(offline(anka), if_unreachable="use-local", version="0")
    change(standin)
    with pytest.raises(ConfirmationError, match="what was changed in the VM sonoma"):
        pull(offline(anka), if_unreachable="use-local")
    assert "base" == pull(offline(anka), confirm="yes", if_unreachable="use-local").outputs["tag"]


def test_fetching_alone_leaves_the_vm_as_it_is(anka, standin, have):
    fresh = pull(anka, tag="base", fetch_only="true")
    assert ("done", False) == (fresh.status, fresh.outputs["already-here"])
    have("base")
    change(standin)
    top = anka.host.config("sonoma")["hard_drives"][0]["file"]
    done = pull(anka, tag="v1", fetch_only="true")
    assert ("v1", True) == (done.outputs["tag"], done.outputs["bytes-received"] > 0)
    assert (["base", "v1"], top) == (anka.host.tags("sonoma"), anka.host.config("sonoma")["hard_drives"][0]["file"])
    again = pull(anka, tag="v1", fetch_only="true")
    assert ("unchanged", 0) == (again.status, again.outputs["bytes-received"])
    # the later pull downloads nothing, and takes what was changed only with a confirmation
    assert 0 == pull(anka, tag="v1", confirm="yes").outputs["bytes-received"]


def test_a_local_tag_is_checked_out_without_asking_a_registry(anka, standin, have):
    have("v1")
    change(standin)
    with pytest.raises(ConfirmationError, match="what was changed in the VM sonoma since its tag v1"):
        pull(offline(anka), local="true")
    done = pull(offline(anka), local="true", confirm="yes")
    assert ("v1", True, ()) == (done.outputs["tag"], done.outputs["already-here"], done.notes)
    with pytest.raises(NotFoundError, match="no local tag 'base' in the VM sonoma"):
        pull(offline(anka), local="true", tag="base")


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({"fetch_only": "true", "shrink": "true"}, UsageError, "fetch-only does not go with shrink, local"),
        ({"fetch_only": "true", "local": "true"}, UsageError, "fetch-only does not go with shrink, local"),
        ({"local": "true", "make_room": "true"}, UsageError, "local downloads nothing"),
        ({"local": "true", "version": "0"}, UsageError, "version 0 cannot be told without the registry"),
        ({"tag": ""}, UsageError, "tag: is given but empty"),
        ({"tag": "v7"}, NotFoundError, "no tag 'v7'"),
        ({"version": "7"}, NotFoundError, "no version '7'"),
        ({"tag": "v1", "version": "0"}, UsageError, "'v1' of sonoma is version 1, not 0"),
        ({"template": "sonomma"}, NotFoundError, "no template 'sonomma'"),
        ({"if_unreachable": "ignore"}, UsageError, "none of fail, use-local"),
    ],
)
def test_bad_input_leaves_the_library_as_it_was(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        pull(anka, **inputs)
    assert [] == anka.host.vms()


def test_a_channel_names_the_template_and_the_tag(anka, tmp_path, have):
    file = tmp_path / "fleet.yml"
    file.write_text("version: 1\nchannels:\n  prod: {template: sonoma, tag: base}\n")
    given = {"channel": "prod", "fleet": str(file)}
    planned = perform("pull", given, anka, plan_only=True)
    assert ("base", ("the channel prod names sonoma:base",)) == (planned.outputs["tag"], planned.notes)
    assert planned.outputs == pull(anka, plan_only=True, tag="base").outputs
    have("base")
    local = perform("pull", given | {"local": "true"}, anka)
    assert ("base", ("the channel prod names sonoma:base",)) == (local.outputs["tag"], local.notes)
    with pytest.raises(UsageError, match="exactly one of template and channel"):
        pull(anka, **given)
