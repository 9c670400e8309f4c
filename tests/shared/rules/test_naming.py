"""What a step means by a template or by a channel."""

from __future__ import annotations

import pytest

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.rules import naming
from anka_ci.rules.naming import Meant

FLEET = """\
version: 1
channels:
  prod: {template: sonoma, tag: v1, arch: arm64}
  lab: {template: sonoma, tag: v2, context: lab}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "fleet.yml"
    path.write_text(FLEET)
    return str(path)


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        ((None, None, None), {}, "give exactly one of template and channel"),
        (("sonoma", "prod", "f.yml"), {}, "give exactly one of template and channel, not template and channel"),
        (("sonoma", None, "f.yml"), {}, "fleet without channel"),
        ((None, "prod", None), {}, "channel needs fleet"),
        ((None, "prod", "f.yml"), {"tag": "v1"}, "channel does not go with tag: it names the tag"),
        ((None, "prod", "f.yml"), {"tag": None, "version": 0}, "channel does not go with version"),
        (("sonoma", None, None), {"tag": "v1"}, None),
        ((None, "prod", "f.yml"), {"tag": None}, None),
    ],
)
def test_a_template_or_a_channel_and_not_both(given, more, said):
    if said is None:
        naming.check(*given, **more)
    else:
        with pytest.raises(ValueError, match=said):
            naming.check(*given, **more)


def test_what_is_meant(file):
    assert Meant(template="sonoma", tag=None) == naming.meant("sonoma", None, None, None, "")
    note = "the channel prod names sonoma:v1"
    named = Meant(template="sonoma", tag="v1", arch="arm64", notes=(note,))
    assert named == naming.meant(None, None, "prod", file, "production")
    assert "v2" == naming.meant(None, None, "lab", file, "lab").tag
    assert "v2" == naming.meant(None, None, "lab", file, "").tag  # given by addresses, so it may be any


def test_a_channel_that_is_not_there_or_not_for_here(file):
    with pytest.raises(NotFoundError, match=r"no channel 'prd' in .*fleet\.yml") as caught:
        naming.meant(None, None, "prd", file, "")
    assert "did you mean 'prod'?" == caught.value.hint
    with pytest.raises(UsageError, match="the channel lab is meant for the context lab, not production"):
        naming.meant(None, None, "lab", file, "production")
    named = naming.meant(None, None, "prod", file, "")
    naming.check_arch(named, "arm64")
    naming.check_arch(named, None)
    with pytest.raises(RefusedError, match="the channel prod names sonoma:v1 for arm64, and this host is amd64"):
        naming.check_arch(named, "amd64")
