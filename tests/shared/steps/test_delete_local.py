"""The step ``delete-local``: what goes, and what needs a confirmation because no registry has it."""

from __future__ import annotations

import pytest

from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotFoundError, RefusedError


def delete(anka, confirm=None, plan_only=False, **inputs):
    values = {key.replace("_", "-"): value for key, value in inputs.items()}
    return perform("delete-local", values, anka, confirm=confirm, plan_only=plan_only)


def lost(caught):
    return [line[4:] for line in caught.value.message.splitlines()[1:]]


def test_what_no_registry_has_goes_only_with_a_confirmation(vmhost):
    vmhost.make("old", "v1", "v2")
    vmhost.change("old", "more")
    anka = vmhost.doors()
    with pytest.raises(ConfirmationError) as caught:
        delete(anka, vm="old")
    told = [line.split(" (")[0] for line in lost(caught)]
    assert [
        "what was changed in the VM old since its tag v2, which was not pushed",
        "the local tag old:v2; the registry does not have it",
        "the local tag old:v1; the registry does not have it",
    ] == told
    assert "registry" in lost(caught)[0].split(" (")[1]  # why it cannot be asked
    assert "(or yes)" not in caught.value.hint
    with pytest.raises(ConfirmationError) as caught:
        delete(anka, vm="old", tag="v1")
    done = delete(anka, vm="old", tag="v1", confirm=caught.value.facts["digest"])
    assert ("deleted", ("v1",), ["v2"]) == (
        done.outputs["outcome"],
        tuple(done.outputs["tags"]),
        [row["tag"] for row in vmhost.ask("show", "old", "tag")],
    )


def test_a_missing_or_running_vm(vmhost):
    vmhost.make("busy", "v0")
    anka = vmhost.doors()
    vmhost.ask("start", "busy")
    with pytest.raises(RefusedError, match=r"delete busy: the VM busy .* is running"):
        delete(anka, vm="busy")
    with pytest.raises(RefusedError, match=r"delete busy:v0: the VM busy .* is running"):
        delete(anka, vm="busy", tag="v0")
    with pytest.raises(NotFoundError, match="no local tag 'v1' in the VM busy"):
        delete(anka, vm="busy", tag="v1")
    done = delete(anka, vm="nobody", if_missing="skip")
    assert ("unchanged", "missing") == (done.status, done.outputs["outcome"])


def test_what_the_registry_has_goes_without_a_word_and_a_clone_is_its_own(anka):
    for tag in ("base", "v1"):
        perform("pull", {"template": "sonoma", "tag": tag}, anka)
    perform("clone", {"vm": "sonoma", "name": "job"}, anka)
    with pytest.raises(ConfirmationError) as caught:
        delete(anka, vm="job")
    assert ["what was changed in the VM job and what it is: it has no tag, which was not pushed"] == lost(caught)
    assert "deleted" == delete(anka, vm="job", confirm="yes").outputs["outcome"]
    done = delete(anka, vm="sonoma")
    assert ("done", ["base", "v1"]) == (done.status, sorted(done.outputs["tags"]))
    assert "the local tag base goes; the registry has it" in done.notes
    assert [] == anka.host.vms()
