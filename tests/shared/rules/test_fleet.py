"""The fleet file: channels as they are written, and what is wrong with one, with its place."""

from __future__ import annotations

import pytest

from anka_ci.document import parse
from anka_ci.errors import UsageError
from anka_ci.rules import fleet

FILE = """\
version: 1
channels:
  ios-prod:
    template: sonoma
    tag: 14.10
    groups: [ios, spare]
    context: production
    arch: arm64
  next: {template: sonoma, tag: v3, groups: ios}
"""


def test_channels_are_read_as_they_are_written():
    prod, following = fleet.parse(parse(FILE, "fleet.yml"))
    assert ("ios-prod", "sonoma", "14.10", ("ios", "spare"), "production", "arm64", 3) == (
        *(prod.name, prod.template, prod.tag, prod.groups, prod.context, prod.arch),
        prod.place.line,
    )
    assert ("next", ("ios",), "", "") == (following.name, following.groups, following.context, following.arch)


@pytest.mark.parametrize(
    ("context", "within"), [("production", (True, True)), ("lab", (False, True)), ("", (True, True))]
)
def test_a_channel_of_another_context_is_not_meant(context, within):
    assert within == tuple(channel.within(context) for channel in fleet.parse(parse(FILE, "fleet.yml")))


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        ("version: 1\n", "", "fleet.yml:1:1: the fleet file has no version", "version: 1"),
        ("channels:", "channel:", "fleet.yml:2:1: the fleet file: unknown key 'channel'", "did you mean 'channels'"),
        (FILE[11:], "", "the fleet file has no channels", "a name for each"),
        ("    tag: 14.10\n", "", "fleet.yml:3:3: channel ios-prod has no tag", "names a template and one tag"),
        ("tag: 14.10", "tag:", "fleet.yml:5:9: channel ios-prod: tag has to be text", ""),
        ("groups: [ios, spare]", "group: ios", "fleet.yml:6:5: channel ios-prod: unknown key", "did you mean 'groups'"),
        ("[ios, spare]", "[]", "fleet.yml:6:13: channel ios-prod: groups is given but empty", "leave it out"),
        ("arm64", "arm", "fleet.yml:8:11: channel ios-prod: arch 'arm' is none of amd64, arm64", "'arm64'"),
        ("ios-prod:", "ios prod:", "fleet.yml:3:3: channel ios prod: a name is letters", ""),
        ("  next: ", "  ios-prod: ", "fleet.yml:9:3: key 'ios-prod' is given twice", ""),
        (FILE[11:], "channels: [1]\n", "fleet.yml:2:11: channels has to be a mapping", ""),
    ],
)
def test_a_wrong_one_says_where(old, new, said, hint):
    assert old in FILE
    with pytest.raises(UsageError) as caught:
        fleet.parse(parse(FILE.replace(old, new), "fleet.yml"))
    assert (True, True) == (said in caught.value.message, hint in caught.value.hint), str(caught.value)
