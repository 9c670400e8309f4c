"""The step ``size``: what is here is not downloaded again."""

import pytest

from anka_ci.desk import perform
from anka_ci.errors import NotFoundError, UsageError


def size(anka, **inputs):
    return perform("size", {"template": "sonoma", **inputs}, anka)


def test_nothing_is_here_then_one_tag_then_the_other(anka, standin):
    template = anka.registry.template("sonoma")
    base, v1 = (version.size for version in template.versions)
    found = size(anka)
    assert ("done", "v1", 1, v1, 0, v1) == (
        found.status,
        *(found.outputs[key] for key in ("tag", "version", "download", "cached", "size")),
    )
    assert found.outputs["fits"]
    assert found.outputs["available"] > v1
    standin("registry", "--remote", anka.registry.url, "pull", "--tag", "base", "sonoma")
    found = size(anka).outputs
    assert (v1 - base, base) == (found["download"], found["cached"])
    found = size(anka, version="0").outputs
    assert (0, base) == (found["download"], found["cached"])


def test_bad_input(anka):
    with pytest.raises(UsageError, match="'v1' of sonoma is version 1, not 0"):
        size(anka, tag="v1", version="0")
    with pytest.raises(NotFoundError, match="no version '7'"):
        size(anka, version="7")
    with pytest.raises(UsageError, match="given but empty"):
        size(anka, tag="")


def test_without_the_command_it_says_what_to_do(cli):
    done = cli("size", "sonoma", env={"ANKA_CI_ANKA": "", "PATH": "/nonexistent"})
    assert 2 == done.returncode
    assert "ANKA_CI_ANKA" in done.stderr
    done = cli("size", "sonoma", env={"ANKA_CI_ANKA": "/nonexistent/anka"})
    assert 2 == done.returncode
    assert "'/nonexistent/anka' is not there" in done.stderr
