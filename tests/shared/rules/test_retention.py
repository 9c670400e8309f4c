"""Retention: which rule decides, tags as a stack, keep beats delete, and what is not told is kept."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anka_ci.clock import ManualClock
from anka_ci.document import parse
from anka_ci.errors import UsageError
from anka_ci.rules.layers import Layers
from anka_ci.rules.retention import Retention, policy
from anka_ci.rules.retention.policy import Policy
from anka_ci.rules.retention.rule import Rule
from anka_ci.server.state import State
from anka_ci.wire.template import Template, Version
from stocked import DAY, held, id_of, stock

NOW = 1_700_000_000


def template(name, *versions, id=""):
    """Versions as tag, days since the push, days since the last pull (None: never)."""
    found = tuple(
        Version(
            number=number,
            tag=tag,
            last_push=None if pushed is None else NOW - int(pushed * DAY),
            last_pull=None if pulled is None else NOW - int(pulled * DAY),
        )
        for number, (tag, pushed, pulled) in enumerate(versions)
    )
    return Template(id=id or name, name=name, versions=found)


def keep(name="kept", **more):
    return Rule(name=name, keeps=True, **more)


def delete(name="gone", **more):
    return Rule(name=name, keeps=False, **more)


def judged(templates, rules, uses=None):
    """By template, each tag's first letter of the verdict."""
    made = Policy(
        keep=tuple(rule for rule in rules if rule.keeps), delete=tuple(rule for rule in rules if not rule.keeps)
    )
    found = Retention(templates, made, uses or {}, NOW)
    return {case.template.id: "".join(each.verdict[0] for each in case.tags) for case in found.cases}


STACK = template("n", ("v0", 90, 90), ("v1", 60, 50), ("v2", 20, 10))
PULLED = [STACK]


@pytest.mark.parametrize(
    ("rules", "uses", "verdicts"),
    [
        ([delete()], {}, "ddd"),
        ([delete(templates=("m*",))], {}, "kkk"),
        ([delete(templates=("N",))], {}, "ddd"),  # an id, whatever its capitals
        ([delete(tags=("v2",))], {}, "kkd"),
        ([delete(tags=("v1",))], {}, "kpk"),
        ([delete(tags=("v[12]",))], {}, "kdd"),
        ([delete(tags=("v1",)), delete(tags=("v2",))], {}, "kdd"),  # each by its own rule
        ([delete(limits={"pulled": 30 * DAY})], {}, "ppk"),
        ([delete(limits={"pulled": 9 * DAY})], {}, "ddd"),
        ([delete(limits={"pushed": 10 * DAY}, tags=("v2",))], {}, "kkd"),
        ([delete(limits={"pulled": 5 * DAY, "age": 30 * DAY})], {}, "ppk"),  # all conditions have to hold
        ([delete(limits={"oldest_tags": 1})], {}, "kdd"),
        ([delete(limits={"newest_tags": 1})], {}, "ppk"),
        ([delete(), keep(tags=("v0",))], {}, "kdd"),
        ([delete(), keep(tags=("v1",))], {}, "pkd"),
        ([delete(), keep(limits={"pulled": 30 * DAY})], {}, "ppk"),
        ([delete(), keep(limits={"age": 70 * DAY, "newest_tags": 2}, tags=("v1",))], {}, "pkd"),
        ([delete()], {("n", 0): ["on node-1"]}, "kdd"),
        ([delete()], {("n", 2): ["on node-1"]}, "ppk"),
    ],
)
def test_what_goes(rules, uses, verdicts):
    assert {"n": verdicts} == judged(PULLED, rules, uses)


def test_the_newest_templates_are_counted_by_their_last_push():
    nightly = [template(f"nightly-{day}", ("v0", day, None)) for day in (3, 1, 2)]
    others = [template("sonoma", ("v0", 500, 1))]
    rule = delete(templates=("nightly-*",), limits={"newest_templates": 2})
    assert {"nightly-3": "d", "nightly-1": "k", "nightly-2": "k", "sonoma": "k"} == judged([*nightly, *others], [rule])
    kept = keep(templates=("nightly-*",), limits={"newest_templates": 1})
    found = judged([*nightly, *others], [delete(templates=("nightly-*",)), kept])
    assert {"nightly-3": "d", "nightly-1": "k", "nightly-2": "d", "sonoma": "k"} == found


def test_what_a_registry_does_not_tell_is_kept():
    untold = template("old", ("v0", None, None))
    told = template("new", ("v0", 90, 80))
    for limit in ("pulled", "pushed", "age", "newest_templates"):
        assert "k" == judged([untold, told], [delete(limits={limit: 1})])["old"]
        assert "k" == judged([untold, told], [delete(), keep(limits={limit: 1})])["old"]
    found = Retention([untold], Policy(delete=(delete(limits={"pulled": 1}),)), {}, NOW)
    assert ({"gone": 1}, False) == (found.unknown, found.pulls_told)


def test_of_a_registry_without_pulls_nobody_knows_what_was_pulled():
    pushed = template("n", ("v0", 90, None))
    assert {"n": "k"} == judged([pushed], [delete(limits={"pulled": DAY})])
    assert {"n": "d"} == judged([pushed], [delete(limits={"pushed": DAY})])
    pulls = template("m", ("v0", 90, 1))
    assert {"n": "d", "m": "k"} == judged([pushed, pulls], [delete(limits={"pulled": 2 * DAY})])


def test_a_template_that_tells_its_pull_and_not_of_which_tag_keeps_them_all():
    whole = replace(template("n", ("v0", 90, None), ("v1", 80, None)), last_pull=NOW - int(DAY))
    assert {"n": "kk"} == judged([whole], [delete(limits={"pulled": 2 * DAY})])


def test_a_clock_that_is_ahead_makes_nothing_old():
    assert {"n": "k"} == judged([template("n", ("v0", -5, -5))], [delete(limits={"pulled": 1, "age": 1})])


def test_the_rule_that_decided_is_told():
    found = Retention(
        PULLED,
        Policy(keep=(keep(tags=("v1",)),), delete=(delete("never"), delete("twice"))),
        {("n", 0): ["on node-1", "in the channel prod"]},
        NOW,
    )
    by = [(each.by, each.pin.tag if each.pin else None) for each in found.cases[0].tags]
    assert [("on node-1; in the channel prod", None), ("keep rule 'kept'", None), ("delete rule 'never'", None)] == by
    answers = [(each.rule, each.says) for each in found.answers(STACK, STACK.versions[1])]
    assert [("keep rule 'kept'", "yes"), ("delete rule 'never'", "yes"), ("delete rule 'twice'", "yes")] == answers
    assert ["always kept", "always kept"] == [each.rule for each in found.answers(STACK, STACK.versions[0])][:2]


FILE = """\
version: 1
keep:
  - name: releases
    tags: ["release-*"]
  - pulled-within: 30d
delete:
  - name: nightly
    templates: nightly-*
    not-pulled-for: 30d
    beyond-newest-templates: 5
"""


def test_a_policy_file_is_read():
    read = policy.parse(parse(FILE, "p.yml"))
    policy.check(read)
    assert [("releases", ("release-*",), {}), ("keep 2", (), {"pulled": 30 * DAY})] == [
        (rule.name, rule.tags, rule.limits) for rule in read.keep
    ]
    (rule,) = read.delete
    assert (("nightly-*",), {"pulled": 30 * DAY, "newest_templates": 5}) == (rule.templates, rule.limits)


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        ("version: 1\n", "", "p.yml:1:1: the policy has no version", "version: 1"),
        ("version: 1", "version: 2", "p.yml:1:10: version '2' is unknown", "there is version 1"),
        ("keep:", "kep:", "p.yml:2:1: the policy: unknown key 'kep'", "did you mean 'keep'?"),
        ("templates: nightly-*", "template: nightly-*", "p.yml:8:5: a rule of delete: unknown key", "'templates'"),
        ("not-pulled-for: 30d", "pulled-within: 30d", "belongs to a rule of keep", "here it is not-pulled-for"),
        ("- pulled-within", "- not-pulled-for", "p.yml:5:5: not-pulled-for belongs to a rule of delete", "pulled-with"),
        ("30d\n    beyond", "soon\n    beyond", "p.yml:9:21: not-pulled-for: 'soon' is not a duration", ""),
        ("30d\n    beyond", "0d\n    beyond", "p.yml:9:21: not-pulled-for has to be more than 0", "leave it out"),
        ("templates: 5", "templates: -5", "p.yml:10:30: beyond-newest-templates has to be more", "leave it out"),
        ("templates: 5", "templates: 1.5", "p.yml:10:30: beyond-newest-templates: '1.5' is not a whole number", ""),
        ('["release-*"]', "[]", "p.yml:4:11: tags is given but empty", "leave it out"),
        ('["release-*"]', '[""]', "p.yml:4:12: each of tags has to be text", ""),
        ('\n    tags: ["release-*"]', "", "a rule of keep without a condition would mean everything", "name what"),
        ("delete:\n", "delete: all\nx:\n", "unknown key 'x'", ""),
    ],
)
def test_a_wrong_policy_says_where(old, new, said, hint):
    assert old in FILE
    with pytest.raises(UsageError) as caught:
        policy.parse(parse(FILE.replace(old, new), "p.yml"))
    assert (True, True) == (said in caught.value.message, hint in caught.value.hint), str(caught.value)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([keep(tags=("a",))], "no rule that deletes"),
        ([keep("x", tags=("a",)), delete("x", tags=("b",))], "not the only rule of that name"),
        ([keep(templates=("*",)), delete(tags=("b",))], "can never delete anything: the keep rule 'kept'"),
        ([keep(tags=("a", "b")), delete(tags=("b",), limits={"age": 1})], "can never delete anything"),
        ([keep(tags=("a",)), delete(tags=("a", "b"))], ""),
        ([keep(tags=("a",), templates=("t",)), delete(tags=("a",))], ""),
        ([keep(tags=("a",), limits={"age": 1}), delete(tags=("a",))], ""),
    ],
)
def test_rules_that_contradict_each_other(rules, said):
    made = Policy(
        keep=tuple(rule for rule in rules if rule.keeps), delete=tuple(rule for rule in rules if not rule.keeps)
    )
    with pytest.raises(UsageError, match=said) if said else contextlib.nullcontext():
        policy.check(made)


LIMITS = st.dictionaries(
    st.sampled_from(["pulled", "pushed", "age"]), st.integers(1, 100).map(lambda day: day * DAY), max_size=2
)
COUNTS = st.dictionaries(
    st.sampled_from(["newest_tags", "oldest_tags", "newest_templates"]), st.integers(1, 3), max_size=2
)
PATTERNS = st.lists(st.sampled_from(["*", "a*", "b*", "?0", "?1", "[ab]2"]), max_size=2).map(tuple)
DAYS = st.one_of(st.none(), st.integers(0, 100))
RULES = st.lists(st.tuples(st.booleans(), PATTERNS, PATTERNS, LIMITS, COUNTS), min_size=1, max_size=5)
STACKS = st.lists(st.lists(st.tuples(DAYS, DAYS), max_size=5), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(stacks=STACKS, wanted=RULES, used=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=3))
def test_nothing_that_is_kept_goes_and_nothing_takes_a_kept_tag_with_it(stacks, wanted, used):
    templates = [
        template("ab"[number % 2] + str(number), *((f"a{index}", *days) for index, days in enumerate(stack)))
        for number, stack in enumerate(stacks)
    ]
    uses = {(templates[number].id, index): ["used"] for number, index in used if number < len(templates)}
    rules = [
        Rule(name=str(number), keeps=keeps, templates=names, tags=tags, limits=limits | counts)
        for number, (keeps, names, tags, limits, counts) in enumerate(wanted)
    ]
    made = Policy(
        keep=tuple(rule for rule in rules if rule.keeps), delete=tuple(rule for rule in rules if not rule.keeps)
    )
    found = Retention(templates, made, uses, NOW)
    for case in found.cases:
        going = [each.version for each in case.going]
        assert list(case.template.versions[len(case.tags) - len(going) :]) == going  # a suffix, so nothing else goes
        for version in going:
            answers = list(found.answers(case.template, version))
            assert [] == [each for each in answers if each.rule == "always kept"]
            said = {each.rule: each.says for each in answers}
            assert [] == [rule.title for rule in made.keep if said[rule.title] in ("yes", "unknown")]
            assert "yes" in {said[rule.title] for rule in made.delete}


@settings(max_examples=8, deadline=None)
@given(
    pushes=st.lists(st.tuples(st.sampled_from(["n", "m"]), st.sets(st.sampled_from("abcde"))), min_size=1, max_size=5),
    cuts=st.tuples(st.integers(0, 6), st.integers(0, 6)),
)
def test_the_registry_frees_what_was_announced(tmp_path_factory, pushes, cuts):
    data, clock = tmp_path_factory.mktemp("registry"), ManualClock()
    stock(data, clock, [(9, name, f"v{index}", "".join(sorted(layers))) for index, (name, layers) in enumerate(pushes)])
    state = State(data, clock)
    try:
        templates = state.templates()
        layers, before = Layers(templates), held(state)
        cut = dict(zip((id_of("n"), id_of("m")), cuts, strict=True))
        going = [(each, version) for each in templates for version in each.versions if version.number >= cut[each.id]]
        announced = layers.freed(layers.uses(going))
        for each in templates:
            first = next((version for version in each.versions if version.number >= cut[each.id]), None)
            if first is not None:
                state.revert(each, first)
        assert announced.least <= before - held(state) <= announced.most
    finally:
        state.close()
