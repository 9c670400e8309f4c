"""When a distribution is good enough, decided on what is known of each node."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anka_ci.rules import policy
from anka_ci.rules.policy import KINDS, WAYS, Fate, Policy, Quota
from anka_ci.wire.node import ACTIVE, DRAINING, INACTIVE, OFFLINE, UNHEALTHY, Node, NodeTemplate
from anka_ci.wire.template import Template

SONOMA = Template(id="AB-1", name="sonoma", arch="arm64")


def node(name, *, state=ACTIVE, arch="arm64", tag=None):
    held = () if tag is None else (NodeTemplate(id="ab-1", name="sonoma", tag=tag),)
    return Node(id=f"id-{name}", name=name, state=state, arch=arch, templates=held)


def fates(text):
    """``+ - off inact drain intel``: a node each; with a ``+`` behind it has the tag."""
    kinds = dict(zip(("off", "inact", "drain", "intel"), KINDS, strict=True))
    return [
        Fate(id=f"id-{number}", name=f"{number}{word}", has=word.endswith("+"), kind=kinds.get(word.rstrip("+-"), ""))
        for number, word in enumerate(text.split())
    ]


@pytest.mark.parametrize(
    ("text", "counted", "needed"),
    [
        ("all", 10, 10),
        ("100%", 10, 10),
        ("3", 10, 3),
        ("80%", 10, 8),
        ("80 %", 11, 9),
        ("0.1%", 10, 1),
        ("99.9%", 10, 10),
        ("29%", 100, 29),  # 100 * 0.29 is 28.999999999999996
        ("7%", 100, 7),  # 100 * 0.07 is 7.000000000000001
        ("all", 0, 1),  # nothing is never enough
    ],
)
def test_how_many_are_enough(text, counted, needed):
    assert needed == Quota.read(text).of(counted)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "no node at all"),
        ("00", "no node at all"),
        ("0%", "0% of the nodes is not possible"),
        ("100.5%", "not possible"),
        ("250%", "at most 100%"),
        ("-3", "write all, 3 or 80%"),
        ("1.5", "write all, 3 or 80%"),
        ("half", "write all, 3 or 80%"),
        ("1e3", "write all, 3 or 80%"),
        ("٣", "write all, 3 or 80%"),
        ("%", "write all, 3 or 80%"),
        ("3\n", None),
    ],
)
def test_what_is_no_quota(text, said):
    if said is None:
        assert Quota(number=3) == Quota.read(text)
    else:
        with pytest.raises(ValueError, match=said):
            Quota.read(text)


@pytest.mark.parametrize(
    ("at_least", "ways", "must", "text", "short"),
    [
        ("all", {}, (), "+ + +", ""),
        ("all", {}, (), "+ + -", "3 of 3 nodes have to have it, and 2 do"),
        ("all", {}, (), "+ + off", "3 of 3 nodes have to have it"),
        ("all", {}, (), "+ + off+", ""),
        ("all", {}, (), "+ + drain", "3 of 3"),
        ("all", {}, (), "+ + intel", ""),
        ("all", {"offline": "exclude"}, (), "+ + off", ""),
        ("all", {"offline": "tolerate"}, (), "+ + off", ""),
        ("all", {"offline": "tolerate"}, (), "+ - off", "2 of 3 nodes have to have it, and 1 do"),
        ("all", {"offline": "tolerate"}, (), "off off", "1 of 2"),
        ("all", {"offline": "exclude"}, (), "off off", "no node counts"),
        ("all", {"draining": "exclude"}, (), "+ drain", ""),
        ("all", {"wrong-arch": "fail"}, (), "+ intel", "wrong-arch: fail, and of 1intel that is true"),
        ("2", {}, (), "+ + - off", ""),
        ("3", {}, (), "+ + - off", r"3 of 4 nodes have to have it \(at-least: 3\), and 2 do"),
        ("3", {}, (), "+ + off+", ""),
        ("50%", {}, (), "+ + off off", ""),
        ("60%", {}, (), "+ + off off", r"3 of 4 nodes have to have it \(at-least: 60%\), and 2 do"),
        ("60%", {"offline": "exclude"}, (), "+ + off off", ""),
        ("50%", {"offline": "fail"}, (), "+ + off off", "offline: fail, and of 2off, 3off that is true"),
        ("50%", {}, ("id-2",), "+ + -", "2- must have it"),
        ("50%", {}, ("id-0",), "+ + -", ""),
        ("50%", {"offline": "exclude"}, ("id-2",), "+ + off", "2off must have it"),
        ("all", {"offline": "tolerate"}, ("id-2",), "+ + off", "3 of 3"),
        ("1", {"wrong-arch": "tolerate"}, (), "+ intel intel", ""),
        ("50%", {"wrong-arch": "tolerate"}, (), "+ intel intel", "2 of 3"),
    ],
)
def test_a_policy(at_least, ways, must, text, short):
    rule = Policy(quota=Quota.read(at_least), ways=ways, must_have=frozenset(must))
    found = "; ".join(policy.judge(rule, fates(text)).short)
    if short:
        import re

        assert re.search(short, found), found
    else:
        assert "" == found
    assert policy.judge(rule, fates(text)) == policy.judge(Policy.read(rule.emit()), fates(text))


FATES = st.lists(
    st.builds(lambda has, kind: (has, kind), st.booleans(), st.sampled_from(["", "", *KINDS])),
    max_size=12,
).map(lambda drawn: [Fate(id=str(n), name=str(n), has=has, kind=kind) for n, (has, kind) in enumerate(drawn)])
POLICIES = st.builds(
    lambda quota, ways, must: Policy(quota=Quota.read(quota), ways=ways, must_have=frozenset(map(str, must))),
    st.sampled_from(["all", "1", "4", "12", "0.5%", "33.4%", "50%", "99%", "100%"]),
    st.dictionaries(st.sampled_from(KINDS), st.sampled_from(WAYS)),
    st.sets(st.integers(0, 11), max_size=2),
)


@given(rule=POLICIES, found=FATES)
def test_a_verdict_holds_what_the_policy_says(rule, found):
    verdict = policy.judge(rule, found)
    named = {fate.id for fate in (*verdict.lacking, *verdict.excluded)}
    assert len(found) == verdict.has + len(verdict.lacking) + len(verdict.excluded)
    assert {fate.id for fate in found if not fate.has} == named
    if not verdict.short:
        assert verdict.has >= max(1, verdict.needed)
        assert not {fate.id for fate in verdict.lacking} & rule.must_have
        assert all(rule.ways.get(fate.kind) != "fail" for fate in verdict.lacking)
        if rule.quota.all:
            assert all(rule.way(fate.kind) == "tolerate" for fate in verdict.lacking)
    # One more node that has the tag never makes it worse, and if all have it there is nothing to say against it.
    for fate in verdict.lacking:
        better = [Fate(id=fate.id, name=fate.name, has=True) if each is fate else each for each in found]
        assert len(policy.judge(rule, better).short) <= len(verdict.short)
    everyone = [Fate(id=fate.id, name=fate.name, has=True) for fate in found]
    if len(found) >= (rule.quota.number or 1):
        assert () == policy.judge(rule, everyone).short


def test_nodes_are_told_apart():
    nodes = [
        node("here", tag="v2"),
        node("older", tag="v1"),
        node("bare"),
        node("intel", arch="amd64"),
        node("off", state=OFFLINE),
        node("lapsed", state=INACTIVE),
        node("lapsing", state="inactive (anything else)"),
        node("busy", state=UNHEALTHY),
        node("drained", state=DRAINING),
        node("unknown", state="Dreaming", arch=""),
        node("off and intel", state=OFFLINE, arch="amd64"),
    ]
    found = {fate.name: fate for fate in policy.fates(nodes, SONOMA, "v2")}
    assert ["here"] == [fate.name for fate in found.values() if fate.has]
    assert {
        "intel": "wrong-arch",
        "off": "offline",
        "lapsed": "inactive",
        "lapsing": "inactive",
        "drained": "draining",
        "off and intel": "wrong-arch",
    } == {fate.name: fate.kind for fate in found.values() if fate.kind}
    assert "the node is amd64, the template is arm64" == found["intel"].reason
    assert "offline" in found["off"].reason
    assert ["here", "older", "bare", "busy", "drained", "unknown"] == [
        fate.name for fate in found.values() if fate.sends
    ]


def test_again_is_for_those_that_have_it_too():
    (found,) = policy.fates([node("here", tag="v2")], SONOMA, "v2", again=True)
    assert (False, True) == (found.has, found.named)


def test_a_template_of_unknown_arch_goes_everywhere():
    (found,) = policy.fates([node("intel", arch="amd64")], Template(id="x", name="x"), "v1")
    assert ("", True) == (found.kind, found.sends)


@pytest.mark.parametrize(("later", "best"), [(False, "++--"), (True, "+++-")])
def test_what_is_possible_at_best(later, best):
    found = policy.at_best(fates("- drain off intel"), later=later)
    assert best == "".join("+" if fate.has else "-" for fate in found)
