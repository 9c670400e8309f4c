"""The step ``clone``: what a clone is, and what stands in its place."""

from __future__ import annotations

import pytest

from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotFoundError, RefusedError, UsageError


def clone(anka, confirm=None, **inputs):
    return perform("clone", {key.replace("_", "-"): value for key, value in inputs.items()}, anka, confirm=confirm)


def test_a_clone_is_what_the_vm_or_its_tag_is_and_takes_a_place_only_with_a_confirmation(vmhost):
    source = vmhost.make("source", "v1", "v2")
    anka = vmhost.doors()
    made = clone(anka, vm="source", name="job", tag="v1")
    assert ("done", "job", source, "v1") == (
        made.status,
        *(made.outputs[key] for key in ("name", "source", "source-tag")),
    )
    assert made.outputs["id"] == vmhost.ask("show", "job", "uuid") != source
    assert vmhost.ask("show", "source", "--tag", "v1", "disk")["file"] == vmhost.ask("show", "job", "disk")["file"]
    with pytest.raises(RefusedError, match="a VM named job exists on this host"):
        clone(anka, vm="source", name="job")
    with pytest.raises(ConfirmationError, match="what was changed in the VM job and what it is") as caught:
        clone(anka, vm="source", name="job", if_exists="replace")
    assert "or yes" in caught.value.hint
    again = clone(anka, vm="source", name="job", if_exists="replace", confirm="yes")
    assert (made.outputs["id"], "v2") == (again.outputs["replaced"], again.outputs["source-tag"])
    assert again.outputs["id"] == vmhost.ask("show", "job", "uuid") != made.outputs["id"]


def test_what_cannot_be_cloned_is_refused_before_anything_is_done(vmhost):
    vmhost.make("plain")
    anka = vmhost.doors()
    with pytest.raises(UsageError, match="under its own name"):
        clone(anka, vm="plain", name="plain", if_exists="replace")
    with pytest.raises(NotFoundError, match="no local tag 'v9' in the VM plain"):
        clone(anka, vm="plain", name="other", tag="v9")
    with pytest.raises(UsageError, match="the name '-x' begins with"):
        clone(anka, vm="plain", name="-x")
    assert any("has no tag" in note for note in clone(anka, vm="plain", name="other").notes)
    vmhost.ask("start", "plain")
    with pytest.raises(RefusedError, match="is running"):
        clone(anka, vm="plain", name="third")
