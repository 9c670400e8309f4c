"""The step ``push``: a new tag, the same one again, and what stands in the way."""

from dataclasses import replace

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotFoundError, RefusedError, UsageError
from anka_ci.rules import lineage
from anka_ci.steps import catalog


def push(anka, confirm=None, plan_only=False, **inputs):
    values = {"template": "sonoma", **{key.replace("_", "-"): value for key, value in inputs.items()}}
    return perform("push", values, anka, confirm=confirm, plan_only=plan_only)


@pytest.fixture
def change(anka, standin):
    """Changes the guest of sonoma, which is pulled as v1 first."""
    standin("registry", "--remote", anka.registry.url, "pull", "sonoma")

    def change(text):
        for words in (("run", "sonoma", "sh", "-c", f"echo {text} > note"), ("stop", "sonoma")):
            done = standin(*words)
            assert 0 == done.returncode, done.stderr

    return change


def versions(anka, name="sonoma"):
    return [(version.tag, version.number) for version in anka.registry.template(name).versions]


def test_only_the_new_layer_is_sent_and_the_same_again_is_unchanged(anka, change):
    change("one")
    done = push(anka, tag="v2", description="with a note")
    v1, v2 = anka.registry.template("sonoma").versions[1:]
    assert ("done", "pushed", 2, None) == (
        done.status,
        done.outputs["outcome"],
        done.outputs["version"],
        done.plan["bytes"],
    )
    assert (v2.size - v1.size, v1.size) == (done.outputs["bytes-sent"], done.outputs["bytes-shared"])
    assert ("with a note", v1.images) == (v2.description, v2.images[1:])
    for if_exists in ("fail", "skip", "replace"):
        again = push(anka, tag="v2", if_exists=if_exists)
        assert ("unchanged", "unchanged", 2) == (again.status, again.outputs["outcome"], again.outputs["version"])
        assert (0, 0) == (again.plan["bytes"], again.outputs["bytes-sent"])
    assert [("base", 0), ("v1", 1), ("v2", 2)] == versions(anka)


def test_a_tag_with_another_content(anka, change):
    change("one")
    with pytest.raises(RefusedError, match=r"the tag exists: sonoma:v1 \(version 1\)"):
        push(anka, tag="v1")
    skipped = push(anka, tag="v1", if_exists="skip")
    assert ("unchanged", "skipped", 1) == (skipped.status, skipped.outputs["outcome"], skipped.outputs["version"])
    with pytest.raises(RefusedError, match="without losing v1"):
        push(anka, confirm="yes", tag="base", if_exists="replace")
    old = anka.registry.template("sonoma").newest
    with pytest.raises(ConfirmationError, match=r"sonoma:v1 as it is \(version 1"):
        push(anka, tag="v1", if_exists="replace")
    assert old == anka.registry.template("sonoma").newest
    done = push(anka, confirm="yes", tag="v1", if_exists="replace")
    assert ("done", "replaced", 1) == (done.status, done.outputs["outcome"], done.outputs["version"])
    new = anka.registry.template("sonoma").newest
    assert ("v1", 1, old.images) == (new.tag, new.number, new.images[1:])


def test_a_tag_that_nodes_hold_is_not_replaced_under_their_feet(anka, change):
    change("one")
    perform("distribute", {"template": "sonoma", "nodes": "node-2"}, anka)
    old = anka.registry.template("sonoma").newest
    said = "sonoma:v1 is on node-2, where it stays as it was under the same name"
    with pytest.raises(RefusedError, match=said) as caught:
        push(anka, confirm="yes", tag="v1", if_exists="replace")
    assert "evict it there first" in caught.value.hint
    assert old == anka.registry.template("sonoma").newest
    note = "sonoma:v1 stays as it was on node-2 until it is distributed with again: true"
    assert [note] == list(push(anka, plan_only=True, tag="v1", if_exists="replace", if_held="keep").notes)
    gone = Anka(replace(anka.context, controller_url="http://127.0.0.1:9"), clock=ManualClock())
    (note,) = push(gone, plan_only=True, tag="v1", if_exists="replace").notes
    assert note.startswith("whether nodes hold sonoma:v1 as it was is not known: ")
    evicting = {"template": "sonoma", "nodes": "node-2"}
    confirm = perform("evict", evicting, anka, plan_only=True).plan["digest"]
    perform("evict", evicting, anka, confirm=confirm)
    assert "replaced" == push(anka, confirm="yes", tag="v1", if_exists="replace").outputs["outcome"]


def test_a_digest_is_stale_once_the_registry_or_the_vm_has_changed(anka, change):
    change("one")
    digest = push(anka, plan_only=True, tag="v1", if_exists="replace").plan["digest"]
    change("two")
    with pytest.raises(ConfirmationError, match="does not fit this plan"):
        push(anka, confirm=digest, tag="v1", if_exists="replace")


def test_a_local_tag_that_a_revert_left_behind_is_lost_only_when_confirmed(anka, change):
    change("one")
    push(anka, tag="v2")
    perform("revert", {"template": "sonoma", "tag": "v2"}, anka, confirm="yes")
    assert "pushed" == push(anka, tag="v2").outputs["outcome"]  # the same content as the local tag: nothing is lost
    perform("revert", {"template": "sonoma", "tag": "v2"}, anka, confirm="yes")
    change("two")
    with pytest.raises(ConfirmationError, match="the local tag sonoma:v2 with another content"):
        push(anka, tag="v2")
    assert [("base", 0), ("v1", 1)] == versions(anka)
    done = push(anka, confirm="yes", tag="v2")
    assert ("pushed", 2) == (done.outputs["outcome"], done.outputs["version"])


def test_a_new_template_and_onto_an_existing_one(anka, standin):
    standin("create", "fresh")
    done = push(anka, template="fresh", tag="v1")
    assert "push fresh as fresh:v1 (version 0), a new template" == done.plan["actions"][0]["text"]
    assert (0, "pushed") == (done.outputs["version"], done.outputs["outcome"])
    standin("create", "other")
    done = push(anka, template="other", tag="v2", onto="fresh")
    assert ("fresh", 1) == (done.outputs["name"], done.outputs["version"])
    assert [("v1", 0), ("v2", 1)] == versions(anka, "fresh")
    assert ["fresh", "sonoma"] == [row.name for row in anka.registry.templates()]


def test_a_name_that_the_registry_has_under_another_id(anka, standin):
    standin("create", "sonoma")
    with pytest.raises(RefusedError, match="the registry has a template named sonoma with another id"):
        push(anka, tag="v2")
    assert [("base", 0), ("v1", 1)] == versions(anka)


def test_a_running_vm_is_refused(anka, change, standin):
    standin("start", "sonoma")
    with pytest.raises(RefusedError, match="is running") as caught:
        push(anka, tag="v2")
    assert "stop it first" in caught.value.hint
    assert [("base", 0), ("v1", 1)] == versions(anka)


def test_one_layer_that_holds_what_all_hold(anka, change):
    change("one")
    with pytest.raises(ConfirmationError, match=r"sonoma:v1 as it is"):
        push(anka, tag="v1", shallow="true", if_exists="replace")
    done = push(anka, tag="v2", shallow="true", description="flat")
    assert ("done", "pushed", 2, 0) == (
        done.status,
        *(done.outputs[key] for key in ("outcome", "version", "bytes-shared")),
    )
    assert "push sonoma as sonoma:v2 (version 2), as one layer" == done.plan["actions"][0]["text"]
    base, v1, v2 = anka.registry.template("sonoma").versions
    assert (1, True) == (len(v2.images), set(v2.images).isdisjoint({*base.images, *v1.images}))
    assert (v2.size, "flat") == (done.outputs["bytes-sent"], v2.description)
    again = push(anka, tag="v2", shallow="true")
    assert ("unchanged", 0) == (again.outputs["outcome"], again.outputs["bytes-sent"])
    change("two")
    replaced = push(anka, tag="v2", shallow="true", if_exists="replace", confirm="yes")
    new = anka.registry.template("sonoma").newest
    assert ("replaced", 2, 1) == (replaced.outputs["outcome"], replaced.outputs["version"], len(new.images))
    assert new.images != v2.images


def test_only_a_local_tag(anka, change, standin):
    away = Anka(replace(anka.context, registry_urls=("http://127.0.0.1:9",)))  # it is not asked
    change("one")
    done = push(away, tag="mine", local="true", description="words")
    assert ("done", "tagged", None, 0) == (
        done.status,
        *(done.outputs.get(key) for key in ("outcome", "version", "bytes-sent")),
    )
    assert (["mine", "v1"], "mine") == (anka.host.tags("sonoma"), anka.host.vm("sonoma").tag)
    assert [("base", 0), ("v1", 1)] == versions(anka)
    assert ("unchanged", "unchanged") == (
        (again := push(away, tag="mine", local="true")).status,
        again.outputs["outcome"],
    )
    # the same content under another tag, and back again: nothing is lost by it
    push(away, tag="other", local="true")
    assert "tagged" == push(away, tag="mine", local="true").outputs["outcome"]
    assert ["mine", "other", "v1"] == anka.host.tags("sonoma")
    change("two")
    with pytest.raises(RefusedError, match="the local tag exists: sonoma:mine, with another content"):
        push(away, tag="mine", local="true")
    assert "skipped" == push(away, tag="mine", local="true", if_exists="skip").outputs["outcome"]
    with pytest.raises(ConfirmationError, match="the local tag sonoma:mine as it is; the registry is not asked for it"):
        push(away, tag="mine", local="true", if_exists="replace")
    old = anka.host.top("sonoma", "mine")
    assert "replaced" == push(away, tag="mine", local="true", if_exists="replace", confirm="yes").outputs["outcome"]
    assert old != anka.host.top("sonoma", "mine")
    # the next push completes what the tag has begun
    assert "pushed" == push(anka, tag="mine").outputs["outcome"]


def test_whether_a_push_of_one_layer_has_arrived_cannot_be_told(anka, change, tmp_path):
    command = breaking(anka, tmp_path, arrives=True)
    change("one")
    with pytest.raises(RefusedError, match="connection aborted"):
        push(Anka(replace(anka.context, anka=(command,))), tag="v2", shallow="true")


@pytest.mark.parametrize(
    ("release", "step", "inputs", "said"),
    [
        ("2.5.7", "push", {"tag": "v2", "shallow": "true"}, "has no push --shallow"),
        ("2.5.7", "pull", {"tag": "v1", "fetch-only": "true"}, "has no pull --fetch-only"),
        ("2.2.1", "push", {"tag": "v1", "if-exists": "replace"}, "has no push --force"),
        ("2.2.1", "push", {"tag": "v1", "if-exists": "replace", "local": "true"}, "has no push --force"),
    ],
)
def test_what_a_release_cannot_is_refused_by_the_plan(anka, change, tmp_path, release, step, inputs, said):
    change("one")
    old = tmp_path / "old-anka"
    body = f'{{"status":"OK","body":{{"version":"{release}","product":"Anka"}},"message":""}}'
    old.write_text(
        f"#!/bin/sh\ncase \"$*\" in *' version') printf %s '{body}';; *) exec {anka.context.anka[0]} \"$@\";; esac\n"
    )
    old.chmod(0o755)
    doors = Anka(replace(anka.context, anka=(str(old),)))
    with pytest.raises(RefusedError, match=rf"\({release}\) {said}"):
        perform(step, {"template": "sonoma", **inputs}, doors, plan_only=True)


def breaking(anka, folder, arrives):
    """A command that loses its connection, before or after the registry has the version, as has been seen at 100 %."""
    real = anka.context.anka[0]
    command = folder / "anka"
    first = f'{real} "$@" >&2' if arrives else ":"
    command.write_text(
        f"#!/bin/sh\ncase \"$*\" in *' push '*) {first}; printf %s '{ABORTED}'; exit 1;;\n"
        f' *) exec {real} "$@";; esac\n'
    )
    command.chmod(0o755)
    return str(command)


ABORTED = '{"status":"ERROR","code":1,"message":"connection aborted"}'


@pytest.mark.parametrize("arrives", [True, False])
def test_after_a_failed_push_the_registry_is_asked(anka, change, tmp_path, arrives):
    command = breaking(anka, tmp_path, arrives)
    change("one")
    told = []
    doors = Anka(replace(anka.context, anka=(command,)), tell=told.append)
    if arrives:
        done = push(doors, tag="v2")
        assert ("done", "pushed", 2) == (done.status, done.outputs["outcome"], done.outputs["version"])
        assert "connection aborted; but the registry has v2" in told[-1].text
    else:
        with pytest.raises(RefusedError, match="connection aborted"):
            push(doors, tag="v2")
        assert [("base", 0), ("v1", 1)] == versions(anka)


def test_a_push_that_arrived_though_it_failed_is_found_below_a_newer_one(anka, change, standin):
    change("one")
    id_ = push(anka, tag="v2").outputs["id"]
    content = lineage.Content.of_config(anka.host.config("sonoma"))
    standin("create", "other")
    push(anka, template="other", tag="v3", onto="sonoma")
    found = lineage.rescued(anka, id_, "v2", content)
    assert found is not None
    assert (2, None) == (found.number, lineage.rescued(anka, id_, "v3", content))


def test_the_tag_pattern_of_the_context(anka, change):
    strict = Anka(replace(anka.context, tag_pattern=r"v\d+"))
    with pytest.raises(UsageError, match=r"'nightly' does not match the tag-pattern"):
        push(strict, tag="nightly")
    assert "pushed" == push(strict, tag="v2").outputs["outcome"]


@pytest.mark.parametrize("tag", ["a/b+c:d", "v1.0_x-y"])
def test_legal_tags_work_everywhere(anka, change, tag):
    push(anka, tag=tag)
    assert (tag, 2) == versions(anka)[-1]
    perform("distribute", {"template": "sonoma", "tag": tag, "nodes": "node-1"}, anka)
    assert tag == anka.controller.nodes()[0].templates[0].tag
    perform("revert", {"template": "sonoma", "tag": tag}, anka, confirm="yes")
    assert [("base", 0), ("v1", 1)] == versions(anka)


@pytest.mark.parametrize("tag", ["", "a b", "a/../b", "..", "-x", "a\0b", "x" * 129, "tab\there", "new\nline"])
def test_other_tags_are_refused(anka, tag):
    with pytest.raises(UsageError):
        push(anka, tag=tag)


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({}, UsageError, "input 'tag' is missing"),
        ({"tag": "v2"}, NotFoundError, "no VM 'sonoma' in `anka list` of this host"),
        ({"tag": "v2", "onto": ""}, UsageError, "onto: is given but empty"),
        ({"tag": "v2", "local": "true", "onto": "x"}, UsageError, "local does not go with onto or shallow"),
        ({"tag": "v2", "local": "true", "shallow": "true"}, UsageError, "local does not go with onto or shallow"),
        ({"tag": "v2", "if_exists": "overwrite"}, UsageError, "none of fail, skip, replace"),
    ],
)
def test_bad_input(anka, inputs, error, said):
    with pytest.raises(error, match=said):
        push(anka, **inputs)


def test_an_unknown_template_to_push_onto(anka, change):
    with pytest.raises(NotFoundError, match="no template 'tahoe'"):
        push(anka, tag="v2", onto="tahoe")


def test_without_the_command_it_tells_of_save_image(cli):
    done = cli("push", "sonoma", "--tag", "v2", env={"ANKA_CI_ANKA": "", "PATH": "/nonexistent"})
    assert 2 == done.returncode
    assert "use the step save-image" in done.stderr
    assert "save-image" in catalog.BUILT
